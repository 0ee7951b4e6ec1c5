"""A run's actions one after the other, in an order that the seed picks, each at its own virtual time."""

import random
from collections.abc import Iterable

from common.model.actions import Action
from common.model.ids import NodeName
from tests.kit.clock import VirtualClock
from workers.executor import Ended, Perform, performed
from workers.rooms import Rooms, Share


class SimulatedExecutor:
    """Lazy, it performs an action when the run waits; eager, when it is started, as a quick thread would."""

    def __init__(
        self, rooms: Rooms, perform: Perform, clock: VirtualClock, rng: random.Random, *, eager: bool = False
    ) -> None:
        self._rooms = Share(rooms)
        self._perform = perform
        self._clock = clock
        self._rng = rng
        self._eager = eager
        self._waiting: list[Action] = []
        self._ended: list[Ended] = []

    def admit(self, action: Action) -> bool:
        return self._rooms.enter(action)

    def dismiss(self, admitted: Iterable[Action]) -> None:
        for action in admitted:
            self._rooms.leave(action)

    def start(self, action: Action) -> None:
        if self._eager:
            self._ended.append(self._carried_out(action))
        else:
            self._waiting.append(action)

    def wait(self, seconds: float) -> list[Ended]:
        """One action's whole step; its calls' latencies pass on the clock."""
        if self._ended:
            return [self._ended.pop(self._rng.randrange(len(self._ended)))]
        if not self._waiting:
            self._clock.sleep(seconds)
            return []
        return [self._carried_out(self._waiting.pop(self._rng.randrange(len(self._waiting))))]

    def interrupt(self) -> None:
        raise AssertionError("nobody else is at work while a run waits")

    def _carried_out(self, action: Action) -> Ended:
        try:
            return action, performed(action, self._perform)
        finally:
            self._rooms.leave(action)

    def has_place(self, action: Action) -> bool:
        return self._rooms.has_place(action)

    def wake(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        self._rooms.wait_for(node, turned_away)
