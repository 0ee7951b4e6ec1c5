"""The way to Redis stalls, or carries nothing any more without a word: pods are served again within a stated time."""

from pathlib import Path

import pytest

from benchmarks.proxy import Mode, Proxy
from tests.integration.rig import running

pytestmark = pytest.mark.slow
AFTER_A_STALL_SECONDS = 15.0
"""A connection is given up after 5 s without an answer, and tried again after 1 to 5 s. Seen: 2 s."""
HALF_OPEN_SECONDS = 50.0
"""Kombu gives up a silent consumer's connection after 31 s (its `brpop_timeout`, and twice the interval of health
checks). A message that Redis sent into the void is found out to be lost, and published again. Seen: 27 s, and 11 s
where it is the watcher's link."""


@pytest.mark.parametrize("broken", [{"worker"}, {"watcher"}, {"worker", "watcher"}], ids="+".join)
@pytest.mark.parametrize(
    ("fault", "lasts", "within"),
    [
        pytest.param("silent", 20.0, AFTER_A_STALL_SECONDS, id="stalls 20 s"),
        pytest.param("silent", 70.0, AFTER_A_STALL_SECONDS, id="stalls 70 s"),
        pytest.param("half-open", 0.0, HALF_OPEN_SECONDS, id="half-open"),
    ],
)
def test_pods_are_served_again(fault: Mode, lasts: float, within: float, broken: set[str], tmp_path: Path) -> None:
    with running(tmp_path, workers=0, watchers=0) as (rig, redis):
        links = {role: Proxy(redis.port) for role in ("watcher", "worker")}
        for role, start in (("watcher", rig.start_watcher), ("worker", rig.start_worker)):
            start(role, VPC_RC_REDIS_URL=f"redis://127.0.0.1:{links[role].port}/0").supervised = True
        rig.add_node("n1")
        rig.add_pod("before", "n1")
        rig.wait_for_none("served before", rig.unserved)
        for role in broken:
            links[role].set(fault)
        rig.add_pod("meanwhile", "n1")
        if lasts:
            rig.holds("all run", lambda: all(process.running for process in rig.processes), lasts)
            for role in broken:
                links[role].set("works")
        seconds = rig.wait_for_none("served again", rig.unserved, within)
        print(f"served again after {seconds:.1f} s")
        rig.add_pod("later", "n1")
        rig.wait_for_none("served as before", rig.unserved, 5.0)
        assert rig.restarts == []
        assert rig.faults_logged() == []
