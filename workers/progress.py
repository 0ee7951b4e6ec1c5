"""Whether a worker gets on with its work: a consumer can look alive, answer pings, and take no messages any more (seen
after restarts of Redis).

Redis is asked by the heartbeat alone. Probes are answered from what it found: a Redis that hangs must not hang them,
and is no reason to restart a worker.
"""

import threading
from collections.abc import Callable

from common.clock import Clock

STALL_SECONDS = 60.0
"""Messages wait and no task began or ended here for so long: three slices of a run."""
START_SECONDS = 120.0
"""From the start of the process to the consumer's being ready, Redis there."""
SILENT_SECONDS = 6.0
"""A heartbeat of which nothing was heard for so long waits for Redis: three intervals."""


class Progress:
    """Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._moved_at = clock.monotonic()
        self._heard_at = clock.monotonic()
        self._ready = False
        self._waiting = 0
        self._trouble: str | None = None
        self._awaited: str | None = None
        self._outside: Callable[[], str | None] = lambda: None

    def moved(self) -> None:
        """A task was taken, began or ended."""
        with self._lock:
            self._moved_at = self._clock.monotonic()

    def connected(self) -> None:
        """The consumer is ready to take messages."""
        with self._lock:
            self._ready = True
            self._moved_at = self._clock.monotonic()

    def depends_on(self, problem: Callable[[], str | None]) -> None:
        """Something whose problem makes the process unready, while it lasts."""
        self._outside = problem

    def awaits(self, what: str | None) -> None:
        """It takes no messages until this is over, which a restart would not cure; None: it is over."""
        with self._lock:
            if self._awaited is not None and what is None:
                self._moved_at = self._clock.monotonic()
            self._awaited = what

    @property
    def begun(self) -> bool:
        """The consumer has been ready once."""
        with self._lock:
            return self._ready

    def heard(self, waiting: int) -> None:
        """Redis took a write, and so many messages wait in the queues."""
        with self._lock:
            self._waiting, self._trouble = waiting, None
            self._heard_at = self._clock.monotonic()
            if self._ready and waiting == 0:
                # Time counts from the last moment at which nothing had to be done.
                self._moved_at = self._heard_at

    def unheard(self, why: str) -> None:
        """Redis did not answer, or refused a write."""
        with self._lock:
            self._trouble = why
            self._heard_at = self._moved_at = self._clock.monotonic()

    def redis_away(self) -> bool:
        """Redis did not answer the last heartbeat, or leaves one waiting."""
        with self._lock:
            return self._trouble is not None or self._clock.monotonic() - self._heard_at > SILENT_SECONDS

    def unready(self) -> str | None:
        """Why no message is taken, or nothing comes of it, now; None: it is ready."""
        with self._lock:
            if self._awaited is not None:
                return self._awaited
            if not self._ready:
                return "the consumer is not connected yet"
            silent = self._clock.monotonic() - self._heard_at
            if silent > SILENT_SECONDS:
                return f"redis was not heard of for {silent:.0f} s"
            return self._trouble or self._outside()

    def problem(self) -> str | None:
        """What a restart of this process would cure, or None. Redis out of reach is no such thing; nor is an empty
        queue."""
        with self._lock:
            now = self._clock.monotonic()
            if self._awaited is not None or self._trouble is not None or now - self._heard_at > SILENT_SECONDS:
                return None
            idle = now - self._moved_at
            if not self._ready and idle > START_SECONDS:
                return f"the consumer is not ready after {idle:.0f} s"
            if self._ready and self._waiting and idle > STALL_SECONDS:
                return f"{self._waiting} messages wait and none was taken for {idle:.0f} s"
            return None
