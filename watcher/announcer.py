"""Tells workers that nodes want a look: marks them dirty and publishes. Nothing is dropped: what Redis or the broker
did not take is tried again. To repeat either does nothing more (common.store.wakeups)."""

from collections.abc import Iterable
from itertools import islice

from common.clock import Clock
from common.metrics import PUBLISH_FAILURES, PUBLISHED
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.publisher import Publisher
from common.store.store import Store

NODES_A_CALL = 25
"""Announced at once: a tenth of a second on a Redis that takes a millisecond for each command."""


class Announcer:
    """Used by one thread."""

    def __init__(self, store: Store, publisher: Publisher, clock: Clock) -> None:
        self._store, self._publisher, self._clock = store, publisher, clock
        self._pending: dict[NodeName, str] = {}
        """Nodes to announce, and why."""

    def add(self, names: Iterable[tuple[NodeName, str]]) -> None:
        """`catch_up` is to announce these nodes, each with a reason: their desired state is written."""
        self._pending.update(names)

    def catch_up(self) -> None:
        """Announce the next NODES_A_CALL. Raises StaleTerm and StoreUnavailable; nothing is lost then."""
        names = list(islice(self._pending, NODES_A_CALL))
        if not names:
            return
        for name in self._store.wakeups.mark_dirty(names, self._clock.now()):
            reason = self._pending[name]
            try:
                self._publisher.reconcile(name, reason)
            except StoreUnavailable:
                PUBLISH_FAILURES.inc()
                raise
            PUBLISHED.labels(reason).inc()
        for name in names:
            del self._pending[name]

    def forget(self) -> None:
        """Another leads."""
        self._pending.clear()

    @property
    def settled(self) -> bool:
        return not self._pending
