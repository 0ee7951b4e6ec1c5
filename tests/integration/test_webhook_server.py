"""The webhook's HTTPS server: answers to all kinds of requests, slow clients, renewed certificates, its end."""

import asyncio
import gzip
import json
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from common.clock import SystemClock
from common.metrics import REGISTRY
from tests.kit.clock import VirtualClock
from tests.unit.webhook.any_review import REVIEWS
from tests.unit.webhook.stand import EVERYTHING, OWN_ACCOUNT, StandView, pod, policy, review
from webhook import bodies
from webhook import server as server_module
from webhook.bodies import LARGEST_BODY
from webhook.build import build
from webhook.certificates import self_signed
from webhook.facts import Account
from webhook.review import MUTATE_POD, VALIDATE_NODE, VALIDATE_POD
from webhook.server import ReviewServer
from webhook.tls import BadCertificate, Certificate

PATHS = (MUTATE_POD, VALIDATE_POD, VALIDATE_NODE)
GOOD = json.dumps(review(pod())).encode()


def write_pair(folder: Path, *names: str) -> bytes:
    """New files in the folder; their CA."""
    pair = self_signed(names or ("127.0.0.1", "localhost"), datetime.now(UTC))
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    return pair.ca


@dataclass
class Running:
    port: int
    certificate: Certificate
    server: ReviewServer
    view: StandView
    missing: list[str]
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@asynccontextmanager
async def running(folder: Path, view: StandView | None = None) -> AsyncIterator[Running]:
    ca = write_pair(folder)
    certificate = Certificate(folder / "tls.crt", folder / "tls.key")
    view = view or StandView()
    server = build(view, own_account=OWN_ACCOUNT, clock=SystemClock(), unhealthy=lambda: view.death)
    port = await server.start("127.0.0.1", 0, certificate.context)
    trust = ssl.create_default_context(cadata=ca.decode())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:
        try:
            yield Running(port, certificate, server, view, view.missing, client)
        finally:
            await server.close(0.0, 1.0)


async def post(
    at: Running, path: str = MUTATE_POD, body: Any = GOOD, content_type: str | None = "application/json"
) -> tuple[int, Any]:
    headers = {"Content-Type": content_type} if content_type else {}
    skip = () if content_type else ("Content-Type",)
    async with at.client.post(at.url + path, data=body, headers=headers, skip_auto_headers=skip) as answer:
        text = await answer.text()
        return answer.status, json.loads(text)["response"] if text.startswith("{") else text


def test_good_reviews_are_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for path in PATHS:
                for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
                    status, response = await post(at, f"{path}?timeout=10s", content_type=content_type)
                    assert (status, response["uid"], response["allowed"]) == (200, "u-1", True)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"", "application/json", id="empty"),
        pytest.param(b"nonsense", "application/json", id="no JSON"),
        pytest.param(b'{"request": {"uid"', "application/json", id="cut off"),
        pytest.param(b'{"request": 5}', "application/json", id="no review"),
        pytest.param(b"\xff\xfe", "application/json", id="no text"),
        pytest.param(GOOD, "text/plain", id="another content type"),
        pytest.param(GOOD, "application/yaml", id="YAML"),
        pytest.param(GOOD, None, id="no content type"),
    ],
)
def test_bad_requests(tmp_path: Path, body: bytes, content_type: str | None) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for path in PATHS:
                status, response = await post(at, path, body, content_type)
                assert (status, response["allowed"], response["status"]["code"]) == (400, False, 400)
                assert response["status"]["message"]

    asyncio.run(scenario())


def test_methods_and_paths(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for method in ("GET", "PUT", "DELETE"):
                async with at.client.request(method, at.url + MUTATE_POD) as answer:
                    assert answer.status == 400
                    assert (await answer.json())["response"]["status"]["code"] == 400
            for path in ("/", "/mutate", f"{MUTATE_POD}/", "/mutate-v1-pod2"):
                assert (await post(at, path))[0] == 404
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200)):
                async with at.client.get(at.url + path) as answer:
                    assert answer.status == status
            at.missing.append("policies: Forbidden")
            async with at.client.get(at.url + "/readyz") as answer:
                assert (answer.status, await answer.text()) == (503, "policies: Forbidden\n")
            async with at.client.get(at.url + "/healthz") as answer:
                assert answer.status == 200
            at.view.death = "a thread died"
            async with at.client.get(at.url + "/healthz") as answer:
                assert answer.status == 503
            async with at.client.get(at.url + "/metrics") as answer:
                assert 'vpc_rc_webhook_reviews_total{path="/mutate-v1-pod",verdict="refused"}' in await answer.text()

    asyncio.run(scenario())


