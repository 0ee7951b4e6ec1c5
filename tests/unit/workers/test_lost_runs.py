"""Locks that name a process whose run is over: one lost Redis in the middle, or Redis came back as it was before."""

import random
from typing import Any

import pytest

from common.clock import SystemClock
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.model.limits import load_limits
from common.node.state import Options
from common.store import Store, keys
from common.store.desired import DesiredState
from common.store.ledger import Ledgers
from common.store.lock import NodeLock
from tests.kit.fake_redis import FakeRedis
from tests.unit.workers.test_hanging_calls import Published
from workers.build import Terms, build
from workers.lost_runs import LostRuns
from workers.node_run import Ending

NODE = NodeName("n1")


@pytest.mark.parametrize(
    ("part", "lost"),
    [
        pytest.param(Ledgers, "load", id="load_ledger"),
        pytest.param(DesiredState, "look", id="look"),
        pytest.param(NodeLock, "release", id="release"),
    ],
)
def test_its_node_is_free_and_looked_at_when_redis_is_back(
    part: type, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, published = Store.on(FakeRedis(), keys.prefix("c")), Published()
    none: Any = None
    reconciler = build(
        ec2=none,
        account="",
        kube=none,
        store=store,
        publisher=published,
        emit=lambda _: None,
        clock=SystemClock(),
        rng=random.Random(1),
        incarnation="w",
        options=Options(cluster="c", version="v", limits=load_limits()),
        terms=Terms(vpc="vpc-1", threads=1, lock_seconds=60.0, slice_seconds=20.0),
    ).reconciler
    runs = reconciler.lost

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(part, lost, away)
        assert reconciler.run(NODE) is Ending.LOST
        if lost == "release":
            with pytest.raises(StoreUnavailable):
                runs.give_up()
        assert store.lock.acquire(NODE, "another", 1.0) is None, "its lock stands"
    runs.give_up()
    assert published.nodes == [NODE]
    token = store.lock.acquire(NODE, "another", 60.0)
    assert token is not None
    runs.give_up()
    assert store.lock.holds(NODE, "another", token), "given up once"


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "has ended"])
def test_a_lock_that_comes_back_with_an_older_redis_stands_only_for_a_run_that_goes_on(goes_on: bool) -> None:
    store, published, clock = Store.on(FakeRedis(), keys.prefix("c")), Published(), SystemClock()
    runs = LostRuns(store, published, clock.now, "w")
    if goes_on:
        runs.begins("w/1")
    assert store.lock.acquire(NODE, "w/1", 60.0) is not None
    assert store.lock.acquire(NodeName("n2"), "ww/1", 60.0) is not None
    runs.give_up()
    assert published.nodes == ([] if goes_on else [NODE])
    assert (store.lock.acquire(NODE, "another", 1.0) is None) is goes_on
    assert store.lock.acquire(NodeName("n2"), "another", 1.0) is None, "of another process"
