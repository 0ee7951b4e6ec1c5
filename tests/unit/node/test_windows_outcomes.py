"""What ended calls about addresses make of a Windows node's pool."""

from typing import Any

import msgspec
import pytest

from common.model import actions as act
from common.model import errors
from common.model.errors import OutsideError
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, LastUse, Pool
from common.model.names import PRIVATE_IPV4
from common.model.outcome import Done, Failed, Outcome, Waits
from common.node.planner import Applied, apply
from common.node.windows.contents import SECOND_LOOK_SECONDS, next_look
from common.node.windows.pool import rested
from common.node.windows.prefix import PrefixMode
from common.node.windows.secondary import SecondaryMode
from tests.unit.node.builders import NOW, PRIMARY, leave, ledger, primary, reasons

A, B = Ipv4("10.0.3.17"), Ipv4("10.0.3.18")
P, Q = Prefix("10.0.4.0/28"), Prefix("10.0.4.16/28")
UID = PodUid("uid-a")
ASSIGN = act.AssignAddresses(subject="pool", eni_id=PRIMARY, count=2)
ASSIGN_PREFIX = act.AssignPrefixes(subject="pool/prefixes", eni_id=PRIMARY, count=1)
UNASSIGN = act.UnassignAddresses(
    subject="pool/release", eni_id=PRIMARY, addresses=(A,), warrant=leave(PRIMARY, addresses=(A,))
)
UNASSIGN_PREFIX = act.UnassignPrefixes(
    subject="pool/release", eni_id=PRIMARY, prefixes=(P,), warrant=leave(PRIMARY, prefixes=(P,))
)
INSPECT = act.InspectPool(subject="pool/look", eni_id=PRIMARY, began=NOW - 0.2)
WARM = Address(ip=A, since=NOW)
RELEASING = Address(ip=A, state=AddressState.RELEASING)
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


def done(of: Pool | None, action: act.Action, value: Any = None) -> Applied:
    return apply(ledger(pool=of), action, Done(value=value), now=NOW, jitter=0.5)


def failed(of: Pool | None, action: act.Action, error: OutsideError) -> Applied:
    return apply(ledger(pool=of), action, Failed(error=error), now=NOW, jitter=0.5)


def after(result: Applied) -> Pool:
    assert result.ledger.pool is not None
    return result.ledger.pool


def test_what_ec2_gave_is_warm_and_looked_for() -> None:
    got = after(done(pool(assigning=2), ASSIGN, (A, B)))
    nobodys = LastUse(at=NOW)
    assert got == pool(
        addresses={ip: Address(ip=ip, since=NOW) for ip in (A, B)},
        fresh={A: NOW, B: NOW},
        uses={A: nobodys, B: nobodys},
    )
    got = after(done(pool(assigning=1), ASSIGN_PREFIX, (P,)))
    assert got == pool(prefixes={P: NOW}, fresh={P: NOW}, uses={P: nobodys})


def test_what_ec2_gives_again_while_it_is_given_back_stays() -> None:
    """EC2 had carried out the Unassign when it gave the address out again: the outcome that comes later, and one that
    never comes, take nothing away."""
    got = after(done(pool(addresses={A: RELEASING}, assigning=1), ASSIGN, (A, B)))
    assert got.addresses[A] == WARM
    assert after(done(got, UNASSIGN)).addresses[A] == WARM
    got = after(done(pool(releasing_prefixes=(P,), assigning=1), ASSIGN_PREFIX, (P,)))
    assert (got.prefixes, got.releasing_prefixes) == ({P: NOW}, ())
    assert after(done(got, UNASSIGN_PREFIX)).prefixes == {P: NOW}


def test_an_address_that_ec2_gives_again_goes_on_resting() -> None:
    resting = Address(ip=A, state=AddressState.COOLING, since=NOW - 5)
    got = after(done(pool(addresses={A: resting}, missing={A: NOW - 60}), ASSIGN, (A, B)))
    assert (got.addresses[A], got.missing) == (resting, {})


def test_an_answer_does_not_end_the_doubt_about_another_call() -> None:
    assert after(done(pool(assigning=2, suspect=True), ASSIGN, (A, B))).suspect


def test_fewer_than_asked_for_is_looked_into() -> None:
    got = after(done(pool(assigning=2), ASSIGN, (A,)))
    assert (got.suspect, got.assigning, got.suspect_since) == (True, 0, NOW)


def test_an_address_that_a_pod_has_stays_the_pods_whatever_the_answer() -> None:
    assert after(done(pool(addresses={A: OWNED}, assigning=2), ASSIGN, (A, B))).addresses[A] == OWNED


