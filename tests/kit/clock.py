"""The clocks of tests. Virtual time passes only when somebody waits, and what is due on the way happens on the way."""

import heapq
import itertools
from collections.abc import Callable

from common.clock import SystemClock

START = 1_750_000_000.0


class VirtualClock:
    """A Clock whose sleeps run what was scheduled for the time slept through."""

    def __init__(self, start: float = START) -> None:
        self.time = self._start = start
        self.redis_offset = 0.0
        """Seconds by which the clock of Redis' machine differs."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def redis_now(self) -> float:
        return self.time + self.redis_offset

    def monotonic(self) -> float:
        return self.time - self._start

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), event))

    def sleep(self, seconds: float) -> None:
        self.advance_to(self.time + max(0.0, seconds))

    def advance_to(self, moment: float) -> None:
        while self._due and self._due[0][0] <= moment:
            due, _, event = heapq.heappop(self._due)
            self.time = max(self.time, due)
            event()
        self.time = max(self.time, moment)


class WrongClock(SystemClock):
    """The machine's, which somebody has set so many seconds ahead."""

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def now(self) -> float:
        return super().now() + self.error
