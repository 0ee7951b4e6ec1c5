"""The sandbox's own endpoints under /_sandbox: faults, compaction, dropping of watches, the journal of requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count

import msgspec
from aiohttp import web

from sandbox.kube.faults import Faults
from sandbox.kube.watch import Watch
from sandbox.kube.world import KubeWorld, RequestInfo

JOURNAL_LENGTH = 200_000
"""Requests remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    watch: Watch
    info: RequestInfo
    wake: Callable[[], None]
    reset: Callable[[], None]


class Control:
    """What tests and benchmarks do to a server, and what they learn from it."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self.faults = Faults()
        self.journal: deque[dict[str, object]] = deque(maxlen=JOURNAL_LENGTH)
        self._numbers = count(1)
        self._watches: dict[int, _Open] = {}

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/_sandbox/faults", self._add_fault)
        app.router.add_get("/_sandbox/faults", self._list_faults)
        app.router.add_delete("/_sandbox/faults", self._remove_faults)
        app.router.add_post("/_sandbox/compact", self._compact)
        app.router.add_post("/_sandbox/drop-watches", self._drop_watches)
        app.router.add_get("/_sandbox/journal", self._show_journal)
        app.router.add_delete("/_sandbox/journal", self._clear_journal)

    def journal_entry(self, method: str, path: str, info: RequestInfo) -> dict[str, object]:
        """A new entry; the server adds `user` and `status` as they become known."""
        entry: dict[str, object] = {
            "n": next(self._numbers), "time": self._world.clock(), "method": method, "path": path, "user": "",
            "verb": info.verb, "group": info.group, "resource": info.resource, "subresource": info.subresource,
            "namespace": info.namespace, "name": info.name, "status": None,
        }  # fmt: skip
        self.journal.append(entry)
        return entry

    def add_watch(
        self, watch: Watch, info: RequestInfo, wake: Callable[[], None], reset: Callable[[], None]
    ) -> Callable[[], None]:
        """Makes the watch known to `drop_watches`; call what is returned when it has ended."""
        number = next(self._numbers)
        self._watches[number] = _Open(watch=watch, info=info, wake=wake, reset=reset)

        def ended() -> None:
            self._watches.pop(number, None)

        return ended

    def drop_watches(self, how: str, resource: str = "") -> int:
        """Ends open watches: `reset` the connection, `end` the stream properly, or `expired` (410 in the stream)."""
        chosen = [o for o in self._watches.values() if not resource or o.info.resource == resource]
        for opened in chosen:
            match how:
                case "reset":
                    opened.reset()
                case "expired":
                    opened.watch.expire()
                case _:
                    opened.watch.close()
            opened.wake()
        return len(chosen)

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = self.faults.add(await request.json())
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return _json(asdict(fault))

    async def _list_faults(self, _: web.Request) -> web.Response:
        return _json([asdict(f) for f in self.faults.all()])

    async def _remove_faults(self, request: web.Request) -> web.Response:
        self.faults.remove(int(request.query["id"]) if "id" in request.query else None)
        return _json({})

    async def _compact(self, request: web.Request) -> web.Response:
        self._world.compact(int(request.query["version"]) if "version" in request.query else None)
        return _json({"version": self._world.store.version})

    async def _drop_watches(self, request: web.Request) -> web.Response:
        how = request.query.get("how", "reset")
        return _json({"dropped": self.drop_watches(how, request.query.get("resource", ""))})

    async def _show_journal(self, request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        return _json([e for e in self.journal if isinstance(e["n"], int) and e["n"] > since])

    async def _clear_journal(self, _: web.Request) -> web.Response:
        self.journal.clear()
        return _json({})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
