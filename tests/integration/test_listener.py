"""Who gets a connection where there are more clients than connections: real sockets, one client address."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest

from common import listener as under_test
from common.held_sockets import HeldSockets
from common.listener import Listener, listening_socket

LIMIT = 4
GRACE_SECONDS = 0.2
WITHIN_SECONDS = 5.0


class Echo(asyncio.Protocol):
    """Answers each line; a line without an end is a request that does not come."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._listener.heard(self)
        if data.endswith(b"\n") and self._transport is not None:
            self._listener.busy(self)
            self._transport.write(data)
            self._listener.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.lost(self)


class Clients:
    def __init__(self, address: tuple[str, int], stack: ExitStack) -> None:
        self._address, self._stack = address, stack

    async def say(self, text: bytes, client: socket.socket | None = None) -> socket.socket:
        if client is None:
            client = self._stack.enter_context(socket.create_connection(self._address))
            client.setblocking(False)
        if text:
            await asyncio.get_running_loop().sock_sendall(client, text)
        return client

    async def hears(self, client: socket.socket) -> bytes:
        """b"": it was hung up on."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), WITHIN_SECONDS)
        except ConnectionError:
            return b""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "GRACE_SECONDS", GRACE_SECONDS)
    monkeypatch.setattr(under_test, "REQUEST_SECONDS", GRACE_SECONDS)


def run(scenario: Callable[[Listener, Clients], Awaitable[None]]) -> None:
    async def main() -> None:
        listening = listening_socket("127.0.0.1", 0)
        listener = Listener(lambda: Echo(listener), limit=LIMIT)
        listener.start(listening)
        with ExitStack() as stack:
            try:
                await scenario(listener, Clients(listening.getsockname(), stack))
            finally:
                await listener.close()
                listener.drop_all()
                await asyncio.sleep(0)

    asyncio.run(main())


def test_who_says_nothing_takes_no_connection() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        silent = [await clients.say(b"") for _ in range(5 * LIMIT)]
        speaks = await clients.say(b"a\n")
        assert await clients.hears(speaks) == b"a\n"
        assert len(listener) == 1
        await clients.say(b"b\n", silent[0])
        assert await clients.hears(silent[0]) == b"b\n"

    run(scenario)


def test_requests_that_do_not_come_make_way_and_their_clients_do_not_come_back() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        half = [await clients.say(b"half") for _ in range(3 * LIMIT)]
        for number in range(LIMIT):
            speaks = await clients.say(b"%d\n" % number)
            assert await clients.hears(speaks) == b"%d\n" % number
        assert len(listener) == LIMIT
        # No client was asked to come again; one that goes on is.
        gone = [client for client in half if _is_closed(client)]
        assert gone == []
        await clients.say(b" and the rest\n", half[0])
        assert await clients.hears(half[0]) == b""

    run(scenario)


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_one_that_was_answered_stays_while_others_never_were() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        served = await clients.say(b"a\n")
        assert await clients.hears(served) == b"a\n"
        await asyncio.sleep(2 * GRACE_SECONDS)  # It is the one that did nothing for the longest.
        for _ in range(3 * LIMIT):
            await clients.say(b"half")
        newest = await clients.say(b"b\n")
        assert await clients.hears(newest) == b"b\n"
        await clients.say(b"c\n", served)
        assert await clients.hears(served) == b"c\n"

    run(scenario)


def test_answered_ones_get_an_answer_when_they_make_way() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        served = []
        for number in range(LIMIT + 1):
            served.append(await clients.say(b"%d\n" % number))
            assert await clients.hears(served[-1]) == b"%d\n" % number
        assert await clients.hears(served[0]) == b""

    run(scenario)


def test_of_sockets_without_a_protocol_the_oldest_is_closed_beyond_the_limit() -> None:
    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        held = HeldSockets(2)
        for ours, _ in pairs:
            ours.setblocking(False)
            held.hold(ours, 60.0, lambda _: None)
        assert len(held) == 2
        assert [ours.fileno() == -1 for ours, _ in pairs] == [True, False, False]
        heard = asyncio.Event()
        pairs[2][1].close()
        asyncio.get_running_loop().call_later(0.1, heard.set)
        await heard.wait()
        assert len(held) == 1  # Its client has gone.
        held.close()
        for _, theirs in pairs:
            theirs.close()

    asyncio.run(main())


def test_who_says_nothing_for_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "SILENT_SECONDS", 0.05)

    async def scenario(listener: Listener, clients: Clients) -> None:
        assert await clients.hears(await clients.say(b"")) == b""

    run(scenario)
