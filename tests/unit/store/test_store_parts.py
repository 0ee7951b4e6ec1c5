"""Each part of the store on a Redis in process: what it keeps, what it says where nothing is known."""

from collections.abc import Callable

import pytest
import redis

from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.errors import LedgerUnreadable, StaleTerm, StaleToken, StoreUnavailable
from common.model.ids import EniId, InstanceId, NodeName, PodUid
from common.model.ledger import Ledger
from common.model.node import NodeFacts, NodeView
from common.model.pod import PodRequest
from common.store import Store, keys
from common.store.broker import LOAD_INSTANCES, NODES
from common.store.connect import connect, sentinels
from common.store.messages import Absent
from tests.kit.fake_redis import FakeRedis
from tests.unit.store import broker_model as broker

NODE = NodeName("ip-10-0-0-1.ec2.internal")
OTHER = NodeName("ip-10-0-0-2.ec2.internal")
I1 = InstanceId("i-0123456789abcdef0")
VIEW = NodeView(node=NodeFacts(name=NODE, uid="u"))


def request(uid: str, *, finished: bool = False) -> PodRequest:
    return PodRequest(uid=PodUid(uid), namespace="default", name=f"pod-{uid}", branches=1, finished=finished)


@pytest.fixture
def client() -> redis.Redis:
    return FakeRedis()


@pytest.fixture
def store(client: redis.Redis) -> Store:
    return Store.on(client, keys.prefix("c"))


def test_an_empty_redis_answers_not_known_everywhere(store: Store) -> None:
    assert store.desired.read(NODE) == Desired()
    assert not store.desired.is_complete()
    assert store.desired.known_nodes() == set()
    assert store.ledgers.load(NODE) is None
    assert store.ledgers.all() == {}
    assert store.snapshots.read(I1) is None
    assert store.snapshots.take_requests(5) == []
    assert store.sweep.read() == set()
    assert store.members.alive("worker") == {}
    assert store.wakeups.due(1e9, 10) == []
    assert store.wakeups.overdue(1e9, 1) == []
    assert not store.wakeups.is_dirty(NODE)
    assert not store.wakeups.clear_dirty(NODE)
    assert not store.lock.holds(NODE, "a", 1)
    assert not store.lock.release(NODE, "a", 1)
    assert not store.desired.finish_full_list()


def test_desired_state_is_read_as_it_was_written(store: Store) -> None:
    store.desired.begin_full_list()
    store.desired.write_config(ClusterConfig(cooldown=30))
    store.desired.write_node(NODE, VIEW)
    store.desired.write_pods(NODE, [request("1"), request("2")], [])
    assert not store.desired.read(NODE).complete
    assert store.desired.finish_full_list()
    store.desired.write_pods(NODE, [request("2", finished=True)], [PodUid("1"), PodUid("never-there")])
    assert store.desired.read(NODE) == Desired(
        view=VIEW, pods={PodUid("2"): request("2", finished=True)}, config=ClusterConfig(cooldown=30), complete=True
    )


def test_many_pods_are_written_and_removed(store: Store) -> None:
    pods = [request(str(number)) for number in range(1200)]
    store.desired.write_pods(NODE, pods, [])
    store.desired.write_pods(NODE, pods[:3], [pod.uid for pod in pods[3:]])
    assert set(store.desired.read(NODE).pods) == {"0", "1", "2"}


def test_a_node_is_known_as_long_as_anything_of_it_is_there(store: Store) -> None:
    store.desired.write_pods(NODE, [request("1")], [])
    assert store.desired.known_nodes() == {NODE}
    store.desired.write_node(NODE, VIEW)
    store.desired.write_pods(NODE, [], [PodUid("1")])
    assert store.desired.known_nodes() == {NODE}
    store.desired.write_node(NODE, None)
    assert store.desired.known_nodes() == set()
    token = store.lock.acquire(OTHER, "a", 30)
    assert token is not None
    store.ledgers.save(OTHER, Ledger(node=OTHER), "a", token)
    assert store.desired.known_nodes() == {OTHER}
    store.ledgers.save(OTHER, None, "a", token)
    assert store.desired.known_nodes() == set()


