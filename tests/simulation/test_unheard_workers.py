"""A worker whose heartbeats are lost though it lives, at the calls of an outage: another takes over its nodes and its
turn to ask, then the first goes on, and all goes on for everybody when EC2 is well."""

from collections.abc import Callable

import pytest

from tests.simulation import lives
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints

Simulate = Callable[..., Cluster]
STRIDE = 13
"""Every so many calls; the longer run (`slow`) tries all."""


def unheard_at(number: int, simulate: Simulate) -> None:
    cluster = simulate(points=CrashPoints(pause_before=number))
    cluster.points.meanwhile = cluster.overtaken
    lives.outage_life(cluster)


def unheard_at_each(stride: int, simulate: Simulate) -> None:
    whole = simulate()
    lives.outage_life(whole)
    calls = whole.points.calls
    for number in range(len(calls))[::stride]:
        try:
            unheard_at(number, simulate)
        except AssertionError as error:
            raise AssertionError(f"at call {number} ({calls[number]}): {error}") from error


def test_an_outage_ends_for_all_whoever_was_not_heard_in_it(simulate: Simulate) -> None:
    unheard_at_each(STRIDE, simulate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_outage_ends_for_all_whoever_was_not_heard_at_any_call(simulate: Simulate) -> None:
    unheard_at_each(1, simulate)
