"""Runs that are cut short all the time get on as others do, and repeat nothing."""

from collections.abc import Callable

import pytest

from common.model.names import BRANCH_DESCRIPTION
from sandbox.ec2.behaviour import Ec2Behaviour
from tests.simulation.cluster import Cluster
from tests.simulation.lives import clean, done, forgotten, served

SLICE_SECONDS = 0.2
EVEN = {"latencies": {"describe": (0.3, 0.3), "mutate": (0.3, 0.3)}, "attach_delay": (0.3, 0.3)}
"""Calls that began together end together, the last ones of a slice too."""


@pytest.mark.parametrize("pods", [8])
def test_each_call_is_made_once(pods: int, simulate: Callable[..., Cluster]) -> None:
    cluster = simulate(behaviour=Ec2Behaviour().changed(EVEN))
    cluster.change_worker(slice_seconds=SLICE_SECONDS)
    instance = cluster.add_node("n1")
    for number in range(pods):
        cluster.add_pod(f"p{number}", "n1")
    served(cluster)
    for action in ("AssociateTrunkInterface", "CreateNetworkInterfacePermission", "CreateNetworkInterface"):
        calls = len(cluster.ec2.journal.of(action))
        assert calls <= pods + 1, f"{calls} calls of {action}"
    for number in range(pods):
        cluster.remove_pod(f"p{number}")
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    assert len(cluster.ec2.journal.of("DisassociateTrunkInterface")) == pods
    cluster.remove_node("n1", terminate=instance)
    forgotten(cluster)
    clean(cluster)


def test_a_run_whose_reading_alone_outlasts_its_slice_gets_on(simulate: Callable[..., Cluster]) -> None:
    cluster = simulate()
    cluster.change_worker(slice_seconds=0.0)
    cluster.add_node("n1")
    cluster.add_pod("p", "n1")
    served(cluster)
