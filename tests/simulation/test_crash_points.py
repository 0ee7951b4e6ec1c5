"""Every outside call of a node's life, cut before and after its effect: a fresh worker takes over, the life goes on to
its end, nothing leaks, nothing is shared, nothing is taken from a living pod.

Between two outside calls nothing happens that anybody could see, so a cut after one call is a cut before the next;
both are tried all the same for calls that have effects, and calls that only look are cut once.
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
    "node-replaced": lives.replaced_life,
    "cninode-deleted": lives.cninode_life,
    "eniconfig-changed": lives.eniconfig_life,
    "unmanaged-and-back": lives.unmanaged_life,
    "windows-secondary": lives.windows_life,
    "windows-prefix": lives.prefix_life,
    "windows-switch": lives.switch_life,
}
LOOKS = ("Redis ZSCORE", "Redis GET", "Redis HGET", "Redis SCRIPT", "EC2 Describe", "Kubernetes GET")


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("life", LIVES)
def test_every_crash_point_converges(life: str, share: int, simulate: Callable[..., Cluster]) -> None:
    whole = simulate()
    LIVES[life](whole)
    points = [
        cut
        for number, call in enumerate(whole.points.calls)
        for cut in ((2 * number,) if call.startswith(LOOKS) else (2 * number, 2 * number + 1))
    ]
    for cut in points[share::SHARES]:
        cluster = simulate(points=CrashPoints(cut=frozenset({cut})))
        where = f"{'after' if cut % 2 else 'before'} call {cut // 2} ({whole.points.calls[cut // 2]})"
        try:
            LIVES[life](cluster)
        except AssertionError as error:
            raise AssertionError(f"cut {where}: {error}") from error
