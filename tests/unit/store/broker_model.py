"""Kombu's moves with a message, one at a time, by the very scripts that common.store.transport runs."""

import json

import redis

from common.store import keys
from common.store.broker import NODES
from common.store.link import source
from common.store.transport import MESSAGE, SUBJECT


def message(subject: str, number: str) -> str:
    return json.dumps({"headers": {MESSAGE: number, SUBJECT: subject}})


def put(client: redis.Redis, subject: str, number: str) -> bool:
    """LPUSH, once."""
    text = message(subject, number)
    return bool(client.eval(source("put_once"), 2, keys.waiting(), NODES, subject, number, text))


def pop(client: redis.Redis) -> str | None:
    """BRPOP: the message is in the worker's memory alone. Its id."""
    raw = client.rpop(NODES)
    return None if raw is None else number_of(raw)


def register(client: redis.Redis, subject: str, number: str) -> None:
    """The worker's note that it took it, under a delivery tag that is its id here."""
    body = json.dumps([json.loads(message(subject, number)), NODES, NODES])
    client.eval(source("register_message"), 2, keys.unacked_index(), keys.unacked(), number, 1.0, body)


def acknowledge(client: redis.Redis, number: str) -> None:
    client.zrem(keys.unacked_index(), number)
    client.hdel(keys.unacked(), number)


def restore(client: redis.Redis, subject: str, number: str) -> None:
    """After the visibility timeout."""
    if client.hexists(keys.unacked(), number):
        acknowledge(client, number)
        again = f"{number}+"
        text = message(subject, again)
        client.eval(source("put_back"), 2, keys.waiting(), NODES, subject, number, again, text, "RPUSH")


def queued(client: redis.Redis) -> list[str]:
    return [number_of(raw) for raw in client.lrange(NODES, 0, -1)]


def taken(client: redis.Redis) -> list[str]:
    return sorted(tag.decode() for tag in client.hkeys(keys.unacked()))  # type: ignore[union-attr]


def number_of(raw: object) -> str:
    assert isinstance(raw, bytes)
    found: str = json.loads(raw)["headers"][MESSAGE]
    return found
