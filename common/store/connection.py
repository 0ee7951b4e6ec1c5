"""Connections to Redis that know what a refusal means. The one place that maps Redis' error codes.

Used by the store's client and by kombu's channels alike.
"""

import re
from typing import Any

import redis
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

DEMOTED = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN"})
"""The server became a replica: behind a Service or a proxy a new connection reaches its successor."""
REFUSED = frozenset({"OOM", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY"})
"""The server cannot do it now: full, unable to save to disk, without its replicas, or held up by a script. It recovers
by itself, and so do we."""


class Demoted(redis.ConnectionError):
    """This connection leads to a server that takes no writes any more; it is closed."""


class Refused(redis.ResponseError):
    """Nothing was done; later it may be."""


_IN_SCRIPT = re.compile(r"^(?:ERR )?Error running script .*: -([A-Z]+) ")
"""Redis before 7 wraps the answer to a command in a script, code and all."""


def code_of(error: redis.RedisError) -> str:
    """The code that an error answer begins with (Redis protocol, "simple errors")."""
    text = str(error)
    inner = _IN_SCRIPT.match(text)
    return inner[1] if inner else str(error.status_code or text.partition(" ")[0])


class _Mapped:
    """LOADING is a ConnectionError of redis-py's own."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = super()
        try:
            return connection.read_response(*args, **kwargs)
        except redis.ResponseError as error:
            code = code_of(error)
            if code in DEMOTED:
                connection.disconnect()
                raise Demoted(f"{code} {error}") from error
            if code in REFUSED:
                raise Refused(f"{code} {error}") from error
            raise


class SteadyConnection(_Mapped, redis.Connection):
    """`redis://`."""


class SteadySSLConnection(_Mapped, redis.SSLConnection):
    """`rediss://`."""


class SteadySentinelConnection(_Mapped, SentinelManagedConnection):
    """To the primary that Sentinels name."""


class SteadySentinelSSLConnection(_Mapped, SentinelManagedSSLConnection):
    """As above, over TLS."""
