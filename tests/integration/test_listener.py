"""Who gets a connection where there are more clients than connections: real sockets, one client address."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common import listener as under_test
from common.held_sockets import HeldSockets
from common.listener import Listener, listening_socket
from webhook.certificates import self_signed

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
        self.address, self._stack = address, stack

    async def say(self, text: bytes, client: socket.socket | None = None, source: str = "127.0.0.1") -> socket.socket:
        if client is None:
            client = self._stack.enter_context(socket.create_connection(self.address, source_address=(source, 0)))
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


def run(
    scenario: Callable[[Listener, Clients], Awaitable[None]], tls: ssl.SSLContext | None = None, limit: int = LIMIT
) -> None:
    async def main() -> None:
        listening = listening_socket("127.0.0.1", 0)
        listener = Listener(lambda: Echo(listener), limit=limit, tls=tls)
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


BEGUN_HANDSHAKE = bytes([22, 3, 1, 2, 0])
"""The head of a TLS record: the rest does not come."""


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, and of its clients."""
    pair = self_signed(("127.0.0.1",), datetime.now(UTC))
    certificate, key, ca = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
    for path, content in ((certificate, pair.certificate), (key, pair.key), (ca, pair.ca)):
        path.write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(ca))


def test_a_crowd_in_its_handshakes_grows_no_larger_however_slow_it_is(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "OPENING", 2)
    server, client = tls

    async def scenario(listener: Listener, clients: Clients) -> None:
        most = 0

        async def count() -> None:
            nonlocal most
            while True:
                most = max(most, len(listener))
                await asyncio.sleep(GRACE_SECONDS / 10)

        counting = asyncio.create_task(count())
        for _ in range(5 * LIMIT):
            await clients.say(BEGUN_HANDSHAKE)
        await asyncio.sleep(3 * GRACE_SECONDS)
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(*clients.address, ssl=client), WITHIN_SECONDS
        )  # fmt: skip
        writer.write(b"a\n")
        assert await asyncio.wait_for(reader.readline(), WITHIN_SECONDS) == b"a\n"
        writer.transport.abort()
        counting.cancel()
        assert most <= 3  # With the one that was answered.

    run(scenario, server)


def test_the_newest_of_a_crowd_is_let_in_first() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        for _ in range(LIMIT):
            await clients.say(b"half")
        await asyncio.sleep(GRACE_SECONDS / 4)
        waiting = [await clients.say(b"half") for _ in range(5 * LIMIT)]
        await asyncio.sleep(GRACE_SECONDS / 4)
        began = asyncio.get_running_loop().time()
        newest = await clients.say(b"a\n")
        assert await clients.hears(newest) == b"a\n"
        # Each group of so many has its grace: behind all that waits it would be five times as long.
        assert asyncio.get_running_loop().time() - began < 3 * GRACE_SECONDS
        assert len(waiting) == 5 * LIMIT

    run(scenario)


def test_a_client_with_fewer_connections_goes_before_the_newest_of_a_crowd() -> None:
    async def scenario(listener: Listener, clients: Clients) -> None:
        for _ in range(3 * LIMIT):
            await clients.say(b"half")
        other = await clients.say(b"a\n", source="127.0.0.2")
        await clients.say(b"half")
        assert await clients.hears(other) == b"a\n"
        # It was answered, and stays though it is the oldest of all that are left.
        await asyncio.sleep(3 * GRACE_SECONDS)
        await clients.say(b"b\n", other)
        assert await clients.hears(other) == b"b\n"

    run(scenario)


def test_one_who_has_many_answered_connections_goes_before_a_crowd_in_its_handshakes(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server keeps dozens of connections, more than a crowd has handshakes under way."""
    monkeypatch.setattr(under_test, "OPENING", 2)
    server, client = tls

    async def answered(clients: Clients) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(*clients.address, ssl=client)
        writer.write(b"a\n")
        assert await asyncio.wait_for(reader.readline(), WITHIN_SECONDS) == b"a\n"
        return writer

    async def scenario(listener: Listener, clients: Clients) -> None:
        kept = [await answered(clients) for _ in range(5)]
        for _ in range(20):
            await clients.say(BEGUN_HANDSHAKE, source="127.0.0.2")
        await asyncio.sleep(GRACE_SECONDS / 4)
        began = asyncio.get_running_loop().time()
        kept.append(await answered(clients))
        # The crowd takes two places for a grace: all of it before would be ten times as long.
        assert asyncio.get_running_loop().time() - began < 5 * GRACE_SECONDS
        for writer in kept:
            writer.transport.abort()

    run(scenario, server, limit=40)
