"""Whether EC2 answers."""

import threading
import time

SILENT_SECONDS = 8.0
"""A call without an answer for so long, and no answer to any other since it began: EC2 is away."""
FORGOTTEN_SECONDS = 60.0
"""What failed so long ago, with no call since, says nothing of now."""


class Reach:
    """Thread-safe. An answer is an answer, refusals included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        """When the first call began that has no answer, since the last answer (monotonic)."""
        self._tried_at = 0.0
        """When a call last began or failed."""
        self._why = "no answer"

    def asked(self) -> None:
        """A call begins."""
        with self._lock:
            self._tried_at = time.monotonic()
            if self._asked_at is None:
                self._asked_at = self._tried_at

    def answered(self) -> None:
        with self._lock:
            self._asked_at, self._why = None, "no answer"

    def failed(self, why: str) -> None:
        """A call ended without an answer."""
        with self._lock:
            self._tried_at, self._why = time.monotonic(), why

    def problem(self) -> str | None:
        """Why nothing comes of calls; None: EC2 answers, or is not asked."""
        with self._lock:
            now = time.monotonic()
            if self._asked_at is None or now - self._tried_at > FORGOTTEN_SECONDS:
                return None
            silent = now - self._asked_at
            return f"EC2 has not answered for {silent:.0f} s: {self._why}" if silent > SILENT_SECONDS else None
