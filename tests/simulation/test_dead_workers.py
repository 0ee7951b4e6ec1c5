"""A worker that dies, or stands still without heartbeats, in the middle of a run."""

from collections.abc import Callable

import pytest

from common.model.ids import NodeName
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
from workers.node_run import Ending

Simulate = Callable[..., Cluster]
DEADLINE_SECONDS = 3.0


def associations(simulate: Simulate) -> list[int]:
    """Numbers of the calls of an undisturbed life that associate a branch."""
    whole = CrashPoints()
    served(simulate(points=whole))
    return [n for n, call in enumerate(whole.calls) if call == "EC2 AssociateTrunkInterface"]


def served(cluster: Cluster) -> None:
    cluster.add_node("n1", "m5.large")
    assert cluster.run(120, until=lambda: cluster.capacity("n1") is not None)
    cluster.add_pod("p", "n1", app="web")
    cluster.run(120, until=cluster.all_served)


@pytest.mark.parametrize("after", [0, 1], ids=["before the call", "after it"])
def test_its_node_is_looked_at_again_within_three_seconds(after: int, simulate: Simulate) -> None:
    (number,) = associations(simulate)
    cluster = simulate(points=CrashPoints(cut=frozenset({2 * number + after})))
    cluster.add_node("n1", "m5.large")
    assert cluster.run(120, until=lambda: cluster.capacity("n1") is not None)
    cluster.add_pod("p", "n1", app="web")
    assert cluster.run(120, until=lambda: cluster.crashes == 1)
    looked = len(cluster.points.calls)
    assert cluster.run(DEADLINE_SECONDS, until=lambda: len(cluster.points.calls) > looked + 3)
    assert cluster.run(120, until=cluster.all_served)
    assert cluster.problems == []


def test_one_that_stood_still_without_heartbeats_writes_nothing_more(simulate: Simulate) -> None:
    (number,) = associations(simulate)
    cluster = simulate(points=CrashPoints(pause_before=number))
    cluster.points.meanwhile = cluster.overtaken
    cluster.add_node("n1", "m5.large")
    assert cluster.run(120, until=lambda: cluster.capacity("n1") is not None)
    frozen = cluster.worker.reconciler
    cluster.add_pod("p", "n1", app="web")
    cluster.watcher.pump()
    assert cluster.queue.take(lambda n: 0) == ("reconcile", "n1")
    assert frozen.run(NodeName("n1")) is Ending.LOST
    assert cluster.all_served(), "by the one that took over"
    cluster.run(30)
    assert cluster.problems == []
