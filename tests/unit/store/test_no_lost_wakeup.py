"""Every interleaving of watcher, broker, ticker and two workers over a small model, with faults: no wake-up is lost,
and never do two messages of a node wait.

Steps are the store's and the broker's own scripts, on a Redis in process. States that were seen before are not followed
again, so the search is exhaustive, not a sample. Expiries happen at any moment (as faults); clocks play no part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from common.model.ids import NodeName
from common.store import Store, keys
from tests.kit.fake_redis import FakeRedis
from tests.unit.store import broker_model as broker

NODE = NodeName("n")
P = keys.prefix("c")
WORKERS = 2
MARKS = (keys.running(P), keys.dirty(P))


@dataclass(frozen=True, order=True)
class Worker:
    at: str = "idle"
    """idle, popped, taken, held, cleared, done, send, ack."""
    message: str = ""
    read: int = -1


@dataclass(frozen=True)
class World:
    marks: tuple[str, ...] = ()
    lock: str = ""
    waiting: str = ""
    queue: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    written: int = 0
    """Version of desired state."""
    planned: int = 0
    """Newest version that a run read and planned by."""
    watcher: str = "write"
    workers: tuple[Worker, ...] = (Worker(),) * WORKERS
    suspect: str = ""
    """Message that the ticker did not find at its last look."""
    faults: int = 0


Change = Callable[[], World]


class Model:
    def __init__(
        self, *, changes: int, faults: int, clear_first: bool = True, put: Callable[..., object] = broker.put
    ) -> None:
        self.client = FakeRedis()
        self.store = Store.on(self.client, P)
        self.changes, self.faults, self.clear_first, self.put = changes, faults, clear_first, put

    # --- Redis' content as a value

    def load(self, world: World) -> None:
        self.client.flushall()
        for key in world.marks:
            if key == keys.running(P):
                self.client.sadd(key, NODE)
            else:
                self.client.zadd(key, {NODE: 1.0})
        if world.lock:
            self.client.set(keys.lock(P, NODE), world.lock)
        if world.waiting:
            self.client.hset(keys.waiting(), NODE, world.waiting)
        for number in reversed(world.queue):
            self.client.rpush("nodes", broker.message(NODE, number))
        for number in world.taken:
            broker.register(self.client, NODE, number)

    def dump(self, world: World) -> World:
        held = self.client.get(keys.lock(P, NODE))
        waiting = self.client.hget(keys.waiting(), NODE)
        assert held is None or isinstance(held, bytes)
        assert waiting is None or isinstance(waiting, bytes)
        return replace(
            world,
            marks=tuple(key for key in MARKS if self.client.exists(key)),
            # Tokens hold the time: the owner, which is the message here, stands for them.
            lock=held.decode().split()[0] + " 1" if held else "",
            waiting=waiting.decode() if waiting else "",
            queue=tuple(reversed(broker.queued(self.client))),
            taken=tuple(broker.taken(self.client)),
        )

    def canonical(self, world: World) -> World:
        """Messages numbered in the order in which they stand."""
        known = [
            *world.queue,
            world.waiting,
            *(w.message for w in world.workers),
            *world.taken,
            world.lock.split(" ")[0],
        ]
        names = {old: f"m{number}" for number, old in enumerate(dict.fromkeys(filter(None, known)))}
        names[""] = ""
        lock = world.lock and f"{names[world.lock.split()[0]]} 1"
        workers = tuple(sorted(replace(worker, message=names[worker.message]) for worker in world.workers))
        return replace(
            world,
            lock=lock,
            waiting=names[world.waiting],
            queue=tuple(names[each] for each in world.queue),
            taken=tuple(sorted(names[each] for each in world.taken)),
            workers=workers,
            suspect=names.get(world.suspect, ""),
        )

    # --- steps

    def successors(self, world: World) -> Iterator[World]:
        yield from map(self.canonical, self.steps(world))
        if world.faults < self.faults:
            for changed in self.fault_steps(world):
                yield self.canonical(replace(changed, faults=world.faults + 1))

    def steps(self, world: World) -> Iterator[World]:
        if world.watcher == "write" and world.written < self.changes:
            yield replace(world, written=world.written + 1, watcher="mark")
        elif world.watcher == "mark":
            self.load(world)
            publish = self.store.wakeups.mark_dirty([NODE], 1.0)
            yield self.dump(replace(world, watcher="send" if publish else "write"))
        elif world.watcher == "send":
            self.load(world)
            self.put(self.client, NODE, "new")
            yield self.dump(replace(world, watcher="write"))
        for number, worker in enumerate(world.workers):
            self.load(world)
            for changed, after in self.worker_steps(world, worker):
                workers = tuple(after if i == number else other for i, other in enumerate(changed.workers))
                yield replace(self.dump(changed), workers=workers)
                self.load(world)

    def worker_steps(self, world: World, worker: Worker) -> Iterator[tuple[World, Worker]]:
        match worker.at:
            case "idle":
                number = broker.pop(self.client)
                if number is not None:
                    yield world, Worker("popped", number)
            case "popped":
                broker.register(self.client, NODE, worker.message)
                yield world, replace(worker, at="taken")
            case "taken":
                token = self.store.lock.acquire(NODE, worker.message, 60, worker.message)
                yield world, replace(worker, at="ack" if token is None else "held")
            case "held" if self.clear_first:
                self.store.wakeups.clear_dirty(NODE)
                yield world, replace(worker, at="cleared")
            case "cleared" if self.clear_first:
                yield replace(world, planned=max(world.planned, world.written)), replace(worker, at="done")
            case "held":
                yield replace(world, planned=max(world.planned, world.written)), replace(worker, at="cleared")
            case "cleared":
                self.store.wakeups.clear_dirty(NODE)
                yield world, replace(worker, at="done")
            case "done":
                if self.store.wakeups.is_dirty(NODE):
                    yield world, replace(worker, at="held")
                # Out of its slice it releases a dirty node, too.
                again = self.store.lock.release(NODE, worker.message, 1)
                yield world, replace(worker, at="send" if again else "ack")
            case "send":
                self.put(self.client, NODE, "new")
                yield world, replace(worker, at="ack")
            case "ack":
                broker.acknowledge(self.client, worker.message)
                yield world, Worker()

    def fault_steps(self, world: World) -> Iterator[World]:
        if world.watcher == "send":
            yield replace(world, watcher="write")  # It crashed between.
        if world.watcher == "write" and world.written:
            yield replace(world, watcher="mark")  # Its answer was lost: it marks again.
            yield replace(world, watcher="send")  # It publishes again.
        for number, worker in enumerate(world.workers):
            if worker.at != "idle":
                # It is killed.
                yield replace(world, workers=tuple(Worker() if i == number else w for i, w in enumerate(world.workers)))
        if world.lock:
            yield replace(world, lock="")  # It expires.
        if world.queue:
            yield replace(world, queue=world.queue[1:])  # Somebody purges.
        for taken in world.taken:
            self.load(world)
            broker.restore(self.client, NODE, taken)
            yield self.dump(world)
        yield self.ticked(world)

    def ticked(self, world: World) -> World:
        """The leader's ticker at work, at any moment: what it does in two looks, with as many publishers as want."""
        self.load(world)
        due = self.store.wakeups.due(100, 10)
        overdue = self.store.wakeups.overdue(200, 5)
        absent = self.store.messages.absent()
        for one in absent:
            if one.message == world.suspect:
                self.store.messages.forget(one)
        if due or overdue:
            self.put(self.client, NODE, "new")
        suspect = next((one.message for one in absent if one.message != world.suspect), "")
        return self.dump(replace(world, suspect=suspect))

    # --- what must hold

    def wrong(self, world: World) -> str:
        """Empty: no more than one message waits, in the queue or in the hands of a worker that has not begun."""
        if len(world.queue) > 1:
            return f"{len(world.queue)} messages in the queue"
        if world.waiting and world.queue and world.queue[0] != world.waiting:
            return "the message in the queue is not the one that waits"
        return ""

    def recovered(self, world: World) -> int:
        """The version planned by after the dead were noticed and the ticker came by."""
        world = replace(world, lock="", workers=(Worker(),) * WORKERS)
        for _ in range(4):
            world = self.ticked(world)
            self.load(world)
            number = broker.pop(self.client)
            if number is not None and self.store.lock.acquire(NODE, "recovery", 60, number) is not None:
                return world.written
        return world.planned


