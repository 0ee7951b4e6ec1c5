"""Whether what a process depends on answers, as far as the calls that it makes anyway tell.

Probes read it: they make no call of their own, which a dependency that hangs would hang as well.
"""

import threading

from common.clock import Clock, SystemClock

SILENT_SECONDS = 8.0
"""A call without an answer for so long, and no answer to any other since it began: the dependency is away."""
FORGOTTEN_SECONDS = 60.0
"""What failed so long ago, with no call since, says nothing of now."""
NO_ANSWER = "no answer"


class Reach:
    """Whether one dependency answers. A refusal is an answer, too. Thread-safe."""

    def __init__(self, dependency: str, clock: Clock | None = None) -> None:
        """`dependency`: its name for people. `clock`: monotonic times."""
        self._dependency, self._clock = dependency, clock or SystemClock()
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        """When the first call began that has no answer, since the last answer."""
        self._tried_at = 0.0
        """When a call last began or failed."""
        self._why = NO_ANSWER

    def asked(self) -> None:
        """A call begins."""
        with self._lock:
            self._try()

    def answered(self) -> None:
        with self._lock:
            self._asked_at, self._why = None, NO_ANSWER

    def failed(self, why: str) -> None:
        """A call ended without an answer."""
        with self._lock:
            self._try()
            self._why = why

    def problem(self) -> str | None:
        """Why nothing comes of calls; None: the dependency answers, or is not asked."""
        with self._lock:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._tried_at > FORGOTTEN_SECONDS:
                return None
            silent = now - self._asked_at
            if silent <= SILENT_SECONDS:
                return None
            return f"{self._dependency} has not answered for {silent:.0f} s: {self._why}"

    def _try(self) -> None:
        self._tried_at = self._clock.monotonic()
        if self._asked_at is None:
            self._asked_at = self._tried_at
