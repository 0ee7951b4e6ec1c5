"""The line of an EC2 operation in the rate limiter: who goes first, and what becomes of places and beliefs."""

import itertools
import time

import fakeredis
import pytest

from common.model.reservation import Reservation, Urgency
from common.settings import RateLimit
from common.store import Store, keys
from tests.unit.store.rate_model import VirtualTime

ACTION = "CreateNetworkInterface"
TABLE = {ACTION: RateLimit(burst=100, refill=5), "DescribeSubnets": RateLimit(burst=100, refill=20)}
AT_ONCE = 98
"""Calls of a full bucket: two tokens are left in EC2's."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    virtual = VirtualTime()
    monkeypatch.setattr(time, "time", lambda: virtual.now)
    return virtual


@pytest.fixture
def store(clock: VirtualTime) -> Store:
    return Store.on(fakeredis.FakeRedis(), keys.prefix("c"), TABLE)


def ask(store: Store, who: str, urgency: Urgency = Urgency.POD) -> Reservation:
    return store.limiter.reserve(ACTION, who, urgency)


def use_up(store: Store) -> float:
    """All of the bucket, and EC2 has refused the last call, so that nothing is found out by trying. Redis' time of that
    call's grant."""
    last = 0.0
    for number in range(AT_ONCE):
        last = ask(store, f"early/{number}").at
    store.limiter.throttled(ACTION, "early/refused", last)
    store.limiter.give_back(["early/refused"])
    return last


def served(store: Store, clock: VirtualTime, waiting: dict[str, Urgency], seconds: float) -> list[str]:
    """Who is granted a call, in order, where all ask again every 50 ms."""
    order: list[str] = []
    for _ in range(round(seconds / 0.05)):
        clock.now += 0.05
        order += [who for who, how in waiting.items() if who not in order and ask(store, who, how).granted]
    return order


def test_a_full_bucket_is_used_at_once_and_then_a_place_is_given(store: Store) -> None:
    asked = [ask(store, f"branch/{number}") for number in range(AT_ONCE)]
    assert all(answer.granted and answer.wait == 0 for answer in asked)
    assert ask(store, "branch/tries").granted, "slow start begins with one call"
    answer = ask(store, "branch/next")
    assert not answer.granted
    assert answer.wait > 0


