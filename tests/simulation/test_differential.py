"""The oracle that compares with a fresh cluster says what differs, and nothing where nothing does."""

import time

import pytest

from common.model.names import BRANCH_DESCRIPTION, TRUNK_DESCRIPTION
from tests.simulation import happenings as it
from tests.simulation import worlds
from tests.simulation.cluster import Cluster
from tests.simulation.differential import differences
from tests.simulation.explore import made


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A Linux node with a pod of two, a Windows node with one pod; an instance was replaced on the way."""
    monkeypatch.setattr(time, "time", time.time)
    cluster = made(1)
    cluster.configure({"enable-windows-ipam": "true"})
    worlds.begin(cluster, it.NodeJoins("n1"), it.NodeJoins("w1", windows=True))
    for one in (
        it.PodComes("a", "n1", 2),
        it.InstanceReplaced("n1"),
        it.PodComes("b", "n1", 2),
        it.PodComes("c", "w1"),
    ):
        it.happen(cluster, one)
        cluster.run(60.0)
    cluster.longest_pause = worlds.QUIET_SECONDS
    worlds.within(cluster, lambda: not worlds.waiting(cluster), "all pods are served")
    worlds.steady(cluster)
    return cluster


def test_a_cluster_that_came_to_rest_is_as_a_fresh_one(settled: Cluster) -> None:
    assert differences(settled) == []


def test_what_differs_is_named(settled: Cluster) -> None:
    trunk, branch = settled.ours(TRUNK_DESCRIPTION)[0], settled.ours(BRANCH_DESCRIPTION)[0]
    settled.ec2.arrange(
        "CreateTags", {"Resources": [trunk["NetworkInterfaceId"]], "Tags": [{"Key": "left", "Value": "behind"}]}
    )
    settled.ec2.arrange("DeleteNetworkInterface", {"NetworkInterfaceId": branch["NetworkInterfaceId"]})
    settled.patch_cninode("w1", {"metadata": {"finalizers": []}})
    named = [line.partition(":")[0] for line in differences(settled)]
    assert "trunks of n1" in named
    assert "CNINode w1" in named
    assert any(one.startswith("interfaces of ") for one in named)
