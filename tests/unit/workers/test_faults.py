"""Nodes that a worker cannot work on: what becomes of them, and that nobody else waits."""

import pytest

from common.clock import SystemClock
from common.model.ids import NodeName
from common.model.notice import NodeNotice
from common.store import keys
from tests.unit.workers.test_hanging_calls import GONE, Worker
from workers import node_run, reconcile
from workers.faults import FIRST_SECONDS, LONGEST_SECONDS, Faults
from workers.node_run import Ending


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

    worker.departed(GONE, 1)
    with monkeypatch.context() as patch:
        patch.setattr(node_run, "plan", broken)
        assert worker.runs.run(GONE) == Ending.FAILED
    (notice,) = worker.notices
    assert isinstance(notice, NodeNotice)
    assert (notice.node, notice.reason, notice.severity) == (GONE, "ReconcileFailed", "Warning")
    assert worker.store.lock.acquire(GONE, "another", 1.0) is not None
    assert worker.published.nodes == [], "not again at once"
    now = SystemClock().now()
    assert worker.store.wakeups.due(now + FIRST_SECONDS - 1, 10) == []
    assert worker.store.wakeups.due(now + FIRST_SECONDS + 1, 10) == [GONE]


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
