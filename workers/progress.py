"""Whether a worker gets on with its work: a consumer can look alive, answer pings, and take no messages any more (seen
after restarts of Redis)."""

import threading
from collections.abc import Callable

from common.clock import Clock
from common.model.errors import StoreUnavailable

STALL_SECONDS = 60.0
"""Messages wait and no task began or ended here for so long: three slices of a run."""
START_SECONDS = 120.0
"""From the start of the process to the consumer's being ready, Redis there."""


class Progress:
    """Thread-safe. `waiting` tells how many messages wait in the queues; it raises StoreUnavailable."""

    def __init__(self, waiting: Callable[[], int], clock: Clock) -> None:
        self._waiting = waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._moved_at = clock.monotonic()
        self._ready = False

    def moved(self) -> None:
        """A task was taken, began or ended."""
        with self._lock:
            self._moved_at = self._clock.monotonic()

    def connected(self) -> None:
        """The consumer is ready to take messages."""
        with self._lock:
            self._ready = True
            self._moved_at = self._clock.monotonic()

    @property
    def ready(self) -> bool:
        with self._lock:
            return self._ready

    def problem(self) -> str | None:
        """What a restart of this process would cure, or None. Redis out of reach is no such thing; nor is an empty
        queue: time counts from the last moment at which nothing had to be done."""
        try:
            waiting = self._waiting()
        except StoreUnavailable:
            self.moved()
            return None
        with self._lock:
            now = self._clock.monotonic()
            if self._ready and waiting == 0:
                self._moved_at = now
            idle = now - self._moved_at
            if not self._ready and idle > START_SECONDS:
                return f"the consumer is not ready after {idle:.0f} s"
            if self._ready and idle > STALL_SECONDS:
                return f"{waiting} messages wait and none was taken for {idle:.0f} s"
            return None
