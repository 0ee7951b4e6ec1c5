"""Accepted sockets that have no protocol, and so cost nothing but themselves: newcomers that said nothing yet, and
those whose connection made way. A client that sends nothing stays there, and so reconnects later."""

import asyncio
import resource
import socket
from collections.abc import Callable

MOST = 4096
"""Sockets; fewer where the process may open few files."""
OF_FILES = 4
"""One of so many files that the process may open, at most."""


class HeldSockets:
    """Belongs to one event loop. Beyond its limit the one that was held for the longest is closed."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // OF_FILES)
        self._ends: dict[socket.socket, asyncio.TimerHandle] = {}
        """When each is closed, in the order in which they came."""

    def __len__(self) -> int:
        return len(self._ends)

    def hold(self, held: socket.socket, seconds: float, on_bytes: Callable[[socket.socket], None]) -> None:
        """Until its client says something: then `on_bytes` gets it, with the bytes unread. Closed after `seconds`, or
        when the client has gone."""
        if len(self._ends) >= self._limit:
            self._close(next(iter(self._ends)))
        loop = asyncio.get_running_loop()
        self._ends[held] = loop.call_later(seconds, self._close, held)
        loop.add_reader(held, self._readable, held, on_bytes)

    def close(self) -> None:
        for held in tuple(self._ends):
            self._close(held)

    def _readable(self, held: socket.socket, on_bytes: Callable[[socket.socket], None]) -> None:
        said = first_byte(held)
        if said:
            self._release(held)
            on_bytes(held)
        elif said is not None:
            self._close(held)

    def _release(self, held: socket.socket) -> None:
        self._ends.pop(held).cancel()
        asyncio.get_running_loop().remove_reader(held)

    def _close(self, held: socket.socket) -> None:
        self._release(held)
        held.close()


def first_byte(connected: socket.socket) -> bytes | None:
    """What waits to be read, left there. None: nothing; b"": the client has gone."""
    try:
        return connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
