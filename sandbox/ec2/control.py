"""The sandbox's own endpoint under /_sandbox/: look at the world, seed it, and change how it behaves, as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from sandbox.ec2.behaviour import FaultRule
from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.records import Interface
from sandbox.ec2.seed import Seed
from sandbox.ec2.world import Ec2World

Handler = Callable[[web.Request], Awaitable[web.Response]]


class _Terminate(msgspec.Struct, frozen=True, kw_only=True):
    instance_ids: tuple[str, ...]


class _Arranged(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    params: dict[str, Any]


def _answer(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _explained(handler: Handler) -> Handler:
    """Wrong JSON and EC2's refusals become 400 with the reason."""

    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (msgspec.DecodeError, Ec2Fault) as error:
            return web.Response(status=400, text=str(error))

    return explained


class Control:
    """The handlers of the control endpoint."""

    def __init__(self, world: Ec2World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """What the server is to serve."""
        return [
            web.get("/_sandbox/state", self.state),
            web.get("/_sandbox/journal", self.journal),
            web.delete("/_sandbox/journal", self.clear_journal),
            web.get("/_sandbox/summary", self.summary),
            web.get("/_sandbox/history", self.history),
            web.get("/_sandbox/behaviour", self.behaviour),
            web.put("/_sandbox/behaviour", _explained(self.behave)),
            web.post("/_sandbox/faults", _explained(self.inject)),
            web.delete("/_sandbox/faults", self.clear_faults),
            web.post("/_sandbox/seed", _explained(self.seed)),
            web.post("/_sandbox/terminate", _explained(self.terminate)),
            web.post("/_sandbox/arrange", _explained(self.arrange)),
        ]

    async def state(self, request: web.Request) -> web.Response:
        """Interfaces, instances, subnets and associations."""
        world = self._world
        return _answer(
            {
                "region": world.region,
                "account": world.account,
                "interfaces": [_shown(one) for one in world.interfaces()],
                "instances": [asdict(one) for one in world.instances()],
                "subnets": [asdict(subnet) | {"free": free} for subnet, free in world.subnets()],
                "associations": [asdict(one) for one in world.associations()],
            }
        )

    async def journal(self, request: web.Request) -> web.Response:
        """Every call; `?action=` narrows it."""
        action = request.query.get("action")
        return _answer([asdict(call) for call in list(self._world.journal.calls) if action in (None, call.action)])

    async def clear_journal(self, request: web.Request) -> web.Response:
        """Forget calls and histories."""
        self._world.journal.clear()
        return _answer({})

    async def summary(self, request: web.Request) -> web.Response:
        """Counts of calls and outcomes by action, of throttled calls, and of branch interfaces on trunks."""
        journal, associations = self._world.journal, len(self._world.associations())
        return _answer({"actions": journal.summary(), "throttled": journal.throttled(), "associations": associations})

    async def history(self, request: web.Request) -> web.Response:
        """The life of every interface, step by step."""
        return _answer({key: [asdict(step) for step in steps] for key, steps in self._world.journal.history().items()})

    async def behaviour(self, request: web.Request) -> web.Response:
        """The behaviour in force."""
        return _answer(self._world.behaviour)

    async def behave(self, request: web.Request) -> web.Response:
        """Lay a part of a behaviour over the one in force."""
        patch = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self._world.behave(self._world.behaviour.changed(patch))
        return _answer(self._world.behaviour)

    async def inject(self, request: web.Request) -> web.Response:
        """Add a list of fault rules."""
        self._world.inject(*msgspec.json.decode(await request.read(), type=list[FaultRule]))
        return _answer(self._world.behaviour.faults)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Drop all fault rules."""
        self._world.clear_faults()
        return _answer({})

    async def seed(self, request: web.Request) -> web.Response:
        """Add subnets, groups and nodes; answers with the instances' ids."""
        return _answer({"instance_ids": self._world.load(msgspec.json.decode(await request.read(), type=Seed))})

    async def terminate(self, request: web.Request) -> web.Response:
        """Terminate instances, as if somebody else did."""
        for identifier in msgspec.json.decode(await request.read(), type=_Terminate).instance_ids:
            self._world.terminate_instance(identifier)
        return _answer({})

    async def arrange(self, request: web.Request) -> web.Response:
        """Carry out a list of actions without limits, latencies or journal, for worlds of thousands of interfaces;
        answers with the ids of what each made."""
        wanted = msgspec.json.decode(await request.read(), type=list[_Arranged])
        return _answer([self._arranged(one) for one in wanted])

    def _arranged(self, one: _Arranged) -> dict[str, Any]:
        result = self._world.arrange(one.action, one.params)
        made = result.get("NetworkInterface", {})
        return {"interface_id": made.get("NetworkInterfaceId"), "attachment_id": result.get("AttachmentId"),
                "association_id": result.get("InterfaceAssociation", {}).get("AssociationId")}  # fmt: skip


def _shown(interface: Interface) -> dict[str, Any]:
    return asdict(interface) | {"status": interface.status, "shown_type": interface.shown_type}
