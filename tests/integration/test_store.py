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
    return Store.on(client, P)


def fill(store: Store) -> int:
    store.desired.begin_full_list()
    store.desired.write_node(NODE, NodeView(node=NodeFacts(name=NODE, uid="u")))
    store.desired.write_pods(NODE, [PodRequest(uid=PodUid("1"), namespace="d", name="p", branches=1)], [])
    assert store.desired.finish_full_list()
    store.wakeups.mark_dirty([NODE], 1)
    store.wakeups.park(NODE, 50)
    token = store.lock.acquire(NODE, "a", 60)
    assert token is not None
    store.ledgers.save(NODE, Ledger(node=NODE), "a", token)
    return token


def test_everything_is_there_after_a_restart(server: RedisServer, store: Store) -> None:
    token = fill(store)
    before = store.desired.read(NODE)
    server.stop()
    with pytest.raises(StoreUnavailable):
        store.desired.read(NODE)
    server.start()
    assert store.desired.read(NODE) == before
    assert before.complete
    assert store.wakeups.is_dirty(NODE)
    assert store.wakeups.due(60, 10) == [NODE]
    assert store.lock.acquire(NODE, "b", 60) is None
    store.ledgers.save(NODE, Ledger(node=NODE, audit_at=5), "a", token)
    assert store.ledgers.load(NODE) == Ledger(node=NODE, audit_at=5)


def test_what_an_old_run_of_redis_left_is_not_known_until_it_is_compared(server: RedisServer, store: Store) -> None:
    store.desired.begin_full_list()
    assert store.desired.epoch() == ""
    assert store.desired.finish_full_list(store.server.run_id())
    first = store.desired.epoch()
    assert first == store.server.run_id()
    server.stop()
    server.start()
    assert store.desired.read(NODE).complete
    assert store.desired.epoch() is None
    store.desired.mark_compared(store.server.run_id())
    assert store.desired.epoch() not in (None, "", first)
    store.desired.mark_compared(None)
    assert store.desired.epoch() == "", "an ACL that keeps the run from the watcher stops nobody"


def test_without_a_full_list_nothing_counts_as_compared(store: Store) -> None:
    store.desired.mark_compared(store.server.run_id())
    assert not store.desired.is_complete()


def test_a_killed_redis_keeps_what_is_older_than_a_second(server: RedisServer, store: Store) -> None:
    fill(store)
    time.sleep(1.5)  # appendfsync everysec
    server.kill()
    server.start()
    assert store.desired.read(NODE).complete
    assert store.ledgers.load(NODE) == Ledger(node=NODE)


def test_an_emptied_redis_means_not_known_and_refuses_the_old_run(client: redis.Redis, store: Store) -> None:
    token = fill(store)
    client.flushall()
    assert not store.desired.read(NODE).complete
    assert store.desired.known_nodes() == set()
    assert not store.lock.holds(NODE, "a", token)
    with pytest.raises(StaleToken):
        store.ledgers.save(NODE, Ledger(node=NODE), "a", token)
    newer = store.lock.acquire(NODE, "b", 60)
    assert newer is not None
    assert newer > token
    with pytest.raises(StaleToken):
        store.ledgers.save(NODE, None, "a", token)
    store.ledgers.save(NODE, Ledger(node=NODE, audit_at=7), "b", newer)
    assert not store.lock.release(NODE, "a", token)
    assert store.lock.acquire(NODE, "c", 60) is None, "the old run's release freed the new run's lock"


def test_scripts_are_sent_again_to_a_redis_that_forgot_them(client: redis.Redis, store: Store) -> None:
    store.wakeups.mark_dirty([NODE], 1)
    client.script_flush()
    assert store.wakeups.mark_dirty([NODE], 1) == [NODE]


def test_a_lock_ends_by_itself_and_its_run_is_found(store: Store) -> None:
    assert store.lock.acquire(NODE, "a", 0.2) is not None
    assert store.lock.acquire(NODE, "b", 0.2) is None
    until(lambda: store.wakeups.due(0, 10) == [NODE], 2)
    assert store.wakeups.is_dirty(NODE)
    assert store.lock.acquire(NODE, "b", 5) is not None


def test_one_of_many_gets_the_lock(store: Store) -> None:
    barrier = threading.Barrier(16)

    def race(number: int) -> int | None:
        barrier.wait()
        return store.lock.acquire(NODE, f"w{number}", 60)

    with ThreadPoolExecutor(16) as pool:
        tokens = [token for token in pool.map(race, range(16)) if token is not None]
    assert len(tokens) == 1