@pytest.mark.parametrize(
    "interrupt",
    [
        pytest.param(lambda client, _: client.flushall(), id="redis is emptied during the list"),
        pytest.param(lambda _, other: other.desired.begin_full_list(), id="another leader begins a list"),
    ],
)
def test_a_list_that_was_overtaken_is_not_complete(
    client: redis.Redis, store: Store, interrupt: Callable[[redis.Redis, Store], object]
) -> None:
    store.desired.begin_full_list()
    interrupt(client, Store.on(client, keys.prefix("c")))
    assert not store.desired.finish_full_list()
    assert not store.desired.is_complete()


def test_what_cannot_be_decoded_makes_nothing_releasable(client: redis.Redis, store: Store) -> None:
    store.desired.begin_full_list()
    store.desired.write_node(NODE, VIEW)
    store.desired.write_pods(NODE, [request("1")], [])
    assert store.desired.finish_full_list()
    p = keys.prefix("c")
    client.hset(keys.pods(p, NODE), "2", b"\xc1")
    client.set(keys.ledger(p, NODE), b"\x81\xa4node\x05")
    assert not store.desired.read(NODE).complete
    with pytest.raises(LedgerUnreadable):
        store.ledgers.load(NODE)
    assert store.ledgers.all() == {}


def test_clusters_in_one_redis_do_not_see_each_other(client: redis.Redis, store: Store) -> None:
    other = Store.on(client, keys.prefix("d"))
    store.desired.write_node(NODE, VIEW)
    store.wakeups.mark_dirty([NODE], 1)
    assert store.lock.acquire(NODE, "a", 30) is not None
    assert other.desired.known_nodes() == set()
    assert not other.wakeups.is_dirty(NODE)
    assert other.lock.acquire(NODE, "b", 30) is not None


# --- lock and ledger


def test_one_owner_at_a_time_and_tokens_rise(store: Store) -> None:
    first = store.lock.acquire(NODE, "a", 30)
    assert first is not None
    assert store.lock.acquire(NODE, "b", 30) is None
    assert store.lock.acquire(OTHER, "b", 30) is not None
    again = store.lock.acquire(NODE, "a", 30)
    assert again is not None
    assert again > first
    assert not store.lock.holds(NODE, "a", first)
    assert store.lock.holds(NODE, "a", again)
    store.lock.release(NODE, "a", first)
    assert store.lock.acquire(NODE, "b", 30) is None
    store.lock.release(NODE, "a", again)
    second = store.lock.acquire(NODE, "b", 30)
    assert second is not None
    assert second > again


def test_tokens_rise_when_the_clock_of_redis_went_back(client: redis.Redis, store: Store) -> None:
    future = 9_000_000_000_000_000
    client.set(keys.fence(keys.prefix("c"), NODE), future)
    assert store.lock.acquire(NODE, "a", 30) == future + 1


def test_tokens_rise_across_the_loss_of_redis(client: redis.Redis, store: Store) -> None:
    before = store.lock.acquire(NODE, "a", 30)
    client.flushall()
    after = store.lock.acquire(NODE, "b", 30)
    assert before is not None
    assert after is not None
    assert after > before


def test_an_owner_whose_name_begins_another_is_not_it(store: Store) -> None:
    assert store.lock.acquire(NODE, "worker-1", 30) is not None
    assert store.lock.acquire(NODE, "worker", 30) is None
    assert store.lock.acquire(NODE, "worker-11", 30) is None


def test_a_stale_run_cannot_write(client: redis.Redis, store: Store) -> None:
    stale = store.lock.acquire(NODE, "a", 30)
    assert stale is not None
    store.ledgers.save(NODE, Ledger(node=NODE, audit_at=1), "a", stale)
    client.delete(keys.lock(keys.prefix("c"), NODE))
    with pytest.raises(StaleToken):
        store.ledgers.save(NODE, Ledger(node=NODE, audit_at=2), "a", stale)
    token = store.lock.acquire(NODE, "b", 30)
    assert token is not None
    for owner, number in (("a", stale), ("a", token), ("b", stale)):
        with pytest.raises(StaleToken):
            store.ledgers.save(NODE, None, owner, number)
    assert store.ledgers.load(NODE) == Ledger(node=NODE, audit_at=1)
    store.ledgers.save(NODE, Ledger(node=NODE, audit_at=3), "b", token)
    assert store.ledgers.all() == {NODE: Ledger(node=NODE, audit_at=3)}
    client.flushall()
    with pytest.raises(StaleToken):
        store.ledgers.save(NODE, Ledger(node=NODE, audit_at=4), "b", token)
    assert store.ledgers.load(NODE) is None


# --- wake-ups


