"""What is in a Windows node's pool, by EC2, annotations and record."""

from typing import Any

import msgspec
import pytest

from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, Pool
from common.node.windows.contents import (
    CONFIRM_AGAIN_SECONDS,
    CONFIRM_SECONDS,
    LAG_SECONDS,
    SECOND_LOOK_SECONDS,
    SETTLED_SECONDS,
    Comparison,
    address_named,
    adopted_pool,
    compared,
    is_lost,
    next_look,
    prefix_of,
    reserved,
)
from common.node.windows.pool import REST_SECONDS, addresses_of
from tests.unit.node.builders import NOW, pod, primary

A, B = Ipv4("10.0.3.17"), Ipv4("10.0.3.18")
P, Q = Prefix("10.0.4.0/28"), Prefix("10.0.4.16/28")


def owner(**fields: Any) -> Any:
    return pod("a", 0, addresses=1, **fields)


def taken(ip: Ipv4 = A, **fields: Any) -> Address:
    return Address(ip=ip, **{"state": AddressState.ASSIGNED, "pod_uid": PodUid("uid-a"), "pod_name": "a", **fields})


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("10.0.3.17/19", A),
        ("10.0.3.17/32", A),
        ("10.0.3.17", A),
        (None, None),
        ("", None),
        ("x/19", None),
        ("10.0.3/19", None),
        ("::1/128", None),
        (" 10.0.3.17/19", None),
    ],
)
def test_the_address_in_an_annotation(text: str | None, ip: Ipv4 | None) -> None:
    assert address_named(owner(ip_annotation=text)) == ip


def test_living_pods_annotations_reserve_and_finished_ones_do_not() -> None:
    alive, done = owner(ip_annotation=f"{A}/19"), pod("b", ip_annotation=f"{B}/19", finished=True)
    assert reserved({p.uid: p for p in (alive, done)}, {A}, {}) == {A: alive}


def test_the_prefix_of_an_address() -> None:
    assert prefix_of(Ipv4("10.0.4.0"), {P: 0.0}) == prefix_of(Ipv4("10.0.4.15"), {P: 0.0}) == P
    assert prefix_of(Ipv4("10.0.4.16"), {P: 0.0}) is None


def test_without_a_record_what_is_named_is_its_pods_and_the_rest_rests() -> None:
    pods = [owner(ip_annotation=f"{A}/19"), pod("b", ip_annotation="10.0.4.3/32")]
    pool = adopted_pool(primary(secondary_ips=(A, B), prefixes=(P,)), {p.uid: p for p in pods}, NOW)
    assert not pool.suspect
    assert pool.prefixes == {P: NOW}
    assert (pool.addresses[A].pod_uid, pool.addresses[A].annotated) == ("uid-a", True)
    assert pool.addresses[B] == Address(ip=B, state=AddressState.COOLING, since=NOW, unasked=True)
    of_prefix = {ip: pool.addresses[ip] for ip in addresses_of(P)}
    assert of_prefix[Ipv4("10.0.4.3")].pod_uid == "uid-b"
    assert sum(a.state is AddressState.COOLING for a in of_prefix.values()) == 15


def test_of_pods_that_name_one_address_the_oldest_has_it() -> None:
    old, young = owner(ip_annotation=f"{A}/19"), pod("b", ip_annotation=f"{A}/19", scheduled_at=NOW + 5)
    for pods in ((old, young), (young, old)):
        assert reserved({p.uid: p for p in pods}, {A}, {}) == {A: old}


def looked(pool: Pool, shown: Any = None, *, began: float = NOW) -> Comparison:
    return compared(pool, shown or primary(), began, began + 0.1)


@pytest.mark.parametrize("assigning", [0, 2], ids=["somebody else's", "perhaps ours, perhaps given back just now"])
def test_an_address_that_was_found_rests_and_is_looked_at_again(assigning: int) -> None:
    pool = looked(Pool(assigning=assigning), primary(secondary_ips=(A,))).pool
    assert pool.addresses == {A: Address(ip=A, state=AddressState.COOLING, since=NOW + 0.1, unasked=True)}
    assert (pool.suspect, pool.assigning) == (False, 0)
    assert NOW + LAG_SECONDS < next_look(pool) < NOW + REST_SECONDS


@pytest.mark.parametrize("assigning", [0, 1])
def test_a_prefix_that_was_found_rests_whole(assigning: int) -> None:
    pool = looked(Pool(assigning=assigning), primary(prefixes=(P,))).pool
    assert (set(pool.prefixes), len(pool.addresses)) == ({P}, 16)
    assert NOW + LAG_SECONDS < next_look(pool) < NOW + REST_SECONDS


def test_a_found_prefix_leaves_pods_what_they_have() -> None:
    of_prefix = taken(Ipv4("10.0.4.3"), prefix=P)
    pool = looked(Pool(addresses={of_prefix.ip: of_prefix}), primary(prefixes=(P,))).pool
    assert pool.addresses[of_prefix.ip] == of_prefix


def test_what_an_assignment_under_way_brings_is_not_a_find() -> None:
    before = Pool(assigning=1, suspect=False)
    pool = looked(before, primary(secondary_ips=(A,), prefixes=(P,))).pool
    assert (pool.addresses, pool.prefixes, pool.assigning) == ({}, {}, 1)


