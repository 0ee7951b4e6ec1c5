"""A failover behind one address: the server that was the primary lives on as a replica, and connections to it stay
open."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from common.model.ids import NodeName
from common.store import Store, connect, keys
from common.store.broker import celery_app
from common.store.publisher import CeleryPublisher
from tests.integration.address import Address
from tests.integration.api_servers import NODES, api_server
from tests.integration.redis_server import RedisServer
from tests.integration.test_watcher import Watchers, node
from tests.integration.test_worker_process import get, nodes, worker
from tests.kit.waiting import until

PREFIX = keys.prefix("c")


@pytest.fixture
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as first, RedisServer() as second:
        # A replica begins at once, not when others may have come to share the copy.
        redis.Redis.from_url(first.url).config_set("repl-diskless-sync-delay", 0)
        redis.Redis.from_url(second.url).replicaof("127.0.0.1", first.port)
        until(lambda: redis.Redis.from_url(second.url).info("replication")["master_link_status"] == "up", 20)
        yield first, second


def fail_over(address: Address, before: RedisServer, after: RedisServer) -> None:
    redis.Redis.from_url(after.url).replicaof("NO", "ONE")
    address.target = after.port
    redis.Redis.from_url(before.url).replicaof("127.0.0.1", after.port)


def test_pooled_connections_follow_without_an_error(servers: tuple[RedisServer, RedisServer]) -> None:
    before, after = servers
    with Address(before.port) as address, ThreadPoolExecutor(8) as pool:
        store = Store.on(connect(address.url), PREFIX)
        names = [NodeName(f"n{number}") for number in range(64)]
        list(pool.map(lambda name: store.wakeups.mark_dirty([name], 1), names))
        until(lambda: redis.Redis.from_url(after.url).zcard(keys.dirty(PREFIX)) == 64, 20)
        fail_over(address, before, after)
        list(pool.map(lambda name: store.wakeups.park(name, 5), names))
        token = store.lock.acquire(names[0], "a", 30)
        assert token is not None
        assert store.wakeups.is_dirty(names[0])
        assert redis.Redis.from_url(after.url).zcard(keys.parked(PREFIX)) == 64


@pytest.mark.parametrize("at_once", [False, True])
def test_workers_and_publishers_follow(servers: tuple[RedisServer, RedisServer], at_once: bool) -> None:
    before, after = servers
    with Address(before.port) as address:
        publisher = CeleryPublisher(celery_app(address.url))
        publisher.reconcile(NodeName("before"), "test")
        with worker(address.url) as running:
            until(lambda: "before" in nodes(before), 20)
            fail_over(address, before, after)
            if at_once:
                publisher.reconcile_all({NodeName("after"): "test"})
            else:
                publisher.reconcile(NodeName("after"), "test")
            until(lambda: "after" in nodes(after), 20)
            assert running.process.poll() is None
            until(lambda: get(running.health, "/readyz")[0] == 200, 10)


def test_a_watcher_follows_and_goes_on_leading(servers: tuple[RedisServer, RedisServer], tmp_path: Path) -> None:
    """Its pooled connections stay with the server that takes no writes any more."""
    before, after = servers
    with Address(before.port) as address, api_server("sandbox", tmp_path) as cluster:
        watchers = Watchers(cluster, address.url, before)
        process, health = watchers.start()
        try:
            until(lambda: get(health, "/readyz")[0] == 200 and watchers.leader(), 30)
            cluster.ok("POST", NODES, node("before"))
            known = Store.on(connect(before.url), keys.prefix("it"))
            until(lambda: known.desired.read(NodeName("before")).view.node is not None, 20)
            leader = watchers.leader()
            fail_over(address, before, after)
            cluster.ok("POST", NODES, node("after"))
            known = Store.on(connect(after.url), keys.prefix("it"))
            until(lambda: known.desired.read(NodeName("after")).view.node is not None, 20)
            until(lambda: b'"after"' in queued(after), 20)
            until(lambda: get(health, "/readyz")[0] == 200, 10)
            assert (process.poll(), watchers.leader()) == (None, leader)
        finally:
            process.kill()
            process.wait()


def queued(server: RedisServer) -> bytes:
    """The bodies of the messages about nodes, one after the other."""
    with redis.Redis.from_url(server.url) as client:
        return b"".join(base64.b64decode(json.loads(raw)["body"]) for raw in client.lrange("nodes", 0, -1))


def test_a_worker_whose_redis_takes_no_writes_is_not_ready(servers: tuple[RedisServer, RedisServer]) -> None:
    before, after = servers
    with worker(before.url) as running:
        redis.Redis.from_url(after.url).replicaof("NO", "ONE")
        redis.Redis.from_url(before.url).replicaof("127.0.0.1", after.port)
        until(lambda: get(running.health, "/readyz")[0] == 503, 20)
        assert get(running.health, "/healthz")[0] == 200
        redis.Redis.from_url(before.url).replicaof("NO", "ONE")
        until(lambda: get(running.health, "/readyz")[0] == 200, 20)
        CeleryPublisher(celery_app(before.url)).reconcile(NodeName("again"), "test")
        until(lambda: "again" in nodes(before), 20)