def padded(size: int) -> bytes:
    return GOOD[:-1] + b" " * (size - len(GOOD)) + b"}"


def test_up_to_seven_mebibytes_are_read(tmp_path: Path) -> None:
    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    async def scenario() -> None:
        async with running(tmp_path) as at:
            assert (await post(at, body=padded(LARGEST_BODY)))[0] == 200
            for size in (LARGEST_BODY + 1, 10 * 1024 * 1024):
                for body in (padded(size), chunks(padded(size))):
                    status, response = await post(at, body=body)
                    assert (status, response["allowed"]) == (413, False)
            assert (await post(at))[0] == 200

    assert LARGEST_BODY == 7 * 1024 * 1024
    asyncio.run(scenario())


def test_a_client_that_expects_100_continue_gets_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for size, status in ((100_000, b"100"), (LARGEST_BODY + 1, b"413")):
                reader, writer = await raw(at)
                writer.write(
                    b"POST /mutate-v1-pod HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size
                )
                async with asyncio.timeout(5):
                    assert (await reader.readline()).split()[1] == status
                    if status == b"100":
                        writer.write(padded(size))
                        await reader.readline()
                        assert (await reader.readline()).split()[1] == b"200"

    asyncio.run(scenario())


# --- TLS


def test_old_protocols_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for version, accepted in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_ciphers("DEFAULT:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", at.port, ssl=context)
                except (ssl.SSLError, ConnectionError):
                    assert not accepted
                else:
                    writer.close()
                    assert accepted

    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        asyncio.run(scenario())


def served_serial(port: int, server_name: str | None) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=server_name) as secure:
            presented = secure.getpeercert(binary_form=True)
            assert presented
            return x509.load_der_x509_certificate(presented).serial_number


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).serial_number


