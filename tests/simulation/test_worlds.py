"""Each world at its moments: what happens, happens before one of the worker's outside calls; at every second of them
the worker is killed some calls later, too."""

from collections.abc import Callable

import pytest

from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.happenings import happen
from tests.simulation.worlds import LAG, WORLDS, World

LOOKS = ("Redis ZSCORE", "Redis ZMSCORE", "Redis GET", "Redis HGET", "Redis SCRIPT")
"""Calls of the store between which nothing changes for anybody."""
CRASH_WITHIN = 23
"""Calls after what happens: the prime spreads the crashes over a run."""
SPREAD = 7
"""Worlds of one life begin at so many different moments."""
Simulate = Callable[..., Cluster]
calls_of: dict[tuple[object, ...], list[str]] = {}
"""Outside calls of each life without what happens."""


def moments(world: World, simulate: Simulate, most: int | None = None) -> list[int]:
    """All, or so many of them; in worlds of one life not the same."""
    like = (world.life, *sorted(world.also.items()), world.lag)
    if like not in calls_of:
        calls_of[like] = lived(world, None, simulate).points.calls
    numbers = [n for n, call in enumerate(calls_of[like]) if not call.startswith(LOOKS)]
    step = max(1, len(numbers) // most) if most else 1
    first = list(WORLDS.values()).index(world) * step // SPREAD % step
    return numbers[first::step]


def lived(world: World, moment: int | None, simulate: Simulate, crash_after: int | None = None) -> Cluster:
    cut = frozenset() if moment is None or crash_after is None else frozenset({2 * (moment + crash_after) + 1})
    cluster = simulate(points=CrashPoints(pause_before=moment, cut=cut), **world.also)
    cluster.points.meanwhile = lambda: happen(cluster, *world.happening)
    if world.lag:
        LAG.happen(cluster)
    world.life(cluster)
    return cluster


def at_each(world: World, numbers: list[int], simulate: Simulate, crashes: Callable[[int], int | None]) -> None:
    wrong = []
    for index, number in enumerate(numbers):
        crash_after = crashes(index)
        try:
            lived(world, number, simulate, crash_after)
        except AssertionError as error:
            crash = "" if crash_after is None else f" and a crash {crash_after} calls later"
            wrong.append(f"before call {number}{crash}: {error}")
    assert not wrong, f"{len(wrong)} of {len(numbers)} moments go wrong; the first: {wrong[0]}"


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_is_lost_shared_or_left(name: str, simulate: Simulate) -> None:
    world, place = WORLDS[name], list(WORLDS).index(name)
    at_each(
        world,
        moments(world, simulate, world.moments),
        simulate,
        lambda index: None if (index + place) % 2 == 0 else 1 + (index + place) % CRASH_WITHIN,
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("crash", [False, True], ids=["", "crash"])
@pytest.mark.parametrize("name", WORLDS)
def test_at_every_moment(name: str, crash: bool, simulate: Simulate) -> None:
    world = WORLDS[name]
    at_each(world, moments(world, simulate), simulate, lambda index: 1 + index % CRASH_WITHIN if crash else None)
