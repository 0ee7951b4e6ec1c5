"""A scene and the facts of the case that the test is named for."""

import time
from typing import Any

import pytest

from tests.golden.facts import Facts, facts_of
from tests.golden.scene import Scene
from tests.kit.clock import VirtualClock
from tests.simulation.cluster import Cluster


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """While it lives, the fake Redis tells its virtual time, too."""
    clock = VirtualClock()
    monkeypatch.setattr(time, "time", clock.now)
    return Scene(Cluster(clock=clock, count_redis=False))


@pytest.fixture
def scene_of_new_types(scene: Scene) -> Scene:
    """The product's own data know no instance type at all."""
    scene.cluster.limits = {}
    scene.cluster.start_worker()
    return scene


@pytest.fixture
def facts(request: pytest.FixtureRequest) -> Facts:
    """Facts of the case `a-b-c`, for a test called test_a_b_c."""
    test: Any = request.node
    return facts_of(test.originalname.removeprefix("test_").replace("_", "-"), "linux")


@pytest.fixture
def windows_facts(request: pytest.FixtureRequest) -> Facts:
    test: Any = request.node
    return facts_of(test.originalname.removeprefix("test_").replace("_", "-"), "windows")
