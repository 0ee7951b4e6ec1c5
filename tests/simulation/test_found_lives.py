"""Lives that the generator found going wrong, cut short."""

import time

import pytest

from tests.simulation import happenings as it
from tests.simulation.explore import relive
from tests.simulation.shrink import Step


def test_an_address_rests_though_redis_came_back_older_than_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.SweepComes(), 65.0),
        Step(it.PodComes("a", "w1"), 10.0),
        Step(it.RedisRestored(60.0), 10.0),
        Step(it.PodReplaced("a"), 10.0),
    ]
    _, wrong = relive(6, steps)
    assert wrong is None, wrong
