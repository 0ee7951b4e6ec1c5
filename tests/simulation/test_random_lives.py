"""Random lives of fixed seeds. `make explore` lives thousands of others."""

import time

import pytest

from tests.simulation.explore import explore


@pytest.mark.parametrize("seed", range(100, 112))
def test_a_random_life_breaks_no_rule_and_ends_as_a_fresh_cluster(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)
    _, wrong, _ = explore(seed)
    assert wrong is None
