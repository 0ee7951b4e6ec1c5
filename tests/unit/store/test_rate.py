"""The rate limiter against a model of EC2's buckets, on a virtual clock, with latencies that jitter."""

import heapq
import itertools
import random
import time
from dataclasses import dataclass, field

import pytest

from common.settings import RateLimit
from common.store import Store, keys
from common.store.rate import IMPATIENT_RETRY_SECONDS
from tests.kit.fake_redis import FakeRedis

ACTION = "CreateNetworkInterface"
TABLE = {ACTION: RateLimit(burst=100, refill=5), "DescribeSubnets": RateLimit(burst=100, refill=20)}
ON_THE_SPOT = 3.0
"""Longer waits are not slept: the caller comes back."""


class VirtualTime:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    return VirtualTime(monkeypatch)


@dataclass
class Bucket:
    """EC2's."""

    burst: float
    refill: float
    at: float
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.refill)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Result:
    seconds: float = 0.0
    calls: int = 0
    throttled: int = 0
    visits: int = 0

    @property
    def share(self) -> float:
        return self.throttled / self.calls


def run(
    clock: VirtualTime,
    *,
    arrivals: list[float],
    scale: float = 1.0,
    action: str = ACTION,
    seed: int = 1,
    jitter: float = 0.4,
) -> Result:
    """Callers as the gate makes them: wait on the spot, or come back for their place, a little late; throttled ones
    try again after a second or two."""
    rng = random.Random(seed)
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    began = clock.now
    bucket = Bucket(burst=TABLE[action].burst * scale, refill=TABLE[action].refill * scale, at=began)
    order = itertools.count()
    agenda: list[tuple[float, int, str, bool]] = []

    def plan(at: float, what: str, turn: bool = False) -> None:
        heapq.heappush(agenda, (at, next(order), what, turn))

    for arrival in arrivals:
        plan(began + arrival, "ask")
    result = Result()
    while agenda:
        clock.now, _, what, turn = heapq.heappop(agenda)
        if what == "ask":
            result.visits += 1
            wait = store.reserve(action, turn=turn)
            if wait > ON_THE_SPOT:
                plan(clock.now + wait + rng.uniform(0, 0.3), "ask", turn=True)
            else:
                plan(clock.now + wait + rng.uniform(0.01, jitter), "call")
            continue
        result.calls += 1
        result.seconds = clock.now - began
        if not bucket.take(clock.now):
            result.throttled += 1
            store.penalise(action)
            plan(clock.now + rng.uniform(1, 2), "ask")
    return result


def at_once(count: int) -> list[float]:
    return [number * 0.002 for number in range(count)]


def ideal(count: int, burst: float, refill: float) -> float:
    return (count - burst) / refill


@pytest.mark.parametrize("seed", range(2))
def test_another_table_is_kept_to_as_well(clock: VirtualTime, seed: int) -> None:
    action, count = "DescribeSubnets", 1500
    result = run(clock, arrivals=at_once(count), action=action, seed=seed)
    assert result.share < 0.01
    assert result.seconds <= 1.05 * ideal(count, TABLE[action].burst, TABLE[action].refill) + 1


@pytest.mark.parametrize("seed", range(2))
def test_waves_after_pauses_are_hardly_throttled(clock: VirtualTime, seed: int) -> None:
    waves = [start + number * 0.01 for start in (0, 30, 55, 90, 130) for number in range(120)]
    result = run(clock, arrivals=waves, seed=seed)
    assert result.share < 0.01


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [200, 300, 500, 1000, pytest.param(2500, marks=pytest.mark.slow)])
def test_growing_at_default_limits_is_hardly_throttled_and_hardly_slower(
    clock: VirtualTime, count: int, seed: int
) -> None:
    result = run(clock, arrivals=at_once(count), seed=seed)
    print(f"default limits, {count}: {result}")
    assert result.share < 0.01
    assert result.seconds <= 1.05 * ideal(count, 100, 5) + 1
    assert result.visits <= 5 * count


@pytest.mark.parametrize(("scale", "count", "most"), [(10, 500, 45), (10, 2000, 75), (4, 1000, 80)])
def test_raised_limits_are_found_and_used(clock: VirtualTime, scale: float, count: int, most: float) -> None:
    result = run(clock, arrivals=at_once(count), scale=scale)
    print(f"limits times {scale}, {count}: {result}")
    assert result.seconds < most < ideal(count, 100, 5)
    assert result.share < 0.05


