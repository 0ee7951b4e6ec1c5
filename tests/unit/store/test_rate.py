"""The rate limiter against a model of EC2's buckets, on a virtual clock, with latencies that jitter."""

import heapq
import itertools
import random
import time
from dataclasses import dataclass, field

import fakeredis
import pytest

from common.settings import RateLimit
from common.store import Store, keys
from common.store.rate import IMPATIENT_RETRY_SECONDS

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
    growth: bool,
    arrivals: list[float],
    scale: float = 1.0,
    action: str = ACTION,
    seed: int = 1,
    jitter: float = 0.4,
) -> Result:
    """Callers as the gate makes them: wait on the spot, or come back for their place, a little late; throttled ones
    try again after a second or two."""
    rng = random.Random(seed)
    store = Store(fakeredis.FakeRedis(), keys.prefix("c"), TABLE, growth=growth)
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
@pytest.mark.parametrize(("action", "count"), [(ACTION, 500), ("DescribeSubnets", 1500)])
def test_fixed_is_as_fast_as_ec2_allows_and_hardly_throttled(
    clock: VirtualTime, action: str, count: int, seed: int
) -> None:
    result = run(clock, growth=False, arrivals=at_once(count), action=action, seed=seed)
    assert result.share < 0.01
    assert result.seconds <= 1.05 * ideal(count, TABLE[action].burst, TABLE[action].refill)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("growth", [False, True])
def test_waves_after_pauses_are_hardly_throttled(clock: VirtualTime, growth: bool, seed: int) -> None:
    waves = [start + number * 0.01 for start in (0, 30, 55, 90, 130) for number in range(120)]
    result = run(clock, growth=growth, arrivals=waves, seed=seed)
    assert result.share < 0.01


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [200, 300, 500, 1000, pytest.param(2500, marks=pytest.mark.slow)])
def test_growing_at_default_limits_is_hardly_throttled_and_hardly_slower(
    clock: VirtualTime, count: int, seed: int
) -> None:
    result = run(clock, growth=True, arrivals=at_once(count), seed=seed)
    print(f"default limits, {count}: {result}")
    assert result.share < 0.01
    assert result.seconds <= 1.05 * ideal(count, 100, 5) + 1
    assert result.visits <= 5 * count


@pytest.mark.parametrize(("scale", "count", "most"), [(10, 500, 45), (10, 2000, 75), (4, 1000, 80)])
def test_raised_limits_are_found_and_used(clock: VirtualTime, scale: float, count: int, most: float) -> None:
    result = run(clock, growth=True, arrivals=at_once(count), scale=scale)
    print(f"limits times {scale}, {count}: {result}")
    assert result.seconds < most < ideal(count, 100, 5)
    assert result.share < 0.05


def test_impatient_callers_come_after_the_queue(clock: VirtualTime) -> None:
    for growth in (False, True):
        store = Store(fakeredis.FakeRedis(), keys.prefix("c"), TABLE, growth=growth)
        assert store.reserve(ACTION, patient=False) == 0
        waits = [store.reserve(ACTION) for _ in range(110)]
        before = store.reserve(ACTION, patient=False)
        assert before >= IMPATIENT_RETRY_SECONDS
        assert store.reserve(ACTION, patient=False) == before, "a refused caller took a turn"
        assert waits == sorted(waits)
        clock.now += 60
        assert store.reserve(ACTION, patient=False) == 0


@pytest.mark.parametrize("growth", [False, True])
def test_throttling_halves_the_rate_which_grows_back_within_a_minute(clock: VirtualTime, growth: bool) -> None:
    store = Store(fakeredis.FakeRedis(), keys.prefix("c"), TABLE, growth=growth)

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
    store = Store(fakeredis.FakeRedis(), keys.prefix("c"), TABLE)
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
