"""Runs whose calls hang, on real threads: what waits for them, and what does not."""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from common.clock import SystemClock
from common.model import actions as act
from common.model.actions import Action
from common.model.ec2 import Subnet
from common.model.errors import Unsure
from common.model.ids import BranchKey, EniId, InstanceId, NodeName, PodUid, SubnetId, VlanId
from common.model.ledger import Branch, BranchState, InstanceFacts, Ledger, Trunk, TrunkState
from common.model.limits import load_limits
from common.model.notice import Notice
from common.model.outcome import Done, Failed, Outcome
from common.node.state import Options
from common.store import Store, keys
from tests.kit.fake_redis import FakeRedis
from tests.kit.waiting import until
from workers import node_run
from workers.build import Terms, build
from workers.executor import ThreadExecutor
from workers.node_run import Ending
from workers.runs import CONTINUES

THREADS = 8
"""Two of them for releases."""
GONE = NodeName("gone")


class Published:
    def __init__(self) -> None:
        self.nodes: list[NodeName] = []

    def reconcile(self, node: NodeName, reason: str) -> None:
        self.nodes.append(node)

    def reconcile_all(self, reasons: Mapping[NodeName, str]) -> None:
        self.nodes += reasons

    def load_instances(self) -> None: ...

    def sweep(self) -> None: ...


class Worker:
    """A process' runs. Calls of the kinds in `hanging` last until `go_on`."""

    def __init__(self) -> None:
        self.client = FakeRedis()
        self.store = Store.on(self.client, keys.prefix("c"))
        self.notices: list[Notice] = []
        self.published = Published()
        self.hanging: set[type] = set()
        self.go_on = threading.Event()
        self.begun: list[Action] = []
        self.stop = threading.Event()
        none: Any = None
        worker = build(
            ec2=none,
            account="",
            kube=none,
            store=self.store,
            publisher=self.published,
            emit=self.notices.append,
            clock=SystemClock(),
            rng=random.Random(1),
            incarnation="w",
            options=Options(cluster="c", version="v", limits=load_limits(), release_delay=0.0),
            terms=Terms(vpc="vpc-1", threads=THREADS, lock_seconds=15.0, slice_seconds=20.0),
            stopping=self.stop.is_set,
            executor=lambda rooms, _: ThreadExecutor(rooms, self.perform),
        )
        self.reconciler, self.runs, self.rooms = worker.reconciler, worker.runs, worker.rooms

    def perform(self, action: Action) -> Outcome:
        self.begun.append(action)
        if type(action) in self.hanging:
            self.go_on.wait(60)
            return Failed(error=Unsure("Late"))
        return Done(value=True)

    def departed(self, name: NodeName, branches: int) -> None:
        """A node that is gone, with branches that have rested: all that is left to do are releases."""
        made = [
            Branch(
                key=BranchKey(f"{name}/{n}"),
                state=BranchState.DISASSOCIATED,
                instance_id=InstanceId("i-1"),
                trunk_id=EniId("eni-t"),
                pod_uid=PodUid(f"{name}-{n}"),
                vlan=VlanId(n + 1),
                subnet_id=SubnetId("subnet-1"),
                eni_id=EniId(f"eni-{n}"),
            )
            for n in range(branches)
        ]
        ledger = Ledger(
            node=name,
            instance=InstanceFacts(
                instance_id=InstanceId("i-1"),
                instance_type="m5.large",
                vpc_id="vpc-1",
                subnet=Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/16"),
                primary_eni=EniId("eni-p"),
                groups=(),
            ),
            trunk=Trunk(state=TrunkState.READY, eni_id=EniId("eni-t")),
            branches={b.key: b for b in made},
            gone_since=1.0,
        )
        token = self.store.lock.acquire(name, "setup", 15.0)
        assert token is not None
        self.store.ledgers.save(name, ledger, "setup", token)
        self.store.lock.release(name, "setup", token)

    def began(self, kind: type) -> int:
        return sum(isinstance(action, kind) for action in self.begun)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    made.store.desired.begin_full_list()
    made.store.desired.finish_full_list()
    yield made
    made.go_on.set()
    assert made.runs.wait(30) == 0


def attempts(worker: Worker, node: NodeName) -> int:
    ledger = worker.store.ledgers.load(node)
    assert ledger is not None
    return sum(backoff.attempts for backoff in ledger.backoffs.values())


