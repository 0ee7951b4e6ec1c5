"""Accepts connections for asyncio servers, so many at a time: no client can use a process up.

One that says nothing waits with nothing but its socket. Where there are too many that said something, one that is not
being served makes way for the newcomer: of the client that has the most, one that was never answered, the one that did
nothing for the longest. Its client gets no answer then, since it would come back at once; it gets one when it sends
something. A connection whose request is being answered is never dropped; while all are, the newcomer waits.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from common.held_sockets import MOST, HeldSockets, first_byte

BACKLOG = 1024
"""Connections that the kernel keeps while we are busy: one that finds no place there comes seconds later."""
ACCEPTED_AT_ONCE = 64
"""In one turn of the event loop: those that wait are accepted soon also where turns are long, and make none long."""
OPENING = 16
"""Connections without a complete handshake. More are not begun: handshakes cost the most, about a millisecond of the
processor each, and whatever else the loop does waits for all that are ready in its turn."""
ADMIT_AGAIN_SECONDS = 0.06
GRACE_SECONDS = 0.25
"""How long a connection has for its handshake, and again for its request's first byte, before it makes way."""
REQUEST_SECONDS = 1.0
"""From the first byte to the request's end."""
SILENT_SECONDS = 10.0
"""For a newcomer's first byte."""
AWAY_SECONDS = 30.0
"""How long a connection that made way looks open to its client."""
ACCEPT_PAUSE_SECONDS = 0.1
"""After an accept that failed, for example for lack of file descriptors."""
_GONE = (OSError, ssl.SSLError, asyncio.CancelledError)


