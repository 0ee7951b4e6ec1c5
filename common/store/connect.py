"""A client for a Redis URL."""

from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from common.store.connection import SteadyConnection, SteadySentinelConnection, SteadySSLConnection

SOCKET_SECONDS = 5.0
"""Longest wait for one answer: no script of ours takes a hundredth of it."""
CONNECT_SECONDS = 5.0
HEALTH_CHECK_SECONDS = 15
"""A connection idle for longer is tried with a PING first: the other end may be gone without a word."""
DEFAULT_SENTINEL_PORT = 26379


def _options(seconds: float) -> dict[str, object]:
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": min(seconds, CONNECT_SECONDS),
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        # None: only link.py knows which calls may be repeated.
        "retry": Retry(NoBackoff(), 0),
    }


def sentinels(url: str) -> tuple[list[tuple[str, int]], str, int, str | None, str | None]:
    """The parts of `sentinel://[user:password@]h1:p,h2:p/db?master=NAME`: addresses, name of the primary, database,
    user, password. User and password are the primary's. Raises ValueError."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    addresses = []
    for host in hosts.split(","):
        name, separator, port = host.rpartition(":")
        addresses.append((name, int(port)) if separator else (port, DEFAULT_SENTINEL_PORT))
    master = parse_qs(parts.query).get("master", [""])[0]
    if not master or not all(name for name, _ in addresses):
        raise ValueError("not sentinel://h1:p,h2:p/db?master=NAME")
    return addresses, master, int(parts.path.strip("/") or 0), unquote(user) or None, unquote(password) or None


def connect(redis_url: str, seconds: float = SOCKET_SECONDS) -> redis.Redis:
    """A thread-safe client that waits so long for an answer at most. Does not connect yet.

    redis://, rediss:// and sentinel://h1:p,h2:p/db?master=NAME (follows the primary). Raises ValueError for others.
    """
    if redis_url.startswith("sentinel://"):
        addresses, master, database, user, password = sentinels(redis_url)
        group = Sentinel(  # type: ignore[no-untyped-call]  # untyped in redis-py
            addresses, sentinel_kwargs={"socket_timeout": CONNECT_SECONDS, "socket_connect_timeout": CONNECT_SECONDS}
        )
        primary: redis.Redis = group.master_for(  # type: ignore[no-untyped-call]
            master,
            db=database,
            username=user,
            password=password,
            connection_class=SteadySentinelConnection,
            **_options(seconds),
        )
        return primary
    steady = SteadySSLConnection if redis_url.startswith("rediss://") else SteadyConnection
    return redis.Redis.from_url(redis_url, connection_class=steady, **_options(seconds))