def increment(url: str, process: int, rounds: int) -> None:
    """Add to a counter in the ledger, each time with locks so short that many are lost in the middle."""
    store = Store.on(connect(url), P)
    done = 0
    while done < rounds:
        owner = f"{process}-{time.monotonic_ns()}"
        token = store.lock.acquire(NODE, owner, 0.01)
        if token is None:
            continue
        ledger = store.ledgers.load(NODE) or Ledger(node=NODE, trunk=Trunk(state=TrunkState.READY))
        if done % 7 == 3:
            time.sleep(0.015)  # longer than the lock lives
        more = Ledger(node=NODE, trunk=Trunk(state=TrunkState.READY, generation=ledger.trunk.generation + 1))
        try:
            store.ledgers.save(NODE, more, owner, token)
        except StaleToken:
            time.sleep(0.001)
            done += 1 if done % 7 == 3 else 0
            store.ledgers._link.command("INCR", "refused")
            continue
        done += 1
        store.ledgers._link.command("INCR", "saved")
        store.lock.release(NODE, owner, token)


def test_no_write_is_lost_among_processes_whose_locks_expire(server: RedisServer, store: Store) -> None:
    processes = [get_context("spawn").Process(target=increment, args=(server.url, n, 60)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    ledger = store.ledgers.load(NODE)
    assert ledger is not None
    assert ledger.trunk.generation == int(store.ledgers._link.command("GET", "saved"))
    assert int(store.ledgers._link.command("GET", "refused")) > 0


def test_every_change_is_seen_by_a_run(server: RedisServer) -> None:
    """Threads change, publish and run as the watcher and the workers do; messages go by a list."""
    watcher = Store.on(connect(server.url), P)
    messages: list[NodeName] = []
    changed, seen, stop = [0], [0], threading.Event()

    def work(number: int) -> None:
        store = Store.on(connect(server.url), P)
        run = 0
        while not stop.is_set():
            try:
                node = messages.pop()
            except IndexError:
                time.sleep(0.0005)
                continue
            run += 1
            owner = f"{number}-{run}"
            token = store.lock.acquire(node, owner, 30)
            if token is None:
                continue
            while store.wakeups.clear_dirty(node):
                seen[0] = max(seen[0], changed[0])
            if store.lock.release(node, owner, token):
                messages.append(node)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(400):
            changed[0] += 1
            messages.extend(watcher.wakeups.mark_dirty([NODE], 1))
        # A run of the change before can see the last one's number before its mark is there.
        until(lambda: seen[0] == 400 and not watcher.wakeups.is_dirty(NODE))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert watcher.wakeups.due(1e12, 10) == []


def test_replicas_share_a_bucket_and_its_line(server: RedisServer) -> None:
    stores = [Store.on(connect(server.url), P, {"CreateTags": RateLimit(burst=50, refill=0.01)}) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: stores[n % 4].limiter.reserve("CreateTags", f"caller/{n}"), range(200)))
    granted = [answer.at for answer in answers if answer.granted]
    assert 48 <= len(granted) <= 60, "the bucket, less two, and the first rounds of slow start"
    assert stores[0].limiter.throttled("CreateTags", "caller/refused", max(granted))
    believed = stores[3].limiter.believed()["CreateTags"]
    assert believed.waiting == 200 - len(granted) + 1
    assert believed.burst == pytest.approx(len(granted), abs=1)
    assert (
        stores[1].limiter.reserve("CreateTags", "caller/refused").wait
        < stores[2].limiter.reserve("CreateTags", "caller/199").wait
    )


def test_snapshot_requests_of_many_are_each_taken_once(store: Store) -> None:
    ids = [InstanceId(f"i-{number:017x}") for number in range(500)]
    with ThreadPoolExecutor(8) as pool:
        published = sum(pool.map(lambda i: store.snapshots.request(i, NODE, 1), ids))
        taken = [
            request for batch in pool.map(lambda _: store.snapshots.take_requests(40), range(20)) for request in batch
        ]
    assert published == 500, "until a message waits each is asked to put it; one is put"
    assert sorted(taken) == [(i, NODE) for i in ids]


def test_what_the_sweep_saw_survives_a_restart(server: RedisServer, store: Store) -> None:
    store.sweep.write({EniId("eni-1")})
    server.stop()
    server.start()
    assert store.sweep.read() == {"eni-1"}
