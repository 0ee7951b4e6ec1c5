"""Which of the nodes under way in this process have become dirty: asked for all of them at once."""

import threading
from collections.abc import Iterable
from typing import Protocol

from common.model.ids import NodeName

FRESH_SECONDS = 0.025
"""What runs share one answer for. Each looks every 50 ms, so that asking for each by itself was most of what a process
did while its pods waited for EC2's limits."""


class DirtyMarks(Protocol):
    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]: ...


class DirtyCheck:
    """Of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[NodeName] = set()
        self._dirty: frozenset[NodeName] = frozenset()
        self._asked_at = float("-inf")

    def begin(self, node: NodeName) -> None:
        """A run on the node begins."""
        with self._lock:
            self._running.add(node)

    def end(self, node: NodeName) -> None:
        with self._lock:
            self._running.discard(node)

    def forget(self, node: NodeName) -> None:
        """Its mark was cleared: what was answered before says nothing any more."""
        with self._lock:
            self._dirty -= {node}

    def on(self, node: NodeName, marks: DirtyMarks, now: float) -> bool:
        """Whether the node is dirty, as of the last FRESH_SECONDS (`now`: monotonic). Raises StoreUnavailable, for one
        of those who ask at the same time: the others need not wait for the same failure."""
        with self._lock:
            if now - self._asked_at >= FRESH_SECONDS:
                self._asked_at = now
                self._dirty = marks.dirty_among(self._running | {node})
            return node in self._dirty
