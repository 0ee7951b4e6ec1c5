"""Locks that name this process and none of its runs: they would stand as long as it lives.

A run that lost Redis in the middle leaves one; and a Redis that comes back as it was some time ago has those of runs
that have ended since.
"""

import threading
from collections.abc import Callable

import structlog

from common.store.publisher import Publisher
from common.store.store import Store

_log = structlog.get_logger(__name__)


class LostRuns:
    """One per process. Thread-safe."""

    def __init__(self, store: Store, publisher: Publisher, now: Callable[[], float], incarnation: str) -> None:
        """`now`: epoch seconds."""
        self._store, self._publisher, self._now, self._incarnation = store, publisher, now, incarnation
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        """Owners of locks."""

    def begins(self, owner: str) -> None:
        """This run is about to take its node's lock."""
        with self._lock:
            self._under_way.add(owner)

    def ended(self, owner: str) -> None:
        """The run is over. Its lock may stand: an answer of Redis was lost, or was never given."""
        with self._lock:
            self._under_way.discard(owner)

    def give_up(self) -> None:
        """Free the nodes, and have them looked at. Raises StoreUnavailable: what is left then is for the next time."""
        with self._lock:
            under_way = set(self._under_way)
        held = self._store.lock.held_by(self._incarnation)
        with self._lock:
            # One that began or ended while the locks were read is none of those left.
            under_way |= self._under_way
        for node, owner in held.items():
            if owner in under_way:
                continue
            # Dirty first: what the run had begun is to be looked at, also where this process ends in between.
            self._store.wakeups.mark_dirty([node], self._now())
            if self._store.lock.release(node, owner):
                self._publisher.reconcile(node, "again")
            _log.info("lost_run_released", node=node)
