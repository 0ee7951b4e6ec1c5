"""Two workers with few threads each, where EC2's latency and not its request limits hold things up: both take part, and
what one gives the other does not give again. How much faster two are than one is the benchmark's matter."""

from collections.abc import Iterator

import pytest

from tests.integration.rig import Rig, running
from tests.integration.standing import leaked, shared, unserved

NODES = [f"n{number:02}" for number in range(16)]
PODS_EACH = 3


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("two"), workers=2, VPC_RC_WORKER_THREADS="4") as (found, _):
        yield found
        assert found.faults_logged() == []
        assert found.restarts == []


def runs(rig: Rig) -> list[float]:
    """Ended runs and ended associations of each worker."""
    workers = [p for p in rig.processes if p.name.startswith("worker")]
    return [rig.metric(w, "vpc_rc_actions_total", action="AssociateBranch", outcome="done") for w in workers]


def test_both_take_part_and_nothing_is_given_twice(rig: Rig) -> None:
    for node in NODES:
        rig.add_node(node, "m5.xlarge")
    rig.wait("nodes", lambda: all(rig.capacity(node) == "18" for node in NODES), 120)
    for number in range(PODS_EACH * len(NODES)):
        rig.add_pod(f"p{number:03}", NODES[number % len(NODES)])
    seconds = rig.wait_for_none("unserved", lambda: unserved(rig), 120)
    shares = runs(rig)
    print(f"{PODS_EACH * len(NODES)} pods on {len(NODES)} nodes in {seconds:.1f} s; associations by worker: {shares}")
    assert min(shares) > 0
    assert sum(shares) == PODS_EACH * len(NODES)
    assert shared(rig) == []
    assert leaked(rig) == []


def test_one_stops_and_the_other_does_the_work(rig: Rig) -> None:
    """An orderly end in the middle of a burst: what the worker had begun is finished, by it or by the other."""
    first = next(p for p in rig.processes if p.name == "worker0")
    for number in range(len(NODES)):
        rig.add_pod(f"q{number:03}", NODES[number])
    rig.wait("a call under way in it", lambda: rig.metric(first, "vpc_rc_actions_in_flight") > 0)
    first.supervised = False
    assert first.stop() == 0
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)
    assert shared(rig) == []
    assert leaked(rig) == []
