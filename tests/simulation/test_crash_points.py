"""Every outside call of a node's life, cut before and after its effect: a fresh worker takes over, the life goes on to
its end, nothing leaks, nothing is shared, nothing is taken from a living pod.

Between two outside calls of a worker nothing happens that anybody could see, so the cut after one call is the cut
before the next one. So every life is cut after each call that has an effect, which is each state that a crash can
leave, by default at an eighth of these calls. `slow` cuts both ways at every call.
"""

from collections.abc import Callable

import pytest

from tests.simulation import lives
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints

SHARES = 8
"""The points of a life are dealt to so many tests, which run side by side."""
LIVES: dict[str, lives.Life] = {
    "linux": lives.linux_life,
    "pod-deleted-early": lives.brief_life,
    "writes-lag": lives.lagging_life,
    "node-replaced": lives.replaced_life,
    "cninode-deleted": lives.cninode_life,
    "eniconfig-changed": lives.eniconfig_life,
    "unmanaged-and-back": lives.unmanaged_life,
    "outage": lives.outage_life,
    "reuse": lives.reuse_life,
    "windows-secondary": lives.windows_life,
    "windows-prefix": lives.prefix_life,
    "windows-switch": lives.switch_life,
}
LOOKS = ("Redis ZSCORE", "Redis ZMSCORE", "Redis GET", "Redis HGET", "Redis SCRIPT", "EC2 Describe", "Kubernetes GET")
"""Calls that leave nothing behind."""


def cut(life: str, points: list[int], calls: list[str], simulate: Callable[..., Cluster]) -> None:
    for point in points:
        cluster = simulate(points=CrashPoints(cut=frozenset({point})))
        where = f"{'after' if point % 2 else 'before'} call {point // 2} ({calls[point // 2]})"
        try:
            LIVES[life](cluster)
        except AssertionError as error:
            raise AssertionError(f"cut {where}: {error}") from error


def calls_of(life: str, simulate: Callable[..., Cluster]) -> list[str]:
    whole = simulate()
    LIVES[life](whole)
    return whole.points.calls


@pytest.mark.parametrize(
    ("life", "share"),
    [
        pytest.param(life, share, marks=[] if share == 0 else pytest.mark.slow)
        for life in LIVES
        for share in range(SHARES)
    ],
)
def test_every_crash_point_converges(life: str, share: int, simulate: Callable[..., Cluster]) -> None:
    calls = calls_of(life, simulate)
    effects = [2 * number + 1 for number, call in enumerate(calls) if not call.startswith(LOOKS)]
    cut(life, effects[share::SHARES], calls, simulate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("life", LIVES)
def test_every_call_is_cut_before_and_after(life: str, simulate: Callable[..., Cluster]) -> None:
    calls = calls_of(life, simulate)
    cut(life, list(range(2 * len(calls))), calls, simulate)
