"""Runs that lost Redis in the middle: their process lives, so that their locks stand; they are given up when Redis is
back."""

import threading
from collections.abc import Callable

import structlog

from common.model.ids import NodeName
from common.store.publisher import Publisher
from common.store.store import Store

_log = structlog.get_logger(__name__)


class LostRuns:
    """Of one process. Thread-safe."""

    def __init__(self, store: Store, publisher: Publisher, now: Callable[[], float]) -> None:
        """`now`: epoch seconds."""
        self._store, self._publisher, self._now = store, publisher, now
        self._lock = threading.Lock()
        self._left: dict[str, NodeName] = {}
        """Nodes by the runs' owners."""

    def add(self, node: NodeName, owner: str) -> None:
        """The run has ended, and its lock may stand: an answer of Redis was lost, or was never given."""
        with self._lock:
            self._left[owner] = node

    def give_up(self) -> None:
        """Free the nodes, and have them looked at. Raises StoreUnavailable: what is left then is for the next time."""
        with self._lock:
            left = list(self._left.items())
        for owner, node in left:
            # Dirty first: what the run had begun is to be looked at, also where this process ends in between.
            self._store.mark_dirty([node], self._now())
            if self._store.release(node, owner):
                self._publisher.reconcile(node, "again")
            with self._lock:
                self._left.pop(owner, None)
            _log.info("lost_run_released", node=node)
