"""What ended calls about addresses make of a Windows node's pool."""

from typing import Any

import pytest

from common.decide.outcomes import Result, apply
from common.model import actions as act
from common.model import errors
from common.model.errors import OutsideError
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, Pool
from common.model.names import PRIVATE_IPV4
from common.model.outcome import Done, Failed
from tests.unit.decide.builders import NOW, PRIMARY, ledger, primary, reasons

A, B = Ipv4("10.0.3.17"), Ipv4("10.0.3.18")
P, Q = Prefix("10.0.4.0/28"), Prefix("10.0.4.16/28")
UID = PodUid("uid-a")
ASSIGN = act.AssignAddresses(subject="pool", eni_id=PRIMARY, count=2)
ASSIGN_PREFIX = act.AssignPrefixes(subject="pool", eni_id=PRIMARY, count=1)
UNASSIGN = act.UnassignAddresses(subject="pool/release", eni_id=PRIMARY, addresses=(A,))
UNASSIGN_PREFIX = act.UnassignPrefixes(subject="pool/release", eni_id=PRIMARY, prefixes=(P,))
INSPECT = act.InspectPool(subject="pool", eni_id=PRIMARY)
OWNED = Address(ip=A, state=AddressState.ASSIGNED, pod_uid=UID, pod_namespace="default", pod_name="a")
ANNOTATE = act.Annotate(
    subject="annotate/uid-a",
    pod_uid=UID,
    namespace="default",
    name="a",
    annotation=PRIVATE_IPV4,
    value=f"{A}/19",
)
ALL: list[type[OutsideError]] = [
    errors.Unsure,
    errors.NotFound,
    errors.Denied,
    errors.SubnetExhausted,
    errors.LimitExceeded,
    errors.Invalid,
]


def pool(**fields: Any) -> Pool:
    return Pool(**{"suspect": False, **fields})


def done(of: Pool | None, action: act.Action, value: Any = None) -> Result:
    return apply(ledger(pool=of), action, Done(value=value), now=NOW, jitter=0.5)


def failed(of: Pool | None, action: act.Action, error: OutsideError) -> Result:
    return apply(ledger(pool=of), action, Failed(error=error), now=NOW, jitter=0.5)


def test_what_ec2_gave_is_warm() -> None:
    after = done(pool(assigning=2), ASSIGN, (A, B)).ledger.pool
    assert after == pool(addresses={ip: Address(ip=ip, since=NOW) for ip in (A, B)})
    assert done(pool(assigning=1), ASSIGN_PREFIX, (P,)).ledger.pool == pool(prefixes={P: NOW})


def test_fewer_than_asked_for_is_looked_into() -> None:
    after = done(pool(assigning=2), ASSIGN, (A,)).ledger.pool
    assert after is not None
    assert (after.suspect, after.assigning) == (True, 0)


def test_an_address_that_a_pod_has_stays_the_pods_whatever_the_answer() -> None:
    after = done(pool(addresses={A: OWNED}, assigning=2), ASSIGN, (A, B)).ledger.pool
    assert after is not None
    assert after.addresses[A] == OWNED


def test_what_was_given_back_leaves_the_record() -> None:
    releasing = Address(ip=A, state=AddressState.RELEASING)
    assert done(pool(addresses={A: releasing}), UNASSIGN).ledger.pool == pool()
    assert done(pool(releasing_prefixes=(P, Q)), UNASSIGN_PREFIX).ledger.pool == pool(releasing_prefixes=(Q,))


def test_an_address_that_is_a_pods_again_does_not_leave_the_record() -> None:
    assert done(pool(addresses={A: OWNED}), UNASSIGN).ledger.pool == pool(addresses={A: OWNED})


def test_an_inspection_settles_the_record() -> None:
    after = done(Pool(), INSPECT, primary(secondary_ips=(A,))).ledger
    assert after.pool == pool(addresses={A: Address(ip=A, state=AddressState.COOLING, since=NOW)})
    assert (after.audit_at, after.audit_interval) == (NOW + 20, 0.0)
    assert done(pool(), INSPECT, primary()).ledger.audit_at == ledger().audit_at


