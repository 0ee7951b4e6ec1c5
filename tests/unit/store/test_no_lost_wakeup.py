"""Every interleaving of watcher, messages and two workers over a small model, with faults: no wake-up is lost.

Steps are the store's own, on a Redis in process. States that were seen before are not followed again, so the search is
exhaustive, not a sample. Expiries happen at any moment (as faults); clocks play no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import fakeredis
import pytest

from common.model.ids import NodeName
from common.store import Store, keys

NODE = NodeName("n")
P = keys.prefix("c")
WORKERS = 2


@dataclass(frozen=True)
class Worker:
    at: str = "idle"
    """idle, begun, held, cleared, done, send."""
    owner: str = ""
    token: int = 0
    read: int = -1


@dataclass(frozen=True)
class World:
    redis: tuple[tuple[str, object], ...] = ()
    written: int = 0
    """Version of desired state."""
    planned: int = 0
    """Newest version that a run read and planned by."""
    watcher: str = "write"
    changes: int = 0
    messages: int = 0
    runs: int = 0
    workers: tuple[Worker, ...] = (Worker(),) * WORKERS
    faults: int = 0


class Model:
    def __init__(self, *, changes: int, faults: int, clear_first: bool = True) -> None:
        self.client = fakeredis.FakeRedis()
        self.store = Store(self.client, P)
        self.changes, self.faults, self.clear_first = changes, faults, clear_first

    # --- Redis' content as a value

    def load(self, world: World) -> None:
        self.client.flushall()
        for key, value in world.redis:
            if isinstance(value, str):
                self.client.set(key, value)
            elif key == keys.running(P):
                self.client.sadd(key, NODE)
            else:
                self.client.zadd(key, {NODE: 1.0})

    def dump(self) -> tuple[tuple[str, object], ...]:
        strings = (keys.pending(P, NODE), keys.lock(P, NODE))
        found: list[tuple[str, object]] = []
        for key in strings:
            if (value := self.client.get(key)) is not None:
                assert isinstance(value, bytes)
                # Tokens hold the time: the owner, which no two runs share, stands for them.
                found.append((key, value.decode().split()[0] + " 1" if key == strings[1] else value.decode()))
        marks = (keys.running(P), keys.dirty(P), keys.parked(P))
        return (*found, *((key, ()) for key in marks if self.client.exists(key)))

    # --- steps

    def successors(self, world: World) -> Iterator[World]:
        yield from self.watcher_steps(world)
        for number, worker in enumerate(world.workers):
            for changed, after in self.worker_steps(world, worker):
                workers = tuple(after if i == number else other for i, other in enumerate(changed.workers))
                yield replace(changed, workers=workers)
        if world.faults < self.faults:
            for changed in self.fault_steps(world):
                yield replace(changed, faults=world.faults + 1)

    def watcher_steps(self, world: World) -> Iterator[World]:
        if world.watcher == "write" and world.changes < self.changes:
            yield replace(world, written=world.written + 1, changes=world.changes + 1, watcher="mark")
        elif world.watcher == "mark":
            self.load(world)
            publish = self.store.mark_dirty([NODE], 1.0)
            yield replace(world, redis=self.dump(), watcher="send" if publish else "write")
        elif world.watcher == "send":
            yield replace(world, messages=world.messages + 1, watcher="write")

    def worker_steps(self, world: World, worker: Worker) -> Iterator[tuple[World, Worker]]:
        self.load(world)
        match worker.at:
            case "idle" if world.messages:
                owner = f"run{world.runs}"
                yield replace(world, messages=world.messages - 1, runs=world.runs + 1), Worker("begun", owner)
            case "begun":
                token = self.store.acquire(NODE, worker.owner, 60)
                after = Worker() if token is None else replace(worker, at="held", token=1)
                yield replace(world, redis=self.dump()), after
            case "held" if self.clear_first:
                self.store.clear_dirty(NODE)
                yield replace(world, redis=self.dump()), replace(worker, at="cleared")
            case "cleared" if self.clear_first:
                planned = max(world.planned, world.written)
                yield replace(world, planned=planned), replace(worker, at="done")
            case "held":
                yield replace(world, planned=max(world.planned, world.written)), replace(worker, at="cleared")
            case "cleared":
                self.store.clear_dirty(NODE)
                yield replace(world, redis=self.dump()), replace(worker, at="done")
            case "done":
                if self.store.is_dirty(NODE):
                    yield world, replace(worker, at="held")
                # Out of its slice it releases a dirty node, too.
                again = self.store.release(NODE, worker.owner, worker.token)
                yield replace(world, redis=self.dump()), replace(worker, at="send") if again else Worker()
            case "send":
                yield replace(world, messages=world.messages + 1), Worker()

    def fault_steps(self, world: World) -> Iterator[World]:
        if world.messages:
            yield replace(world, messages=world.messages - 1)
            yield replace(world, messages=world.messages + 1)
        if world.watcher == "send":
            yield replace(world, watcher="write")
        for number, worker in enumerate(world.workers):
            if worker.at != "idle":
                yield replace(world, workers=tuple(Worker() if i == number else w for i, w in enumerate(world.workers)))
        for key, _ in world.redis:
            if key in (keys.pending(P, NODE), keys.lock(P, NODE)):
                yield replace(world, redis=tuple(entry for entry in world.redis if entry[0] != key))

    # --- what must hold when nothing moves any more

    def recovered(self, world: World) -> int:
        """The version planned by after what was lost has expired and the ticker came by."""
        self.load(world)
        self.client.delete(keys.pending(P, NODE), keys.lock(P, NODE))
        if self.store.due(100, 10) or self.store.overdue(200, 5):
            assert self.store.acquire(NODE, "recovery", 60) is not None
            return world.written
        return world.planned


def explore(model: Model) -> tuple[int, list[World]]:
    """All reachable states; those in which nothing moves any more."""
    seen, stack, quiet = {World()}, [World()], []
    while stack:
        world = stack.pop()
        following = list(model.successors(world))
        if not any(after.faults == world.faults for after in following):
            quiet.append(world)
        for after in following:
            if after not in seen:
                seen.add(after)
                stack.append(after)
    return len(seen), quiet


def test_without_faults_every_wish_is_read_without_help_of_the_ticker() -> None:
    states, quiet = explore(Model(changes=3, faults=0))
    assert states > 100
    assert quiet
    assert all(world.planned == world.written == 3 for world in quiet)
    assert all(keys.dirty(P) not in dict(world.redis) for world in quiet)


def test_with_faults_the_ticker_finds_every_wish() -> None:
    """Lost and doubled messages, crashes at any step, expired flags and locks."""
    model = Model(changes=2, faults=2)
    states, quiet = explore(model)
    assert states > 1000
    assert any(world.planned != world.written for world in quiet), "faults that do nothing prove nothing"
    for world in quiet:
        assert model.recovered(world) == world.written, world


@pytest.mark.parametrize("changes", [2, 3])
def test_clearing_the_mark_after_reading_would_lose_wishes(changes: int) -> None:
    """That the search finds what it looks for."""
    _, quiet = explore(Model(changes=changes, faults=0, clear_first=False))
    assert any(world.planned != world.written for world in quiet)