def test_one_message_for_many_changes(client: redis.Redis, store: Store) -> None:
    assert store.wakeups.mark_dirty([NODE, OTHER], 1) == [NODE, OTHER]
    assert store.wakeups.mark_dirty([NODE], 2) == [NODE], "the answer may have been lost"
    assert broker.put(client, NODE, "m1")
    assert not broker.put(client, NODE, "m2"), "the answer may have been lost"
    assert broker.queued(client) == ["m1"]
    assert store.wakeups.mark_dirty([NODE, OTHER], 2) == [OTHER]
    assert store.lock.acquire(NODE, "a", 30, "m1") is not None
    assert broker.put(client, NODE, "m3")


def test_a_spent_message_begins_no_run(client: redis.Redis, store: Store) -> None:
    assert broker.put(client, NODE, "m1")
    token = store.lock.acquire(NODE, "a", 30, "m1")
    assert token is not None
    assert store.lock.acquire(NODE, "a", 30, "m1") is not None, "the answer may have been lost"
    client.delete(keys.lock(keys.prefix("c"), NODE))
    assert store.lock.acquire(NODE, "b", 30, "m1") is None
    assert broker.put(client, NODE, "m2")
    assert store.lock.acquire(NODE, "b", 30, "m1") is None
    assert store.wakeups.mark_dirty([NODE], 1) == [], "the other still waits"
    assert store.lock.acquire(NODE, "b", 30, "m2") is not None
    assert store.lock.acquire(OTHER, "b", 30) is not None, "of an older version: nothing is known of it"


def test_a_message_comes_back_only_where_its_run_has_not_begun(client: redis.Redis, store: Store) -> None:
    for node in (NODE, OTHER):
        assert broker.put(client, node, node)
        assert broker.pop(client) == node
        broker.register(client, node, node)
    assert store.lock.acquire(OTHER, "a", 30, OTHER) is not None
    for node in (NODE, OTHER):
        broker.restore(client, node, node)
    assert broker.queued(client) == [f"{NODE}+"]
    assert broker.taken(client) == []
    assert store.lock.acquire(NODE, "slow", 30, NODE) is None, "the worker only seemed dead"
    assert store.lock.acquire(NODE, "b", 30, f"{NODE}+") is not None


def test_absent_messages_are_those_in_no_queue_that_have_not_begun(client: redis.Redis, store: Store) -> None:
    nodes = [NodeName(f"n{number}") for number in range(4)]
    for node in nodes:
        assert broker.put(client, node, node)
    for _ in range(3):
        broker.pop(client)
    broker.register(client, nodes[1], nodes[1])
    assert store.lock.acquire(nodes[2], "a", 30, nodes[2]) is not None
    client.lpush("nodes", b"no json", b"[]", b'{"headers": {}}')
    absent = {one.subject: one for one in store.messages.absent()}
    assert set(absent) == {nodes[0], nodes[1]}
    assert store.messages.forget(absent[nodes[1]])
    assert broker.taken(client) == []
    assert store.lock.acquire(nodes[1], "late", 30, nodes[1]) is None
    assert store.lock.acquire(nodes[0], "b", 30, nodes[0]) is not None
    assert not store.messages.forget(absent[nodes[0]]), "it has begun after all"


def test_nothing_is_published_while_a_run_will_see_the_mark(store: Store) -> None:
    token = store.lock.acquire(NODE, "a", 30)
    assert token is not None
    assert store.wakeups.mark_dirty([NODE], 1) == []
    assert store.lock.release(NODE, "a", token)
    assert store.lock.release(NODE, "a", token), "the answer may have been lost"
    assert store.wakeups.mark_dirty([NODE], 2) == [NODE]


def test_the_process_whose_run_holds_a_node_learns_that_it_became_dirty(store: Store) -> None:
    assert store.lock.acquire(NODE, "here/1", 30) is not None
    assert store.lock.acquire(OTHER, "there/1", 30) is not None
    store.wakeups.mark_dirty([NODE, OTHER], 1)
    store.wakeups.mark_dirty([NODE], 2)
    assert store.wakeups.next_woken("here", 0.01) == NODE
    assert store.wakeups.next_woken("here", 0.01) is None, "it knows"
    assert store.wakeups.next_woken("there", 0.01) == OTHER


def test_it_learns_the_same_of_a_node_whose_time_has_come(store: Store) -> None:
    assert store.lock.acquire(NODE, "here/1", 30) is not None
    store.wakeups.park_all({NODE: 1, OTHER: 1})
    assert store.wakeups.due(2, 10) == [NODE, OTHER]
    assert store.wakeups.next_woken("here", 0.01) == NODE
    assert store.wakeups.next_woken("here", 0.01) is None


