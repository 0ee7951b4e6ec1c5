"""Failures that are the same for all, known once: by scope, with who waits and who asks.

The first failure of a scope makes an outage, which only its own asker waits for. When a second asker fails, it is
confirmed: every node that is about to ask the same waits, and one at a time asks, at intervals that grow to
LONGEST_SECONDS; or one that has not failed yet, so that what fails for some holds others up for a moment only. The
first call that gets through ends it, and all who wait are looked at, at the pace at which nodes are handed out.

An asker that fails again although others got through since fails by itself: that is no outage.

Nothing here is needed for safety. Lost with Redis, it costs one call per node. A node that was to ask and did not is
passed over by the next node that looks; an outage without any answer for FORGOTTEN_SECONDS is forgotten.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.model.errors import Denied, OutsideError
from common.model.ids import NodeName
from common.model.outage import Outage, Scope
from common.store import keys
from common.store.link import Link, Value, text
from common.store.milliseconds import milliseconds

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 5.0
"""Between two calls that ask: what those who wait lose when it works again. EC2's limits do not feel such a call."""
ANSWER_SECONDS = 25.0
"""For so long an answer is awaited: a call lasts 20 s, before it a turn of 3 s."""
NEWCOMER_SECONDS = 1.0
"""Between two calls of askers that have not failed yet."""
ABSENT_SECONDS = 5.0
"""One that was to ask and did not come so long after is passed over."""
ALONE_SECONDS = 60.0
"""For so long after others got through, one that fails again fails by itself."""
FORGOTTEN_SECONDS = 90.0
"""Without any answer for so long (who was to ask died, or had nothing to ask any more) it counts as over."""
KEPT_SECONDS = 600.0
"""For so long it is remembered who failed, and when it worked last."""


class Verdict(NamedTuple):
    """What a failure means."""

    shared: bool
    """As far as is known it fails for all. False: others got through since it failed for this one."""
    began: bool
    """The outage is confirmed just now."""


class Outages:
    """Thread-safe. Times are epoch seconds of the caller's clock. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def failed(self, scope: Scope, node: NodeName, who: str, error: OutsideError, now: float) -> Verdict:
        """A call failed. `who`: whoever it was made for, pod or node. The node waits from now on."""
        p = self._prefix
        spots = [*self._spots(scope), keys.failed_for(p, scope), keys.parked(p)]
        args: list[Value] = [scope, node, who, error.code, error.message, now, FIRST_SECONDS, LONGEST_SECONDS]
        # What is denied may hang on a condition that other pods of the node meet.
        args += [milliseconds(KEPT_SECONDS), ALONE_SECONDS, 0 if isinstance(error, Denied) else 1]
        shared, began = self._link.script("outage_failed", spots, args, after="outage")
        return Verdict(bool(shared), bool(began))

    def held_by(self, scopes: Sequence[Scope], node: NodeName, who: str, now: float) -> Scope | None:
        """The scope for which a call has to wait: the node does from now on. None: it may be made, and where it is one
        that asks, no other is until `failed`, `over` or `pass_on`."""
        p = self._prefix
        spots = [keys.outages(p), keys.parked(p)]
        for scope in scopes:
            spots += [keys.outage(p, scope), keys.waiting_for(p, scope), keys.failed_for(p, scope)]
        args: list[Value] = [node, who, now, ANSWER_SECONDS, NEWCOMER_SECONDS, milliseconds(KEPT_SECONDS), *scopes]
        number = int(self._link.script("outage_ask", spots, args))
        return scopes[number - 1] if number else None

    def waits_for(self, scopes: Sequence[Scope], node: NodeName, now: float) -> frozenset[Scope]:
        """Those of these scopes that the node goes on waiting for: it is woken when they work or are its to ask."""
        p = self._prefix
        spots = [keys.outages(p)]
        for scope in scopes:
            spots += [keys.outage(p, scope), keys.waiting_for(p, scope)]
        args: list[Value] = [node, now, milliseconds(KEPT_SECONDS), *scopes]
        return frozenset(scopes[int(number) - 1] for number in self._link.script("outage_waits", spots, args))

    def over(self, scope: Scope, began: float, now: float) -> bool:
        """A call that began then got through. True: a confirmed outage ends by it."""
        spots = [*self._spots(scope), keys.parked(self._prefix)]
        return bool(self._link.script("outage_over", spots, [scope, began, now], after="outage"))

    def pass_on(self, scope: Scope, now: float, *, giver: NodeName | None = None, at: float | None = None) -> bool:
        """Another node asks, at `at` (None: now), if `giver` was to; None: if whoever was to did not come. Whether
        there is one."""
        spots = [*self._spots(scope), keys.parked(self._prefix)]
        args: list[Value] = [scope, giver or "", now, now if at is None else at, ABSENT_SECONDS, FORGOTTEN_SECONDS]
        return bool(self._link.script("outage_pass_on", spots, args, after="outage"))

    def read(self) -> tuple[Outage, ...]:
        """All of them, the oldest first, by plain reads: people may."""
        p = self._prefix
        names = [Scope(text(raw)) for raw in self._link.command("ZRANGE", keys.outages(p), 0, -1)]
        if not names:
            return ()
        commands: list[Sequence[Value]] = []
        for scope in names:
            commands += [("HGETALL", keys.outage(p, scope)), ("ZCARD", keys.waiting_for(p, scope))]
        answers = self._link.transaction(commands)
        found = (
            _outage(scope, state, waiting)
            for scope, state, waiting in zip(names, answers[::2], answers[1::2], strict=True)
        )
        return tuple(one for one in found if one is not None)

    def _spots(self, scope: Scope) -> list[str]:
        p = self._prefix
        return [keys.outages(p), keys.outage(p, scope), keys.waiting_for(p, scope)]


def _outage(scope: Scope, state: Iterable[bytes] | dict[bytes, bytes], waiting: int) -> Outage | None:
    """None: it was lost, or ended just now."""
    raw = state if isinstance(state, dict) else dict(zip(*[iter(state)] * 2, strict=True))
    said = {text(name): text(value) for name, value in raw.items()}
    if "code" not in said:
        return None
    return Outage(
        scope=scope,
        code=said["code"],
        message=said.get("message", ""),
        since=float(said.get("since", 0)),
        confirmed=said.get("confirmed") == "1",
        ask_at=float(said.get("ask_at", 0)),
        asker=NodeName(said.get("asker", "")),
        asking=bool(said.get("asking")),
        waiting=int(waiting),
    )
