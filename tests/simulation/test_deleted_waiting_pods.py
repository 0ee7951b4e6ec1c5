"""Pods that are deleted while they wait for EC2's limits give their places back."""

from collections.abc import Callable

from common.store import keys
from tests.simulation.cluster import CLUSTER, Cluster

ACTION = "CreateNetworkInterface"
PODS = 9
SOON_SECONDS = 5.0
"""Sooner than places are free that nobody comes back for."""


def test_pods_deleted_while_they_wait_in_line_give_their_places_back(simulate: Callable[..., Cluster]) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    assert cluster.run(120, lambda: cluster.capacity("n1") == "9")
    for other in range(400):
        cluster.plain.limiter.reserve(ACTION, f"other-{other}")
    for pod in range(PODS):
        cluster.add_pod(f"p{pod}", "n1")
    assert cluster.run(SOON_SECONDS, lambda: len(waiting(cluster, "branch/")) == PODS)
    for pod in range(PODS):
        cluster.remove_pod(f"p{pod}")
    assert cluster.run(SOON_SECONDS, lambda: not waiting(cluster, "branch/"))
    assert waiting(cluster, "other-"), "they were before the pods, whose time had not come"


def waiting(cluster: Cluster, prefix: str) -> list[str]:
    line = cluster.redis.zrange(keys.rate_line(keys.prefix(CLUSTER), ACTION), 0, -1)
    return [who.decode() for who in line if who.decode().startswith(prefix)]  # type: ignore[union-attr,unused-ignore]
