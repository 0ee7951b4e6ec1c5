"""Tells workers that nodes want a look: marks them dirty and publishes. Nothing is dropped: what Redis or the broker
did not take is tried again. To repeat either does nothing more (common.store.wakeups).

Pods come first. Nodes where pods wait are announced at once. All others (nodes that join by the hundred, pods that
ended) are parked, and handed out as workers take them, so that a pod never finds a long queue before it."""

from collections.abc import Iterable, Mapping
from itertools import islice

from common.clock import Clock
from common.metrics import PUBLISH_FAILURES, PUBLISHED
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.publisher import Publisher
from common.store.store import Store
from watcher.pod_trace import PodTrace

NODES_A_CALL = 25
"""Announced at once: a tenth of a second on a Redis that takes a millisecond for each command."""
MESSAGES = 25
"""So many may wait in the queue before a node is handed out whose time has come."""


class Announcer:
    """Used by one thread."""

    def __init__(self, store: Store, publisher: Publisher, clock: Clock) -> None:
        self._store, self._publisher, self._clock = store, publisher, clock
        self._pending: dict[NodeName, str] = {}
        """Nodes to announce, and why."""
        self._reasons: dict[NodeName, str] = {}
        """Of nodes that are parked: why they want a look. Only for people."""
        self._parked = False
        """Nodes were parked that may be handed out now."""
        self.trace = PodTrace(clock)

    def add(self, names: Iterable[tuple[NodeName, str]]) -> None:
        """`catch_up` is to announce these nodes, each with a reason: their desired state is written."""
        self._pending.update(names)

    def add_later(self, times: Mapping[NodeName, float], reasons: Mapping[NodeName, str]) -> None:
        """Have these nodes announced at these times (epoch seconds), or when there is room in the queue after that,
        each with its reason. Raises StaleTerm and StoreUnavailable; then some of them may not be."""
        if not times:
            return
        self._store.wakeups.park_all(times)
        for name in times:
            self._reasons.setdefault(name, reasons[name])
        self._parked = True

    def hand_out(self, least: int = 1) -> None:
        """Announce nodes whose time has come, so many that MESSAGES wait, `least` of them in any case. Raises
        StaleTerm and StoreUnavailable."""
        for name in self._store.wakeups.due(self._clock.now(), MESSAGES, least):
            self._pending.setdefault(name, self._reasons.pop(name, "due"))
        self._parked = False

    def catch_up(self) -> None:
        """Announce the next NODES_A_CALL. Raises StaleTerm and StoreUnavailable; nothing is lost then."""
        if self._parked and len(self._pending) < NODES_A_CALL:
            self.hand_out(0)
        names = list(islice(self._pending, NODES_A_CALL))
        if not names:
            return
        marked = self._store.wakeups.mark_dirty(names, self._clock.now())
        reasons = {name: self._pending[name] for name in marked}
        try:
            if reasons:
                self._publisher.reconcile_all(reasons)
        except StoreUnavailable:
            PUBLISH_FAILURES.inc()
            raise
        for reason in reasons.values():
            PUBLISHED.labels(reason).inc()
        self.trace.announced(names, marked)
        for name in names:
            del self._pending[name]

    def forget(self) -> None:
        """Another leads."""
        self._pending.clear()
        self._reasons.clear()
        self.trace.forget()
        self._parked = False

    @property
    def settled(self) -> bool:
        return not self._pending
