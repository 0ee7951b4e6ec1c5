"""A connection to the broker that breaks with a message under way is a lost connection, and nothing else."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, transport
from kombu.message import Message
from kombu.transport.redis import Transport

from common.store import Store, connect, keys
from common.store.broker import NODES, RECONCILE_NODE, celery_app
from common.store.transport import SteadyTransport
from sandbox.redis import RedisServer


def _taken(connection: Connection) -> Message:
    """A message that a consumer took and has not acknowledged."""
    queue = connection.SimpleQueue("asked")
    queue.put({"node": "n"})
    return queue.get(timeout=5)


@pytest.fixture
def lost() -> Iterator[tuple[Connection, Message]]:
    """As they are after a failed attempt to connect again."""
    with RedisServer() as server:
        connection = celery_app(server.url).connection_for_read()
        message = _taken(connection)
        server.kill()
        channel: Any = connection.default_channel
        channel._disconnect_pools()
        connection.transport.client = None
        yield connection, message
        # Else it is given back when the interpreter ends, to nobody.
        channel.qos._on_collect.cancel()


def test_its_channel_can_be_closed(lost: tuple[Connection, Message]) -> None:
    connection, _ = lost
    connection.close()
    assert connection.connected is False


def test_an_acknowledgement_fails_as_one_over_any_lost_connection(
    lost: tuple[Connection, Message], caplog: pytest.LogCaptureFixture
) -> None:
    connection, message = lost
    message.ack_log_error(logging.getLogger("celery"), connection.connection_errors)
    assert "Couldn't ack" in caplog.text
    assert not message.acknowledged


def test_what_is_published_over_a_closed_channel_goes_over_a_new_one() -> None:
    """The connection broke in the hands of another thread, which closed the channel in the middle of the call."""
    with RedisServer() as server:
        app = celery_app(server.url)
        with app.producer_or_acquire() as producer:
            channel: Any = producer.channel
            whole = channel.basic_publish

            def closed_first(*args: Any, **options: Any) -> None:
                channel._disconnect_pools()
                channel.close()
                whole(*args, **options)

            channel.basic_publish = closed_first
            app.send_task(RECONCILE_NODE, args=("n", "why"), queue=NODES, producer=producer, retry=True)
            assert producer.channel is not channel
        depths = Store.on(connect(server.url), keys.prefix("any")).queues.depths()
    assert depths[NODES] == 1


def test_connections_are_ours_although_kombu_made_another_before() -> None:
    vars(transport)["_transport_cache"]["redis"] = Transport
    with celery_app("redis://127.0.0.1:1/0").connection_for_write() as connection:
        assert connection.transport_cls == "redis"
        assert isinstance(connection.transport, SteadyTransport)