def test_a_living_pods_lost_address_is_told_and_stays_on_record() -> None:
    result = done(pool(addresses={A: OWNED}), INSPECT, primary())
    assert reasons(result.notices) == ["AddressMissing"]
    assert result.ledger.pool == pool(addresses={A: OWNED})


def test_a_pods_annotation_is_recorded_and_told() -> None:
    result = done(pool(addresses={A: OWNED}), ANNOTATE, f"{A}/19")
    assert result.ledger.pool is not None
    assert result.ledger.pool.addresses[A].annotated
    assert reasons(result.notices) == ["ResourceAllocated"]


def test_an_address_that_somebody_elses_annotation_does_not_name_rests() -> None:
    result = done(pool(addresses={A: OWNED}), ANNOTATE, f"{B}/19")
    assert result.ledger.pool == pool(addresses={A: Address(ip=A, state=AddressState.COOLING, since=NOW)})
    assert result.notices == []


def test_an_ended_pods_address_rests_and_others_do_not() -> None:
    other = Address(ip=B, state=AddressState.ASSIGNED, pod_uid=PodUid("uid-b"))
    gone = act.ConfirmGone(subject="pod/uid-a", pod_uid=UID, namespace="default", name="a")
    after = done(pool(addresses={A: OWNED, B: other}), gone, True).ledger.pool
    assert after is not None
    assert (after.addresses[A].state, after.addresses[A].since) == (AddressState.COOLING, NOW)
    assert after.addresses[B] == other
    assert done(pool(addresses={A: OWNED}), gone, False).ledger.pool == pool(addresses={A: OWNED})


@pytest.mark.parametrize("action", [ASSIGN, ASSIGN_PREFIX])
@pytest.mark.parametrize(
    ("error", "suspect"),
    [
        (errors.Throttled("x"), False),
        (errors.SubnetExhausted("x"), False),
        (errors.Denied("x"), False),
        (errors.LimitExceeded("x"), True),
        (errors.Invalid("x"), False),
    ],
)
def test_an_assignment_that_was_refused_brought_nothing(action: act.Action, error: OutsideError, suspect: bool) -> None:
    result = failed(pool(assigning=2), action, error)
    assert result.ledger.pool == pool(suspect=suspect)
    assert result.ledger.paces["pool"].not_before > NOW


def test_after_an_unknown_outcome_it_is_looked_at_once_before_anything_else() -> None:
    result = failed(pool(assigning=2), ASSIGN, errors.Unsure("x"))
    assert result.ledger.pool == pool(assigning=2, suspect=True)
    assert result.ledger.paces == {}


@pytest.mark.parametrize("action", [UNASSIGN, UNASSIGN_PREFIX])
@pytest.mark.parametrize("error", ALL)
def test_after_a_failed_release_it_is_looked_at(action: act.Action, error: type[OutsideError]) -> None:
    before = pool(addresses={A: Address(ip=A, state=AddressState.RELEASING)}, releasing_prefixes=(P,))
    after = failed(before, action, error("x")).ledger
    assert after.pool == Pool(addresses=before.addresses, releasing_prefixes=(P,), suspect=True)
    assert after.paces["pool/release"].attempts == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InsufficientCidrBlocks", "InsufficientCidrBlocks"),
        ("InsufficientFreeAddressesInSubnet", "AddressAssignmentFailed"),
    ],
)
def test_a_node_that_gets_no_addresses_is_told(code: str, reason: str) -> None:
    result = failed(pool(assigning=1), ASSIGN_PREFIX, errors.SubnetExhausted(code))
    assert reasons(result.notices) == [reason]


@pytest.mark.parametrize("action", [ASSIGN, ASSIGN_PREFIX, UNASSIGN, UNASSIGN_PREFIX, INSPECT])
def test_without_a_pool_there_is_nothing_to_record(action: act.Action) -> None:
    assert done(None, action, ()).ledger.pool is None
    assert failed(None, action, errors.Denied("x")).ledger.pool is None


@pytest.mark.parametrize("error", ALL)
def test_an_inspection_that_failed_is_repeated(error: type[OutsideError]) -> None:
    result = failed(Pool(), INSPECT, error("x"))
    assert (result.ledger.pool, result.ledger.paces["pool"].attempts) == (Pool(), 1)
