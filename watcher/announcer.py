"""Tells workers that nodes want a look: marks them dirty and publishes. Nothing is dropped: what Redis or the broker
did not take is tried again."""

from collections.abc import Iterable

from common.clock import Clock
from common.metrics import PUBLISH_FAILURES, PUBLISHED
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.publisher import Publisher
from common.store.store import Store


class Announcer:
    """Of one thread."""

    def __init__(self, store: Store, publisher: Publisher, clock: Clock) -> None:
        self._store, self._publisher, self._clock = store, publisher, clock
        self._unmarked: dict[NodeName, str] = {}
        self._unpublished: dict[NodeName, str] = {}

    def changed(self, names: Iterable[tuple[NodeName, str]]) -> None:
        """What is wished of these nodes was written, each with a reason. Raises StoreUnavailable; nothing is lost
        then, and `catch_up` goes on."""
        self._unmarked.update(names)
        self.catch_up()

    def come_due(self, names: Iterable[NodeName], reason: str) -> None:
        """Nodes marked dirty already that need a message. Raises StoreUnavailable, as `changed`."""
        self._unpublished.update((name, reason) for name in names)
        self.catch_up()

    def catch_up(self) -> None:
        """Raises StoreUnavailable."""
        if self._unmarked:
            try:
                publish = self._store.mark_dirty(list(self._unmarked), self._clock.now())
            except StoreUnavailable:
                # The marks may be set and the flags taken: a message too many does no harm, one too few does.
                self._unpublished.update(self._unmarked)
                raise
            for name in publish:
                self._unpublished[name] = self._unmarked[name]
            self._unmarked.clear()
        for name in list(self._unpublished):
            reason = self._unpublished[name]
            try:
                self._publisher.reconcile(name, reason)
            except StoreUnavailable:
                PUBLISH_FAILURES.inc()
                raise
            del self._unpublished[name]
            PUBLISHED.labels(reason).inc()

    def forget(self) -> None:
        """Another leads."""
        self._unmarked.clear()
        self._unpublished.clear()

    @property
    def settled(self) -> bool:
        return not self._unmarked and not self._unpublished
