"""A seed replays a life exactly, in any process: Python orders sets of strings anew in each."""

import os
import subprocess
import sys
from hashlib import sha256

import pytest

from tests.simulation import happenings as it
from tests.simulation.explore import explore, relive
from tests.simulation.shrink import Step

SHORT = (Step(it.PodComes("a", "w1"), 10.0), Step(it.RedisRestored(5.0), 10.0), Step(it.PodReplaced("a"), 10.0))
TELL = "import sys; from tests.simulation.test_same_seed_same_history import history; print(history(int(sys.argv[1])))"


def history(seed: int) -> str:
    """Everything that happens, and every outside call; seed 0 is the short life."""
    cluster = explore(seed)[0] if seed else relive(seed, SHORT)[0]
    lines = [f"{entry.time:.6f} {entry.text}" for entry in cluster.judge.timeline.entries]
    return sha256("\n".join([*lines, *cluster.points.calls]).encode()).hexdigest()


@pytest.mark.parametrize(
    "seed",
    [
        0,
        # Minutes of many releases, sweeps and nodes that share an instance.
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(13, marks=pytest.mark.slow),
    ],
)
def test_a_seed_has_one_history_however_python_orders_sets(seed: int) -> None:
    found = set()
    for order in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": order}
        ended = subprocess.run(
            [sys.executable, "-c", TELL, str(seed)], env=environment, capture_output=True, text=True, check=True
        )
        found.add(ended.stdout.splitlines()[-1])
    assert len(found) == 1