def test_what_was_given_back_leaves_the_record() -> None:
    got = after(done(pool(addresses={A: RELEASING}, fresh={A: NOW - 1}), UNASSIGN))
    assert got == pool(given_back={A: NOW})
    left = after(done(pool(releasing_prefixes=(P, Q)), UNASSIGN_PREFIX))
    assert left == pool(releasing_prefixes=(Q,), given_back={P: NOW})


def test_an_address_that_is_a_pods_again_does_not_leave_the_record() -> None:
    assert done(pool(addresses={A: OWNED}), UNASSIGN).ledger.pool == pool(addresses={A: OWNED})


def test_an_inspection_settles_the_record() -> None:
    got = after(done(Pool(), INSPECT, primary(secondary_ips=(A,))))
    assert got.addresses == {A: Address(ip=A, state=AddressState.COOLING, since=NOW, unasked=True)}
    assert not got.suspect


def test_a_living_pods_lost_address_is_reported_once_after_two_looks_and_stays_on_record() -> None:
    first = done(pool(addresses={A: OWNED}), INSPECT, primary())
    assert first.notices == ()
    again = msgspec.structs.replace(INSPECT, began=INSPECT.began + SECOND_LOOK_SECONDS)
    second = apply(first.ledger, again, Done(value=primary()), now=NOW + 61, jitter=0.5)
    assert reasons(second.notices) == ["AddressMissing"]
    assert after(second).addresses == {A: OWNED}
    third = apply(second.ledger, again, Done(value=primary()), now=NOW + 62, jitter=0.5)
    assert third.notices == ()


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        pytest.param(NOW, {A: Address(ip=A, state=AddressState.COOLING, since=NOW)}, id="perhaps only not shown"),
        pytest.param(NOW + SECOND_LOOK_SECONDS, {}, id="gone"),
    ],
)
def test_an_ended_pods_address_that_is_not_the_nodes_any_more_goes_to_nobody(
    seen: float, left: dict[Ipv4, Address]
) -> None:
    before = pool(addresses={A: OWNED}, missing={A: NOW}, looked_at=seen)
    got = after(done(before, act.ConfirmGone(subject="pod/uid-a", pod_uid=UID, namespace="default", name="a"), True))
    assert got.addresses == left
    assert set(got.missing) == set(left)
    assert SecondaryMode().pick(rested(got, NOW + 100.0), frozenset()) is None


def test_a_pods_annotation_is_recorded_and_reported() -> None:
    result = done(pool(addresses={A: OWNED}), ANNOTATE, f"{A}/19")
    assert result.ledger.pool is not None
    assert result.ledger.pool.addresses[A].annotated
    assert reasons(result.notices) == ["ResourceAllocated"]


def test_an_address_that_somebody_elses_annotation_does_not_name_rests() -> None:
    result = done(pool(addresses={A: OWNED}), ANNOTATE, f"{B}/19")
    resting = Address(ip=A, state=AddressState.COOLING, since=NOW)
    use = LastUse(found=True, pod_uid=UID, at=NOW, word_at=NOW)
    assert result.ledger.pool == pool(addresses={A: resting}, uses={A: use})
    assert result.notices == ()


def test_an_ended_pods_address_rests_and_others_do_not() -> None:
    other = Address(ip=B, state=AddressState.ASSIGNED, pod_uid=PodUid("uid-b"))
    gone = act.ConfirmGone(subject="pod/uid-a", pod_uid=UID, namespace="default", name="a")
    got = after(done(pool(addresses={A: OWNED, B: other}), gone, True))
    assert (got.addresses[A].state, got.addresses[A].since) == (AddressState.COOLING, NOW)
    assert got.addresses[B] == other
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
def test_an_assignment_that_was_refused_brought_nothing(
    action: act.AssignAddresses | act.AssignPrefixes, error: OutsideError, suspect: bool
) -> None:
    result = failed(pool(assigning=2), action, error)
    got = after(result)
    assert (got.assigning, got.addresses, got.prefixes, got.suspect) == (0, {}, {}, suspect)
    less = action.count > 1 and isinstance(error, errors.SubnetExhausted | errors.LimitExceeded)
    assert (result.ledger.backoffs[action.subject].not_before > NOW) is not less


