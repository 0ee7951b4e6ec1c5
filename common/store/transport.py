"""kombu's transports for Redis, with what its own lack.

- *One message a subject*: a message with the header SUBJECT is put once (messages.py), however often it is published,
  and comes back from a worker that died only where its run had not begun.
- *A lost connection under way*: when a connection breaks, its channel is closed after its transport has forgotten the
  connection, and a channel that then acknowledges, gives back or publishes a message asks None for the address of
  Redis (kombu 5.7 and long before: its issue 582). The AttributeError is no error of a connection to Celery, so the
  worker ends. Here it is one: the worker connects again.
- *A Redis that refuses* (full, read-only, unable to save: connection.py) is as one that is away: the worker tries again
  and does not end. What a worker needs to drain the queue is done in a full Redis, too.
- *A client for each operation*: kombu's own makes one each time, which costs more than the operation.
- *A message that cannot be read* is dropped and reported. It would end one worker after another.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import time
from typing import Any

import redis
from kombu import transport as kombu_transport
from kombu.message import Message
from kombu.transport.redis import Channel, QoS, SentinelChannel, SentinelTransport, Transport
from kombu.utils.json import dumps

from common.logging import get_logger
from common.metrics import MESSAGES_DROPPED
from common.store import keys
from common.store.connection import (
    Refused,
    SteadyConnection,
    SteadySentinelConnection,
    SteadySentinelSSLConnection,
    SteadySSLConnection,
)
from common.store.link import source
from common.store.task_events import EXCHANGE, OPTION, Audience

SUBJECT = "vpc_rc_subject"
"""Header of a message: what it is about. One message for each waits at most."""
MESSAGE = "vpc_rc_message"
"""Header of such a message: its id, which changes when it comes back from a worker that did not begin."""
SENT = "vpc_rc_sent"
"""Header of such a message, where traces are made: when it was published, in epoch seconds."""
TAKER = "vpc_rc_taker"
"""Header of a message that a worker took: the worker's incarnation. Also the transport option that holds it."""
LOST = (OSError, redis.ConnectionError, redis.TimeoutError, Refused)
"""How Celery learns of a broker that is away."""

_log = get_logger(__name__)


def use() -> None:
    """From now on connections of this process to `redis://`, `rediss://` and `sentinel://` are made by these, whatever
    made them before."""
    own = {"redis": SteadyTransport, "rediss": SteadyTransport, "sentinel": SteadySentinelTransport}
    kept: dict[str, Any] = vars(kombu_transport)["_transport_cache"]  # What kombu found first.
    for scheme, transport in own.items():
        kombu_transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport.__name__}"
        if kept.get(scheme) is not transport:
            kept.pop(scheme, None)


