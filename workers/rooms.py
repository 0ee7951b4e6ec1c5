"""How many actions of a process may be under way, by what they call: no call that hangs takes the others' threads.

An action begins only where there is a place for it, and has its thread at once: there is no queue in which it could
wait behind others. A node that is turned away is woken when a place is free.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable

from common.model.actions import Action
from common.model.ids import NodeName
from common.model.terms import Room


def places(room: Room, threads: int) -> int:
    """How many of a process' threads the room may hold: half, a quarter for releases, one at least."""
    return max(1, threads // (4 if room is Room.RELEASE else 2))


def share(room: Room, threads: int) -> int:
    """How many of them one run may hold: half, one at least. A node whose calls hang leaves the others the rest."""
    return max(1, places(room, threads) // 2)


class Rooms:
    """Thread-safe. `wake` is called, outside of the lock, for a node that was turned away when a place is free."""

    def __init__(self, threads: int, wake: Callable[[NodeName], None] = lambda _: None) -> None:
        self._threads = threads
        self._wake = wake
        self._lock = threading.Lock()
        self._taken: Counter[Room] = Counter()
        self._waiting: dict[NodeName, frozenset[Room]] = {}
        """In the order in which they came."""

    def enter(self, action: Action) -> bool:
        """Take a place. False: there is none."""
        room = action.terms.room
        with self._lock:
            if not self._has_place(room):
                return False
            self._taken[room] += 1
            return True

    def leave(self, action: Action) -> None:
        """Give the place back; wakes the node that waits longest for one that is free now."""
        with self._lock:
            self._taken[action.terms.room] -= 1
            node = next((n for n, rooms in self._waiting.items() if any(map(self._has_place, rooms))), None)
            if node is not None:
                del self._waiting[node]
        if node is not None:
            self._wake(node)

    def has_place(self, action: Action) -> bool:
        with self._lock:
            return self._has_place(action.terms.room)

    def wait_for(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        """Have the node woken when there is a place for one of these."""
        with self._lock:
            self._waiting.setdefault(node, frozenset())
            self._waiting[node] |= {action.terms.room for action in turned_away}

    def share(self, room: Room) -> int:
        return share(room, self._threads)

    def _has_place(self, room: Room) -> bool:
        return self._taken[room] < places(room, self._threads) and self._taken.total() < self._threads


class Share:
    """The rooms as one run has them. Thread-safe. A run that has no more than its share to wait for need not be woken:
    its own actions' ends are what it waits for."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._lock = threading.Lock()
        self._taken: Counter[Room] = Counter()

    def enter(self, action: Action) -> bool:
        """As `Rooms.enter`, within the share."""
        room = action.terms.room
        with self._lock:
            if self._taken[room] >= self._rooms.share(room) or not self._rooms.enter(action):
                return False
            self._taken[room] += 1
            return True

    def leave(self, action: Action) -> None:
        with self._lock:
            self._taken[action.terms.room] -= 1
        self._rooms.leave(action)

    def has_place(self, action: Action) -> bool:
        room = action.terms.room
        with self._lock:
            return self._taken[room] < self._rooms.share(room) and self._rooms.has_place(action)

    def wait_for(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        self._rooms.wait_for(node, turned_away)