def test_marks_are_set_by_one_who_may_not_tell_the_holder(client: redis.Redis, store: Store) -> None:
    token = store.lock.acquire(NODE, "here/1", 30)
    assert token is not None
    client.set(keys.woken(keys.prefix("c"), "here"), "of another type, so that Redis refuses")
    store.wakeups.mark_dirty([NODE], 1)
    assert store.lock.release(NODE, "here/1", token)


def test_a_released_clean_node_is_not_published(store: Store) -> None:
    store.wakeups.mark_dirty([NODE], 1)
    token = store.lock.acquire(NODE, "a", 30)
    assert token is not None
    assert store.wakeups.clear_dirty(NODE)
    assert not store.wakeups.clear_dirty(NODE)
    assert not store.lock.release(NODE, "a", token)


def test_overdue_nodes_are_handed_out_once_an_interval(client: redis.Redis, store: Store) -> None:
    store.wakeups.mark_dirty([NODE], 100)
    assert broker.put(client, NODE, "m1")
    assert store.wakeups.overdue(104, 5) == []
    assert store.wakeups.overdue(106, 5) == [], "a message waits"
    (absent,) = store.messages.absent() or [Absent(NODE, "m1", "")]
    assert store.messages.forget(absent)
    assert store.wakeups.overdue(112, 5) == [NODE]
    assert store.wakeups.overdue(113, 5) == []
    assert store.wakeups.overdue(118, 5) == [NODE]
    assert store.lock.acquire(NODE, "a", 30) is not None
    assert store.wakeups.overdue(130, 5) == [], "a run will see the mark"


def test_the_earlier_time_to_look_again_stays(store: Store) -> None:
    store.wakeups.park(NODE, 50)
    store.wakeups.park(NODE, 900)
    store.wakeups.park(OTHER, 51)
    assert store.wakeups.due(49, 10) == []
    assert store.wakeups.due(60, 1) == [NODE]
    assert store.wakeups.is_dirty(NODE)
    assert store.wakeups.due(60, 10) == [OTHER]
    assert store.wakeups.due(1000, 10) == []


def test_nodes_whose_time_has_come_are_handed_out_as_workers_take_them(client: redis.Redis, store: Store) -> None:
    nodes = [NodeName(f"n{number}") for number in range(5)]
    store.wakeups.park_all({name: float(at) for at, name in enumerate(nodes)})
    client.lpush(NODES, b"one", b"two")
    assert store.wakeups.due(60, 4) == nodes[:2]
    client.lpush(NODES, b"three", b"four", b"five")
    assert store.wakeups.due(60, 4) == nodes[2:3], "one each time, however long the queue"
    client.delete(NODES)
    assert store.wakeups.due(60, 4) == nodes[3:]


def test_an_abandoned_run_is_handed_out_once(client: redis.Redis, store: Store) -> None:
    store.wakeups.mark_dirty([NODE], 1)
    assert store.lock.acquire(NODE, "a", 30) is not None
    store.wakeups.clear_dirty(NODE)
    assert store.wakeups.due(10, 10) == []
    client.delete(keys.lock(keys.prefix("c"), NODE))
    assert store.wakeups.due(11, 10) == [NODE]
    assert store.wakeups.is_dirty(NODE)
    assert store.wakeups.due(12, 10) == []


# --- terms


def contents(client: redis.Redis) -> dict[object, object]:
    return {key: client.dump(key) for key in client.scan_iter()}


def test_a_deposed_leader_writes_nothing(client: redis.Redis) -> None:
    old, new = (Store.on(client, keys.prefix("c")) for _ in range(2))
    old.term.begin()
    old.desired.write_node(NODE, VIEW)
    new.term.begin()
    writes: list[Callable[[], object]] = [
        lambda: old.desired.write_node(NODE, None),
        lambda: old.desired.write_pods(NODE, [request("1")], []),
        lambda: old.desired.write_config(ClusterConfig()),
        old.desired.begin_full_list,
        old.desired.finish_full_list,
        lambda: old.wakeups.mark_dirty([NODE], 1),
        lambda: old.wakeups.overdue(9, 5),
        lambda: old.wakeups.due(9, 5),
        lambda: old.wakeups.park(NODE, 9),
    ]
    before = contents(client)
    for write in writes:
        with pytest.raises(StaleTerm):
            write()
    assert contents(client) == before
    new.desired.write_node(NODE, None)
    assert new.desired.known_nodes() == set()


