"""Two Node objects that name one instance: a kubelet that came back under another name, the old object left."""

from collections.abc import Callable

import pytest

from common.model.ids import NodeName
from common.model.names import BRANCH_DESCRIPTION, PRIVATE_IPV4, TRUNK_DESCRIPTION
from tests.simulation.cluster import Cluster
from tests.simulation.lives import done, served

Simulate = Callable[..., Cluster]
AUDITS_SECONDS = 600.0
"""Several comparisons with EC2, and more than anything rests."""


def lagging(cluster: Cluster) -> None:
    cluster.ec2.behave(cluster.behaviour.changed({"describe_lag": [0.0, 3.0]}))
    cluster.clock.sleep(10.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stays", ["old", "new"])
def test_living_pods_of_both_names_keep_their_interfaces(stays: str, seed: int, simulate: Simulate) -> None:
    cluster = simulate(seed=seed)
    lagging(cluster)
    instance = cluster.add_node("n1")
    for name in ("a", "b"):
        cluster.add_pod(name, "n1")
    served(cluster)
    cluster.run(float(seed))
    cluster.put_node("n0" if seed % 2 else "n2", instance)
    other = "n0" if seed % 2 else "n2"
    for name in ("c", "d"):
        cluster.add_pod(name, other)
    served(cluster)
    cluster.run(AUDITS_SECONDS)
    cluster.remove_pod("a")
    cluster.remove_pod("c")
    done(cluster, lambda: len(cluster.ours(BRANCH_DESCRIPTION)) == 2, "what ended pods had is released")
    gone, kept = ("n1", other) if stays == "new" else (other, "n1")
    cluster.remove_pod("b" if stays == "new" else "d")
    cluster.remove_node(gone)
    cluster.run(AUDITS_SECONDS)
    assert len(cluster.ours(TRUNK_DESCRIPTION)) == 1
    cluster.add_pod("e", kept)
    served(cluster)
    assert cluster.plain.ledgers.load(NodeName(gone)) is None
    assert not cluster.problems, cluster.problems[:3]
    for name in ("d" if stays == "new" else "b", "e"):
        cluster.remove_pod(name)
    cluster.remove_node(kept, terminate=instance)
    done(cluster, lambda: not cluster.plain.ledgers.all(), "all records end")
    assert not [i for i in cluster.interfaces() if i["Description"].startswith("aws-k8s-")]
    assert not cluster.problems, cluster.problems[:3]


@pytest.mark.parametrize("after", [0.5, 1.5, 4.0, 20.0, 90.0])
@pytest.mark.parametrize("windows", [False, True], ids=["linux", "windows"])
def test_redis_lost_with_two_names(windows: bool, after: float, simulate: Simulate) -> None:
    cluster = simulate()
    lagging(cluster)
    cluster.configure({"enable-windows-ipam": "true"})
    instance = cluster.add_node("n1", windows=windows)
    for name in ("a", "b"):
        cluster.add_pod(name, "n1", windows=windows)
    served(cluster)
    cluster.put_node("n2", instance, windows=windows)
    cluster.add_pod("c", "n2", windows=windows)
    cluster.run(after)
    cluster.lose_redis()
    cluster.add_pod("d", "n2", windows=windows)
    served(cluster)
    cluster.run(AUDITS_SECONDS)
    assert not cluster.problems, cluster.problems[:3]


@pytest.mark.parametrize("seed", range(4))
def test_windows_addresses_are_not_taken_nor_given_twice(seed: int, simulate: Simulate) -> None:
    cluster = simulate(seed=seed)
    lagging(cluster)
    cluster.configure({"enable-windows-ipam": "true"})
    instance = cluster.add_node("n1", windows=True)
    for name in ("a", "b"):
        cluster.add_pod(name, "n1", windows=True)
    served(cluster)
    cluster.put_node("n2", instance, windows=True)
    for name in ("c", "d"):
        cluster.add_pod(name, "n2", windows=True)
    served(cluster)
    cluster.run(AUDITS_SECONDS)
    cluster.remove_pod("a")
    cluster.remove_pod("c")
    cluster.add_pod("e", "n2", windows=True)
    served(cluster)
    cluster.run(AUDITS_SECONDS)
    assert {p["metadata"]["name"] for p in cluster.live() if cluster.annotation(p, PRIVATE_IPV4)} == {"b", "d", "e"}
    assert not cluster.problems, cluster.problems[:3]
