"""Accepts connections for asyncio servers, so many at a time: no client can use a process up.

Where there are too many, one that is not being served makes way for the newcomer: of the client that has the most, the
one that did nothing for the longest. A connection whose request is being answered is never dropped; while all are, the
newcomer waits.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

BACKLOG = 1024
"""Connections that the kernel keeps while we are busy: one that finds no place there comes seconds later."""
OPENING = 64
"""Young connections without a complete handshake. More are not accepted: handshakes cost the most, and all would be
late."""
YOUNG_SECONDS = 0.25
GRACE_SECONDS = 1.0
"""How long a connection has for its handshake, and again for its request, before it makes way."""
ACCEPT_PAUSE_SECONDS = 0.1
"""After an accept that failed, for example for lack of file descriptors."""
_GONE = (OSError, ssl.SSLError, asyncio.CancelledError)


class _Connection:
    __slots__ = ("busy", "opening", "peer", "since", "transport")

    def __init__(self, peer: str, since: float) -> None:
        self.peer, self.since = peer, since
        self.busy = False
        self.transport: asyncio.WriteTransport | None = None
        self.opening: asyncio.Task[None] | None = None

    def drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()


class Listener:
    """Makes a protocol for each connection. The protocol's owner reports `busy`, `idle` and `lost`. Belongs to the
    event loop in which it was started."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        limit: int,
        tls: ssl.SSLContext | None = None,
        handshake_seconds: float | None = None,
    ) -> None:
        self._protocol, self._limit, self._tls, self._handshake_seconds = protocol, limit, tls, handshake_seconds
        self._connections: dict[asyncio.BaseProtocol, _Connection] = {}
        self._changed = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def start(self, listening: socket.socket) -> None:
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listening))

    async def close(self) -> None:
        """Accept no more. Connections stay."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])

    def drop_all(self) -> None:
        for connection in list(self._connections.values()):
            connection.drop()

    # --- what protocols report

    def busy(self, protocol: asyncio.BaseProtocol) -> None:
        """Its request is complete and being answered."""
        if (connection := self._connections.get(protocol)) is not None:
            connection.busy = True

    def idle(self, protocol: asyncio.BaseProtocol) -> None:
        """It was answered."""
        if (connection := self._connections.get(protocol)) is not None:
            connection.busy, connection.since = False, asyncio.get_running_loop().time()
            self._changed.set()

    def lost(self, protocol: asyncio.BaseProtocol) -> None:
        """It is gone."""
        self._connections.pop(protocol, None)
        self._changed.set()

    # --- accepting

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, address = await loop.sock_accept(listening)
                except OSError:
                    await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                    continue
                while not self._made_room():
                    self._changed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), YOUNG_SECONDS / 4)
                self._open(accepted, address)
                # One that is there already is accepted without a pause: others would not get on.
                await asyncio.sleep(0)

    def _made_room(self) -> bool:
        young = asyncio.get_running_loop().time() - YOUNG_SECONDS
        if sum(c.transport is None and c.since > young for c in self._connections.values()) >= OPENING:
            return False
        if len(self._connections) < self._limit:
            return True
        protocol = self._least_worth()
        if protocol is not None:
            self._connections.pop(protocol).drop()
        return protocol is not None

    def _least_worth(self) -> asyncio.BaseProtocol | None:
        """None: all are being served, or have just come."""
        held = Counter(connection.peer for connection in self._connections.values())
        until = asyncio.get_running_loop().time() - GRACE_SECONDS
        idle = [(p, c) for p, c in self._connections.items() if not c.busy and c.since <= until]
        return min(idle, key=lambda one: (-held[one[1].peer], one[1].since))[0] if idle else None

    def _open(self, accepted: socket.socket, address: Any) -> None:
        loop = asyncio.get_running_loop()
        protocol = self._protocol()
        peer = str(address[0]) if isinstance(address, tuple) else ""
        connection = self._connections[protocol] = _Connection(peer, loop.time())
        connection.opening = loop.create_task(self._connect(accepted, protocol, connection))

    async def _connect(self, accepted: socket.socket, protocol: asyncio.BaseProtocol, connection: _Connection) -> None:
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls, ssl_handshake_timeout=self._handshake_seconds
            )
        except _GONE:  # The transport has closed the socket.
            self.lost(protocol)
            return
        connection.transport, connection.since = transport, asyncio.get_running_loop().time()
        self._changed.set()
        if protocol not in self._connections:  # It made way meanwhile.
            transport.abort()


def listening_socket(address: str, port: int) -> socket.socket:
    """`port` 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.create_server((address, port), family=family, backlog=BACKLOG)
    found.setblocking(False)
    return found