def explore(model: Model) -> tuple[int, list[World], list[str]]:
    """Number of reachable states; those in which nothing moves any more; what was wrong in any."""
    seen, stack, quiet, wrong = {World()}, [World()], [], []
    while stack:
        world = stack.pop()
        if problem := model.wrong(world):
            wrong.append(f"{problem}: {world}")
        following = list(model.successors(world))
        if not any(after.faults == world.faults for after in following):
            quiet.append(world)
        for after in following:
            if after not in seen:
                seen.add(after)
                stack.append(after)
    return len(seen), quiet, wrong


def test_without_faults_every_change_is_read_without_help_of_the_ticker() -> None:
    states, quiet, wrong = explore(Model(changes=3, faults=0))
    assert states > 100
    assert quiet
    assert not wrong
    assert all(world.planned == world.written == 3 for world in quiet)
    assert all((world.marks, world.waiting, world.queue, world.taken) == ((), "", (), ()) for world in quiet)


@pytest.mark.parametrize(("changes", "faults"), [(2, 1), (1, 2)])
def test_with_faults_the_ticker_finds_every_change_and_no_second_message_waits(changes: int, faults: int) -> None:
    """Crashes of watcher and workers at any step, lost answers, publishing and marking repeated, messages lost and
    redelivered, locks expired, the ticker at any moment."""
    model = Model(changes=changes, faults=faults)
    states, quiet, wrong = explore(model)
    print(f"{states} states, {len(quiet)} quiet")
    assert states > 400
    assert not wrong, wrong[0]
    assert any(world.planned != world.written for world in quiet), "faults that do nothing prove nothing"
    for world in quiet:
        assert model.recovered(world) == world.written, world


@pytest.mark.parametrize("changes", [2, 3])
def test_clearing_the_mark_after_reading_would_lose_changes(changes: int) -> None:
    """That the search finds what it looks for."""
    _, quiet, _ = explore(Model(changes=changes, faults=0, clear_first=False))
    assert any(world.planned != world.written for world in quiet)


def test_putting_without_looking_would_let_two_messages_wait() -> None:
    """That the search finds what it looks for."""

    def push(client: FakeRedis, subject: str, number: str) -> None:
        client.lpush("nodes", broker.message(subject, number))

    _, _, wrong = explore(Model(changes=2, faults=1, put=push))
    assert wrong
