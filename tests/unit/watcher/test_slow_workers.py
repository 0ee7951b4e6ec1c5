"""More nodes than the workers have time for: the queue does not feed on itself, and a new pod waits for none of it.
Watcher, store and the scripts of the queue are the product's; only the workers are a model, which takes its time."""

import itertools
import random
from dataclasses import dataclass, field

import fakeredis
import pytest

from common.model.ids import NodeName
from common.store import Store, keys
from common.store.broker import NODES as QUEUE
from tests.kit.api import node, pod
from tests.kit.fake_redis import FakeRedis
from tests.unit.store import broker_model as broker
from tests.unit.watcher.bench import NODES, NOW_GONE, PODS, Watch
from watcher.announcer import MESSAGES

RUNS_AT_ONCE, RUN_SECONDS = 12, 0.5
"""24 runs a second."""
TURN_SECONDS = 0.1
LOOK_AGAIN_SECONDS = 5.0
"""After which every node wants another look: five times what the workers can do."""
WAIT_SECONDS = 3.0
"""A new pod's wait for the run on its node: messages that may stand before it, and the run that has just begun
there."""


@dataclass
class Workers:
    watch: Watch
    client: FakeRedis
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    running: list[tuple[float, NodeName, str, int]] = field(default_factory=list)
    runs: int = 0
    for_nothing: int = 0
    began: dict[NodeName, float] = field(default_factory=dict)
    most: int = 0
    """Messages that stood in the queue at once."""

    def publish(self, node: NodeName, reason: str) -> None:
        broker.put(self.client, node, f"m{next(self.numbers)}/{node}")

    def turn(self) -> None:
        now = self.watch.clock.now()
        for ended in [one for one in self.running if one[0] <= now]:
            self.running.remove(ended)
            _, name, message, token = ended
            self.watch.store.wakeups.park(name, now + LOOK_AGAIN_SECONDS)
            if self.watch.store.lock.release(name, message, token):
                self.publish(name, "again")
            broker.acknowledge(self.client, message)
        while len(self.running) < RUNS_AT_ONCE and (taken := broker.pop(self.client)) is not None:
            self._begin(taken, now)
        waiting = [number.partition("/")[2] for number in (*broker.queued(self.client), *broker.taken(self.client))]
        assert len(set(waiting)) >= len(waiting) - len(self.running), "a node has two messages"
        self.most = max(self.most, len(broker.queued(self.client)))

    def _begin(self, message: str, now: float) -> None:
        name = NodeName(message.partition("/")[2])
        broker.register(self.client, name, message)
        self.runs += 1
        token = self.watch.store.lock.acquire(name, message, 30.0, message)
        if token is None or not self.watch.store.wakeups.clear_dirty(name):
            self.for_nothing += 1
        if token is None:
            broker.acknowledge(self.client, message)
            return
        self.began[name] = now
        self.running.append((now + RUN_SECONDS, name, message, token))

    def work(self, seconds: float) -> None:
        for _ in range(round(seconds / TURN_SECONDS)):
            self.watch.reflect(1)
            self.turn()
            self.watch.turn()


@pytest.mark.parametrize("count", [150, pytest.param(600, marks=pytest.mark.slow)])
def test_new_pods_do_not_wait_behind_nodes_whose_time_has_come(count: int) -> None:
    client = FakeRedis(server=fakeredis.FakeServer())
    watch = Watch(store=Store.on(client, keys.prefix("bench")))
    workers = Workers(watch, client)
    watch.published.reconcile = workers.publish  # type: ignore[method-assign]
    nodes = [f"n{number}" for number in range(count)]
    for number, name in enumerate(nodes):
        watch.api.ok("POST", NODES, node(name, f"i-{number:017x}"))
    watch.lead()
    assert client.llen(QUEUE) == MESSAGES
    workers.work(count * (RUN_SECONDS + TURN_SECONDS) / RUNS_AT_ONCE + 6.0)
    assert len(workers.began) == count, "each had its first look"
    rng, waits, workers.most = random.Random(0), [], 0
    for number in range(8):
        name = NodeName(rng.choice(nodes))
        came = watch.clock.now()
        watch.api.ok("POST", PODS, pod(f"p{number}", node_name=name))
        workers.work(WAIT_SECONDS)
        waits.append(workers.began[name] - came)
    assert min(waits) >= 0, "one was not looked at"
    assert max(waits) <= WAIT_SECONDS
    assert workers.for_nothing == 0, f"{workers.for_nothing} of {workers.runs} runs found nothing"
    assert workers.most < 2 * MESSAGES, f"{workers.most} messages stood before it"


@pytest.mark.parametrize("what", ["nodes join", "pods end"])
def test_new_pods_do_not_wait_behind_nodes_where_nobody_waits(what: str) -> None:
    client = FakeRedis(server=fakeredis.FakeServer())
    watch = Watch(store=Store.on(client, keys.prefix("bench")))
    workers = Workers(watch, client)
    watch.published.reconcile = workers.publish  # type: ignore[method-assign]
    names = [NodeName(f"n{number}") for number in range(200)]
    there = names[:1] if what == "nodes join" else names
    for name in there:
        watch.api.ok("POST", NODES, node(name, f"i-{names.index(name):017x}"))
        watch.api.ok("POST", PODS, pod(f"old-{name}", node_name=name))
    watch.lead()
    workers.work(20.0)
    for name in names:
        if name not in there:
            watch.api.ok("POST", NODES, node(name, f"i-{names.index(name):017x}"))
        else:
            watch.api.ok("DELETE", f"{PODS}/old-{name}", NOW_GONE)
    changed = watch.clock.now()
    workers.work(2 * TURN_SECONDS)
    came, workers.most = watch.clock.now(), 0
    watch.api.ok("POST", PODS, pod("new", node_name=names[-1]))
    workers.work(WAIT_SECONDS)
    assert 0 <= workers.began[names[-1]] - came <= WAIT_SECONDS
    assert workers.most < 2 * MESSAGES, f"{workers.most} messages stood before it"
    workers.work(len(names) * (RUN_SECONDS + TURN_SECONDS) / RUNS_AT_ONCE)
    assert min(workers.began[name] for name in names) >= changed, "each had its look"