def test_a_run_whose_calls_hang_lets_go_of_its_task(worker: Worker) -> None:
    worker.hanging = {act.Review}
    worker.departed(GONE, 1)
    began = time.monotonic()
    assert worker.runs.run(GONE) == CONTINUES
    assert time.monotonic() - began < node_run.STUCK_SECONDS + 1
    assert worker.runs.wait(0) == 1
    worker.go_on.set()
    assert worker.runs.wait(10) == 0
    assert attempts(worker, GONE) > 0, "its outcome is recorded all the same"


def test_releases_that_hang_take_no_more_than_their_places(worker: Worker) -> None:
    worker.hanging = {act.Review}
    names = [NodeName(f"n{number}") for number in range(6)]
    for name in names:
        worker.departed(name, 4)
    endings = [worker.runs.run(name) for name in names]
    assert worker.began(act.Review) == worker.runs.wait(0) == THREADS // 4
    assert endings == [*[CONTINUES] * 2, *[Ending.SETTLED] * 4], "the others were turned away at once"
    assert worker.rooms.enter(act.PermitInterface(subject="trunk", eni_id=EniId("eni-1")))


def test_who_is_turned_away_is_woken_when_there_is_a_place(worker: Worker) -> None:
    worker.hanging = {act.Review}
    for name in (GONE, NodeName("second"), NodeName("other")):
        worker.departed(name, 1)
    assert worker.runs.run(GONE) == worker.runs.run(NodeName("second")) == CONTINUES
    assert worker.runs.run(NodeName("other")) == Ending.SETTLED
    assert (worker.published.nodes, attempts(worker, NodeName("other"))) == ([], 0)
    worker.go_on.set()
    until(lambda: worker.published.nodes == ["other"])
    assert worker.runs.run(NodeName("other")) == Ending.SETTLED
    assert attempts(worker, NodeName("other")) > 0


def test_a_step_that_never_returns_is_left_behind(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_run, "FINISH_SECONDS", 1.0)
    worker.hanging = {act.Review}
    worker.departed(GONE, 1)
    assert worker.runs.run(GONE) == CONTINUES
    worker.stop.set()
    until(lambda: worker.runs.wait(0) == 0, seconds=3)
    assert worker.store.lock.acquire(GONE, "another", 15.0) is None, "the lock expires by itself"
    kept = worker.store.ledgers.load(GONE)
    worker.go_on.set()
    time.sleep(0.2)
    assert worker.store.ledgers.load(GONE) == kept, "a late outcome changes nothing"


def test_the_slices_own_end_leaves_behind_a_step_that_never_returns(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_run, "FINISH_SECONDS", 1.0)
    reconciler = replace(worker.reconciler, slice_seconds=1.0)
    worker.hanging = {act.Review}
    worker.departed(GONE, 1)
    began = time.monotonic()
    assert reconciler.run(GONE) == Ending.ABANDONED
    # The end of a wait for calls is looked for each second.
    assert 2.0 <= time.monotonic() - began < 1.0 + 1.0 + 1.5
    assert not worker.stop.is_set()


def test_a_process_that_ends_begins_nothing_more(worker: Worker) -> None:
    worker.departed(GONE, 1)
    worker.stop.set()
    assert worker.runs.run(GONE) == Ending.SLICED
    assert worker.begun == []
    assert worker.published.nodes == [GONE], "others go on"


class Drawn(random.Random):
    """Counts what is drawn: once for each plan."""

    plans = 0

    def random(self) -> float:
        self.plans += 1
        return super().random()


def test_a_run_that_waits_for_a_near_moment_plans_again_when_it_has_come(worker: Worker) -> None:
    drawn = Drawn(1)
    reconciler = replace(worker.reconciler, rng=drawn)
    worker.hanging = {act.Review}
    worker.go_on.set()
    worker.departed(GONE, 1)
    reconciler.run(GONE)
    ledger = worker.store.ledgers.load(GONE)
    assert ledger is not None
    before = drawn.plans
    moment = time.time() + 10 * node_run.POLL_SECONDS
    assert node_run.LINGER_SECONDS >= 10 * node_run.POLL_SECONDS
    held = {
        subject: msgspec.structs.replace(backoff, not_before=moment) for subject, backoff in ledger.backoffs.items()
    }
    assert held
    token = worker.store.lock.acquire(GONE, "setup", 15.0)
    assert token is not None
    worker.store.ledgers.save(GONE, msgspec.structs.replace(ledger, backoffs=held), "setup", token)
    worker.store.lock.release(GONE, "setup", token)
    reconciler.run(GONE)
    assert time.time() >= moment
    assert drawn.plans - before <= 5
