"""A worker whose calls hang, be it at the API server or at EC2: however many, a run ends within its slice and the time
for its last calls."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from common.model.ids import NodeName
from common.store import keys
from common.store.keys import KeyPrefix
from tests.integration.rig import CLUSTER, Process, Rig, running
from workers.node_run import FINISH_SECONDS

MARGIN_SECONDS = 2.0
"""The end of a wait for calls is looked for each second."""
CALL_SECONDS = 20.0
"""One call of EC2 lasts so long at most, one of the API server 15 s."""
NAMES = tuple(NodeName(f"n{number}") for number in range(3))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[tuple[Rig, Any]]:
    with running(tmp_path, workers=0) as (found, server):
        yield found, redis.Redis(port=server.port)


def longest_runs(client: Any, seconds: float) -> dict[NodeName, float]:
    """By node, how long one run held it, of the runs that are seen to end or still go on."""
    held: dict[tuple[NodeName, bytes], tuple[float, float]] = {}
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        for name in NAMES:
            owner = client.get(keys.lock(KeyPrefix(keys.prefix(CLUSTER)), name))
            if owner is not None:
                first, _ = held.get((name, owner), (now, now))
                held[name, owner] = first, now
        time.sleep(0.05)
    found: dict[NodeName, float] = defaultdict(float)
    for (node, _), (first, last) in held.items():
        found[node] = max(found[node], last - first)
    return dict(found)


def abandoned(worker: Process) -> dict[NodeName, float]:
    """By node, after how long a run was given up whose steps did not return: its lock expires by itself, later."""
    entries = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    return {NodeName(one["node"]): float(one["seconds"]) for one in entries if one["event"] == "run_abandoned"}


@pytest.mark.slow
@pytest.mark.parametrize("slice_seconds", [2.0, 20.0])
@pytest.mark.parametrize("frozen", ["EC2", "API server"])
def test_a_run_whose_calls_hang_ends_within_its_bound(rig: tuple[Rig, Any], frozen: str, slice_seconds: float) -> None:
    cluster, client = rig
    worker = cluster.start_worker(VPC_RC_SLICE_SECONDS=str(slice_seconds))
    for name in NAMES:
        cluster.add_node(name, "m5.4xlarge")
    cluster.wait_for_none("nodes", lambda: [name for name in NAMES if cluster.capacity(name) is None])
    if frozen == "EC2":
        cluster.ec2("POST", "faults", [{"code": "none", "delay": 600.0}])
    for name in NAMES:
        for number in range(8):
            cluster.add_pod(f"{name}-{number}", name)
    if frozen != "EC2":
        # The watcher has published the pods by then; their labels and annotations are the API server's.
        cluster.wait("a run begins", lambda: any(client.keys("*lock*")))
        next(process for process in cluster.processes if process.name == "kube").pause()
    try:
        found = longest_runs(client, 2 * (slice_seconds + FINISH_SECONDS))
    finally:
        next(process for process in cluster.processes if process.name == "kube").go_on()
        cluster.ec2("DELETE", "faults")
    found |= abandoned(worker)
    print(f"{frozen} hangs, slice of {slice_seconds:.0f} s: runs of {', '.join(f'{s:.1f}' for s in found.values())} s")
    assert found.keys() == set(NAMES)
    assert max(found.values()) > CALL_SECONDS / 4, "calls hung"
    assert max(found.values()) < slice_seconds + FINISH_SECONDS + MARGIN_SECONDS
    assert worker.running
    cluster.wait_for_none("pods, when calls are answered again", cluster.unserved, 90)
