"""What is known of a failure that is the same for all: who waits, who asks, and when it is over."""

from typing import Any

import fakeredis
import pytest

from common.model.errors import Denied, Unsure
from common.model.ids import NodeName
from common.model.outage import Outage, Scope
from common.store import keys
from common.store.link import Link
from common.store.outages import (
    ABSENT_SECONDS,
    ALONE_SECONDS,
    ANSWER_SECONDS,
    FIRST_SECONDS,
    FORGOTTEN_SECONDS,
    KEPT_SECONDS,
    LONGEST_SECONDS,
    NEWCOMER_SECONDS,
    Outages,
)

P = keys.prefix("c")
SCOPE, OTHER = Scope("CreateNetworkInterface"), Scope("CreateNetworkInterface subnet-1")
ERROR = Denied("UnauthorizedOperation", "You are not authorized")
SILENT = Unsure("ReadTimeoutError", "Read timed out")
N1, N2, N3, N4 = (NodeName(f"n{number}") for number in (1, 2, 3, 4))
NOW = 1_800_000_000.0


@pytest.fixture
def redis() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()


@pytest.fixture
def outages(redis: fakeredis.FakeRedis) -> Outages:
    return Outages(Link(redis), P)


def parked(redis: fakeredis.FakeRedis) -> dict[str, float]:
    pairs: Any = redis.zrange(keys.parked(P), 0, -1, withscores=True)
    return {name.decode(): at for name, at in pairs}


def confirmed(outages: Outages, now: float = NOW) -> None:
    """n1 failed, n2 too: n1 asks first."""
    outages.failed(SCOPE, N1, "pod-1", ERROR, now)
    outages.failed(SCOPE, N2, "pod-2", ERROR, now)


def only(outages: Outages) -> Outage:
    (one,) = outages.read()
    return one


def asks(outages: Outages, node: NodeName, who: str, now: float) -> bool:
    return outages.held_by([SCOPE], node, who, now) is None


def test_nothing_failed_and_nobody_waits(outages: Outages) -> None:
    assert outages.read() == ()
    assert asks(outages, N1, "pod-1", NOW)
    assert not outages.over(SCOPE, NOW, NOW)


def test_a_failure_of_one_holds_nobody_else(outages: Outages) -> None:
    assert outages.failed(SCOPE, N1, "pod-1", ERROR, NOW) == (True, False)
    assert outages.failed(SCOPE, N1, "pod-1", ERROR, NOW + 1) == (True, False)
    assert not only(outages).confirmed
    assert asks(outages, N2, "pod-2", NOW + 1)


def test_the_second_who_fails_confirms_it_and_others_wait(outages: Outages) -> None:
    outages.failed(SCOPE, N1, "pod-1", ERROR, NOW)
    assert outages.failed(SCOPE, N2, "pod-2", ERROR, NOW) == (True, True)
    assert outages.failed(SCOPE, N3, "pod-3", ERROR, NOW) == (True, False), "it is news once"
    found = only(outages)
    assert (found.code, found.message, found.since, found.waiting) == (ERROR.code, ERROR.message, NOW, 3)
    assert outages.held_by([OTHER, SCOPE], N2, "pod-2", NOW) == SCOPE


def test_the_asker_asks_at_intervals_that_grow_to_a_few_seconds(outages: Outages, redis: fakeredis.FakeRedis) -> None:
    confirmed(outages)
    now, intervals = NOW, []
    for _ in range(8):
        one = only(outages)
        intervals.append(one.ask_at - now)
        assert parked(redis)[one.asker] == pytest.approx(one.ask_at)
        redis.delete(keys.parked(P))
        now = one.ask_at
        who = {"n1": "pod-1", "n2": "pod-2"}[one.asker]
        other = N2 if one.asker == N1 else N1
        assert not asks(outages, other, {"n1": "pod-1", "n2": "pod-2"}[other], now), "one asks"
        assert asks(outages, one.asker, who, now)
        outages.failed(SCOPE, one.asker, who, ERROR, now)
    assert intervals == pytest.approx([FIRST_SECONDS, 2, 4, *[LONGEST_SECONDS] * 5], abs=0.01)


def test_those_who_wait_ask_by_turns(outages: Outages) -> None:
    confirmed(outages)
    outages.failed(SCOPE, N3, "pod-3", ERROR, NOW)
    askers, now = [], NOW
    for _ in range(6):
        one = only(outages)
        now = one.ask_at
        askers.append(one.asker)
        who = f"pod-{one.asker[1:]}"
        assert asks(outages, one.asker, who, now)
        outages.failed(SCOPE, one.asker, who, ERROR, now)
    assert set(askers[:3]) == set(askers[3:]) == {N1, N2, N3}


def test_one_that_has_not_failed_asks_at_once_but_not_more_than_one_a_second(outages: Outages) -> None:
    """What fails for some only holds others for a moment."""
    confirmed(outages)
    assert asks(outages, N3, "new-1", NOW + 0.1)
    assert not asks(outages, N3, "new-2", NOW + 0.2), "its answer is awaited"
    outages.failed(SCOPE, N3, "new-1", ERROR, NOW + 0.3)
    assert not asks(outages, N3, "new-2", NOW + 0.4)
    assert asks(outages, N3, "new-2", NOW + 0.1 + NEWCOMER_SECONDS)


