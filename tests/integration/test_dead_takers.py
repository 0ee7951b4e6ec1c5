"""Messages that a worker took off the queue and had not begun when it died, on a real Redis."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from common.model.ids import NodeName
from common.store import Store, connect, keys
from common.store.broker import celery_app
from common.store.publisher import CeleryPublisher
from tests.integration.redis_server import RedisServer
from tests.unit.watcher.bench import Watch

PREFIX = keys.prefix("bench")
DEAD, LEADER = "dead@host", "w"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def take(url: str, taker: str) -> tuple[Any, str]:
    """As a worker of this incarnation does it; the connection, and the message's id."""
    connection = celery_app(url, taker).connection_for_read()
    message = connection.SimpleQueue("nodes").get(timeout=5)
    return connection, str(message.headers["vpc_rc_message"])


def test_what_a_dead_worker_took_is_published_again_within_three_seconds(server: RedisServer) -> None:
    store, client = Store.on(connect(server.url), PREFIX), redis.Redis.from_url(server.url)
    publisher = CeleryPublisher(celery_app(server.url))
    watch = Watch(store=store)
    watch.published.reconcile = publisher.reconcile  # type: ignore[method-assign]
    watch.lead()
    store.heartbeats.beat(DEAD)
    publisher.reconcile(NodeName("n"), "pod")
    connection, before = take(server.url, DEAD)
    died = time.monotonic()
    while client.llen("nodes") == 0:
        assert time.monotonic() < died + 4, "not published again"
        store.heartbeats.beat(LEADER)
        watch.turn()
        time.sleep(0.1)
    seconds = time.monotonic() - died
    print(f"published again after {seconds:.1f} s")
    assert 2.0 <= seconds <= 3.5
    (again,) = client.lrange("nodes", 0, -1)
    headers = json.loads(again)["headers"]
    assert headers["vpc_rc_subject"] == "n"
    assert client.hlen("unacked") == 0
    refused = store.lock.acquire(NodeName("n"), f"{DEAD}/1", 30, before)
    assert refused is None, "it only seemed dead: its message is spent"
    assert store.lock.acquire(NodeName("n"), f"{LEADER}/1", 30, headers["vpc_rc_message"]) is not None
    connection.close()


def test_what_a_living_worker_took_or_a_dead_one_began_stays(server: RedisServer) -> None:
    store = Store.on(connect(server.url), PREFIX)
    publisher = CeleryPublisher(celery_app(server.url))
    for _ in range(5):
        for each in (LEADER, DEAD):
            store.heartbeats.beat(each)
        time.sleep(0.5)
    connections = []
    for node, taker in (("waits", LEADER), ("begun", DEAD)):
        publisher.reconcile(NodeName(node), "pod")
        connection, number = take(server.url, taker)
        connections.append(connection)
        if node == "begun":
            assert store.lock.acquire(NodeName(node), f"{DEAD}/1", 30, number) is not None
    for _ in range(5):
        store.heartbeats.beat(LEADER)
        time.sleep(0.5)
    (orphan,) = store.messages.orphaned(LEADER)
    assert orphan.subject == "begun"
    assert not store.messages.forget(orphan)
    assert store.wakeups.due(time.time(), 10) == ["begun"], "its run is abandoned, and handed out as such"
    for connection in connections:
        connection.close()
