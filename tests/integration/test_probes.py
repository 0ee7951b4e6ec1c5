"""The small servers under slow, greedy and broken clients."""

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from common import probes
from common.probes import Answer, Server

SLOW_CLIENTS = 300


class Responder:
    """Answers with the path; `/hang` hangs until it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def __call__(self, path: str) -> Answer:
        if path == "/hang":
            self.let.wait(30)
        if path == "/broken":
            raise ValueError("secret")
        return Answer(200, "text/plain", path.encode())


@pytest.fixture
def responder() -> Iterator[Responder]:
    found = Responder()
    yield found
    found.let.set()


@pytest.fixture
def server(responder: Responder) -> Iterator[Server]:
    found = Server("127.0.0.1", 0, responder)
    yield found
    responder.let.set()
    found.close()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def open_client(server: Server, sent: bytes) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", server.port), 5)
    found.sendall(sent)
    return found


def read_all(client: socket.socket) -> bytes:
    found = b""
    try:
        while chunk := client.recv(65536):
            found += chunk
    except ConnectionError:
        pass
    return found


def test_queries_are_not_of_the_path(server: Server) -> None:
    assert get(server, "/healthz?verbose=1") == (200, "/healthz")


def test_what_breaks_is_an_error_without_its_words(server: Server) -> None:
    status, body = get(server, "/broken")
    assert (status, body) == (500, "ValueError\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"POST / HTTP/1.1\r\n\r\n", b"405", id="another method"),
        pytest.param(b"nonsense\r\n\r\n", b"400", id="no request"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431", id="headers without end"),
    ],
)
def test_other_requests(server: Server, sent: bytes, status: bytes) -> None:
    with open_client(server, sent) as client:
        assert read_all(client).split(b" ")[1] == status


def test_slow_clients_take_neither_threads_nor_answers(server: Server) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            stack.enter_context(open_client(server, b"GET /healthz HTTP/1.1\r\n"))
        began = time.monotonic()
        for _ in range(20):
            assert get(server, "/healthz") == (200, "/healthz")
        assert time.monotonic() - began < 5
        assert threading.active_count() <= before + probes.THREADS


def test_a_client_that_drips_is_cut_off_at_the_deadline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "REQUEST_SECONDS", 0.5)
    with open_client(server, b"GET /healthz HTTP/1.1\r\n") as client:
        began = time.monotonic()

        def drip() -> None:
            while time.monotonic() - began < 10:
                client.sendall(b"X: y\r\n")
                time.sleep(0.05)  # the client's own rhythm, the subject of this test

        with pytest.raises(ConnectionError):
            drip()
        assert time.monotonic() - began < 5


def test_a_client_that_does_not_read_is_cut_off_at_the_deadline(
    responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "REQUEST_SECONDS", 0.5)
    server = Server("127.0.0.1", 0, lambda _: Answer(200, "text/plain", b"x" * 50_000_000))
    try:
        with open_client(server, b"GET / HTTP/1.1\r\n\r\n") as client:
            began = time.monotonic()
            threading.Event().wait(1.0)
            assert len(read_all(client)) < 50_000_000
            assert time.monotonic() - began < 5
    finally:
        server.close()


def test_an_answer_that_hangs_does_not_hold_up_others(server: Server, responder: Responder) -> None:
    with open_client(server, b"GET /hang HTTP/1.1\r\n\r\n") as client:
        assert get(server, "/healthz") == (200, "/healthz")
        responder.let.set()
        assert read_all(client).endswith(b"/hang")


def test_its_port_is_free_again_after_its_end(responder: Responder) -> None:
    server = Server("127.0.0.1", 0, responder)
    with pytest.raises(OSError):
        Server("127.0.0.1", server.port, responder)
    server.close()
    Server("127.0.0.1", server.port, responder).close()