class _Connection:
    __slots__ = ("answered", "busy", "heard", "opening", "peer", "since", "socket", "transport")

    def __init__(self, accepted: socket.socket, peer: str, since: float) -> None:
        self.socket, self.peer, self.since = accepted, peer, since
        self.busy = self.answered = self.heard = False
        self.transport: asyncio.WriteTransport | None = None
        self.opening: asyncio.Task[None] | None = None

    @property
    def grace(self) -> float:
        """Seconds from `since` on."""
        return REQUEST_SECONDS if self.heard else GRACE_SECONDS

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
        self._opening: dict[asyncio.BaseProtocol, _Connection] = {}
        """Those of them without a complete handshake."""
        self._held = HeldSockets()
        self._of_peer: Counter[str] = Counter()
        """Connections of each peer that has any."""
        self._unanswered: Counter[str] = Counter()
        """Those of them that were never answered."""
        self._newcomers: dict[str, dict[socket.socket, None]] = {}
        """Those that said something, by their peers, in the order of their first bytes."""
        self._again: asyncio.TimerHandle | None = None
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
        if self._again is not None:
            self._again.cancel()
        self._held.close()
        for newcomers in self._newcomers.values():
            for newcomer in newcomers:
                newcomer.close()
        self._newcomers.clear()

    def drop_all(self) -> None:
        for connection in list(self._connections.values()):
            connection.drop()

    # --- what protocols report

    def heard(self, protocol: asyncio.BaseProtocol) -> None:
        """Bytes of a request came."""
        connection = self._connections.get(protocol)
        if connection is not None and not connection.heard:
            connection.heard, connection.since = True, asyncio.get_running_loop().time()

    def busy(self, protocol: asyncio.BaseProtocol) -> None:
        """Its request is complete and being answered."""
        if (connection := self._connections.get(protocol)) is not None:
            connection.busy = True

    def idle(self, protocol: asyncio.BaseProtocol) -> None:
        """It was answered."""
        if (connection := self._connections.get(protocol)) is not None:
            if not connection.answered:
                _count_down(self._unanswered, connection.peer)
            connection.busy, connection.answered, connection.heard = False, True, False
            connection.since = asyncio.get_running_loop().time()
            self._admit()

    def lost(self, protocol: asyncio.BaseProtocol) -> None:
        """It is gone."""
        if protocol in self._connections:
            self._forget(protocol)
        self._admit()

    # --- accepting

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    self._hold(*await loop.sock_accept(listening))
                    for _ in range(1, ACCEPTED_AT_ONCE):
                        self._hold(*listening.accept())
                    await asyncio.sleep(0)
                except BlockingIOError:
                    continue
                except OSError:
                    await asyncio.sleep(ACCEPT_PAUSE_SECONDS)

    def _hold(self, accepted: socket.socket, address: object) -> None:
        accepted.setblocking(False)
        peer = str(address[0]) if isinstance(address, tuple) else ""
        self._held.hold(accepted, SILENT_SECONDS, partial(self._came, peer))

    def _came(self, peer: str, newcomer: socket.socket) -> None:
        self._newcomers.setdefault(peer, {})[newcomer] = None
        if sum(map(len, self._newcomers.values())) > MOST:
            crowd = max(self._newcomers, key=lambda one: len(self._newcomers[one]))
            self._taken(crowd, next(iter(self._newcomers[crowd]))).close()
        self._admit()

    def _taken(self, peer: str, newcomer: socket.socket) -> socket.socket:
        del self._newcomers[peer][newcomer]
        if not self._newcomers[peer]:
            del self._newcomers[peer]
        return newcomer

    def _admit(self) -> None:
        """Newcomers as far as there is room: of the client that has the fewest connections without an answer first
        (whoever is answered may have many), and of those the newest. What waits behind a crowd would come too late for
        its client anyway; the newest does not."""
        while self._newcomers and self._made_room():
            peer = min(self._newcomers, key=lambda one: (self._unanswered[one], self._of_peer[one]))
            self._open(self._taken(peer, next(reversed(self._newcomers[peer]))), peer)
        if self._newcomers and self._again is None:
            self._again = asyncio.get_running_loop().call_later(ADMIT_AGAIN_SECONDS, self._admit_again)

    def _admit_again(self) -> None:
        self._again = None
        self._admit()

    def _made_room(self) -> bool:
        if len(self._opening) >= OPENING:
            return self._one_made_way(self._opening)
        if len(self._connections) >= self._limit:
            return self._one_made_way(self._connections)
        return True

    def _one_made_way(self, among: Mapping[asyncio.BaseProtocol, _Connection]) -> bool:
        """False: all are being served, or those that would have to go have just come."""
        protocol = self._least_worth(among)
        if protocol is not None:
            self._send_away(self._forget(protocol))
        return protocol is not None

    def _least_worth(self, among: Mapping[asyncio.BaseProtocol, _Connection]) -> asyncio.BaseProtocol | None:
        now = asyncio.get_running_loop().time()

        def worth(connection: _Connection) -> tuple[int, bool]:
            return -self._of_peer[connection.peer], connection.answered

        idle = [(protocol, c) for protocol, c in among.items() if not c.busy]
        least = min((worth(c) for _, c in idle), default=None)
        late = [(protocol, c) for protocol, c in idle if c.since <= now - c.grace and worth(c) == least]
        for protocol, connection in sorted(late, key=lambda one: one[1].since):
            if not first_byte(connection.socket):
                return protocol
            connection.since = now  # The delay is ours.
        return None

    def _forget(self, protocol: asyncio.BaseProtocol) -> _Connection:
        connection = self._connections.pop(protocol)
        self._opening.pop(protocol, None)
        _count_down(self._of_peer, connection.peer)
        if not connection.answered:
            _count_down(self._unanswered, connection.peer)
        return connection

    def _send_away(self, connection: _Connection) -> None:
        """One that was answered before is closed: its client is about to ask again, and has to know."""
        if not connection.answered:
            with suppress(OSError):
                self._held.hold(connection.socket.dup(), AWAY_SECONDS, socket.socket.close)
        connection.drop()

    def _open(self, accepted: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        protocol = self._protocol()
        connection = _Connection(accepted, peer, loop.time())
        self._connections[protocol] = self._opening[protocol] = connection
        self._of_peer[peer] += 1
        self._unanswered[peer] += 1
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
        self._opening.pop(protocol, None)
        if protocol not in self._connections:  # It made way meanwhile.
            transport.abort()
        self._admit()


def _count_down(counter: Counter[str], peer: str) -> None:
    counter[peer] -= 1
    if not counter[peer]:
        del counter[peer]


def listening_socket(address: str, port: int) -> socket.socket:
    """`port` 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.create_server((address, port), family=family, backlog=BACKLOG)
    found.setblocking(False)
    return found