def test_a_call_without_an_answer_holds_those_who_have_not_failed_for_a_moment_only(
    outages: Outages, redis: fakeredis.FakeRedis
) -> None:
    """What is silent for one node may answer another's."""
    confirmed(outages)
    first = only(outages)
    assert asks(outages, first.asker, "pod-1", first.ask_at), "and is silent"
    redis.delete(keys.parked(P))
    assert not asks(outages, N3, "new", first.ask_at + 0.1)
    assert not asks(outages, N2, "pod-2", first.ask_at + 0.2)
    turn = first.ask_at + NEWCOMER_SECONDS
    assert parked(redis) == pytest.approx({"n3": turn}), "it comes again"
    assert outages.waits_for([SCOPE], N3, turn) == frozenset()
    assert asks(outages, N3, "new", turn)
    assert not asks(outages, N2, "pod-2", turn + 0.1), "one that has failed waits for an answer"
    assert not asks(outages, N4, "newer", turn + 0.1)
    assert asks(outages, N4, "newer", turn + NEWCOMER_SECONDS), "a second silent one holds nobody up either"
    assert outages.over(SCOPE, turn, turn + 1)


def test_pods_of_a_node_for_which_it_failed_do_not_go_before_those_of_others(outages: Outages) -> None:
    outages.failed(SCOPE, N1, "pod-1", SILENT, NOW)
    outages.failed(SCOPE, N1, "pod-2", SILENT, NOW)
    for number in range(30):
        assert not asks(outages, N1, f"new-{number}", NOW + 0.1), "one asks for all of them"
    assert asks(outages, N2, "healthy", NOW + 0.2)


def test_pods_of_a_node_on_which_others_are_denied_ask_for_themselves(outages: Outages) -> None:
    outages.failed(SCOPE, N1, "pod-1", ERROR, NOW)
    outages.failed(SCOPE, N1, "pod-2", ERROR, NOW)
    assert not asks(outages, N1, "pod-1", NOW + 0.1)
    assert asks(outages, N1, "meets the condition", NOW + 0.1)
    assert not asks(outages, N1, "another", NOW + 0.2), "one a second"
    assert asks(outages, N1, "another", NOW + 0.1 + NEWCOMER_SECONDS)


def test_when_a_call_gets_through_all_who_wait_are_looked_at(outages: Outages, redis: fakeredis.FakeRedis) -> None:
    confirmed(outages)
    assert not asks(outages, N3, "pod-1", NOW)
    asker = only(outages)
    assert asks(outages, asker.asker, "pod-1", asker.ask_at)
    redis.delete(keys.parked(P))
    assert outages.over(SCOPE, asker.ask_at, asker.ask_at + 1)
    assert parked(redis) == pytest.approx({"n1": NOW + 2, "n2": NOW + 2, "n3": NOW + 2})
    assert outages.read() == ()
    assert asks(outages, N3, "pod-1", NOW + 2)


def test_a_call_that_began_before_the_failure_proves_nothing(outages: Outages) -> None:
    confirmed(outages)
    assert not outages.over(SCOPE, NOW - 0.5, NOW + 0.1)
    assert only(outages).confirmed


def test_it_works_and_fails_again(outages: Outages) -> None:
    confirmed(outages)
    outages.over(SCOPE, NOW + 1, NOW + 2)
    assert outages.failed(SCOPE, N3, "pod-3", ERROR, NOW + 3) == (True, False)
    assert not only(outages).confirmed
    assert outages.failed(SCOPE, N3, "pod-4", ERROR, NOW + 4) == (True, True)
    assert only(outages).since == NOW + 3


def test_one_that_fails_again_though_others_got_through_fails_by_itself(outages: Outages) -> None:
    """Denied by a condition that only this one's interface meets."""
    confirmed(outages)
    outages.over(SCOPE, NOW + 1, NOW + 2)
    for late in range(3, 60, 7):
        assert outages.failed(SCOPE, N1, "pod-1", ERROR, NOW + late) == (False, False)
        assert outages.failed(SCOPE, N2, "pod-2", ERROR, NOW + late) == (False, False)
        assert outages.read() == ()


def test_that_others_got_through_long_ago_says_nothing(outages: Outages) -> None:
    outages.failed(SCOPE, N1, "pod-1", ERROR, NOW)
    outages.over(SCOPE, NOW + 1, NOW + 1)
    outages.failed(SCOPE, N1, "pod-1", ERROR, NOW + 10)
    assert outages.failed(SCOPE, N1, "pod-1", ERROR, NOW + 20).shared is False
    assert outages.failed(SCOPE, N1, "pod-1", ERROR, NOW + 1 + ALONE_SECONDS) == (True, False)
    assert outages.failed(SCOPE, N2, "pod-2", ERROR, NOW + 2 + ALONE_SECONDS) == (True, True)


