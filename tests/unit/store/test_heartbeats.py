"""Locks count while their process lives: who is taken for dead, and who is not."""

import time

import pytest
import redis

from common.model.errors import StaleToken
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.store import Store, keys
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.store import broker_model as broker

NODE = NodeName("n1")
P = keys.prefix("c")
OLD, NEW = "old@host", "new@host"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    clock = VirtualClock()
    monkeypatch.setattr(time, "time", clock.now)
    return clock


@pytest.fixture
def client(clock: VirtualClock) -> redis.Redis:
    return FakeRedis()


@pytest.fixture
def store(client: redis.Redis) -> Store:
    return Store.on(client, P)


def pass_time(store: Store, clock: VirtualClock, seconds: float, *alive: str) -> None:
    for _ in range(round(seconds / 0.5)):
        clock.sleep(0.5)
        for each in alive:
            store.heartbeats.beat(each)


def take(store: Store, clock: VirtualClock) -> int:
    """By OLD, which like NEW has lived for a while."""
    store.heartbeats.beat(OLD)
    store.heartbeats.beat(NEW)
    pass_time(store, clock, 3, OLD, NEW)
    token = store.lock.acquire(NODE, f"{OLD}/1", 60)
    assert token is not None
    return token


@pytest.mark.parametrize("step", [-900.0, 900.0])
def test_a_step_of_redis_clock_neither_revives_the_dead_nor_kills_the_living(
    store: Store, clock: VirtualClock, step: float
) -> None:
    take(store, clock)
    assert store.lock.acquire(NodeName("n2"), f"{NEW}/1", 10_000) is not None
    clock.time += step
    pass_time(store, clock, 3, NEW)
    assert store.lock.acquire(NODE, f"{NEW}/2", 60) is not None, "the dead one's lock is void"
    assert store.lock.acquire(NodeName("n2"), "third@host/1", 60) is None, "the living one's is not"


def test_the_lock_of_a_living_process_counts_however_long_its_run_lasts(store: Store, clock: VirtualClock) -> None:
    take(store, clock)
    pass_time(store, clock, 30, OLD, NEW)
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is None
    assert store.wakeups.due(clock.now(), 10) == []


def test_the_lock_of_a_dead_process_is_taken_over_at_once(store: Store, clock: VirtualClock) -> None:
    before = take(store, clock)
    pass_time(store, clock, 1.5, NEW)
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is None, "its heartbeats may be late"
    pass_time(store, clock, 1.0, NEW)
    after = store.lock.acquire(NODE, f"{NEW}/1", 60)
    assert after is not None
    assert after > before


def test_the_run_of_a_dead_process_is_handed_out_until_a_message_waits(
    client: redis.Redis, store: Store, clock: VirtualClock
) -> None:
    take(store, clock)
    assert store.wakeups.mark_dirty([NODE], clock.now()) == []
    store.wakeups.clear_dirty(NODE)
    pass_time(store, clock, 2.5, NEW)
    assert store.wakeups.due(clock.now(), 10) == [NODE]
    assert store.wakeups.is_dirty(NODE)
    assert store.wakeups.mark_dirty([NODE], clock.now()) == [NODE], "to be published"
    assert store.wakeups.due(clock.now(), 10) == [NODE], "the ticker may have died before it published"
    assert broker.put(client, NODE, "m1")
    assert store.wakeups.due(clock.now(), 10) == []
    assert store.lock.acquire(NODE, f"{NEW}/1", 60, "m1") is not None
    assert store.wakeups.due(clock.now(), 10) == []


def test_one_that_came_back_and_dies_then_is_found_too(store: Store, clock: VirtualClock) -> None:
    take(store, clock)
    pass_time(store, clock, 2.5, NEW)
    assert store.wakeups.due(clock.now(), 10) == [NODE]
    pass_time(store, clock, 5, NEW, OLD)
    store.wakeups.clear_dirty(NODE)
    assert store.wakeups.due(clock.now(), 10) == []
    pass_time(store, clock, 2.5, NEW)
    assert store.wakeups.due(clock.now(), 10) == [NODE]


def test_the_late_write_of_one_that_only_seemed_dead_is_refused(store: Store, clock: VirtualClock) -> None:
    token = take(store, clock)
    pass_time(store, clock, 2.5, NEW)
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is not None
    store.heartbeats.beat(OLD)
    assert not store.lock.holds(NODE, f"{OLD}/1", token)
    with pytest.raises(StaleToken):
        store.ledgers.save(NODE, Ledger(node=NODE), f"{OLD}/1", token)


def test_one_that_only_seemed_dead_to_nobody_goes_on(store: Store, clock: VirtualClock) -> None:
    token = take(store, clock)
    pass_time(store, clock, 5, NEW)
    store.heartbeats.beat(OLD)
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is None
    store.ledgers.save(NODE, Ledger(node=NODE), f"{OLD}/1", token)


def test_nobody_is_dead_before_the_living_had_time_to_be_heard(store: Store, clock: VirtualClock) -> None:
    """Redis was away, with its heartbeats as they were before."""
    take(store, clock)
    clock.sleep(20)
    store.heartbeats.beat(NEW)
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is None
    assert store.wakeups.due(clock.now(), 10) == []
    pass_time(store, clock, 1.5, NEW)
    assert store.wakeups.due(clock.now(), 10) == [], "late, but within its time"
    pass_time(store, clock, 1, NEW)
    assert store.wakeups.due(clock.now(), 10) == [NODE]


def test_a_process_of_which_nothing_is_known_keeps_its_lock_for_its_time(store: Store, clock: VirtualClock) -> None:
    """It is of an older version, or Redis has lost its heartbeats."""
    store.heartbeats.beat(NEW)
    for owner in ("host/0123abcd/1", "a"):
        assert store.lock.acquire(NODE, owner, 15) is not None
        pass_time(store, clock, 10, NEW)
        assert store.lock.acquire(NODE, f"{NEW}/1", 60) is None
        pass_time(store, clock, 6, NEW)
        assert store.wakeups.due(clock.now(), 10) == [NODE]


def test_a_lock_ends_some_day_also_in_a_living_process(store: Store, clock: VirtualClock) -> None:
    take(store, clock)
    pass_time(store, clock, 61, OLD, NEW)
    assert store.wakeups.due(clock.now(), 10) == [NODE]
    assert store.lock.acquire(NODE, f"{NEW}/1", 60) is not None


def test_who_is_not_heard_itself_calls_nobody_dead(store: Store, clock: VirtualClock) -> None:
    take(store, clock)
    pass_time(store, clock, 3, "third@host")
    assert not store.heartbeats.is_dead(OLD, seen_by=NEW)
    store.heartbeats.beat(NEW)
    assert store.heartbeats.is_dead(OLD, seen_by=NEW)
    assert not store.heartbeats.is_dead("stranger", seen_by=NEW)


def test_the_dead_are_forgotten(store: Store, client: redis.Redis, clock: VirtualClock) -> None:
    take(store, clock)
    clock.sleep(90_000)
    store.heartbeats.beat(NEW)
    assert client.zrange(keys.heartbeats(P), 0, -1) == [NEW.encode()]