def test_terms_rise_and_hold_across_the_loss_of_redis(client: redis.Redis) -> None:
    old, new = (Store.on(client, keys.prefix("c")) for _ in range(2))
    old.term.begin()
    new.term.begin()
    client.flushall()
    old.desired.write_node(NODE, VIEW)
    new.desired.write_node(NODE, VIEW)
    with pytest.raises(StaleTerm):
        old.desired.write_node(NODE, None)
    future = 9_000_000_000_000_000
    client.set(keys.term(keys.prefix("c")), future)
    third = Store.on(client, keys.prefix("c"))
    third.term.begin()
    third.desired.write_node(OTHER, None)
    assert client.get(keys.term(keys.prefix("c"))) == str(future + 1).encode()


def test_workers_write_whoever_leads(client: redis.Redis, store: Store) -> None:
    Store.on(client, keys.prefix("c")).term.begin()
    assert store.wakeups.mark_dirty([NODE], 1) == [NODE]
    store.wakeups.park(NODE, 5)


# --- snapshots, sweep, members


def test_snapshot_requests_are_taken_oldest_first_with_one_message(client: redis.Redis, store: Store) -> None:
    ids = [InstanceId(f"i-{number:017x}") for number in range(5)]
    assert store.snapshots.request(ids[4], NODE, 4)
    assert store.snapshots.request(ids[4], NODE, 4), "the answer may have been lost"
    assert broker.put(client, LOAD_INSTANCES, "m1")
    assert not any(store.snapshots.request(ids[number], NODE, number) for number in (3, 2, 1, 0))
    assert store.messages.begin_load("m1")
    assert not store.messages.begin_load("m1"), "it is spent"
    assert not store.snapshots.request(ids[0], NODE, 0), "a task is at it"
    assert store.snapshots.take_requests(3) == [(ids[0], NODE), (ids[1], NODE), (ids[2], NODE)]
    assert not store.snapshots.request(ids[0], OTHER, 9), "the taker comes back for the rest"
    assert store.snapshots.take_requests(3) == [(ids[3], NODE), (ids[4], NODE), (ids[0], OTHER)]
    assert store.snapshots.request(ids[1], NODE, 10)


def test_the_snapshot_begun_later_stays(store: Store) -> None:
    newer, older = InstanceSnapshot(taken_at=20, instance=None), InstanceSnapshot(taken_at=10, instance=None)
    store.snapshots.write({I1: newer}, 60)
    store.snapshots.write({I1: older}, 60)
    assert store.snapshots.read(I1) == newer


def test_the_sweep_remembers_its_last_pass_only(store: Store) -> None:
    store.sweep.write({EniId("eni-1"), EniId("eni-2")})
    store.sweep.write({EniId("eni-2"), EniId("eni-3")})
    assert store.sweep.read() == {"eni-2", "eni-3"}
    store.sweep.write(set())
    assert store.sweep.read() == set()


def test_members_that_fell_silent_are_gone(client: redis.Redis, store: Store) -> None:
    store.members.beat("worker", "w1", {"version": "1"}, 60)
    store.members.beat("worker", "w2", {}, 60)
    store.members.beat("watcher", "x", {}, 60)
    client.delete(keys.member(keys.prefix("c"), "worker", "w1"))
    assert list(store.members.alive("worker")) == ["w2"]


# --- the way to Redis


def test_no_redis_is_store_unavailable() -> None:
    store = Store.on(connect("redis://127.0.0.1:1/0"), keys.prefix("c"))
    attempts: list[Callable[[], object]] = [
        store.server.ping,
        lambda: store.desired.read(NODE),
        lambda: store.lock.acquire(NODE, "a", 30),
        lambda: store.limiter.reserve("CreateTags", "caller"),
        store.limiter.believed,
        store.desired.known_nodes,
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable):
            attempt()


def test_sentinel_urls_are_read() -> None:
    assert sentinels("sentinel://a:1,b/2?master=main") == ([("a", 1), ("b", 26379)], "main", 2, None, None)
    assert sentinels("sentinel://u:p%40@a:1?master=m") == ([("a", 1)], "m", 0, "u", "p@")
    for bad in ("sentinel://a:1/0", "sentinel:///0?master=m"):
        with pytest.raises(ValueError):
            sentinels(bad)
