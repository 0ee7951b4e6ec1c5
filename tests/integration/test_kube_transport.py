"""The transport against servers that misbehave on the wire."""

import json
import re
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.clock import Clock, SystemClock
from common.kube.pace import RequestPace
from common.kube.transport import MERGE_PATCH, HttpTransport, NoCluster, Request, WatchRefused, connect
from common.model.errors import Unsure
from common.reach import SILENT_SECONDS, Reach
from tests.kit.clock import VirtualClock

Script = Callable[[socket.socket, bytes], None]
"""Answers one request, given its bytes; the connection is closed when it raises or asks for it by closing."""


class Server:
    """Answers each request on loopback by the next script; the last one answers all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A close alone leaves the thread in accept(), and the port open with it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while request := _received(connection):
                    self.requests.append(request)
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                    script(connection, request)
            except OSError:
                return


def _received(connection: socket.socket) -> bytes:
    """A whole request; headers and body may come one after the other."""
    request = connection.recv(65536)
    length = re.search(rb"(?i)content-length: (\d+)", request)
    while request and length and len(request.partition(b"\r\n\r\n")[2]) < int(length[1]):
        request += connection.recv(65536)
    return request


def answer(body: bytes, status: int = 200, extra: str = "") -> Script:
    def script(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        connection.sendall(head.encode() + body)

    return script


def chunks(*parts: bytes, then: Script) -> Script:
    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        then(connection, request)

    return script


def end(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"0\r\n\r\n")


def hang_up(connection: socket.socket, _: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(
    folder: Path,
    *scripts: Script,
    user: dict[str, str] | None = None,
    clock: Clock | None = None,
    reach: Reach | None = None,
) -> Iterator[tuple[HttpTransport, Server]]:
    server = Server(*scripts)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "c", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    transport = connect(kubeconfig=path, context="", clock=clock or SystemClock(), reach=reach)
    try:
        yield transport, server
    finally:
        transport.close()
        server.close()


def test_a_request_carries_token_type_and_encoded_query(tmp_path: Path) -> None:
    with serving(tmp_path, answer(b"{}")) as (transport, server):
        query = {"fieldSelector": "metadata.name=a b"}
        response = transport.send(Request("PATCH", "/x", query=query, body={"a": "ü"}, content_type=MERGE_PATCH))
        assert (response.status, response.body) == (200, b"{}")
    request = server.requests[0].decode()
    assert request.startswith("PATCH /x?fieldSelector=metadata.name%3Da%20b HTTP/1.1")
    assert "authorization: bearer secret" in request.lower()
    assert "content-type: application/merge-patch+json" in request.lower()
    assert request.endswith('{"a":"ü"}')


@pytest.mark.parametrize("status", [404, 409, 429, 500, 503, 301])
def test_any_status_is_an_answer_at_once(tmp_path: Path, status: int) -> None:
    extra = "Retry-After: 60\r\nLocation: http://127.0.0.1:1/\r\n"
    with serving(tmp_path, answer(b"no", status, extra)) as (transport, server):
        assert transport.send(Request("GET", "/x", timeout=5)).status == status
        assert len(server.requests) == 1


def test_a_silent_server_costs_the_time_out(tmp_path: Path) -> None:
    with serving(tmp_path, lambda *_: None) as (transport, _), pytest.raises(Unsure):
        transport.send(Request("POST", "/x", body={}, timeout=0.2))


def dripping(stop: threading.Event, head: bytes, drop: bytes) -> Script:
    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while not stop.wait(0.05):
            connection.sendall(drop)

    return script


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"", b"H"),
    ],
    ids=["chunks", "body", "headers", "status line"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_drips_costs_the_time_out_as_a_whole(
    tmp_path: Path, head: bytes, drop: bytes, streamed: bool
) -> None:
    over, clock = threading.Event(), SystemClock()
    with serving(tmp_path, dripping(over, head, drop)) as (transport, _):
        began = clock.monotonic()
        ask = (
            (lambda: list(transport.stream(Request("GET", "/x", timeout=0.5))))
            if streamed
            else (lambda: [transport.send(Request("GET", "/x", timeout=0.5))])
        )
        with pytest.raises(Unsure):
            ask()
        assert clock.monotonic() - began < 5
        over.set()


def test_a_silent_server_costs_the_time_out_once(tmp_path: Path) -> None:
    clock = SystemClock()
    with serving(tmp_path, lambda *_: None) as (transport, server):
        began = clock.monotonic()
        with pytest.raises(Unsure):
            transport.send(Request("GET", "/x", timeout=1.0))
        assert clock.monotonic() - began < 2.0
        assert len(server.requests) == 1


def test_a_refused_stream_whose_words_drip_costs_the_time_out(tmp_path: Path) -> None:
    over = threading.Event()
    script = dripping(over, b"HTTP/1.1 503 X\r\nContent-Length: 100000\r\n\r\n", b"x")
    with serving(tmp_path, script) as (transport, _):
        with pytest.raises(Unsure):
            list(transport.stream(Request("GET", "/x", timeout=0.5)))
        over.set()


def test_a_connection_whose_answer_was_read_is_used_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def note(connection: socket.socket, request: bytes) -> None:
        seen.append(connection.getpeername()[1])
        script = chunks(b"{}\n", then=end) if b"watch" in request else answer(b"{}")
        script(connection, request)

    with serving(tmp_path, note) as (transport, _):
        list(transport.stream(Request("GET", "/x?watch", timeout=5)))
        transport.send(Request("GET", "/x", timeout=5))
        list(transport.stream(Request("GET", "/x?watch", timeout=5)))
    assert len(set(seen)) == 1, "a watch every few seconds must not cost a handshake each"


def test_an_answer_cut_short_is_no_answer(tmp_path: Path) -> None:
    def short(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
        connection.shutdown(socket.SHUT_RDWR)

    with serving(tmp_path, short) as (transport, _), pytest.raises(Unsure):
        transport.send(Request("GET", "/x", timeout=2))


def test_reading_again_over_a_fresh_connection_but_never_writing_again(tmp_path: Path) -> None:
    with serving(tmp_path, hang_up, answer(b"{}")) as (transport, server):
        assert transport.send(Request("GET", "/x", timeout=2)).status == 200
        assert len(server.requests) == 2
    with serving(tmp_path, hang_up, answer(b"{}")) as (transport, server):
        with pytest.raises(Unsure):
            transport.send(Request("POST", "/x", body={}, timeout=2))
        assert len(server.requests) == 1


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(tmp_path, answer(b"{}")) as (transport, server):
        server.close()
        with pytest.raises(Unsure):
            transport.send(Request("GET", "/x", timeout=2))


def test_lines_of_a_stream_come_whole_however_they_are_cut(tmp_path: Path) -> None:
    script = chunks(b'{"a"', b":1}\n{", b'"b":2}\n\n', b'{"c":3}\n', then=end)
    with serving(tmp_path, script) as (transport, _):
        assert list(transport.stream(Request("GET", "/x", query={"watch": "true"}, timeout=5))) == [
            b'{"a":1}',
            b'{"b":2}',
            b'{"c":3}',
        ]


def test_lines_come_while_the_stream_goes_on_and_silence_ends_it(tmp_path: Path) -> None:
    with serving(tmp_path, chunks(b"{}\n", then=lambda *_: None)) as (transport, _):
        lines = transport.stream(Request("GET", "/x", timeout=0.3))
        assert next(lines) == b"{}"
        with pytest.raises(Unsure):
            next(lines)


def test_a_stream_cut_off_is_distinguished_from_one_that_ended(tmp_path: Path) -> None:
    with serving(tmp_path, chunks(b"{}\n", then=hang_up)) as (transport, _):
        lines = transport.stream(Request("GET", "/x", timeout=5))
        assert next(lines) == b"{}"
        with pytest.raises(Unsure):
            next(lines)


def test_a_refused_stream_carries_the_answer(tmp_path: Path) -> None:
    with serving(tmp_path, answer(b"too old", 410)) as (transport, _):
        with pytest.raises(WatchRefused) as refused:
            next(transport.stream(Request("GET", "/x", timeout=5)))
        assert refused.value.response == (410, b"too old")


def test_a_missing_kubeconfig_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(NoCluster):
        connect(kubeconfig=tmp_path / "none", context="", clock=SystemClock())


def token_of(request: bytes) -> str:
    found = re.search(rb"(?i)authorization: bearer (\S+)", request)
    return found[1].decode() if found else ""


def test_a_token_file_is_read_again_and_its_last_token_outlives_it(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", VirtualClock(0.0)
    file.write_text("first\n")
    with serving(tmp_path, answer(b"{}"), user={"tokenFile": "token"}, clock=clock) as (transport, server):
        transport.send(Request("GET", "/x"))
        file.write_text("second\n")
        clock.sleep(61)
        transport.send(Request("GET", "/x"))
        file.unlink()
        clock.sleep(61)
        transport.send(Request("GET", "/x"))
        file.write_text("")
        clock.sleep(61)
        list(transport.stream(Request("GET", "/x", timeout=5)))
        file.write_text("third")
        transport.send(Request("GET", "/x"))
    assert [token_of(r) for r in server.requests] == ["first", "second", "second", "second", "third"]


def test_a_process_without_files_to_open_fails_the_request_and_not_the_thread(tmp_path: Path) -> None:
    with serving(tmp_path, answer(b"{}")) as (transport, _):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(Unsure):
                transport.send(Request("GET", "/x", timeout=2))
            with pytest.raises(Unsure):
                list(transport.stream(Request("GET", "/x", timeout=2)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert transport.send(Request("GET", "/x", timeout=2)).status == 200


def test_requests_are_paced_after_their_burst() -> None:
    clock = VirtualClock(0.0)
    pace = RequestPace(qps=10, burst=5, clock=clock)
    times = []
    for _ in range(15):
        pace.wait()
        times.append(round(clock.time, 3))
    assert times[:5] == [0.0] * 5
    assert times[-1] == pytest.approx(1.0)
    clock.sleep(100)
    began = clock.time
    for _ in range(5):
        pace.wait()
    assert clock.time == began


def ask(transport: HttpTransport) -> None:
    with suppress(Unsure):
        transport.send(Request("POST", "/x", body={}, timeout=0.3))


def watch(transport: HttpTransport) -> None:
    with suppress(Unsure, WatchRefused):
        list(transport.stream(Request("GET", "/x", timeout=0.3)))


@pytest.mark.parametrize("call", [ask, watch])
@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param(lambda *_: None, "ReadTimeoutError", id="silent"),
        pytest.param(hang_up, "ProtocolError", id="cut"),
        pytest.param(answer(b"<html></html>"), "no Kubernetes object", id="page of a proxy"),
        pytest.param(answer(b'{"kind":"Status"}', 503), "HTTP status 503", id="cannot work"),
        pytest.param(answer(b'{"kind":"Status"}', 401), "HTTP status 401", id="does not know us"),
        pytest.param(answer(b'{"kind":"Status"}', 429), "HTTP status 429", id="too busy"),
    ],
)
def test_an_api_server_of_which_nothing_comes_is_known_to_be_away(
    tmp_path: Path, script: Script, says: str, call: Callable[[HttpTransport], None]
) -> None:
    clock = VirtualClock(0.0)
    reach = Reach("the API server", clock)
    with serving(tmp_path, script, clock=clock, reach=reach) as (transport, _):
        call(transport)
        assert reach.problem() is None
        clock.sleep(SILENT_SECONDS + 1)
        call(transport)
    assert says in str(reach.problem())


@pytest.mark.parametrize(
    ("call", "came"),
    [
        pytest.param(ask, answer(b'{"kind":"Pod"}'), id="an object"),
        pytest.param(ask, answer(b'{"kind":"Status"}', 403), id="a refusal"),
        pytest.param(watch, chunks(b'{"type":"ADDED"}\n', then=end), id="a watch's line"),
        pytest.param(watch, answer(b"", extra="Content-Type: application/json\r\n"), id="a quiet watch"),
    ],
)
def test_an_api_server_that_answers_is_not_away(
    tmp_path: Path, call: Callable[[HttpTransport], None], came: Script
) -> None:
    clock = VirtualClock(0.0)
    reach = Reach("the API server", clock)
    reach.failed("ConnectionReset")
    with serving(tmp_path, came, clock=clock, reach=reach) as (transport, _):
        call(transport)
        clock.sleep(SILENT_SECONDS + 1)
    assert reach.problem() is None
