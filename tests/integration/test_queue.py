"""The queue on a real Redis: what stands in it without workers, in a full Redis, and with messages nobody can read."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store import Store, connect, keys
from common.store.broker import celery_app
from common.store.publisher import CeleryPublisher
from common.store.transport import SENT
from tests.integration.redis_server import RedisServer
from tests.integration.test_worker_process import get, nodes, worker
from tests.kit.api import node
from tests.kit.waiting import until
from tests.unit.watcher.bench import NODES, Watch

PREFIX = keys.prefix("bench")
MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as opened:
        yield opened


def time_passes(client: redis.Redis, watch: Watch, seconds: float) -> None:
    """Whatever has a lifetime in Redis is over."""
    for key in client.scan_iter():
        if client.pttl(key) != -1:  # type: ignore[operator,unused-ignore]
            client.delete(key)
    watch.clock.sleep(seconds)
    watch.turn(3)


def test_without_workers_for_an_hour_each_node_has_one_message(server: RedisServer, client: redis.Redis) -> None:
    watch = Watch(store=Store.on(connect(server.url), PREFIX))
    publisher = CeleryPublisher(celery_app(server.url))
    watch.published.reconcile = publisher.reconcile  # type: ignore[method-assign]
    for number in range(60):
        watch.api.ok("POST", NODES, node(f"n{number}"))
    watch.lead()
    for minute in range(60):
        watch.store.wakeups.park(NodeName(f"n{minute % 60}"), watch.clock.now() + 20)
        time_passes(client, watch, 60)
    assert client.llen("nodes") == 60


def test_publishing_again_after_a_lost_answer_puts_no_second_message(server: RedisServer, client: redis.Redis) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    for _ in range(3):
        publisher.reconcile(NodeName("n"), "pod")
        publisher.reconcile(NodeName("m"), "pod")
        publisher.load_instances()
        publisher.sweep()
    assert (client.llen("nodes"), client.llen("maintenance")) == (2, 2)


def test_many_are_published_at_once_each_once_and_over_a_connection_that_broke(
    server: RedisServer, client: redis.Redis
) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    nodes = {NodeName(f"n{number}"): "pod" for number in range(300)}
    publisher.reconcile(NodeName("n7"), "first")
    publisher.reconcile_all(nodes)
    client.client_kill_filter(_type="normal", skipme=True)
    publisher.reconcile_all({**nodes, NodeName("more"): "pod"})
    bodies = [json.loads(body)["headers"] for body in client.lrange("nodes", 0, -1)]
    assert [headers["vpc_rc_subject"] for headers in bodies][::-1] == ["n7", *(n for n in nodes if n != "n7"), "more"]
    assert len({headers["vpc_rc_message"] for headers in bodies}) == 301
    assert bodies[0]["argsrepr"] == "('more', 'pod')"


@pytest.mark.parametrize("now", [None, 1_750_000_000.25])
def test_a_message_says_when_it_was_published_only_where_traces_are_made(
    now: float | None, server: RedisServer, client: redis.Redis
) -> None:
    publisher = CeleryPublisher(celery_app(server.url), None if now is None else lambda: now)
    publisher.reconcile(NodeName("n"), "pod")
    (raw,) = client.lrange("nodes", 0, -1)  # type: ignore[misc,unused-ignore]
    assert json.loads(raw)["headers"].get(SENT) == now
    assert (SENT in json.loads(raw)["headers"]) == (now is not None)


def test_a_message_comes_back_from_a_worker_that_died_and_only_once(server: RedisServer, client: redis.Redis) -> None:
    app = celery_app(server.url)
    publisher, store = CeleryPublisher(app), Store.on(connect(server.url), PREFIX)
    for name in ("waits", "begun"):
        publisher.reconcile(NodeName(name), "pod")
    connection = app.connection_for_read()
    queue = connection.SimpleQueue("nodes")
    taken = {message.headers["vpc_rc_subject"]: message for message in (queue.get(timeout=5), queue.get(timeout=5))}
    assert client.hlen("unacked") == 2
    begun = taken["begun"].headers["vpc_rc_message"]
    assert store.lock.acquire(NodeName("begun"), "a", 30, begun) is not None
    for message in taken.values():
        channel: Any = message.channel
        for _ in range(2):
            channel.qos.restore_by_tag(message.delivery_tag)
    (back,) = client.lrange("nodes", 0, -1)
    assert json.loads(back)["headers"]["vpc_rc_subject"] == "waits"
    assert client.hlen("unacked") == 0
    publisher.reconcile(NodeName("waits"), "again")
    assert client.llen("nodes") == 1
    connection.close()


# --- a full Redis


def fill(client: redis.Redis) -> None:
    """Whatever it holds is too much."""
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("more", "x")


def test_workers_drain_a_full_redis_and_go_on_when_it_has_room(server: RedisServer, client: redis.Redis) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    for number in range(200):
        publisher.reconcile(NodeName(f"n{number}"), "full")
    fill(client)
    with pytest.raises(StoreUnavailable):
        publisher.reconcile(NodeName("refused"), "full")
    with pytest.raises(StoreUnavailable):
        publisher.reconcile_all({NodeName("refused"): "full"})
    with worker(server.url, ready=False) as starting:
        until(lambda: client.llen("nodes") == 0 and client.hlen("unacked") == 0, 30)
        until(lambda: get(starting.health, "/readyz")[0] == 503, 20)
        time.sleep(8)  # Two of kombu's looks for messages to restore.
        assert starting.process.poll() is None
        assert get(starting.health, "/healthz")[0] == 200
        client.config_set("maxmemory", 0)
        until(lambda: get(starting.health, "/readyz")[0] == 200, 20)
        publisher.reconcile(NodeName("after"), "room")
        until(lambda: "after" in nodes(server) and client.hlen("unacked") == 0, 20)


# --- messages


def raw(**changes: object) -> bytes:
    """As Celery writes it."""
    message = {
        "body": base64.b64encode(json.dumps([["bad", "test"], {}, {}]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "workers.tasks.reconcile_node", "id": "1", "root_id": "1", "argsrepr": "()"},
        "properties": {
            "correlation_id": "1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "nodes", "routing_key": "nodes"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag",
        },
    }
    return json.dumps({**message, **changes}).encode()


BAD: dict[str, Callable[[], bytes]] = {
    "a content type of bytes": lambda: raw(**{"content-type": "application/data"}),
    "a content type that nobody accepts": lambda: raw(**{"content-type": "application/x-python-serialize"}),
    "a content type of bytes in an encoding of bytes": lambda: raw(
        **{"content-type": "application/data", "content-encoding": "binary"}
    ),
    "a body that is no JSON": lambda: raw(body=base64.b64encode(b"{{{").decode()),
    "a body that is no base64": lambda: raw(body="*"),
    "a body of another shape": lambda: raw(body=base64.b64encode(b'"text"').decode()),
    "a body that is null": lambda: raw(body=None),
    "an unknown encoding": lambda: raw(**{"content-encoding": "klingon"}),
    "an unknown task": lambda: raw(headers={"task": "rm", "id": "2", "root_id": "2"}),
    "no headers": lambda: raw(headers=None),
    "headers of another shape": lambda: raw(headers=[1]),
    "no properties": lambda: raw(properties={}),
    "no message": lambda: b"[]",
    "no JSON": lambda: b"{",
    "no text": lambda: b"\xff\xfe",
}


def test_messages_that_cannot_be_read_are_dropped_and_end_no_worker(server: RedisServer, client: redis.Redis) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    publisher.reconcile(NodeName("before"), "test")
    with worker(server.url) as running:
        for name, make in BAD.items():
            client.lpush("nodes", make())
            publisher.reconcile(NodeName("after " + name), "test")
            until(lambda name=name: f"after {name}" in names(client), 20)  # type: ignore[misc]
            assert running.process.poll() is None, name
        until(lambda: client.hlen("unacked") == 0, 10)
        assert client.llen("nodes") == 0
        dropped = next(
            line for line in get(running.health, "/metrics")[1].decode().splitlines()
            if line.startswith("vpc_rc_messages_dropped_total")
        )  # fmt: skip
        assert float(dropped.split()[1]) > 0


def names(client: redis.Redis) -> list[str]:
    entries: list[Any] = client.lrange("ran", 0, -1)
    return [entry.decode().rpartition(" ")[0] for entry in entries]
