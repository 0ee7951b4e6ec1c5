"""The store on a real Redis: restarted, emptied, and used by many at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest
import redis

from common.model.errors import StaleToken, StoreUnavailable
from common.model.ids import EniId, InstanceId, NodeName, PodUid
from common.model.ledger import Ledger, Trunk, TrunkState
from common.model.node import NodeFacts, NodeView
from common.model.pod import PodRequest
from common.settings import RateLimit
from common.store import Store, connect, keys
from tests.integration.redis_server import RedisServer
from tests.kit.waiting import until

NODE = NodeName("ip-10-0-0-1.ec2.internal")
P = keys.prefix("c")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(aof=True) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with connect(server.url) as opened:
        yield opened


@pytest.fixture
def store(client: redis.Redis) -> Store:
    return Store(client, P)


def fill(store: Store) -> int:
    store.begin_full_list()
    store.write_node(NODE, NodeView(node=NodeFacts(name=NODE, uid="u")))
    store.write_pods(NODE, [PodRequest(uid=PodUid("1"), namespace="d", name="p", branches=1)], [])
    assert store.finish_full_list()
    store.mark_dirty([NODE], 1)
    store.park(NODE, 50)
    token = store.acquire(NODE, "a", 60)
    assert token is not None
    store.save_ledger(NODE, Ledger(node=NODE), "a", token)
    return token


def test_everything_is_there_after_a_restart(server: RedisServer, store: Store) -> None:
    token = fill(store)
    before = store.desired(NODE)
    server.stop()
    with pytest.raises(StoreUnavailable):
        store.desired(NODE)
    server.start()
    assert store.desired(NODE) == before
    assert before.complete
    assert store.is_dirty(NODE)
    assert store.due(60, 10) == [NODE]
    assert store.acquire(NODE, "b", 60) is None
    store.save_ledger(NODE, Ledger(node=NODE, audit_at=5), "a", token)
    assert store.load_ledger(NODE) == Ledger(node=NODE, audit_at=5)


def test_what_an_old_run_of_redis_left_is_not_known_until_it_is_compared(server: RedisServer, store: Store) -> None:
    store.begin_full_list()
    assert store.epoch() == ""
    assert store.finish_full_list(store.run_id())
    first = store.epoch()
    assert first == store.run_id()
    server.stop()
    server.start()
    assert store.desired(NODE).complete
    assert store.epoch() is None
    store.mark_compared(store.run_id())
    assert store.epoch() not in (None, "", first)
    store.mark_compared(None)
    assert store.epoch() == "", "an ACL that keeps the run from the watcher stops nobody"


def test_without_a_full_list_nothing_counts_as_compared(store: Store) -> None:
    store.mark_compared(store.run_id())
    assert not store.is_complete()


def test_a_killed_redis_keeps_what_is_older_than_a_second(server: RedisServer, store: Store) -> None:
    fill(store)
    time.sleep(1.5)  # appendfsync everysec
    server.kill()
    server.start()
    assert store.desired(NODE).complete
    assert store.load_ledger(NODE) == Ledger(node=NODE)


def test_an_emptied_redis_means_not_known_and_refuses_the_old_run(client: redis.Redis, store: Store) -> None:
    token = fill(store)
    client.flushall()
    assert not store.desired(NODE).complete
    assert store.known_nodes() == set()
    assert not store.holds(NODE, "a", token)
    with pytest.raises(StaleToken):
        store.save_ledger(NODE, Ledger(node=NODE), "a", token)
    newer = store.acquire(NODE, "b", 60)
    assert newer is not None
    assert newer > token
    with pytest.raises(StaleToken):
        store.save_ledger(NODE, None, "a", token)
    store.save_ledger(NODE, Ledger(node=NODE, audit_at=7), "b", newer)
    assert not store.release(NODE, "a", token)
    assert store.acquire(NODE, "c", 60) is None, "the old run's release freed the new run's lock"


def test_scripts_are_sent_again_to_a_redis_that_forgot_them(client: redis.Redis, store: Store) -> None:
    store.mark_dirty([NODE], 1)
    client.script_flush()
    assert store.mark_dirty([NODE], 1) == [NODE]


def test_a_lock_ends_by_itself_and_its_run_is_found(store: Store) -> None:
    assert store.acquire(NODE, "a", 0.2) is not None
    assert store.acquire(NODE, "b", 0.2) is None
    until(lambda: store.due(0, 10) == [NODE], 2)
    assert store.is_dirty(NODE)
    assert store.acquire(NODE, "b", 5) is not None


def test_one_of_many_gets_the_lock(store: Store) -> None:
    barrier = threading.Barrier(16)

    def race(number: int) -> int | None:
        barrier.wait()
        return store.acquire(NODE, f"w{number}", 60)

    with ThreadPoolExecutor(16) as pool:
        tokens = [token for token in pool.map(race, range(16)) if token is not None]
    assert len(tokens) == 1


def increment(url: str, process: int, rounds: int) -> None:
    """Add to a counter in the ledger, each time with locks so short that many are lost in the middle."""
    store = Store(connect(url), P)
    done = 0
    while done < rounds:
        owner = f"{process}-{time.monotonic_ns()}"
        token = store.acquire(NODE, owner, 0.01)
        if token is None:
            continue
        ledger = store.load_ledger(NODE) or Ledger(node=NODE, trunk=Trunk(state=TrunkState.READY))
        if done % 7 == 3:
            time.sleep(0.015)  # longer than the lock lives
        more = Ledger(node=NODE, trunk=Trunk(state=TrunkState.READY, generation=ledger.trunk.generation + 1))
        try:
            store.save_ledger(NODE, more, owner, token)
        except StaleToken:
            time.sleep(0.001)
            done += 1 if done % 7 == 3 else 0
            store._link.command("INCR", "refused")
            continue
        done += 1
        store._link.command("INCR", "saved")
        store.release(NODE, owner, token)


def test_no_write_is_lost_among_processes_whose_locks_expire(server: RedisServer, store: Store) -> None:
    processes = [get_context("spawn").Process(target=increment, args=(server.url, n, 60)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    ledger = store.load_ledger(NODE)
    assert ledger is not None
    assert ledger.trunk.generation == int(store._link.command("GET", "saved"))
    assert int(store._link.command("GET", "refused")) > 0


def test_every_change_is_seen_by_a_run(server: RedisServer) -> None:
    """Threads change, publish and run as the watcher and the workers do; messages go by a list."""
    watcher = Store(connect(server.url), P)
    messages: list[NodeName] = []
    changed, seen, stop = [0], [0], threading.Event()

    def work(number: int) -> None:
        store = Store(connect(server.url), P)
        run = 0
        while not stop.is_set():
            try:
                node = messages.pop()
            except IndexError:
                time.sleep(0.0005)
                continue
            run += 1
            owner = f"{number}-{run}"
            token = store.acquire(node, owner, 30)
            if token is None:
                continue
            while store.clear_dirty(node):
                seen[0] = max(seen[0], changed[0])
            if store.release(node, owner, token):
                messages.append(node)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(400):
            changed[0] += 1
            messages.extend(watcher.mark_dirty([NODE], 1))
        # A run of the change before can see the last one's number before its mark is there.
        until(lambda: seen[0] == 400 and not watcher.is_dirty(NODE))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert watcher.due(1e12, 10) == []


def test_replicas_share_a_bucket_and_its_line(server: RedisServer) -> None:
    stores = [Store(connect(server.url), P, {"CreateTags": RateLimit(burst=50, refill=0.01)}) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: stores[n % 4].reserve("CreateTags", f"caller/{n}"), range(200)))
    granted = [answer.at for answer in answers if answer.granted]
    assert 48 <= len(granted) <= 60, "the bucket, less two, and the first rounds of slow start"
    assert stores[0].throttled("CreateTags", "caller/refused", max(granted))
    believed = stores[3].ec2_limits()["CreateTags"]
    assert believed.waiting == 200 - len(granted) + 1
    assert believed.burst == pytest.approx(len(granted), abs=1)
    assert stores[1].reserve("CreateTags", "caller/refused").wait < stores[2].reserve("CreateTags", "caller/199").wait


def test_snapshot_requests_of_many_are_each_taken_once(store: Store) -> None:
    ids = [InstanceId(f"i-{number:017x}") for number in range(500)]
    with ThreadPoolExecutor(8) as pool:
        published = sum(pool.map(lambda i: store.request_snapshot(i, NODE, 1), ids))
        taken = [
            request for batch in pool.map(lambda _: store.take_snapshot_requests(40), range(20)) for request in batch
        ]
    assert published == 500, "until a message waits each is told to put it; one is put"
    assert sorted(taken) == [(i, NODE) for i in ids]


def test_what_the_sweep_saw_survives_a_restart(server: RedisServer, store: Store) -> None:
    store.write_seen_available({EniId("eni-1")})
    server.stop()
    server.start()
    assert store.seen_available() == {"eni-1"}
