"""Fixtures of the simulation."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.clock import VirtualClock
from tests.simulation.cluster import Cluster


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """Makes clusters; while one lives, the fake Redis tells its virtual time, too."""

    def make(**fields: Any) -> Cluster:
        clock = VirtualClock()
        monkeypatch.setattr(time, "time", clock.redis_now)
        return Cluster(clock=clock, **fields)

    return make