@pytest.mark.parametrize("error", [errors.SubnetExhausted("x"), errors.LimitExceeded("x")])
def test_less_is_asked_for_at_once_and_one_after_growing_pauses(error: OutsideError) -> None:
    result = failed(pool(assigning=2), ASSIGN, error)
    assert after(result).refused == {"pool": 2}
    assert (result.ledger.backoffs["pool"].not_before, result.ledger.backoffs["pool"].attempts) == (NOW, 0)
    one = msgspec.structs.replace(ASSIGN, count=1)
    pauses = []
    for _ in range(3):
        result = apply(result.ledger, one, Failed(error=error), now=NOW, jitter=1.0)
        pauses.append(result.ledger.backoffs["pool"].not_before - NOW)
    assert pauses == [5.0, 10.0, 20.0]
    assert after(apply(result.ledger, one, Done(value=(A,)), now=NOW, jitter=0.5)).refused == {}


def test_the_intent_of_an_assignment_with_unknown_outcome_stays_and_pauses_grow() -> None:
    result = failed(pool(assigning=2), ASSIGN, errors.Unsure("x"))
    assert after(result) == pool(assigning=2)
    pauses = []
    for _ in range(3):
        pauses.append(result.ledger.backoffs["pool"].not_before - NOW)
        looked = apply(result.ledger, INSPECT, Done(value=primary()), now=NOW, jitter=0.5)
        result = apply(looked.ledger, ASSIGN, Failed(error=errors.Unsure("x")), now=NOW, jitter=0.5)
    assert 0 < pauses[0] < pauses[1] < pauses[2]


TO_BE_GIVEN_BACK = pool(addresses={A: RELEASING}, releasing_prefixes=(P,), released_at=NOW - 1)


@pytest.mark.parametrize("action", [UNASSIGN, UNASSIGN_PREFIX])
def test_a_release_with_unknown_outcome_stays_on_record_as_begun(action: act.Action) -> None:
    result = failed(TO_BE_GIVEN_BACK, action, errors.Unsure("x"))
    assert after(result) == msgspec.structs.replace(TO_BE_GIVEN_BACK, released_at=NOW)
    assert result.ledger.backoffs["pool/release"].attempts == 1


@pytest.mark.parametrize(
    "outcome",
    [
        Waits(until=NOW + 9),
        *(Failed(error=error("x")) for error in (errors.Throttled, errors.Denied, errors.LimitExceeded)),
    ],
    ids=["not made", "throttled", "denied", "refused"],
)
def test_what_a_release_did_not_take_is_usable_again(outcome: Outcome) -> None:
    got = after(apply(ledger(pool=TO_BE_GIVEN_BACK), UNASSIGN, outcome, now=NOW, jitter=0.5))
    assert SecondaryMode().pick(got, frozenset()) == Address(ip=A, since=NOW - 1)
    got = after(apply(ledger(pool=TO_BE_GIVEN_BACK), UNASSIGN_PREFIX, outcome, now=NOW, jitter=0.5))
    assert (got.prefixes, got.releasing_prefixes) == ({P: NOW - 1}, ())
    assert PrefixMode().pick(got, frozenset()) is not None


@pytest.mark.parametrize("error", [errors.Invalid, errors.NotFound])
def test_what_ec2_says_is_not_there_is_given_to_nobody_until_a_look_shows_it(error: type[OutsideError]) -> None:
    got = after(failed(TO_BE_GIVEN_BACK, UNASSIGN, error("x")))
    assert SecondaryMode().pick(got, frozenset()) is None
    assert next_look(got) <= NOW
    shown = apply(
        ledger(pool=got),
        msgspec.structs.replace(INSPECT, began=NOW + 30),
        Done(value=primary(secondary_ips=(A,), prefixes=(P,))),
        now=NOW + 30,
        jitter=0.5,
    )
    assert SecondaryMode().pick(after(shown), frozenset()) is not None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InsufficientCidrBlocks", "InsufficientCidrBlocks"),
        ("InsufficientFreeAddressesInSubnet", "AddressAssignmentFailed"),
    ],
)
def test_a_node_that_gets_no_addresses_is_reported(code: str, reason: str) -> None:
    result = failed(pool(assigning=1), ASSIGN_PREFIX, errors.SubnetExhausted(code))
    assert reasons(result.notices) == [reason]


@pytest.mark.parametrize("action", [ASSIGN, ASSIGN_PREFIX, UNASSIGN, UNASSIGN_PREFIX, INSPECT])
def test_without_a_pool_there_is_nothing_to_record(action: act.Action) -> None:
    assert done(None, action, ()).ledger.pool is None
    assert failed(None, action, errors.Denied("x")).ledger.pool is None


@pytest.mark.parametrize("error", ALL)
def test_an_inspection_that_failed_is_repeated(error: type[OutsideError]) -> None:
    result = failed(Pool(), INSPECT, error("x"))
    assert (result.ledger.pool, result.ledger.backoffs["pool/look"].attempts) == (Pool(), 1)
