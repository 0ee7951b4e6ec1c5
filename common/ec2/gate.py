"""Who may call EC2 now: every call passes a gate first, so that all replicas together find out EC2's limits and keep to
them."""

from collections.abc import Callable
from typing import Protocol

from common.clock import Clock
from common.metrics import EC2_WAIT_SECONDS
from common.model.errors import ControllerError
from common.model.reservation import Reservation
from common.spans import waited


class Deferred(ControllerError):
    """The call was not made: it is to be tried again at `until` (epoch seconds). The place in the line is kept."""

    def __init__(self, until: float) -> None:
        super().__init__(f"until {until:.3f}")
        self.until = until


class Gate(Protocol):
    """`enter` is called before each call, `throttled` after each throttling error."""

    def enter(self, operation: str) -> None:
        """Return when the call may be made. Raises Deferred where that is too far off to wait for."""
        ...

    def throttled(self, operation: str) -> None:
        """EC2 refused the call that entered last, because of its request limits."""
        ...


class OpenGate:
    """Lets every call through at once."""

    def enter(self, operation: str) -> None:
        pass

    def throttled(self, operation: str) -> None:
        pass


class ReservingGate:
    """Has each call granted by the shared rate limiter. One gate serves one step on one thread, under one name.

    `reserve(operation)` grants a call, or keeps a place in the line and says when to ask again;
    `throttled(operation, at)` reports that EC2 refused the call that was granted at that time. Up to `longest_wait`
    seconds are waited for, more is Deferred.

    A list once begun is finished: where a look follows a look of the same operation (the next page, the next part of a
    long filter) it is waited for however long that takes. Deferred, the step would begin again at the first page, and
    never end where a list has more pages than are granted at once.

    Not `defers`, for work that has no ledger to come back by: everything is waited for.
    """

    def __init__(
        self,
        reserve: Callable[[str], Reservation],
        throttled: Callable[[str, float], object],
        clock: Clock,
        *,
        longest_wait: float = 3.0,
        defers: bool = True,
    ) -> None:
        self._reserve = reserve
        self._throttled = throttled
        self._clock = clock
        self._longest_wait = longest_wait
        self._defers = defers
        self._last = ""
        """The operation of the call before."""
        self._granted_at = 0.0
        """Redis' time of its grant."""

    def enter(self, operation: str) -> None:
        goes_on = operation.startswith("Describe") and operation == self._last
        answer = self._reserve(operation)
        while not answer.granted:
            if answer.wait > self._longest_wait and self._defers and not goes_on:
                raise Deferred(self._clock.now() + answer.wait)
            self._clock.sleep(answer.wait)
            answer = self._reserve(operation)
        EC2_WAIT_SECONDS.labels(operation).observe(answer.waited)
        if answer.waited:
            waited("wait for EC2's limits", answer.waited, {"rpc.method": operation})
        self._last, self._granted_at = operation, answer.at

    def throttled(self, operation: str) -> None:
        self._throttled(operation, self._granted_at)