def test_impatient_callers_come_after_the_queue(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    assert store.reserve(ACTION, patient=False) == 0
    waits = [store.reserve(ACTION) for _ in range(110)]
    before = store.reserve(ACTION, patient=False)
    assert before >= IMPATIENT_RETRY_SECONDS
    assert store.reserve(ACTION, patient=False) == before, "a refused caller took a turn"
    assert waits == sorted(waits)
    clock.now += 60
    assert store.reserve(ACTION, patient=False) == 0


def test_throttling_halves_the_rate_which_grows_back_within_a_minute(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)

    def spacing() -> float:
        first = store.reserve(ACTION)
        return store.reserve(ACTION) - first

    store.reserve(ACTION)
    for _ in range(5):
        store.penalise(ACTION)
    assert spacing() == pytest.approx(2 / 4.9, rel=0.01), "five at once count as one"
    for _ in range(20):
        clock.now += 1.1
        store.penalise(ACTION)
    assert spacing() == pytest.approx(10 / 4.9, rel=0.05), "never below a tenth"
    clock.now += 61
    store.reserve(ACTION)
    waits = [store.reserve(ACTION) for _ in range(105)]
    assert waits[-1] - waits[-2] == pytest.approx(1 / 4.9, rel=0.1)


def test_what_is_left_of_a_burst_is_told(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    assert store.rate_left(ACTION) == 1.0
    for _ in range(49):
        store.reserve(ACTION)
    assert store.rate_left(ACTION) == pytest.approx(0.5)
    clock.now += 5
    assert store.rate_left(ACTION) == pytest.approx((49 + 5 * 4.9) / 98)
    for _ in range(120):
        store.reserve(ACTION)
    assert store.rate_left(ACTION) == 0.0
    clock.now += 3600
    assert store.rate_left(ACTION) == 1.0
    with pytest.raises(KeyError):
        store.rate_left("DeleteVpc")


# --- places that nobody comes back for


def crowd(store: Store) -> list[str]:
    """A thousand ask at once; the names of those who were given places."""
    return [f"branch/{n}" for n in range(1000) if store.reserve(ACTION, who=f"branch/{n}") > ON_THE_SPOT]


def test_places_given_back_delay_nobody(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    waiting = crowd(store)
    assert len(waiting) > 800
    assert store.reserve(ACTION, who="branch/next") > 30
    assert store.give_back([*waiting, "branch/next", "branch/never-there"]) == len(waiting) + 1
    assert store.give_back(waiting) == 0
    assert store.reserve(ACTION, who="branch/new") < 5


def test_those_behind_places_given_back_move_up(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    waiting = crowd(store)
    before = store.reserve(ACTION)
    store.give_back(waiting[::2])
    after = store.reserve(ACTION)
    assert 0.3 * before < after < 0.8 * before


def test_a_place_that_was_redeemed_cannot_be_given_back(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    first = crowd(store)[0]
    clock.now += 30
    assert store.reserve(ACTION, turn=True, who=first) < ON_THE_SPOT
    assert store.give_back([first]) == 0


def test_places_of_the_dead_delay_nobody_for_long(clock: VirtualTime) -> None:
    """Their workers were killed with their nodes: nobody gives them back, and nobody comes."""
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    crowd(store)
    clock.now += 20
    assert [store.reserve(ACTION) for _ in range(20)] == [0.0] * 20
    assert store.reserve(ACTION) < 5


# --- Redis' clock


@pytest.mark.parametrize("back", [5.0, 300.0, 86400.0])
def test_a_clock_set_back_stops_no_calls_and_frees_none(clock: VirtualTime, back: float) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    for _ in range(98):
        store.reserve(ACTION)
    before = store.reserve(ACTION)
    clock.now -= back
    assert store.rate_left(ACTION) == 0.0
    after = store.reserve(ACTION)
    assert after == pytest.approx(before + 1 / 4.9, abs=0.01)
    clock.now += 10
    assert store.reserve(ACTION) == 0


def test_throttling_is_heeded_after_a_clock_was_set_back(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)

    def spacing() -> float:
        first = store.reserve(ACTION)
        return store.reserve(ACTION) - first

    store.reserve(ACTION)
    store.penalise(ACTION)
    clock.now -= 3600
    store.reserve(ACTION)
    clock.now += 2
    store.penalise(ACTION)
    assert spacing() == pytest.approx(4 / 4.9, rel=0.1)
    clock.now += 61
    for _ in range(99):
        store.reserve(ACTION)
    assert spacing() == pytest.approx(1 / 4.9, rel=0.1), "the cut has grown back within its minute"


def test_a_clock_set_forward_frees_one_burst_at_most(clock: VirtualTime) -> None:
    store = Store(FakeRedis(), keys.prefix("c"), TABLE)
    crowd(store)
    clock.now += 3600
    assert sum(store.reserve(ACTION) == 0 for _ in range(300)) <= TABLE[ACTION].burst
