"""A leader that has 5,000 nodes to announce, on a Redis that takes 1 ms for each command: meanwhile it renews its
lease, answers probes, and heeds SIGTERM."""

import contextlib
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from common.model.names import SYSTEM_NAMESPACE
from sandbox.ports import free_port
from tests.integration.rig import Process, Rig, running
from tests.integration.test_late_tokens import probe

pytestmark = pytest.mark.slow

NODES = 5_000
LONGEST_TURN_SECONDS = 1.0
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases"
COMMAND = re.compile(rb"(?:^|\r\n)\*\d+\r\n")


class Slow:
    """The way to a Redis that takes a millisecond for each command."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far = socket.create_connection(("127.0.0.1", self._target))
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if asks:
                    time.sleep(0.001 * len(COMMAND.findall(data)))
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[tuple[Rig, int]]:
    with running(tmp_path, watchers=0, workers=0) as (found, server):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: add_node(found, number), range(NODES)))
        yield found, server.port
        assert found.faults_logged() == []


def add_node(rig: Rig, number: int) -> None:
    labels = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false"}
    rig.register(f"n{number}", f"aws:///us-west-2a/i-{number:017x}", **labels)
    rig.add_pod(f"p{number}", f"n{number}")


def started(rig: Rig, port: int) -> tuple[Process, str]:
    health = free_port()
    watcher = rig.run(
        "watcher", sys.executable, str(Path(__file__).with_name("turning.py")), "watcher",
        TURNS=str(rig.folder / "turns"), VPC_RC_REDIS_URL=Slow(port).url, VPC_RC_HEALTH_PORT=str(health),
        VPC_RC_METRICS_PORT=str(free_port()),
    )  # fmt: skip
    return watcher, f"http://127.0.0.1:{health}"


def renewed(rig: Rig) -> str:
    return next((str(lease["spec"].get("renewTime")) for lease in rig.kube("GET", LEASES)["items"]), "")


def test_a_leader_that_announces_all_nodes_keeps_its_lease_and_answers_probes(rig: tuple[Rig, int]) -> None:
    cluster, port = rig
    queue: Any = redis.Redis(port=port)
    watcher, url = started(cluster, port)
    cluster.wait("it announces", lambda: int(queue.llen("nodes")) > 0, 150)
    began = changed = time.monotonic()
    slowest, gap, seen = 0.0, 0.0, renewed(cluster)
    while int(queue.llen("nodes")) < NODES:
        asked = time.monotonic()
        assert probe(f"{url}/healthz")[0] == 200
        slowest = max(slowest, time.monotonic() - asked)
        if (now := renewed(cluster)) != seen:
            seen, changed = now, time.monotonic()
        gap = max(gap, time.monotonic() - changed)
        assert time.monotonic() - began < 180, queue.llen("nodes")
        time.sleep(0.1)
    took, longest = time.monotonic() - began, float((cluster.folder / "turns").read_text())
    print(f"{NODES} nodes in {took:.1f} s: longest turn {longest:.2f} s, probe {slowest:.2f} s, lease {gap:.1f} s")
    assert longest < LONGEST_TURN_SECONDS
    assert slowest < 2.0
    assert gap < 8.0, "renewed each 5 s"
    assert watcher.running


def test_a_leader_that_announces_all_nodes_ends_when_it_is_reported(rig: tuple[Rig, int]) -> None:
    cluster, port = rig
    queue: Any = redis.Redis(port=port)
    watcher, _ = started(cluster, port)
    cluster.wait("it announces", lambda: int(queue.llen("nodes")) > 100, 150)
    began = time.monotonic()
    assert watcher.stop() == 0
    took, announced = time.monotonic() - began, int(queue.llen("nodes"))
    print(f"ended after {took:.1f} s, in the middle: {announced} of {NODES} nodes announced")
    assert announced < NODES
    assert took < 5.0
