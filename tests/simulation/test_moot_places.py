"""Pods that are deleted before their turn comes in EC2's rate limiter give their places back."""

from collections.abc import Callable

from common.store import keys
from tests.simulation.cluster import CLUSTER, Cluster

PODS = 9


def test_pods_deleted_while_they_wait_for_their_turn_give_their_places_back(simulate: Callable[..., Cluster]) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    assert cluster.run(120, lambda: cluster.capacity("n1") == "9")
    for _ in range(400):
        cluster.plain.reserve("CreateNetworkInterface")  # Of other nodes.
    for pod in range(PODS):
        cluster.add_pod(f"p{pod}", "n1")
    assert cluster.run(20, lambda: waiting(cluster) == PODS), "they wait for their turn"
    before = cluster.plain.reserve("CreateNetworkInterface")
    for pod in range(PODS):
        cluster.remove_pod(f"p{pod}")
    assert cluster.run(20, lambda: waiting(cluster) == 0)
    assert cluster.plain.reserve("CreateNetworkInterface") < before


def waiting(cluster: Cluster) -> int:
    return int(cluster.redis.hlen(keys.places(keys.prefix(CLUSTER))))  # type: ignore[arg-type,unused-ignore]
