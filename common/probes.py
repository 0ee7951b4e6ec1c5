"""A small HTTP server for GET requests: health, metrics, introspection. Bounded, so that slow clients do not keep
probes from their answers: connections, bytes of a request, threads that answer, and the time of it all."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from common import threads
from common.listener import Listener, listening_socket

REQUEST_SECONDS = 10.0
"""From a connection's start to the last byte of its answer."""
CONNECTIONS = 64
LARGEST_REQUEST = 8 * 1024
"""Bytes of request line and headers."""
THREADS = 2
"""That make answers: some ask Redis."""
_END = b"\r\n\r\n"
_TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


Respond = Callable[[str], Answer]
"""From a path without query to the answer."""


class Server:
    """Serves from its construction until `close`, from a thread of its own. Each connection is for one request."""

    def __init__(self, address: str, port: int, respond: Respond) -> None:
        """`port` 0 takes a free one. Raises OSError where the port is taken."""
        listening = listening_socket(address, port)
        self.port: int = listening.getsockname()[1]
        self._respond = respond
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"http-{self.port}")
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threads.start(f"http-{self.port}", lambda: self._loop.run_until_complete(self._serve(listening)))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, listening: socket.socket) -> None:
        listener = Listener(lambda: _Exchange(listener, self._pool, self._respond), limit=CONNECTIONS)
        listener.start(listening)
        await self._ended.wait()
        await listener.close()
        listener.drop_all()


class _Exchange(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, listener: Listener, pool: ThreadPoolExecutor, respond: Respond) -> None:
        self._listener, self._pool, self._respond = listener, pool, respond
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = self._loop.call_later(REQUEST_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._listener.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._answering:
            return
        self._listener.heard(self)
        self._received += data
        if _END in self._received:
            self._begin()
        elif len(self._received) > LARGEST_REQUEST:
            self._answer(Answer(431, _TEXT, b"the request is too large\n"))

    def _begin(self) -> None:
        self._answering = True
        words = self._received.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3:
            self._answer(Answer(400, _TEXT, b"no HTTP request\n"))
        elif words[0] != b"GET":
            self._answer(Answer(405, _TEXT, b"only GET is answered\n"))
        else:
            self._listener.busy(self)
            path = words[1].partition(b"?")[0].decode("ascii", "replace")
            self._pool.submit(self._respond, path).add_done_callback(self._made)

    def _made(self, answer: Future[Answer]) -> None:
        """In a thread of the pool."""
        if answer.cancelled():
            return
        failed = answer.exception()
        found = Answer(500, _TEXT, f"{type(failed).__name__}\n".encode()) if failed else answer.result()
        with suppress(RuntimeError):  # The server was closed meanwhile.
            self._loop.call_soon_threadsafe(self._answer, found)

    def _answer(self, answer: Answer) -> None:
        self._answering = True
        self._listener.idle(self)
        if self._transport is None or self._transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + answer.body)
        self._transport.close()
