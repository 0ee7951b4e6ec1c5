"""Beside crashes: a worker overtaken by another while it stands still, and a Redis that comes back empty, at every
outside call; and seeded histories in which everything happens at once."""

from collections.abc import Callable

import pytest

from tests.simulation import lives
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints

SHARES = 2
STRIDE = 22
"""Every so many calls; the longer run (`slow`) tries all."""


def calls_of(life: lives.Life, simulate: Callable[..., Cluster]) -> list[str]:
    whole = simulate()
    life(whole)
    return whole.points.calls


def disturbed(
    life: lives.Life, number: int, simulate: Callable[..., Cluster], meanwhile: Callable[[Cluster], None]
) -> Cluster:
    cluster = simulate(points=CrashPoints(pause_before=number))
    cluster.points.meanwhile = lambda: meanwhile(cluster)
    life(cluster)
    return cluster


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("life", ["linux_life", "windows_life"])
def test_a_worker_that_was_overtaken_changes_nothing(life: str, share: int, simulate: Callable[..., Cluster]) -> None:
    run: lives.Life = getattr(lives, life)
    calls = calls_of(run, simulate)
    for number in range(len(calls))[::STRIDE][share::SHARES]:
        disturbed(run, number, simulate, Cluster.overtaken)


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("life", ["linux_life", "replaced_life", "unmanaged_life", "windows_life", "switch_life"])
def test_redis_comes_back_empty_at_any_moment(life: str, share: int, simulate: Callable[..., Cluster]) -> None:
    run: lives.Life = getattr(lives, life)
    calls = calls_of(run, simulate)
    for number in range(len(calls))[::STRIDE][share::SHARES]:
        disturbed(run, number, simulate, Cluster.lose_redis)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("life", ["linux_life", "windows_life"])
@pytest.mark.parametrize("meanwhile", [Cluster.overtaken, Cluster.lose_redis])
def test_every_call_is_disturbed(
    life: str, meanwhile: Callable[[Cluster], None], simulate: Callable[..., Cluster]
) -> None:
    run: lives.Life = getattr(lives, life)
    for number in range(len(calls_of(run, simulate))):
        disturbed(run, number, simulate, meanwhile)


@pytest.mark.parametrize("seed", range(6))
def test_a_history_of_everything_at_once(seed: int, simulate: Callable[..., Cluster]) -> None:
    """Crashes at random calls, EC2 that fails before and after effect and lags, pods that come and go: when the
    trouble stops, the cluster comes to what is desired."""
    lives.troubled_history(simulate(seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_more_histories(seed: int, simulate: Callable[..., Cluster]) -> None:
    lives.troubled_history(simulate(seed=seed))