class SteadyQoS(QoS):
    """Which messages this worker has taken."""

    def append(self, message: Message, delivery_tag: str) -> None:
        """Note that it was taken."""
        info = message.delivery_info
        raw: Any = message
        channel: Any = self.channel
        content = raw._raw  # noqa: SLF001  # as kombu's own does
        if SUBJECT in (content.get("headers") or {}):
            content["headers"][TAKER] = channel.transport_options().get(TAKER, "")
        body = dumps([content, info["exchange"], info["routing_key"]])
        with channel.conn_or_acquire() as client:
            client.eval(
                source("register_message"), 2, self.unacked_index_key, self.unacked_key, delivery_tag, time(), body
            )
        super(QoS, self).append(message, delivery_tag)

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """No transaction: a full Redis refuses any, also that of an acknowledgement."""
        if pipe:
            yield pipe
        else:
            channel: Any = self.channel
            with channel.conn_or_acquire(client) as connected:
                yield connected.pipeline(transaction=False)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Have messages of dead workers come back; later, where Redis has no room for the lock that this takes."""
        with suppress(Refused):
            super().restore_visible(*args, **kwargs)


class SteadyChannel(Channel):
    """On one Redis server."""

    QoS = SteadyQoS
    connection_class: type = SteadyConnection
    connection_class_ssl: type = SteadySSLConnection
    # Kombu's own, which its stubs do not have.
    _expires: dict[str, int]
    _fanout_queues: dict[str, tuple[str, str]]
    _q_for_pri: Callable[[str, int], str]
    keyprefix_binding_permanent: str
    priority_steps: list[int]
    pool: redis.ConnectionPool
    _get_publish_topics: Callable[[str, str], list[str]]
    _steady_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """One client for all that goes through the pool. Its calls are thread-safe."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self._steady_client is None or self._steady_client.connection_pool is not self.pool:
            self._steady_client = super()._create_client()  # type: ignore[misc]
        return self._steady_client

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Publish; of an event, note whether it reached anybody."""
        audience = self.transport_options().get(OPTION)
        if exchange != EXCHANGE or not isinstance(audience, Audience):
            super()._put_fanout(exchange, message, routing_key, **kwargs)  # type: ignore[misc]
            return
        payload = dumps(message)
        with self.conn_or_acquire() as client:
            audience.heard(
                sum(client.publish(topic, payload) for topic in self._get_publish_topics(exchange, routing_key))
            )

    def transport_options(self) -> dict[str, Any]:
        """Transport options of the connection. Raises redis.ConnectionError where it is gone already: its transport has
        forgotten it, or another thread has closed this channel."""
        connection: Any = self.connection
        client = None if connection is None else connection.client
        if client is None:
            raise redis.ConnectionError("the connection to the broker has been closed")
        found: dict[str, Any] = client.transport_options
        return found

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Raises redis.ConnectionError where the connection is gone already."""
        self.transport_options()
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]
        return parameters

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Put a message into its queue, where none about its subject waits; at the end of kombu's batch, in one."""
        subject = message["headers"].get(SUBJECT)
        if subject is None:
            super()._put(queue, message, **kwargs)
            return
        number = message["headers"][MESSAGE] = message["headers"]["id"]
        spots = (keys.waiting(), self._key(queue, message))
        put = (source("put_once"), 2, *spots, subject, number, dumps(message))
        if (batch := kwargs.get("_publish_batch")) is not None:
            batch.add("eval", *put)
            return
        with self.conn_or_acquire() as client:
            client.eval(*put)

    def _do_restore_message(
        self, payload: Any, exchange: str, routing_key: str, pipe: Any, leftmost: bool = False
    ) -> None:
        """Within a transaction: put a message back that was taken and not acknowledged."""
        headers = payload.get("headers") or {}
        subject = headers.get(SUBJECT)
        if subject is None:
            super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)  # type: ignore[misc]
            return
        before = headers.get(MESSAGE) or ""
        headers[MESSAGE], headers["redelivered"] = f"{before}+", True
        end = "LPUSH" if leftmost else "RPUSH"
        for queue in self._lookup(exchange, routing_key):
            spots = (keys.waiting(), self._key(queue, payload))
            pipe.eval(source("put_back"), 2, *spots, subject, before, headers[MESSAGE], dumps(payload), end)

    def _key(self, queue: str, message: dict[str, Any]) -> str:
        key: str = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        return key

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        if queue in self._expires:
            # Refreshed again and again by kombu itself.
            with suppress(Refused):
                super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[misc]
            return
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = (exchange, routing_key.replace("#", "*"))
        binding = self.sep.join([routing_key or "", pattern or "", queue or ""])
        spots = (self.keyprefix_queue % exchange, self.keyprefix_binding_permanent % exchange)
        with self.conn_or_acquire() as client:
            client.eval(source("bind_queue"), 2, *spots, binding)

    def _size(self, queue: str) -> int:
        """Messages in it. No transaction: a full Redis refuses any."""
        with self.conn_or_acquire() as client:
            return sum(client.llen(self._q_for_pri(queue, priority)) for priority in self.priority_steps)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except ValueError as error:
            # No JSON. It is off the queue already.
            _dropped(error)
            return True


class SteadySentinelChannel(SteadyChannel, SentinelChannel):
    """On the master that Sentinels name."""

    connection_class = SteadySentinelConnection
    connection_class_ssl = SteadySentinelSSLConnection


def _delivered(deliver: Callable[[Any, str], None], channels: Iterable[Any], message: Any, queue: str) -> None:
    """Hand a message to its consumer. One that raises is dropped, unless the broker is away."""
    try:
        deliver(message, queue)
    except LOST:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a message may raise, the next one is served
        _dropped(error)
        # Else it would come back.
        with suppress(KeyError, TypeError, AttributeError):
            tag = message["properties"]["delivery_tag"]
            for channel in channels:
                channel.qos.reject(tag)


def _dropped(error: Exception) -> None:
    MESSAGES_DROPPED.inc()
    _log.error("a message that cannot be read was dropped", error=repr(error))


class SteadyTransport(Transport):
    """`redis://` and `rediss://`."""

    Channel = SteadyChannel
    connection_errors = (*Transport.connection_errors, Refused)

    def _deliver(self, message: Any, queue: Any) -> None:
        _delivered(super()._deliver, self.channels or (), message, queue)


class SteadySentinelTransport(SentinelTransport):
    """`sentinel://`."""

    Channel = SteadySentinelChannel
    connection_errors = (*SentinelTransport.connection_errors, Refused)

    def _deliver(self, message: Any, queue: Any) -> None:
        _delivered(super()._deliver, self.channels or (), message, queue)