def test_pods_go_before_nodes_and_nodes_before_releases(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    waiting = {"a": Urgency.RELEASE, "b": Urgency.NODE, "c": Urgency.POD, "d": Urgency.NODE, "e": Urgency.POD}
    for who, urgency in waiting.items():
        assert not ask(store, who, urgency).granted
    assert served(store, clock, waiting, 3) == ["c", "e", "b", "d", "a"]


def test_places_are_kept_by_those_who_come_back_late(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    waits = {who: ask(store, who).wait for who in ("first", "second")}
    clock.now += waits["second"] + 9
    newcomers = sum(ask(store, f"new/{number}").granted for number in range(100))
    assert newcomers >= 40, "what nobody has a place for is theirs"
    assert ask(store, "first").granted
    assert ask(store, "second").granted
    assert not ask(store, "third").granted


def test_newcomers_do_not_take_what_those_before_them_wait_for(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    before = [f"branch/{number}" for number in range(5)]
    for who in before:
        assert not ask(store, who).granted
    clock.now += 1.3  # Of EC2's refill of six calls, two are left in the bucket.
    assert not ask(store, "new").granted
    assert [ask(store, who).granted for who in before] == [True, True, True, True, False]


def test_a_waiting_caller_learns_when_its_call_comes(store: Store) -> None:
    use_up(store)
    waits = [ask(store, f"branch/{number}").wait for number in range(9)]
    refill = store.limiter.believed()[ACTION].refill
    spacing = [later - sooner for sooner, later in itertools.pairwise(waits)]
    assert spacing == [pytest.approx(1 / refill, rel=0.01)] * 8


def test_how_long_somebody_waited_is_known_at_the_end(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    for who in ("first", "second"):
        ask(store, who)
    clock.now += 0.5
    ask(store, "second")
    clock.now += 2
    assert [ask(store, who).waited for who in ("first", "second", "new")] == [pytest.approx(2.5), pytest.approx(2.5), 0]


def test_no_wait_is_long_since_limits_may_be_raised(store: Store) -> None:
    use_up(store)
    assert max(ask(store, f"branch/{number}").wait for number in range(1000)) <= 60


def test_whoever_was_refused_comes_first(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    for number in range(5):
        ask(store, f"branch/{number}")
    store.limiter.throttled(ACTION, "refused", clock.now)
    waiting = {f"branch/{number}": Urgency.POD for number in range(5)} | {"refused": Urgency.POD}
    assert served(store, clock, waiting, 2)[0] == "refused"


def test_those_behind_places_given_back_move_up(store: Store) -> None:
    use_up(store)
    waiting = [f"branch/{number}" for number in range(20)]
    for who in waiting:
        ask(store, who)
    before = ask(store, "last").wait
    assert store.limiter.give_back([*waiting[:15], "branch/never-there"]) == 15
    assert store.limiter.give_back(waiting[:15]) == 0
    refill = store.limiter.believed()[ACTION].refill
    assert ask(store, "last").wait == pytest.approx(before - 15 / refill, rel=0.01)


def test_a_place_that_was_used_cannot_be_given_back(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    ask(store, "branch/1")
    clock.now += 5
    assert ask(store, "branch/1").granted
    assert store.limiter.give_back(["branch/1"]) == 0


def test_the_dead_are_waited_for_ten_seconds_and_forgotten(clock: VirtualTime) -> None:
    """Their workers were killed with their nodes: nobody gives their places back, and nobody comes."""
    redis = fakeredis.FakeRedis()
    store = Store.on(redis, keys.prefix("c"), TABLE)
    use_up(store)
    waits = [ask(store, f"branch/{number}").wait for number in range(500)]
    clock.now += max(waits) + 9
    assert not ask(store, "new").granted
    clock.now += 2
    assert ask(store, "new").granted
    assert store.limiter.believed()[ACTION].waiting == 0
    assert redis.hlen(keys.places(keys.prefix("c"))) == 0


def test_what_is_left_of_a_burst_is_reported(store: Store, clock: VirtualTime) -> None:
    assert store.limiter.left(ACTION) == 1.0
    for number in range(50):
        ask(store, f"branch/{number}")
    assert store.limiter.left(ACTION) == pytest.approx(0.5)
    clock.now += 5
    assert store.limiter.left(ACTION) == pytest.approx(0.75)
    use_up(store)
    ask(store, "branch/waits")
    assert store.limiter.left(ACTION) == 0.0
    with pytest.raises(KeyError):
        store.limiter.left("DeleteVpc")


# --- beliefs


def test_beliefs_are_those_of_the_settings_until_ec2_shows_others(store: Store) -> None:
    assert store.limiter.believed()["DescribeSubnets"].refill == 20
    granted_at = [ask(store, f"branch/{number}").at for number in range(40)][-1]
    store.limiter.throttled(ACTION, "branch/39", granted_at)
    believed = store.limiter.believed()[ACTION]
    assert (believed.configured_burst, believed.configured_refill) == (100, 5)
    assert believed.burst == pytest.approx(50)
    assert believed.refill == pytest.approx(2.5)


def test_what_was_under_way_when_ec2_refused_says_nothing_new(store: Store, clock: VirtualTime) -> None:
    granted = [ask(store, f"branch/{number}").at for number in range(90)]
    assert store.limiter.throttled(ACTION, "branch/79", granted[79])
    clock.now += 0.1
    after_one = store.limiter.believed()[ACTION].refill
    assert not any(store.limiter.throttled(ACTION, f"branch/{number}", granted[number]) for number in range(80, 90))
    after_eleven = store.limiter.believed()[ACTION].refill
    assert after_eleven == pytest.approx(after_one * 0.89, rel=0.02), "ten calls fewer were let through than thought"


def test_beliefs_outlive_the_burst_by_hours(store: Store, clock: VirtualTime) -> None:
    granted_at = [ask(store, f"branch/{number}").at for number in range(40)][-1]
    store.limiter.throttled(ACTION, "branch/39", granted_at)
    clock.now += 5 * 3600
    assert sum(ask(store, f"later/{number}").granted for number in range(100)) == pytest.approx(49, abs=1)


def test_new_settings_begin_new_beliefs(store: Store, clock: VirtualTime) -> None:
    redis = fakeredis.FakeRedis()
    old = Store.on(redis, keys.prefix("c"), TABLE)
    use_up(old)
    new = Store.on(redis, keys.prefix("c"), {ACTION: RateLimit(burst=300, refill=15)})
    assert new.limiter.believed()[ACTION].burst == 300
    assert all(ask(new, f"branch/{number}").granted for number in range(298))


# --- Redis' clock


@pytest.mark.parametrize("back", [5.0, 300.0, 86400.0])
def test_a_clock_set_back_stops_no_calls_and_frees_none(store: Store, clock: VirtualTime, back: float) -> None:
    use_up(store)
    ask(store, "branch/1")
    clock.now -= back
    assert not ask(store, "branch/1").granted
    clock.now += 1
    assert ask(store, "branch/1").granted


@pytest.mark.parametrize("back", [5.0, 300.0, 86400.0])
def test_places_of_the_dead_do_not_outlast_a_clock_set_back(store: Store, clock: VirtualTime, back: float) -> None:
    use_up(store)
    for number in range(50):
        ask(store, f"dead/{number}")
    clock.now -= back
    ask(store, "branch/1")
    clock.now += 60
    assert ask(store, "branch/1").granted


def test_refusals_are_heeded_after_a_clock_was_set_back(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    before = store.limiter.believed()[ACTION].refill
    clock.now -= 3600
    ask(store, "branch/1")
    clock.now += 2
    granted_at = ask(store, "branch/1").at
    clock.now += 0.2
    assert store.limiter.throttled(ACTION, "branch/1", granted_at)
    assert store.limiter.believed()[ACTION].refill < before


def test_a_clock_set_forward_frees_one_burst_at_most(store: Store, clock: VirtualTime) -> None:
    use_up(store)
    clock.now += 3600
    granted = sum(ask(store, f"branch/{number}").granted for number in range(300))
    assert granted <= 101
