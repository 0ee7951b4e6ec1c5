"""Time as a value that is passed in, so that simulation and tests can run on a virtual clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """What code that deals in time may ask for."""

    def now(self) -> float:
        """Seconds since the epoch; may jump. For times that are stored or compared between machines."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For durations within one process."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; zero or less returns at once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class SharedClock:
    """Epoch time as one server tells it to all processes; from one telling to the next by this machine's monotonic
    clock, which nobody sets. Until the first telling, the machine's own. Thread-safe."""

    def __init__(self, own: Clock | None = None) -> None:
        self._own = own or SystemClock()
        self._anchor = self._own.now() - self._own.monotonic()
        """What to add to the monotonic clock."""

    def now(self) -> float:
        return self._own.monotonic() + self._anchor

    def monotonic(self) -> float:
        return self._own.monotonic()

    def sleep(self, seconds: float) -> None:
        self._own.sleep(seconds)

    def follow(self, server_time: float, asked_at: float, answered_at: float) -> None:
        """The server's time was that (epoch seconds) at some moment between these (monotonic): in their middle."""
        self._anchor = server_time - (asked_at + answered_at) / 2

    def own_error(self) -> float:
        """How many seconds this machine's clock is ahead of the server's; negative: behind."""
        return self._own.now() - self.now()
