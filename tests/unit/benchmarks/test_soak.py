"""What grows is distinguished from what only varies."""

import pytest

from benchmarks.figures import Figures
from benchmarks.soak import growth, slope


def test_the_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0.0, 1.0), (10.0, 6.0), (20.0, 11.0)]) == pytest.approx(0.5)
    assert slope([(5.0, 1.0)]) == 0.0


def test_what_grows_is_named_and_what_moves_within_noise_is_not() -> None:
    samples = [
        (
            30.0 * n,
            {"worker MiB": 80.0 + 0.5 * n, "watcher MiB": 60.0 + n % 2, "view keys": 100.0, "lock keys": 3.0 * n},
        )
        for n in range(31)
    ]
    figures = Figures("soak")
    wrong = growth(figures, samples)
    assert [one.partition(" grows")[0] for one in wrong] == ["lock keys", "worker MiB"]
    assert figures.values["view keys"] == "100.0, +0.0 an hour"
