"""Redis over TLS, with a CA of one's own that SSL_CERT_FILE names."""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.store import acl
from common.store.acl import Role
from tests.integration.redis_server import RedisServer, free_port, with_users
from tests.integration.rig import CLUSTER, ROOT, Rig
from webhook.certificates import self_signed

ASKS = """
import sys
from common.store import Store, connect
from common.store.broker import celery_app
url = sys.argv[1]
Store.on(connect(url), "p:").server.ping()
with celery_app(url).connection_for_write() as connection:
    connection.ensure_connection(max_retries=1, timeout=10)
print("both")
"""


@contextmanager
def terminated(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """A port that speaks TLS in front of the one that does not."""
    loop, ready, bound = asyncio.new_event_loop(), threading.Event(), []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        bound.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(main())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield bound[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL, and the file of its CA."""
    folder = tmp_path_factory.mktemp("tls")
    pair = self_signed(["127.0.0.1"], datetime.now(UTC))
    for name, content in (("ca.crt", pair.ca), ("tls.crt", pair.certificate), ("tls.key", pair.key)):
        (folder / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with RedisServer() as redis, terminated(context, redis.port) as port:
        yield f"rediss://127.0.0.1:{port}/0", folder / "ca.crt"


def asked(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    command = [sys.executable, "-c", ASKS, url]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_store_and_broker_trust_the_ca_that_is_named(served: tuple[str, Path]) -> None:
    url, ca = served
    done = asked(url, SSL_CERT_FILE=str(ca))
    assert done.stdout == "both\n", done.stderr[-2000:]


def test_a_ca_that_is_not_known_is_not_trusted(served: tuple[str, Path]) -> None:
    url, _ = served
    done = asked(url)
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_a_pod_is_served_over_tls_by_users_with_passwords(tmp_path: Path) -> None:
    """As with a managed Redis: a port of TLS, a CA, a user for each role."""
    pair = self_signed(["127.0.0.1"], datetime.now(UTC))
    files = {"ca-cert": pair.ca, "cert": pair.certificate, "key": pair.key}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    passwords = {role: f"of-{role}" for role in Role}
    (tmp_path / "users.acl").write_text(acl.acl_file(CLUSTER, passwords))
    options = {f"tls-{name}-file": str(tmp_path / name) for name in files}
    port = free_port()
    try:
        server = RedisServer(
            program=with_users(),
            acl_file=tmp_path / "users.acl",
            options={"tls-port": str(port), "tls-auth-clients": "no", **options},
        )
    except RuntimeError:
        pytest.skip("the redis-server of this machine is built without TLS")
    with server:
        rig = Rig(folder=tmp_path, redis_port=server.port)
        try:
            rig.start_ec2()
            rig.start_kube()
            rig.behave(throttling=False, attach_delay=[0.1, 0.2])
            rig.configure(SSL_CERT_FILE=str(tmp_path / "ca-cert"))
            for role, start in ((Role.WATCHER, rig.start_watcher), (Role.WORKER, rig.start_worker)):
                user = f"{acl.user_name(role)}:{passwords[role]}"
                start(VPC_RC_REDIS_URL=f"rediss://{user}@127.0.0.1:{port}/0")
            rig.add_node("n1")
            rig.add_pod("p", "n1")
            rig.wait_for_none("served", rig.unserved)
            assert rig.faults_logged() == []
        finally:
            rig.stop()
