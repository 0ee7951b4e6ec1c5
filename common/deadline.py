"""Connections whose time-out covers a whole answer.

urllib3's read time-out ends a silence, so that an answer that trickles in, a byte at a time, has no end. Here the time
that is left is set anew before every read from the socket, headers and body alike.
"""

import http.client
import io
import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

SHORTEST_SECONDS = 0.001
"""A socket time-out of 0 would make reads non-blocking."""


class _Reader(io.RawIOBase):
    """Reads from a socket until a moment (monotonic seconds). Raises TimeoutError after it."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until
        # Keeps the socket open for the answer after the connection let go of it, as http.client's own reader does.
        self._raw: io.RawIOBase = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._sock.settimeout(None if left == float("inf") else max(left, SHORTEST_SECONDS))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """What http.client asks of a socket to read an answer from."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._until))


class _WholeAnswer(http.client.HTTPResponse):
    """An answer that must end within the read time-out of its request."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        seconds = sock.gettimeout()
        until = float("inf") if seconds is None else time.monotonic() + seconds
        super().__init__(_Socket(sock, until), *args, **kwargs)  # type: ignore[arg-type]  # only makefile is used


class _Http(HTTPConnection):
    response_class = _WholeAnswer


class _Https(HTTPSConnection):
    response_class = _WholeAnswer


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


POOLS = {"http": _HttpPool, "https": _HttpsPool}
"""For `pool_classes_by_scheme` of a urllib3.PoolManager."""
