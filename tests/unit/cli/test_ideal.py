"""The arithmetic of what EC2's limits allow."""

import pytest

from cli.demo.ideal import POD_OPERATIONS, ideal_seconds, level, percentile, scaled
from common.settings import DEFAULT_EC2_RATES, RateLimit

BUCKET = RateLimit(burst=10, refill=2)


@pytest.mark.parametrize(
    ("calls", "now", "tokens"),
    [
        pytest.param([], 100.0, 10, id="full without calls"),
        pytest.param([50.0] * 4, 50.0, 6, id="each call takes one"),
        pytest.param([50.0] * 4, 51.0, 8, id="two come back a second"),
        pytest.param([50.0] * 4, 90.0, 10, id="never more than full"),
        pytest.param([51.0, 50.0], 51.0, 9, id="calls in any order: one is back before the next"),
    ],
)
def test_level(calls: list[float], now: float, tokens: float) -> None:
    assert level(BUCKET, calls, now) == tokens


def test_300_pods_with_full_buckets_are_bound_by_permissions_and_associations() -> None:
    levels = {action: DEFAULT_EC2_RATES[action].burst for action in POD_OPERATIONS}
    assert ideal_seconds(300, levels) == (300 - 50) / 5


def test_fewer_pods_than_tokens_need_no_time_of_their_own() -> None:
    levels = {action: DEFAULT_EC2_RATES[action].burst for action in POD_OPERATIONS}
    assert ideal_seconds(50, levels) == 0


def test_higher_limits_shorten_it() -> None:
    assert ideal_seconds(300, dict.fromkeys(POD_OPERATIONS, 0.0), scaled(10)) == 300 / 50


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        pytest.param([], 0.5, 0, id="none"),
        pytest.param([3, 1, 2], 0.5, 2, id="median"),
        pytest.param(range(1, 101), 0.99, 99, id="99 of 100"),
        pytest.param([7], 0.99, 7, id="one"),
    ],
)
def test_percentile(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found
