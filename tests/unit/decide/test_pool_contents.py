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


@pytest.mark.parametrize(
    ("assigning", "state", "unexpected"),
    [
        pytest.param(2, AddressState.WARM, False, id="ours: nobody had it"),
        pytest.param(0, AddressState.COOLING, True, id="nobody here asked: somebody may have had it"),
    ],
)
def test_an_address_that_was_found(assigning: int, state: AddressState, unexpected: bool) -> None:
    pool, odd = compared(Pool(assigning=assigning), primary(secondary_ips=(A,)), NOW)
    assert pool == Pool(addresses={A: Address(ip=A, state=state, since=NOW)}, suspect=False)
    assert odd is unexpected


@pytest.mark.parametrize(("assigning", "resting"), [(1, 0), (0, 16)])
def test_a_prefix_that_was_found(assigning: int, resting: int) -> None:
    pool, odd = compared(Pool(assigning=assigning), primary(prefixes=(P,)), NOW)
    assert (pool.prefixes, len(pool.addresses), odd) == ({P: NOW}, resting, assigning == 0)


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
