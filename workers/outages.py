"""What a worker process knows of outages, and who of its runs may ask about them."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog

from common.clock import Clock
from common.metrics import UNAVAILABLE
from common.model.errors import OutsideError, StoreUnavailable
from common.model.ids import NodeName
from common.model.outage import Outage, Scope
from common.rules.scopes import label
from common.store.outages import ABSENT_SECONDS, Outages, Verdict

FRESH_SECONDS = 0.5
"""For so long what was read serves all runs: a call that began in between is one more that fails."""

_log = structlog.get_logger(__name__)


class KnownOutages:
    """Thread-safe. Redis away is no outage of others, and holds nobody: but for `holding`, nothing raises."""

    def __init__(self, outages: Outages, clock: Clock) -> None:
        self._outages = outages
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[Scope, Outage] = {}
        self._read_at = float("-inf")

    def holding(self, scopes: Iterable[str], node: NodeName) -> frozenset[Scope]:
        """Those of the scopes that the node's steps go on waiting for, as Redis has it now: what ended a moment ago is
        a reason to go on, and nothing wakes the node again. Raises StoreUnavailable."""
        waited_for = sorted({Scope(scope) for scope in scopes})
        return self._outages.waits_for(waited_for, node, self._clock.now()) if waited_for else frozenset()

    def held_by(self, scopes: tuple[Scope, ...], node: NodeName, who: str) -> Outage | None:
        """The confirmed outage for which a call about to be made has to wait; None: it may be made. An answer to it is
        for `failed` or `worked`, and none for `not_asked`."""
        listed = self._listed()
        asked = [scope for scope in scopes if scope in listed and listed[scope].confirmed]
        if not asked:
            return None
        try:
            held = self._outages.held_by(asked, node, who, self._clock.now())
        except StoreUnavailable:
            return None
        return listed[held] if held is not None else None

    def failed(self, scope: Scope, node: NodeName, who: str, error: OutsideError) -> Verdict:
        try:
            verdict = self._outages.failed(scope, node, who, error, self._clock.now())
        except StoreUnavailable:
            return Verdict(shared=False, began=False)
        with self._lock:
            self._read_at = float("-inf")
        if verdict.began:
            _log.error("outage_begins", scope=scope, code=error.code, error=error.message)
        return verdict

    def worked(self, scopes: tuple[Scope, ...], began: float) -> list[Outage]:
        """A call of these scopes that began then (epoch seconds) got through. The outages that it ends."""
        ended = []
        for scope in scopes:
            outage = self._known.get(scope)
            if outage is None:
                continue
            try:
                over = self._outages.over(scope, began, self._clock.now())
            except StoreUnavailable:
                continue
            if over:
                ended.append(outage)
                _log.warning("outage_ends", scope=scope, seconds=round(self._clock.now() - outage.since, 1))
        if ended:
            with self._lock:
                self._read_at = float("-inf")
        return ended

    def not_asked(self, scopes: tuple[Scope, ...], node: NodeName, at: float) -> None:
        """The call was not made, or its answer says nothing of these: another asks, at `at`."""
        for scope in scopes:
            if scope in self._known:
                try:
                    self._outages.pass_on(scope, self._clock.now(), giver=node, at=at)
                except StoreUnavailable:
                    return

    def tend(self) -> None:
        """Once in a while: pass over nodes that were to ask and did not, and show what there is. Raises
        StoreUnavailable."""
        known, now = self._refreshed(), self._clock.now()
        for scope, outage in known.items():
            if outage.ask_at + ABSENT_SECONDS <= now:
                self._outages.pass_on(scope, now)

    def _listed(self) -> Mapping[Scope, Outage]:
        if self._clock.monotonic() - self._read_at <= FRESH_SECONDS:
            return self._known
        try:
            return self._refreshed()
        except StoreUnavailable:
            return {}

    def _refreshed(self) -> Mapping[Scope, Outage]:
        began = self._clock.monotonic()
        known = {outage.scope: outage for outage in self._outages.read()}
        with self._lock:
            before, self._known, self._read_at = self._known, known, began
        waiting: Counter[str] = Counter()
        for scope, outage in known.items():
            waiting[label(scope)] += outage.waiting if outage.confirmed else 0
        for gone in {label(scope) for scope in before} - waiting.keys():
            with suppress(KeyError):
                UNAVAILABLE.remove(gone)
        for shown, nodes in waiting.items():
            UNAVAILABLE.labels(shown).set(nodes)
        return known
