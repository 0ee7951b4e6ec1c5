"""What is in a Windows node's pool, by EC2, annotations and record."""

from typing import Any

import pytest

from common.decide.pool_contents import address_named, adopted_pool, compared, missing, prefix_of, reserved
from common.decide.warm_pool import addresses_of
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, Pool
from tests.unit.decide.builders import NOW, pod, primary

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
    assert reserved({p.uid: p for p in (alive, done)}) == {A: alive}


def test_the_prefix_of_an_address() -> None:
    assert prefix_of(Ipv4("10.0.4.0"), {P: 0.0}) == prefix_of(Ipv4("10.0.4.15"), {P: 0.0}) == P
    assert prefix_of(Ipv4("10.0.4.16"), {P: 0.0}) is None


def test_without_a_record_what_is_named_is_its_pods_and_the_rest_rests() -> None:
    pods = [owner(ip_annotation=f"{A}/19"), pod("b", ip_annotation="10.0.4.3/32")]
    pool = adopted_pool(primary(secondary_ips=(A, B), prefixes=(P,)), {p.uid: p for p in pods}, NOW)
    assert not pool.suspect
    assert pool.prefixes == {P: NOW}
    assert (pool.addresses[A].pod_uid, pool.addresses[A].annotated) == ("uid-a", True)
    assert pool.addresses[B] == Address(ip=B, state=AddressState.COOLING, since=NOW)
    of_prefix = {ip: pool.addresses[ip] for ip in addresses_of(P)}
    assert of_prefix[Ipv4("10.0.4.3")].pod_uid == "uid-b"
    assert sum(a.state is AddressState.COOLING for a in of_prefix.values()) == 15


@pytest.mark.parametrize("assigning", [0, 2], ids=["somebody else's", "perhaps ours, perhaps given back just now"])
def test_an_address_that_was_found_rests_and_is_looked_at_again(assigning: int) -> None:
    pool, odd = compared(Pool(assigning=assigning), primary(secondary_ips=(A,)), NOW)
    assert pool == Pool(addresses={A: Address(ip=A, state=AddressState.COOLING, since=NOW)}, suspect=False)
    assert odd


@pytest.mark.parametrize("assigning", [0, 1])
def test_a_prefix_that_was_found_rests_whole(assigning: int) -> None:
    pool, odd = compared(Pool(assigning=assigning), primary(prefixes=(P,)), NOW)
    assert (pool.prefixes, len(pool.addresses), odd) == ({P: NOW}, 16, True)


@pytest.mark.parametrize("state", [AddressState.WARM, AddressState.COOLING, AddressState.RELEASING])
def test_what_is_gone_is_dropped_unless_a_pod_has_it(state: AddressState) -> None:
    before = Pool(addresses={A: taken(), B: Address(ip=B, state=state)}, prefixes={P: 1.0}, releasing_prefixes=(Q,))
    pool, odd = compared(before, primary(), NOW)
    assert (pool.addresses, pool.prefixes, pool.releasing_prefixes, odd) == ({A: taken()}, {}, (), False)


def test_what_is_as_recorded_stays_as_it_is() -> None:
    before = Pool(
        addresses={A: Address(ip=A, state=AddressState.RELEASING, since=1.0)},
        prefixes={P: 1.0},
        releasing_prefixes=(Q,),
        suspect=False,
    )
    assert compared(before, primary(secondary_ips=(A,), prefixes=(P, Q)), NOW) == (before, False)


def test_what_pods_have_and_ec2_does_not_show_is_missing() -> None:
    of_prefix = taken(Ipv4("10.0.4.3"), prefix=P)
    pool = Pool(addresses={A: taken(), of_prefix.ip: of_prefix, B: Address(ip=B)}, prefixes={P: 1.0})
    assert missing(pool, primary(secondary_ips=(A,), prefixes=(P,))) == []
    assert missing(pool, primary()) == [taken(), of_prefix]