def test_a_renewed_certificate_is_served_without_a_failed_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.tls.LOOK_SECONDS", 0.05)
    answered: list[int] = []

    async def ask(at: Running, trust: ssl.SSLContext, keep: bool, stop: asyncio.Event) -> None:
        connector = aiohttp.TCPConnector(ssl=trust, force_close=not keep)
        async with aiohttp.ClientSession(connector=connector) as client:
            while not stop.is_set():
                headers = {"Content-Type": "application/json"}
                async with client.post(at.url + MUTATE_POD, data=GOOD, headers=headers) as answer:
                    answered.append(answer.status)

    async def scenario() -> None:
        async with running(tmp_path) as at:
            anyone = ssl.create_default_context()
            anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
            follow, stop = asyncio.create_task(at.certificate.follow()), asyncio.Event()
            asking = [asyncio.create_task(ask(at, anyone, keep, stop)) for keep in (True, True, False, False)]
            for _ in range(3):
                before = serial(tmp_path)
                for name in (None, "localhost"):
                    assert await asyncio.to_thread(served_serial, at.port, name) == before
                # Half written: a certificate without its key, then half a file, then nothing at all.
                old_key = (tmp_path / "tls.key").read_bytes()
                write_pair(tmp_path)
                new_key = (tmp_path / "tls.key").read_bytes()
                for key in (old_key, new_key[: len(new_key) // 2], b""):
                    (tmp_path / "tls.key").write_bytes(key)
                    with suppress(BadCertificate):
                        assert not at.certificate.refresh()
                    assert await asyncio.to_thread(served_serial, at.port, None) == before
                (tmp_path / "tls.key").unlink()
                with pytest.raises(BadCertificate):
                    at.certificate.refresh()
                (tmp_path / "tls.key").write_bytes(new_key)
                async with asyncio.timeout(5):
                    while await asyncio.to_thread(served_serial, at.port, None) == before:
                        pass
                assert await asyncio.to_thread(served_serial, at.port, "localhost") == serial(tmp_path)
            stop.set()
            await asyncio.gather(*asking)
            assert not follow.done()
            follow.cancel()

    asyncio.run(scenario())
    assert len(answered) > 20
    assert set(answered) == {200}


def test_a_pair_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    write_pair(tmp_path)
    (tmp_path / "tls.key").write_bytes(self_signed(("x",), datetime.now(UTC)).key)
    with pytest.raises(BadCertificate):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")


# --- slow clients


async def raw(at: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", at.port, ssl=context)


def test_a_client_whose_request_does_not_come_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEADER_SECONDS", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as at:
            silent, _silent = await raw(at)
            dripping, writer = await raw(at)
            writer.write(b"POST /mutate-v1-pod HTTP/1.1\r\nHost: x\r\n")
            async with asyncio.timeout(5):
                assert await silent.read() == b""
                with suppress(ConnectionError):
                    assert await dripping.read() == b""
            status, _ = await post(at)
            assert status == 200

    asyncio.run(scenario())


def test_a_body_that_does_not_come_is_answered_and_others_are_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as at:
            slow = []
            for _ in range(50):
                reader, writer = await raw(at)
                writer.write(
                    b"POST /mutate-v1-pod HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 1000\r\n\r\n{"
                )
                slow.append((reader, writer))
            assert (await post(at))[0] == 200
            async with asyncio.timeout(5):
                for reader, _ in slow:
                    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")

    asyncio.run(scenario())


def test_a_client_that_goes_in_the_middle_of_its_body_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            _, writer = await raw(at)
            head = f"POST {MUTATE_POD} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000"
            writer.write(f"{head}\r\n\r\n{{".encode())
            await writer.drain()
            await asyncio.sleep(0.2)
            writer.transport.abort()
            await asyncio.sleep(0.2)
            assert (await post(at))[0] == 200

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"] == []


def test_a_connection_that_serves_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEADER_SECONDS", 0.1)

    async def scenario() -> None:
        async with running(tmp_path) as at:
            reader, writer = await raw(at)
            for _ in range(2):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(5):
                    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                    await reader.readuntil(b"ok\n")
                    await asyncio.sleep(0.3)

    asyncio.run(scenario())


# --- the end


class SlowView(StandView):
    """Its accounts come when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for, self.let = asyncio.Event(), asyncio.Event()

    async def account(self, namespace: str, name: str) -> Account:
        self.asked_for.set()
        await self.let.wait()
        return {}


def test_reviews_under_way_are_answered_before_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        view = SlowView()
        async with running(tmp_path, view) as at:
            under_way = asyncio.create_task(post(at))
            await view.asked_for.wait()
            closing = asyncio.create_task(at.server.close(0.2, 5.0))
            await asyncio.sleep(0)
            async with at.client.get(at.url + "/readyz") as answer:
                assert answer.status == 503
                assert answer.headers["Connection"] == "close"
            async with at.client.get(at.url + "/healthz") as answer:
                assert answer.status == 200, "still there while it drains"
            async with asyncio.timeout(5):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", at.port)
                    except ConnectionRefusedError:
                        break
                    except ConnectionResetError:  # It was still queued for the listener that closed.
                        continue
                    writer.close()
                    await asyncio.sleep(0.02)
            assert not under_way.done()
            view.let.set()
            assert (await under_way)[0] == 200
            await closing

    asyncio.run(scenario())


def test_a_review_that_does_not_end_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        view = SlowView()
        async with running(tmp_path, view) as at:
            under_way = asyncio.create_task(post(at))
            await view.asked_for.wait()
            async with asyncio.timeout(5):
                await at.server.close(0.0, 0.2)
            with pytest.raises(aiohttp.ClientError):
                await under_way

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_ten_thousand_reviews_none_is_an_error_of_the_server(tmp_path: Path) -> None:
    """The seed of hypothesis is a new one each time; a failure prints its review."""
    counts = Counter[int]()
    view = StandView(given=(policy("all", "sg-1", pod=EVERYTHING),))
    with asyncio.Runner() as runner:
        place = running(tmp_path, view)
        at = runner.run(place.__aenter__())

        @settings(max_examples=10_000, deadline=None, database=None)
        @given(path=st.sampled_from(PATHS), sent=REVIEWS)
        def answered(path: str, sent: Any) -> None:
            status, response = runner.run(post(at, path, json.dumps(sent).encode()))
            counts[status] += 1
            assert status in (200, 400)
            if status == 200:
                assert response["uid"] == (((sent or {}).get("request") or {}).get("uid") or "")
                assert response["allowed"] in (True, False)

        answered()
        runner.run(place.__aexit__(None, None, None))
    print(f"answers by status: {dict(counts)}")
    assert counts.total() >= 10_000


# --- the certificate's end


DAY = 86_400.0


def expiring(folder: Path, days: float) -> bytes:
    """A pair that ends so many days from now; its CA."""
    pair = self_signed(("127.0.0.1", "localhost"), datetime.now(UTC), timedelta(days=days))
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    return pair.ca


def test_an_expired_certificate_is_counted_and_said_and_a_new_one_takes_over(tmp_path: Path) -> None:
    clock = VirtualClock(datetime.now(UTC).timestamp())
    expiring(tmp_path, 30)
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key", clock=clock)

    def said() -> list[str]:
        with capture_logs() as lines:
            certificate.watch_end()
        return [line["event"] for line in lines]

    assert (said(), round(certificate.days_left), certificate.problem()) == ([], 30, None)
    clock.sleep(25 * DAY)
    assert said() == ["certificate expires soon"]
    clock.sleep(6 * DAY)
    assert said() == ["certificate expired"]
    assert said() == [], "not every second"
    assert "expired at" in (certificate.problem() or "")
    assert (REGISTRY.get_sample_value("vpc_rc_webhook_certificate_days_left") or 0) < 0

    async def scenario() -> None:
        server = build(StandView(), own_account=OWN_ACCOUNT, clock=SystemClock())
        port = await server.start("127.0.0.1", 0, certificate.context)
        before = REGISTRY.get_sample_value("vpc_rc_webhook_expired_handshakes_total") or 0
        await asyncio.to_thread(served_serial, port, None)
        assert REGISTRY.get_sample_value("vpc_rc_webhook_expired_handshakes_total") == before + 1
        await server.close(0.0, 1.0)

    asyncio.run(scenario())
    expiring(tmp_path, 90)
    assert certificate.refresh()
    assert certificate.problem() is None


# --- what one client can take


def test_content_encodings_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as at:
            for encoding in ("gzip", "deflate", "br", "GZIP"):
                headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
                body = gzip.compress(GOOD)
                async with at.client.post(at.url + MUTATE_POD, data=body, headers=headers) as answer:
                    assert answer.status == 415
                    assert not (await answer.json())["response"]["allowed"]
            assert (await post(at))[0] == 200

    asyncio.run(scenario())


def test_beyond_the_budget_large_bodies_are_put_off_and_small_ones_answered(tmp_path: Path) -> None:
    large = bodies.LARGEST_BODY

    async def scenario() -> None:
        async with running(tmp_path) as at:
            head = b"POST /mutate-v1-pod HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            held = []
            for _ in range(bodies.IN_FLIGHT // large):
                reader, writer = await raw(at)
                writer.write(head + b"Content-Length: %d\r\n\r\n{" % large)
                held.append((reader, writer))
            async with asyncio.timeout(10):
                while (await post(at, body=padded(200_000)))[0] != 503:
                    pass
                assert (await post(at))[0] == 200
                for _, writer in held:
                    writer.close()
                while (await post(at, body=padded(200_000)))[0] != 200:
                    pass

    asyncio.run(scenario())


def test_a_second_request_has_its_time_like_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEADER_SECONDS", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as at:
            reader, writer = await raw(at)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                await reader.readuntil(b"ok\n")
                writer.write(b"POST /mutate-v1-pod HTTP/1.1\r\nX: ")
                with suppress(ConnectionError):
                    await reader.read()

    asyncio.run(scenario())


def test_with_a_clients_ca_reviews_want_a_certificate_and_probes_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = write_pair(tmp_path)
    monkeypatch.setattr(ExtendedKeyUsageOID, "SERVER_AUTH", ExtendedKeyUsageOID.CLIENT_AUTH)
    client = self_signed(("kube-apiserver",), datetime.now(UTC))
    for file, content in (("client-ca.crt", client.ca), ("c.crt", client.certificate), ("c.key", client.key)):
        (tmp_path / file).write_bytes(content)
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key", client_ca_file=tmp_path / "client-ca.crt")

    async def asked(port: int, trust: ssl.SSLContext) -> tuple[int, int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            url, headers = f"https://127.0.0.1:{port}", {"Content-Type": "application/json"}
            async with (
                session.get(f"{url}/readyz") as probe,
                session.post(url + MUTATE_POD, data=GOOD, headers=headers) as review,
            ):
                return probe.status, review.status

    async def scenario() -> None:
        server = build(StandView(), own_account=OWN_ACCOUNT, clock=SystemClock())
        port = await server.start("127.0.0.1", 0, certificate.context)
        assert await asked(port, ssl.create_default_context(cadata=ca.decode())) == (200, 403)
        known = ssl.create_default_context(cadata=ca.decode())
        known.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")
        assert await asked(port, known) == (200, 200)
        await server.close(0.0, 1.0)

    asyncio.run(scenario())
