"""Has a process' clock follow Redis'."""

import structlog

from common.clock import SharedClock
from common.metrics import CLOCK_ERROR
from common.store.server import Server

LARGEST_ERROR_SECONDS = 2.0
"""The largest error of a machine's own clock. All stored times are Redis'; but what signs requests and checks
certificates uses the own one, and a clock that is off by so much says that something is wrong with the machine."""

_log = structlog.get_logger(__name__)


class SharedTime:
    """Used by one thread, except `problem`."""

    def __init__(self, server: Server, clock: SharedClock) -> None:
        self._server = server
        self._clock = clock
        self._made_at = clock.monotonic()
        self.wrong: str | None = None
        """By how much this machine's clock is off; None: it agrees, or Redis has not told the time."""
        self.problem: str | None = "redis has not told the time yet"
        """Why this process should take no work; None: its clock agrees with Redis'."""

    @property
    def started(self) -> float:
        """Epoch seconds, by Redis' clock, at which this was made."""
        return self._clock.now() - self._clock.monotonic() + self._made_at

    def look(self) -> None:
        """Ask Redis for its time. Raises StoreUnavailable."""
        asked_at = self._clock.monotonic()
        server_time = self._server.time()
        self._clock.follow(server_time, asked_at, self._clock.monotonic())
        error = self._clock.own_error()
        CLOCK_ERROR.set(error)
        agrees = abs(error) <= LARGEST_ERROR_SECONDS
        if not agrees and self.wrong is None:
            _log.error("clock_wrong", seconds=round(error, 1))
        elif agrees and self.problem is not None:
            _log.info("clock_agrees", seconds=round(error, 3))
        self.wrong = self.problem = None if agrees else f"this machine's clock is {error:+.1f} s off redis' clock"
