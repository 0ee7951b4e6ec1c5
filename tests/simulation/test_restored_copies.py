"""Redis comes back as it was seconds ago, in the middle of a run that has ended since: its lock names a process that
lives, its message has begun, its ledger lacks what was made. Nobody waits for any of them."""

from collections.abc import Callable

import pytest

from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, leave, served

Simulate = Callable[..., Cluster]
AGE_SECONDS = 5.0
SOON_SECONDS = 10.0
STRIDE = 7
"""Every so many calls; the longer run (`slow`) tries all."""


def restored(number: int | None, simulate: Simulate) -> Cluster:
    """The copy is made before this call of a run, and Redis comes back as it was there."""
    cluster = simulate(points=CrashPoints(pause_before=number))
    cluster.points.meanwhile = cluster.copy_redis
    instance = cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    for name in ("a", "b"):
        cluster.add_pod(name, "n1")
    served(cluster)
    cluster.run(AGE_SECONDS)
    if cluster.copies:
        cluster.restore_redis(0.0)
    cluster.add_pod("c", "n1")
    assert cluster.run(SOON_SECONDS, cluster.all_served), "a pod waits"
    leave(cluster, instance, "a", "b", "c")
    return cluster


def restored_at_each(stride: int, simulate: Simulate) -> None:
    calls = restored(None, simulate).points.calls
    for number in range(len(calls))[::stride]:
        try:
            restored(number, simulate)
        except AssertionError as error:
            raise AssertionError(f"copied before call {number} ({calls[number]}): {error}") from error


def test_redis_comes_back_as_it_was_in_the_middle_of_a_run(simulate: Simulate) -> None:
    restored_at_each(STRIDE, simulate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_redis_comes_back_as_it_was_at_any_call_of_a_run(simulate: Simulate) -> None:
    restored_at_each(1, simulate)
