"""A command of a worker to Redis times out, before or after it took effect: any of them. Nothing is lost, shared or
left, and no ledger is taken for one that cannot be understood."""

from collections.abc import Callable

import pytest

from common.model.notice import EventReason
from tests.simulation import worlds
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import Life

Simulate = Callable[..., Cluster]
LIVES = {"linux": worlds.linux, "windows": worlds.windows, "prefixes": worlds.prefixes}
SHARE = 4
"""Every so many-th of a life's commands is tried; `slow` takes all."""


def lived(life: Life, simulate: Simulate, moment: int | None = None) -> Cluster:
    unanswered = frozenset() if moment is None else frozenset({moment})
    cluster = simulate(points=CrashPoints(unanswered=unanswered))
    life(cluster)
    return cluster


def went_wrong(life: Life, simulate: Simulate, most: int | None = None) -> list[str]:
    calls = lived(life, simulate).points.calls
    moments = [2 * n + after for n, call in enumerate(calls) if call.startswith("Redis ") for after in (0, 1)]
    wrong = []
    # An odd step: moments before and after take turns.
    for moment in moments[:: max(1, len(moments) // most) | 1 if most else 1]:
        said = f"{'after' if moment % 2 else 'before'} call {moment // 2}, {calls[moment // 2]}"
        try:
            cluster = lived(life, simulate, moment)
        except AssertionError as error:
            wrong.append(f"{said}: {error}")
            continue
        if any(notice.reason is EventReason.LEDGER_SET_ASIDE for notice in cluster.notices):
            wrong.append(f"{said}: a ledger was set aside")
    return wrong


@pytest.mark.parametrize("name", LIVES)
def test_nothing_comes_of_an_answer_that_does_not_come(name: str, simulate: Simulate) -> None:
    assert went_wrong(LIVES[name], simulate, SHARE) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", LIVES)
def test_nothing_comes_of_any_answer_that_does_not_come(name: str, simulate: Simulate) -> None:
    assert went_wrong(LIVES[name], simulate) == []
