"""A Windows node in memory: its primary interface's addresses and prefixes, its pods."""

from ipaddress import IPv4Network
from random import Random
from typing import Any

import msgspec

from common.model import actions as act
from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.errors import LimitExceeded, NotFound
from common.model.ids import Ipv4, Prefix
from common.model.node import NodeFacts, NodeView
from common.model.outcome import Reviewed
from common.model.pod import PodRequest
from common.node.windows.contents import address_named
from common.node.windows.pool import ADDRESSES_PER_PREFIX, REST_SECONDS, addresses_of
from tests.unit.node import builders as make
from tests.unit.node.perfect import World

SECONDARY = [Ipv4(f"10.0.3.{n}") for n in range(10, 60)]
LAGS = (0.0, 1.0, 3.0)
"""Seconds."""
PREFIXES = [Prefix(str(block)) for block in IPv4Network("10.0.4.0/23").subnets(new_prefix=28)]


class WindowsWorld(World):
    """`slots` addresses or prefixes beside the primary address. EC2 gives out the lowest that is free: what was
    given back comes again at once. What it shows can be some seconds old."""

    def __init__(self, slots: int, config: ClusterConfig) -> None:
        super().__init__(make.NOW)
        self.slots, self.config = slots, config
        self.node: NodeFacts = make.node(os="windows", trunk_label=False, capacity={})
        self.ips: list[Ipv4] = []
        self.prefixes: list[Prefix] = []
        self.ended: dict[Ipv4, float] = {}
        """When the last pod that had this address ended."""
        self.rng = Random(slots)
        self.before: list[tuple[float, tuple[Ipv4, ...], tuple[Prefix, ...]]] = []
        """What there was until each change."""

    def desired(self) -> Desired:
        return Desired(
            view=NodeView(node=self.node, cninode=make.cninode(os_label="windows")),
            pods=dict(self.pods),
            config=self.config,
            complete=self.complete,
        )

    def end(self, pod: PodRequest, *, finish: bool) -> None:
        ip = address_named(pod)
        if ip is not None and not pod.finished:
            self.ended[ip] = self.now
        if finish:
            self.change_pod(pod.uid, finished=True)
        else:
            del self.pods[pod.uid]

    def taken(self) -> dict[Ipv4, PodRequest]:
        named = ((address_named(pod), pod) for pod in self.live())
        return {ip: pod for ip, pod in named if ip is not None}

    def held(self) -> set[Ipv4]:
        return set(self.ips) | {ip for prefix in self.prefixes for ip in addresses_of(prefix)}

    def perform(self, action: act.Action) -> Any:
        before = (tuple(self.ips), tuple(self.prefixes))
        try:
            return self._perform(action)
        finally:
            if before != (tuple(self.ips), tuple(self.prefixes)):
                self.before.append((self.now, *before))

    def _perform(self, action: act.Action) -> Any:
        match action:
            case act.RequestSnapshot():
                primary = self._primary()
                shown = make.snapshot(taken_at=self.now)
                assert shown.instance is not None
                instance = msgspec.structs.replace(shown.instance, interfaces=(primary,))
                self.shown = msgspec.structs.replace(shown, instance=instance)
            case act.InspectPool():
                return self._primary()
            case act.Review():
                return Reviewed(began_at=self.now, pods=tuple(self.pods.values()), interfaces=())
            case act.AssignAddresses(count=wanted):
                self._room(wanted)
                fresh = [ip for ip in SECONDARY if ip not in self.ips][:wanted]
                self.ips += fresh
                return tuple(fresh)
            case act.AssignPrefixes(count=wanted):
                self._room(wanted)
                blocks = [prefix for prefix in PREFIXES if prefix not in self.prefixes][:wanted]
                self.prefixes += blocks
                return tuple(blocks)
            case act.UnassignAddresses(addresses=addresses):
                self._unassign(addresses)
            case act.UnassignPrefixes(prefixes=prefixes):
                self._unassign_prefixes(prefixes)
            case act.ConfirmGone():
                return self.gone(action)
            case act.Advertise(resource=resource, amount=amount):
                self.node = msgspec.structs.replace(self.node, capacity={resource: str(amount)})
            case act.Annotate():
                return self._annotate(action)
            case _:
                raise AssertionError(action)
        return None

    def _primary(self) -> Any:
        shown = self.now - self.rng.choice(LAGS)
        old = next(((ips, prefixes) for until, ips, prefixes in self.before if until > shown), None)
        ips, prefixes = old or (tuple(self.ips), tuple(self.prefixes))
        return make.primary(secondary_ips=ips, prefixes=prefixes)

    def _room(self, wanted: int) -> None:
        if wanted > self.slots - len(self.ips) - len(self.prefixes):
            raise LimitExceeded("PrivateIpAddressLimitExceeded")

    def _unassign(self, addresses: tuple[Ipv4, ...]) -> None:
        for ip in addresses:
            assert ip not in self.taken(), f"{ip} was taken from {self.taken()[ip].name}"
            self._rested(ip)
        self.ips = [ip for ip in self.ips if ip not in addresses]

    def _unassign_prefixes(self, prefixes: tuple[Prefix, ...]) -> None:
        for ip in (ip for prefix in prefixes for ip in addresses_of(prefix)):
            assert ip not in self.taken(), f"{ip} was taken from {self.taken()[ip].name}"
            self._rested(ip)
        self.prefixes = [prefix for prefix in self.prefixes if prefix not in prefixes]

    def _rested(self, ip: Ipv4) -> None:
        since = self.ended.get(ip, 0.0)
        assert since + REST_SECONDS <= self.now, f"{ip} rested only {self.now - since} s"

    def _annotate(self, action: act.Annotate) -> str:
        pod = self.pods.get(action.pod_uid)
        if pod is None:
            raise NotFound("PodGone")
        if pod.ip_annotation is not None:
            return pod.ip_annotation
        ip, _, length = action.value.partition("/")
        assert ip not in self.taken(), f"{ip} is {self.taken()[Ipv4(ip)].name}'s"
        assert ip in self.held(), f"{ip} is not the node's"
        assert length == ("19" if ip in self.ips else "32")
        self._rested(Ipv4(ip))
        self.change_pod(pod.uid, ip_annotation=action.value)
        return action.value

    def free_prefixes(self) -> list[Prefix]:
        return [p for p in self.prefixes if not set(addresses_of(p)) & set(self.taken())]

    def room_for_pods(self, *, prefixes: bool) -> int:
        """Pods that the node can have besides what the other mode's leftovers hold."""
        others = len(self.ips) if prefixes else len(self.prefixes)
        return (self.slots - others) * (ADDRESSES_PER_PREFIX if prefixes else 1)
