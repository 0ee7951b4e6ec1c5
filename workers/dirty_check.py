"""Which of the nodes under way in this process have become dirty: asked for all of them at once, and heard.

A process that marks a node held by a run leaves its name for that run's process, whose listener wakes the run. That
is only a hint, and may be lost: the marks are looked at, too, seldom while the listener hears.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from common.clock import Clock
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName

LOOK_SECONDS = 0.05
"""Interval of looks where nobody tells: what a new pod on the node then waits at most."""
HEARD_LOOK_SECONDS = 0.5
"""The same while the listener hears."""
LISTEN_SECONDS = 1.0
"""Longest wait for a hint; shorter than the time-out of a connection to Redis."""
SILENT_SECONDS = 3.0
"""Without an answer of Redis for so long, the listener does not hear."""


class DirtyMarks(Protocol):
    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]: ...


class DirtyCheck:
    """One per process. Thread-safe. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[NodeName, Callable[[], None]] = {}
        """How to wake each run."""
        self._dirty: frozenset[NodeName] = frozenset()
        self._asked_at = float("-inf")
        self._heard_at = float("-inf")

    def begin(self, node: NodeName, wake: Callable[[], None]) -> None:
        """A run on the node begins. `wake` has it look, from any thread."""
        with self._lock:
            self._running[node] = wake

    def end(self, node: NodeName) -> None:
        with self._lock:
            self._running.pop(node, None)

    def forget(self, node: NodeName) -> None:
        """Its mark was cleared: what was answered before says nothing any more."""
        with self._lock:
            self._dirty -= {node}

    def interval(self, now: float) -> float:
        """How often a run needs to look."""
        return HEARD_LOOK_SECONDS if now - self._heard_at < SILENT_SECONDS else LOOK_SECONDS

    def on(self, node: NodeName, marks: DirtyMarks, now: float) -> bool:
        """Whether the node is dirty, as far as was heard or seen at the last look. Raises StoreUnavailable, for one of
        those who ask at the same time: the others need not wait for the same failure."""
        with self._lock:
            # All runs share one answer; half an interval old, so that nobody waits for two.
            if node not in self._dirty and now - self._asked_at >= self.interval(now) / 2:
                self._asked_at = now
                self._dirty = marks.dirty_among(self._running.keys() | {node})
            return node in self._dirty

    def heard(self, node: NodeName | None, now: float) -> None:
        """The listener got an answer: this node became dirty, or none did."""
        with self._lock:
            self._heard_at = now
            wake = self._running.get(node) if node is not None else None
            if node is not None and wake is not None:
                self._dirty |= {node}
        if wake is not None:
            wake()


class Hints(Protocol):
    def next_woken(self, incarnation: str, seconds: float) -> NodeName | None: ...


def listen(check: DirtyCheck, hints: Hints, incarnation: str, clock: Clock) -> None:
    """Pass on hints, for ever."""
    while True:
        try:
            check.heard(hints.next_woken(incarnation, LISTEN_SECONDS), clock.monotonic())
        except StoreUnavailable:
            clock.sleep(LISTEN_SECONDS)
