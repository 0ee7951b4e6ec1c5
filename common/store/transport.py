"""kombu's transports for Redis, which outlive a lost connection with a message under way.

When a connection breaks, its channel is closed after its transport has forgotten the connection, and a channel that
then acknowledges or gives back a message asks None for the address of Redis (kombu 5.7 and long before: its issue 582).
The AttributeError is no error of a connection to Celery, so the worker ends. Here it is one: the message comes back
after its visibility timeout, as after any lost acknowledgement, and the worker connects again.
"""

from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

LOST = (OSError, redis.ConnectionError, redis.TimeoutError)
"""How Celery learns of a broker that is away."""


def use() -> None:
    """From now on connections of this process to `redis://`, `rediss://` and `sentinel://` are made by these."""
    own = {"redis": SteadyTransport, "rediss": SteadyTransport, "sentinel": SteadySentinelTransport}
    TRANSPORT_ALIASES.update({scheme: f"{__name__}:{transport.__name__}" for scheme, transport in own.items()})


class SteadyChannel(Channel):
    """On one Redis server."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Raises redis.ConnectionError where the connection is gone already."""
        if self.connection.client is None:
            raise redis.ConnectionError("the connection to the broker has been closed")
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]
        return parameters


class SteadySentinelChannel(SteadyChannel, SentinelChannel):
    """On the master that Sentinels name."""


class SteadyTransport(Transport):
    """`redis://` and `rediss://`."""

    Channel = SteadyChannel


class SteadySentinelTransport(SentinelTransport):
    """`sentinel://`."""

    Channel = SteadySentinelChannel
