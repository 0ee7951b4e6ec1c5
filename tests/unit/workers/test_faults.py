"""Nodes that a worker cannot work on: what becomes of them, and that nobody else waits."""

from dataclasses import replace

import pytest

from common import threads
from common.clock import SystemClock
from common.kube.events import EventSink
from common.metrics import REGISTRY
from common.model.ids import NodeName
from common.model.notice import NodeNotice
from common.store import keys
from common.store.lock import NodeLock
from tests.kit.api import cluster
from tests.kit.clock import VirtualClock
from tests.unit.workers.test_hanging_calls import GONE, Worker
from workers import node_run, reconcile
from workers.faults import FIRST_SECONDS, LONGEST_SECONDS, Faults
from workers.node_run import Ending


def failed_runs() -> float:
    return REGISTRY.get_sample_value("vpc_rc_reconciles_total", {"result": "failed"}) or 0.0


@pytest.fixture
def worker() -> Worker:
    made = Worker()
    made.store.desired.begin_full_list()
    made.store.desired.finish_full_list()
    return made


def test_a_run_that_raises_is_reported_and_its_node_parked_with_its_lock_free(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("a bug")

    before = failed_runs()
    worker.departed(GONE, 1)
    with monkeypatch.context() as patch:
        patch.setattr(node_run, "plan", broken)
        assert worker.runs.run(GONE) == Ending.FAILED
    assert failed_runs() == before + 1
    (notice,) = worker.notices
    assert isinstance(notice, NodeNotice)
    assert (notice.node, notice.reason, notice.severity) == (GONE, "ReconcileFailed", "Warning")
    assert worker.store.lock.acquire(GONE, "another", 1.0) is not None
    assert worker.published.nodes == [], "not again at once"
    now = SystemClock().now()
    assert worker.store.wakeups.due(now + FIRST_SECONDS - 1, 10) == []
    assert worker.store.wakeups.due(now + FIRST_SECONDS + 1, 10) == [GONE]


def test_people_learn_of_a_run_that_raises_from_an_event_of_its_node(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = cluster(VirtualClock())
    sink = EventSink(api, clock=VirtualClock(), host="h")

    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("a bug")

    worker.reconciler = replace(worker.reconciler, emit=sink.emit)
    monkeypatch.setattr(node_run, "plan", broken)
    worker.departed(GONE, 1)
    for _ in range(2):
        assert worker.reconciler.run(GONE) == Ending.FAILED
        sink.drain()
    (event,) = api.ok("GET", "/api/v1/namespaces/default/events")["items"]
    assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == ("Node", GONE)
    assert (event["reason"], event["type"], event["count"]) == ("ReconcileFailed", "Warning", 2)
    assert "ZeroDivisionError" in event["message"]


def test_what_a_run_raises_before_it_has_its_node_is_a_failed_run_and_no_dead_thread(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(threads, "_died", {})
    monkeypatch.setattr(NodeLock, "acquire", broken)
    before = failed_runs()
    assert worker.runs.run(GONE) == Ending.FAILED
    assert failed_runs() == before + 1
    assert worker.runs.wait(5) == 0
    assert threads.died() is None


def test_pauses_grow_and_a_good_run_ends_them() -> None:
    faults, node = Faults(), NodeName("n")
    pauses = [faults.pause_after(node) for _ in range(12)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_SECONDS, LONGEST_SECONDS)
    assert faults.pause_after(NodeName("other")) == FIRST_SECONDS
    faults.ended(node)
    assert faults.pause_after(node) == FIRST_SECONDS


def test_a_message_for_a_node_that_nobody_knows_makes_no_ledger(worker: Worker) -> None:
    assert worker.runs.run(NodeName("invented")) == Ending.SETTLED
    assert worker.begun == []
    assert worker.store.ledgers.load(NodeName("invented")) is None
    assert worker.client.smembers(keys.ledgers(keys.KeyPrefix(keys.prefix("c")))) == set()


def test_a_node_whose_ledger_a_newer_version_wrote_is_left_to_others(worker: Worker) -> None:
    worker.departed(GONE, 1)
    spot = keys.ledger(keys.KeyPrefix(keys.prefix("c")), GONE)
    newer = b"\x82\xa7version\xcd\x03\xe7\xa4node\x2a"
    worker.client.set(spot, newer)
    worker.store.wakeups.mark_dirty([GONE], 1.0)
    assert worker.runs.run(GONE) == Ending.LEFT
    assert worker.client.get(spot) == newer
    assert worker.begun == []
    assert worker.published.nodes == [], "no worker of this version is asked at once"
    assert worker.store.wakeups.due(SystemClock().now() + reconcile.LEFT_SECONDS + 1, 10) == [GONE]
    assert worker.store.lock.acquire(GONE, "newer", 1.0) is not None
