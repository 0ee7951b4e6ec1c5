"""Worker processes on a real broker: what they serve, restarts of Redis, SIGTERM, SIGKILL."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store import Store, connect
from common.store.broker import celery_app
from common.store.publisher import CeleryPublisher
from tests.integration.redis_server import RedisServer, free_port
from tests.kit.waiting import until

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(aof=True) as running:
        yield running


class WorkerProcess:
    def __init__(self, url: str) -> None:
        self.health, self.introspection = free_port(), free_port()
        script = str(ROOT / "tests/integration/worker_process.py")
        command = [sys.executable, script, url, str(self.health), str(self.introspection)]
        self.process = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})


@contextmanager
def worker(url: str, *, ready: bool = True) -> Iterator[WorkerProcess]:
    """`ready`: wait until it is."""
    running = WorkerProcess(url)
    try:
        if ready:
            until(lambda: get(running.health, "/readyz")[0] == 200, START_SECONDS, "the worker is not ready")
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except OSError:
        return 0, b""


def ran(server: RedisServer) -> list[str]:
    try:
        with redis.Redis.from_url(server.url) as client:
            return [str(entry.decode()) for entry in client.lrange("ran", 0, -1)]
    except redis.exceptions.ConnectionError:
        return []


def nodes(server: RedisServer) -> set[str]:
    return {entry.split()[0] for entry in ran(server)}


def test_two_workers_on_one_machine_serve_and_share_the_work(server: RedisServer) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    with worker(server.url) as first, worker(server.url) as second:
        for number in range(40):
            publisher.reconcile(NodeName(f"n{number}"), "slow" if number < 6 else "test")
        until(lambda: len(nodes(server)) >= 8, 20)
        assert {int(entry.split()[1]) for entry in ran(server)} == {first.process.pid, second.process.pid}
        with redis.Redis.from_url(server.url) as client:
            client.rpush("go-on", *range(6))
        until(lambda: len(nodes(server)) == 40, 20)
        assert len(ran(server)) == 40
        assert get(first.health, "/healthz")[0] == 200
        assert b"process_resident_memory_bytes" in get(second.health, "/metrics")[1]
        assert set(json.loads(get(first.introspection, "/resources/all")[1])) == {
            "vpc.amazonaws.com/pod-eni",
            "vpc.amazonaws.com/PrivateIPv4Address",
            "vpc.amazonaws.com/PrivateIPv4AddressFromPrefix",
        }
        assert get(first.introspection, "/nothing")[0] == 404


def test_a_message_reaches_one_queue(server: RedisServer) -> None:
    """Also after a worker has declared its queues."""
    publisher, store = CeleryPublisher(celery_app(server.url)), Store.on(connect(server.url), "p")
    with worker(server.url):
        pass
    assert store.queues.depths() == {"nodes": 0, "maintenance": 0}
    publisher.reconcile(NodeName("n"), "test")
    publisher.reconcile(NodeName("m"), "test")
    publisher.load_instances()
    assert store.queues.depths() == {"nodes": 2, "maintenance": 1}
    publisher.sweep()
    assert store.queues.depths() == {"nodes": 2, "maintenance": 2}


def test_a_restart_of_redis_delays_work_and_loses_none(server: RedisServer) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    with worker(server.url) as running:
        for restart in range(3):
            publisher.reconcile(NodeName(f"before{restart}"), "test")
            until(lambda name=f"before{restart}": name in nodes(server), 20)  # type: ignore[misc]
            server.stop()
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                publisher.reconcile(NodeName("down"), "test")
            assert time.monotonic() - began < 5
            assert get(running.health, "/healthz")[0] == 200, "a restart of the worker would cure nothing"
            assert get(running.introspection, "/resources/all")[0] == 503
            server.start()
            publisher.reconcile(NodeName(f"after{restart}"), "test")
            until(lambda name=f"after{restart}": name in nodes(server), 30)  # type: ignore[misc]


def test_sigterm_lets_runs_end(server: RedisServer) -> None:
    publisher = CeleryPublisher(celery_app(server.url))
    with worker(server.url) as running:
        publisher.reconcile(NodeName("n"), "slow")
        until(lambda: nodes(server) == {"n"}, 20)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(1.5)
        with redis.Redis.from_url(server.url) as client:
            client.rpush("go-on", 1)
            assert running.process.wait(20) == 0
            assert client.hlen("unacked") == 0
            assert client.llen("nodes") == 0
