"""A run's actions one after the other, in an order that the seed picks, each at its own virtual time."""

import random

from common.model.actions import Action
from tests.simulation.clock import VirtualClock
from workers.crew import Ended, Perform, performed


class SimulatedCrew:
    """Lazy, it performs an action when the run waits; eager, when it is started, as a quick thread would."""

    def __init__(self, perform: Perform, clock: VirtualClock, rng: random.Random, *, eager: bool = False) -> None:
        self._perform = perform
        self._clock = clock
        self._rng = rng
        self._eager = eager
        self._waiting: list[Action] = []
        self._ended: list[Ended] = []

    def start(self, action: Action) -> None:
        if self._eager:
            self._ended.append((action, performed(action, self._perform)))
        else:
            self._waiting.append(action)

    def wait(self, seconds: float) -> list[Ended]:
        """One action's whole step; its calls' latencies pass on the clock."""
        if self._ended:
            return [self._ended.pop(self._rng.randrange(len(self._ended)))]
        if not self._waiting:
            self._clock.sleep(seconds)
            return []
        action = self._waiting.pop(self._rng.randrange(len(self._waiting)))
        return [(action, performed(action, self._perform))]
