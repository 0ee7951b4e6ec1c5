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
