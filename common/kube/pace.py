"""A limit on our own requests, so that a burst of ours does not crowd out the API server's other clients."""

import threading

from common.clock import Clock


class RequestPace:
    """Token bucket by reservation: every caller is given its moment and waits for it. Thread-safe."""

    def __init__(self, *, qps: float, burst: int, clock: Clock) -> None:
        self._interval, self._burst, self._clock = 1.0 / qps, burst, clock
        self._lock = threading.Lock()
        self._full_at = clock.monotonic()
        """When the bucket is full again if nobody asks any more."""

    def wait(self) -> None:
        """Returns when the next request may go."""
        now = self._clock.monotonic()
        with self._lock:
            self._full_at = max(self._full_at, now) + self._interval
            delay = self._full_at - now - self._burst * self._interval
        self._clock.sleep(delay)
