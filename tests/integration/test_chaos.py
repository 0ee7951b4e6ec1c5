"""A short life on real processes while everything fails. `make chaos` lives longer ones."""

import pytest

from benchmarks.chaos.__main__ import SERVED_SECONDS, live
from benchmarks.faults import LAST_SECONDS
from benchmarks.figures import Figures

SEED, TROUBLE_SECONDS = 1, 20.0


@pytest.mark.timeout(2 * (TROUBLE_SECONDS + SERVED_SECONDS + LAST_SECONDS))
def test_no_rule_is_broken_while_everything_fails() -> None:
    figures = Figures("chaos")
    live(figures, SEED, TROUBLE_SECONDS)
    print(figures.line())
    assert figures.wrong == []
