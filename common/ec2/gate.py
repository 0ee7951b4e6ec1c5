"""Who may call EC2 now: every call passes a gate first, so that all replicas together stay within EC2's limits."""

from collections.abc import Callable
from typing import Protocol

from common.clock import Clock
from common.metrics import EC2_WAIT_SECONDS
from common.model.errors import ControllerError

NEAR_SECONDS = 1.0
"""A turn no further off is taken for anybody; further ones only for the patient. The rate limiter's own measure."""


class Deferred(ControllerError):
    """The call was not made: its turn comes at `until` (epoch seconds). The place in the queue is kept: the next try,
    at that time, has its turn and does not queue again."""

    def __init__(self, until: float) -> None:
        super().__init__(f"until {until:.3f}")
        self.until = until


class Gate(Protocol):
    """Asked before each call, and told of each throttling error."""

    def enter(self, action: str) -> None:
        """Return when the call may be made. Raises Deferred where that is too far off to wait for."""
        ...

    def throttled(self, action: str) -> None:
        """EC2 said to slow down."""
        ...


class OpenGate:
    """Lets every call through at once."""

    def enter(self, action: str) -> None:
        pass

    def throttled(self, action: str) -> None:
        pass


class TurnGate:
    """Queues each call in the shared rate limiter. One gate serves one step on one thread.

    `reserve(action, turn)` takes a place, or redeems the one that was taken before, and tells how many seconds off it
    is; `penalise(action)` slows the action down for
    everyone. Places up to `longest_wait` seconds off are waited for, later ones are Deferred. With `turn` a call
    of the step was Deferred before and has its place already. Which one is not known: a step may look before it acts.
    So its first look and its first change both come with the turn; the one call too many is within what the limiter
    spares.

    A list once begun is finished: where a look follows a look of the same action (the next page, the next part of a
    long filter) its turn is waited for however far off it is. Deferred, the step would begin again at the first page,
    and never end where a list has more pages than it gets turns.

    Not `patient`, for work that may come last and has no ledger to keep a place in: `reserve` takes no place that is
    not near but tells when to ask again, and that is done here, for as long as it takes.
    """

    def __init__(
        self,
        reserve: Callable[[str, bool], float],
        penalise: Callable[[str], object],
        clock: Clock,
        *,
        longest_wait: float = 3.0,
        turn: bool = False,
        patient: bool = True,
    ) -> None:
        self._reserve = reserve
        self._penalise = penalise
        self._clock = clock
        self._longest_wait = longest_wait
        self._turns = {True, False} if turn else set()
        self._last = ""
        """The action of the call before."""
        self._patient = patient

    def enter(self, action: str) -> None:
        looks = action.startswith("Describe")
        turn = looks in self._turns
        self._turns.discard(looks)
        wait = self._reserve(action, turn)
        EC2_WAIT_SECONDS.labels(action).observe(wait)
        while self._patient and wait > self._longest_wait:
            if not (looks and action == self._last):
                raise Deferred(self._clock.now() + wait)
            self._clock.sleep(wait)
            wait = self._reserve(action, True)
        while not self._patient and wait > NEAR_SECONDS:
            self._clock.sleep(wait)
            wait = self._reserve(action, False)
        self._last = action
        self._clock.sleep(wait)

    def throttled(self, action: str) -> None:
        self._penalise(action)
