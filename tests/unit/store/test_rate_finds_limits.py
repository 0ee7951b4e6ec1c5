"""The rate limiter against EC2's buckets as they may be: as in the table, of any other size, shared, or changing."""

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from common.settings import RateLimit
from tests.unit.store.rate_model import (
    ASSOCIATE,
    BRANCH,
    CREATE,
    PERMIT,
    Outside,
    VirtualTime,
    World,
    at_once,
    ideal,
    scaled,
)

TABLE = {
    CREATE: RateLimit(burst=100, refill=5),
    PERMIT: RateLimit(burst=50, refill=5),
    ASSOCIATE: RateLimit(burst=50, refill=5),
}
ONE = {CREATE: TABLE[CREATE]}
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A smaller world is no simpler one, and each takes a second."""


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


def test_fifty_pods_wait_for_nothing(clock: VirtualTime) -> None:
    world = World(clock, TABLE)
    world.add(at_once(50), BRANCH)
    result = world.run()
    assert (result.visits, result.throttled) == (150, 0)


@pytest.mark.parametrize("seed", range(5))
def test_default_limits_are_used_and_hardly_exceeded(clock: VirtualTime, seed: int) -> None:
    world = World(clock, TABLE, seed=seed)
    world.add(at_once(500), BRANCH)
    result = world.run()
    assert result.seconds <= 1.05 * ideal(500, TABLE)
    assert result.share <= 0.01
    assert result.visits <= 8 * 500


def test_limits_ten_times_the_table_are_found_in_seconds(clock: VirtualTime) -> None:
    world = World(clock, scaled(TABLE, 10), believed=TABLE)
    world.add(at_once(500, 0.002), BRANCH)
    result = world.run()
    assert result.seconds <= 8
    assert result.share <= 0.01


@pytest.mark.parametrize("seed", range(5))
def test_limits_half_the_table_are_found_by_a_few_refusals(clock: VirtualTime, seed: int) -> None:
    world = World(clock, scaled(TABLE, 0.5), believed=TABLE, seed=seed)
    world.add(at_once(500), BRANCH)
    result = world.run()
    assert result.seconds <= 1.1 * ideal(500, scaled(TABLE, 0.5))
    assert result.share <= 0.03


@pytest.mark.parametrize("factor", [20, 200])
def test_settings_far_above_the_limits_are_given_up_after_a_few_refusals(clock: VirtualTime, factor: float) -> None:
    world = World(clock, ONE, believed=scaled(ONE, factor))
    world.add(at_once(600), [CREATE])
    result = world.run()
    assert result.seconds <= 1.1 * ideal(600, ONE)
    assert result.share <= 0.05


def test_another_client_that_uses_half_leaves_us_the_other_half(clock: VirtualTime) -> None:
    world = World(clock, TABLE)
    world.other_client(CREATE, 2.5, 0, 200)
    world.add(at_once(500), BRANCH)
    result = world.run()
    for since in range(10, 150, 10):
        assert result.admitted(CREATE, since, since + 10) >= 0.85 * 25, since
    assert result.share <= 0.03


@settings(max_examples=5, deadline=None, phases=NO_SHRINKING, derandomize=True)
@example(burst=128.79830158952988, refill=47.52857926128397, seconds=25, seed=867)
@given(
    burst=st.floats(10, 400),
    refill=st.floats(2, 60),
    seconds=st.integers(10, 60),
    seed=st.integers(0, 1000),
)
def test_buckets_of_any_size_are_used_and_hardly_exceeded(burst: float, refill: float, seconds: int, seed: int) -> None:
    """The table's is 100 and 5. Refusals: the first burst's until the news of the first is there, then a few for each
    time that the refill is counted."""
    limits = {CREATE: RateLimit(burst=burst, refill=refill)}
    calls = min(700, round(burst + seconds * refill))
    world = World(VirtualTime(), limits, believed=ONE, seed=seed)
    world.add(at_once(calls), [CREATE])
    result = world.run()
    assert result.seconds <= 1.2 * ideal(calls, limits) + 15
    assert result.throttled <= 35 + 0.03 * calls


def test_limits_raised_under_way_are_found_within_a_minute(clock: VirtualTime) -> None:
    world = World(clock, ONE)
    world.change(30, scaled(ONE, 5))
    world.add(at_once(1500), [CREATE])
    result = world.run()
    assert result.admitted(CREATE, 90, 100) >= 0.85 * 250 or result.seconds < 90
    assert result.share <= 0.03


def test_limits_cut_under_way_are_kept_to_within_ten_seconds(clock: VirtualTime) -> None:
    world = World(clock, ONE)
    world.change(30, scaled(ONE, 0.3))
    world.add(at_once(350), [CREATE])
    result = world.run()
    assert result.admitted(CREATE, 40, 100) >= 0.9 * 90
    assert result.share <= 0.03


def test_where_others_took_all_our_share_is_back_within_a_minute(clock: VirtualTime) -> None:
    world = World(clock, ONE)
    world.other_client(CREATE, 50, 20, 50)
    world.add(at_once(600), [CREATE])
    result = world.run()
    assert result.admitted(CREATE, 80, 110) >= 0.9 * 150
    assert result.share <= 0.05


@pytest.mark.parametrize("seed", range(5))
def test_waves_after_pauses_are_hardly_refused(clock: VirtualTime, seed: int) -> None:
    world = World(clock, ONE, seed=seed)
    world.add([start + number * 0.01 for start in (0, 30, 55, 90, 130) for number in range(120)], [CREATE])
    assert world.run().share <= 0.01


def test_an_ec2_that_is_slow_to_refuse_is_asked_more_slowly(clock: VirtualTime) -> None:
    """Until the first refusal nobody knows how long their news takes."""
    world = World(clock, ONE, outside=Outside(refusing=(0.2, 0.9)))
    world.add(at_once(500), [CREATE])
    result = world.run()
    assert result.share <= 0.02
    assert result.seconds <= 1.05 * ideal(500, ONE)


def test_callers_that_come_back_late_cost_no_calls(clock: VirtualTime) -> None:
    world = World(clock, ONE, outside=Outside(parked_late=(0, 2)))
    world.add(at_once(400), [CREATE])
    result = world.run()
    assert result.seconds <= 1.05 * ideal(400, ONE)
    assert result.share <= 0.01
