"""One operation of EC2 that never answers: pods that do not need it are served, and the worker ends in time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.rig import Rig, running

RELEASED_ON = 6
PODS_A_NODE = 6
FRESH = 10
THREADS = "16"
"""A quarter for releases: fewer than there are to release."""
CELERY_THREADS = "4"
"""Fewer than nodes with releases that hang."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, VPC_RC_EC2_MAX_CONNECTIONS=THREADS, VPC_RC_WORKER_THREADS=CELERY_THREADS) as (found, _):
        for number in range(RELEASED_ON):
            found.add_node(f"r{number}", "m5.xlarge")
        found.add_node("fresh", "m5.2xlarge")
        found.wait_for_none("nodes", lambda: [n for n in _nodes() if found.capacity(n) is None])
        yield found
        assert found.faults_logged() == []


def _nodes() -> list[str]:
    return [*(f"r{number}" for number in range(RELEASED_ON)), "fresh"]


def _served(rig: Rig, name: str) -> float:
    """Seconds until ten pods on a node that has nothing to release are served."""
    for number in range(FRESH):
        rig.add_pod(f"{name}-{number}", "fresh")
    return rig.wait_for_none("pods", rig.unserved, 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "action"),
    [("DisassociateTrunkInterface", "DisassociateBranch"), ("DeleteNetworkInterface", "DeleteBranch")],
)
def test_releases_that_hang_keep_no_pod_waiting(rig: Rig, operation: str, action: str) -> None:
    for number in range(RELEASED_ON * PODS_A_NODE):
        rig.add_pod(f"old-{number}", f"r{number % RELEASED_ON}")
    rig.wait_for_none("pods", rig.unserved)
    without = _served(rig, "before")
    rig.ec2("POST", "faults", [{"action": operation, "code": "none", "delay": 600.0}])
    for number in range(RELEASED_ON * PODS_A_NODE):
        rig.remove_pod(f"old-{number}")
    worker = next(p for p in rig.processes if p.name == "worker0")
    places = int(THREADS) // 4
    rig.wait("releases hang", lambda: rig.metric(worker, "vpc_rc_actions_in_flight", action=action) >= places, 90)
    time.sleep(3)  # Until all that can hang does.
    with_fault = _served(rig, "after")
    assert with_fault < without + 1.0
    began = time.monotonic()
    worker.supervised = False
    assert worker.stop() == 0
    assert time.monotonic() - began < 40