def test_an_asker_that_died_is_passed_over(outages: Outages, redis: fakeredis.FakeRedis) -> None:
    confirmed(outages)
    first = only(outages)
    assert asks(outages, first.asker, "pod-1", first.ask_at)
    gone = first.ask_at + ANSWER_SECONDS
    assert not outages.pass_on(SCOPE, gone + ABSENT_SECONDS - 0.1), "it may answer yet"
    assert outages.pass_on(SCOPE, gone + ABSENT_SECONDS)
    second = only(outages)
    assert second.asker != first.asker
    assert asks(outages, second.asker, "pod-1", gone + ABSENT_SECONDS + 0.1)


def test_an_outage_about_which_nobody_gets_an_answer_is_forgotten_and_all_are_looked_at(
    outages: Outages, redis: fakeredis.FakeRedis
) -> None:
    confirmed(outages)
    now = NOW
    while outages.read():
        now += 2.0
        outages.pass_on(SCOPE, now)
    assert now - NOW == pytest.approx(FORGOTTEN_SECONDS, abs=10)
    assert set(parked(redis)) == {N1, N2}
    assert asks(outages, N3, "pod-1", now)


def test_who_cannot_ask_now_gives_it_back(outages: Outages) -> None:
    confirmed(outages)
    one = only(outages)
    assert asks(outages, one.asker, "pod-1", one.ask_at)
    assert not outages.pass_on(SCOPE, one.ask_at, giver=N3), "another node is to ask"
    assert outages.pass_on(SCOPE, one.ask_at, giver=one.asker, at=one.ask_at + 4)
    after = only(outages)
    assert not after.asking
    assert after.ask_at == pytest.approx(one.ask_at + 4)


def test_a_call_with_two_scopes_asks_for_both_or_for_neither(outages: Outages) -> None:
    confirmed(outages)
    outages.failed(OTHER, N1, "pod-1", ERROR, NOW)
    outages.failed(OTHER, N2, "pod-2", ERROR, NOW + 0.5)
    assert outages.held_by([SCOPE, OTHER], N3, "new", NOW + 1) is None
    assert all(one.asking and one.asker == N3 for one in outages.read())
    for scope in (SCOPE, OTHER):
        outages.failed(scope, N3, "new", ERROR, NOW + 1.5)
    assert outages.held_by([OTHER], N4, "newer", NOW + 3) is None
    assert outages.held_by([SCOPE, OTHER], NodeName("n5"), "newest", NOW + 3.1) == OTHER
    assert not next(one for one in outages.read() if one.scope == SCOPE).asking


def waits(outages: Outages, node: NodeName, now: float) -> bool:
    return bool(outages.waits_for([OTHER, SCOPE], node, now))


def test_a_waiting_caller_learns_when_it_may_ask(outages: Outages) -> None:
    confirmed(outages)
    one = only(outages)
    other = N2 if one.asker == N1 else N1
    assert waits(outages, one.asker, one.ask_at - 0.1)
    assert not waits(outages, one.asker, one.ask_at)
    assert waits(outages, other, one.ask_at)
    assert asks(outages, one.asker, "pod-1", one.ask_at)
    assert waits(outages, one.asker, one.ask_at + 0.1), "one call asks, not every one of the node"


def test_who_comes_after_the_end_does_not_wait(outages: Outages) -> None:
    confirmed(outages)
    outages.over(SCOPE, NOW + 1, NOW + 1)
    assert not waits(outages, N1, NOW + 1)


def test_who_waited_for_the_outage_before_is_woken_at_the_end_of_the_next(
    outages: Outages, redis: fakeredis.FakeRedis
) -> None:
    """It was over, and failed again before everybody had looked."""
    confirmed(outages)
    outages.over(SCOPE, NOW + 1, NOW + 1)
    outages.failed(SCOPE, N3, "pod-3", ERROR, NOW + 2)
    assert not waits(outages, N1, NOW + 2), "one alone holds nobody"
    outages.failed(SCOPE, N3, "pod-4", ERROR, NOW + 2)
    assert waits(outages, N1, NOW + 2)
    redis.delete(keys.parked(P))
    outages.over(SCOPE, NOW + 3, NOW + 4)
    assert set(parked(redis)) == {N1, N3}


def test_redis_lost_forgets_it(outages: Outages, redis: fakeredis.FakeRedis) -> None:
    confirmed(outages)
    redis.flushall()
    assert outages.read() == ()
    assert asks(outages, N1, "pod-1", NOW)
    assert not outages.over(SCOPE, NOW, NOW)
    assert not outages.pass_on(SCOPE, NOW)


@pytest.mark.parametrize("lost", ["outage", "waiting_for", "failed_for"])
def test_a_part_that_expired_holds_nobody_for_ever(outages: Outages, redis: fakeredis.FakeRedis, lost: str) -> None:
    confirmed(outages)
    redis.delete(getattr(keys, lost)(P, SCOPE))
    now = NOW + KEPT_SECONDS
    while now < NOW + KEPT_SECONDS + 120:
        outages.pass_on(SCOPE, now)
        now += 2.0
    assert asks(outages, N3, "pod-1", now)