def test_a_look_that_began_before_the_doubt_settles_nothing() -> None:
    pool = looked(Pool(assigning=1, suspect_since=NOW + 1)).pool
    assert (pool.assigning, pool.suspect) == (1, True)


def test_what_was_given_back_a_moment_ago_is_not_found_again() -> None:
    before = Pool(given_back={A: NOW - 3, P: NOW - 3}, suspect=False)
    shown = primary(secondary_ips=(A,), prefixes=(P,))
    early = looked(before, shown).pool
    assert (early.addresses, early.prefixes) == ({}, {})
    late = looked(early, shown, began=next_look(early)).pool
    assert (set(late.addresses) >= {A}, set(late.prefixes)) == (True, {P})


@pytest.mark.parametrize("state", [AddressState.WARM, AddressState.COOLING])
def test_one_look_that_does_not_show_something_proves_nothing_and_a_second_does(state: AddressState) -> None:
    before = Pool(addresses={A: taken(), B: Address(ip=B, state=state)}, prefixes={P: 1.0}, suspect=False)
    once = looked(before)
    assert (once.pool.addresses, once.pool.prefixes, once.lost) == (before.addresses, before.prefixes, ())
    assert once.pool.missing == {A: NOW, B: NOW, P: NOW}
    assert next_look(once.pool) == NOW + SECOND_LOOK_SECONDS
    twice = looked(once.pool, began=next_look(once.pool))
    assert (twice.pool.addresses, twice.pool.prefixes, twice.lost) == ({A: taken()}, {}, (taken(),))
    assert next_look(twice.pool) == float("inf"), "nothing is open"


def test_what_is_seen_again_is_not_missing() -> None:
    before = Pool(addresses={A: Address(ip=A)}, missing={A: NOW - 30}, suspect=False)
    assert looked(before, primary(secondary_ips=(A,))).pool.missing == {}
    early = looked(before, primary(secondary_ips=(A,)), began=NOW - 25).pool
    assert early.missing == {A: NOW - 30}, "an answer that may be older than the one before"


@pytest.mark.parametrize("age", [0.0, LAG_SECONDS - 0.1])
def test_what_is_younger_than_ec2s_lag_is_not_missed(age: float) -> None:
    since = NOW - age
    before = Pool(
        addresses={A: Address(ip=A, since=since)}, prefixes={P: since}, fresh={A: since, P: since}, suspect=False
    )
    pool = looked(before).pool
    assert (pool.missing, pool.fresh) == ({}, before.fresh)
    assert next_look(pool) == NOW + CONFIRM_AGAIN_SECONDS


def test_what_ec2_assigned_is_looked_for_soon_and_is_not_fresh_once_shown() -> None:
    before = Pool(addresses={A: Address(ip=A, since=NOW)}, fresh={A: NOW}, suspect=False)
    assert next_look(before) == NOW + CONFIRM_SECONDS
    after = looked(before, primary(secondary_ips=(A,)), began=NOW + CONFIRM_SECONDS).pool
    assert (after.fresh, next_look(after)) == ({}, float("inf"))


RELEASING = Pool(
    addresses={A: Address(ip=A, state=AddressState.RELEASING, since=NOW)},
    releasing_prefixes=(Q,),
    released_at=NOW,
    suspect=False,
)


def test_what_may_have_been_given_back_stays_out_of_use_until_the_call_cannot_take_effect_any_more() -> None:
    shown = primary(secondary_ips=(A,), prefixes=(Q,))
    early = looked(RELEASING, shown, began=NOW + 1).pool
    assert (early.addresses, early.releasing_prefixes) == (RELEASING.addresses, (Q,))
    assert next_look(early) == NOW + SETTLED_SECONDS
    late = looked(early, shown, began=next_look(early)).pool
    assert (late.addresses[A].state, set(late.prefixes), late.releasing_prefixes) == (AddressState.WARM, {Q}, ())


def test_what_may_have_been_given_back_and_is_not_shown_is() -> None:
    pool = looked(RELEASING, began=NOW + 1).pool
    assert (pool.addresses, pool.releasing_prefixes, pool.prefixes) == ({}, (), {})
    stale = looked(pool, primary(secondary_ips=(A,), prefixes=(Q,)), began=NOW + 2).pool
    assert (stale.addresses, stale.prefixes) == ({}, {}), "an older answer does not bring it back"


def test_an_address_is_lost_when_two_looks_or_its_prefix_say_so() -> None:
    pool = Pool(addresses={A: taken()}, prefixes={P: 1.0}, missing={A: NOW}, looked_at=NOW + SECOND_LOOK_SECONDS)
    assert is_lost(pool, taken())
    assert not is_lost(msgspec.structs.replace(pool, looked_at=NOW + 1), taken())
    assert not is_lost(pool, taken(B))
    assert is_lost(pool, taken(Ipv4("10.0.4.17"), prefix=Q))
    assert not is_lost(pool, taken(Ipv4("10.0.4.3"), prefix=P))


def test_what_is_as_recorded_stays_as_it_is() -> None:
    before = Pool(addresses={A: Address(ip=A, state=AddressState.WARM, since=1.0)}, prefixes={P: 1.0}, suspect=False)
    after = looked(before, primary(secondary_ips=(A,), prefixes=(P,))).pool
    assert after == msgspec.structs.replace(before, looked_at=NOW)
