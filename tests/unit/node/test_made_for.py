"""Outcomes carry what they were made for: where the ledger has moved on they change nothing of it."""

from typing import Any, get_args

import msgspec
import pytest

from common.model import actions as act
from common.model.errors import Denied, Throttled
from common.model.ids import AttachmentId, EniId, Ipv4, VlanId
from common.model.ledger import BranchState, InstanceFacts, Ledger, Pool, Trunk, TrunkState
from common.model.outcome import Done, Failed, Outcome, Resolution, Waits
from common.node.made_for import made_for
from common.node.planner import apply
from tests.unit.node.builders import (
    GROUP,
    INSTANCE,
    NOW,
    OTHER_INSTANCE,
    SUBNET,
    TRUNK,
    branch,
    by_key,
    claim,
    instance_facts,
    leave,
    ledger,
    trunk,
)
from tests.unit.node.steps import ENI, MADE, RESOLVE, associate, create

ABOUT_KUBERNETES = {
    act.CreateCniNode,
    act.RepairCniNode,
    act.DropFinalizer,
    act.CleanDeparted,
    act.DeleteCniNode,
    act.ConfirmNodeGone,
    act.Advertise,
    act.Annotate,
    act.ConfirmGone,
}
"""Named by uid, or asked of the API server: they say the same to any ledger."""
PLACE: Any = {
    "instance_id": INSTANCE,
    "subnet_id": SUBNET.subnet_id,
    "groups": (GROUP,),
    "token": "t",
    "extra_tags": {},
}
PRIMARY = EniId("eni-primary")


def test_every_action_is_about_a_part_of_the_ledger_or_about_an_object_of_kubernetes() -> None:
    for kind in get_args(act.Action):
        about = made_for(ledger(branch("a")), _any(kind))
        assert (about is None) == (kind in ABOUT_KUBERNETES), kind


def _any(kind: Any) -> Any:
    fields = {field.name: None for field in msgspec.structs.fields(kind) if field.required}
    return kind(**fields)


def stamped(of: Ledger, action: act.Action) -> act.Action:
    return msgspec.structs.replace(action, made_for=made_for(of, action))


TRUNK_STEPS = [
    (Trunk(state=TrunkState.CREATING), act.CreateTrunk(subject="trunk", **PLACE), MADE),
    (trunk(TrunkState.CREATED), act.PermitInterface(subject="trunk", eni_id=TRUNK), None),
    (
        trunk(TrunkState.ATTACHING, attachment_id=None),
        act.AttachTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, device_index=2),
        AttachmentId("attach-9"),
    ),
    (
        trunk(TrunkState.ATTACHING),
        act.FinishTrunk(subject="trunk", eni_id=TRUNK, attachment_id=AttachmentId("attach-1")),
        None,
    ),
    (trunk(TrunkState.ATTACHED), act.AwaitTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE), True),
    (trunk(), act.SetTrunkGroups(subject="trunk", eni_id=TRUNK, groups=()), None),
    (
        trunk(TrunkState.UNDOING),
        act.UndoTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, warrant=leave(TRUNK)),
        None,
    ),
]


@pytest.mark.parametrize("outcome", ["done", "denied", "throttled", "waits"])
@pytest.mark.parametrize(
    "moved",
    [
        pytest.param({"instance": None, "trunk": Trunk(generation=1), "snapshot_after": NOW}, id="not known yet"),
        pytest.param({"instance": instance_facts(OTHER_INSTANCE), "trunk": Trunk(device_index=2)}, id="other instance"),
        pytest.param({"trunk": Trunk(generation=1)}, id="other trunk"),
    ],
)
@pytest.mark.parametrize(("before", "action", "value"), TRUNK_STEPS)
def test_an_outcome_of_an_earlier_trunk_is_dropped(
    before: Trunk, action: act.Action, value: Any, moved: dict[str, Any], outcome: str
) -> None:
    of = ledger(trunk=before)
    ended: dict[str, Outcome] = {
        "done": Done(value=value),
        "denied": Failed(error=Denied("UnauthorizedOperation")),
        "throttled": Failed(error=Throttled("RequestLimitExceeded")),
        "waits": Waits(until=NOW + 9),
    }
    action = stamped(of, action)
    assert apply(of, action, ended[outcome], now=NOW, jitter=0.5).ledger != of or outcome in ("denied", "throttled")
    later = ledger(**moved)
    result = apply(later, action, ended[outcome], now=NOW, jitter=0.5)
    assert (result.ledger, result.notices, result.moved_on) == (later, (), True)


IPS = (Ipv4("10.0.0.9"),)
GIVEN_UP = leave(PRIMARY, addresses=IPS)
POOL_STEPS = [
    (act.AssignAddresses(subject="pool", eni_id=PRIMARY, count=1), (Ipv4("10.0.0.9"),)),
    (act.AssignPrefixes(subject="pool", eni_id=PRIMARY, count=1), ("10.0.0.16/28",)),
    (
        act.UnassignAddresses(
            subject="pool/release",
            eni_id=PRIMARY,
            addresses=(Ipv4("10.0.0.9"),),
            warrant=leave(PRIMARY, addresses=(Ipv4("10.0.0.9"),)),
        ),
        None,
    ),
]


def windows(facts: InstanceFacts) -> Ledger:
    return ledger(instance=facts, trunk=Trunk(), pool=Pool(assigning=1, suspect=False))


@pytest.mark.parametrize(("action", "value"), POOL_STEPS)
def test_addresses_of_an_earlier_instance_are_no_ones(action: act.Action, value: Any) -> None:
    action = stamped(windows(instance_facts()), action)
    other = msgspec.structs.replace(instance_facts(OTHER_INSTANCE), primary_eni=EniId("eni-other"))
    for later in (windows(other), msgspec.structs.replace(windows(other), instance=None, pool=None)):
        result = apply(later, action, Done(value=value), now=NOW, jitter=0.5)
        assert (result.ledger, result.moved_on) == (later, True)


@pytest.mark.parametrize(
    "moved",
    [{"instance_id": OTHER_INSTANCE}, {"trunk_id": EniId("eni-other-trunk")}, {"vlan": VlanId(9)}, {"eni_id": ENI}],
)
def test_an_interface_made_for_an_entry_of_the_same_name_is_not_this_ones(moved: dict[str, Any]) -> None:
    action = stamped(ledger(branch("a", BranchState.PLANNED)), create())
    later = ledger(branch("a", BranchState.PLANNED, **moved))
    assert apply(later, action, Done(value=MADE), now=NOW, jitter=0.5).ledger == later


def test_an_outcome_for_an_entry_that_is_no_more_is_dropped() -> None:
    action = stamped(ledger(branch("a", BranchState.PERMITTED)), associate())
    assert apply(ledger(), action, Failed(error=Denied("x")), now=NOW, jitter=0.5).ledger == ledger()


def test_subnet_and_groups_found_with_an_earlier_instance_are_not_taken() -> None:
    action = stamped(ledger(), RESOLVE)
    later = ledger(instance=instance_facts(OTHER_INSTANCE))
    value = Resolution(groups=(GROUP,), matched=False, subnet=SUBNET)
    assert apply(later, action, Done(value=value), now=NOW, jitter=0.5).ledger == later


def test_what_still_concerns_the_ledger_is_applied() -> None:
    of = ledger(branch("a", BranchState.PLANNED), claims=[claim("a")])
    others = by_key([branch("a", BranchState.PLANNED), branch("b")])
    meanwhile = msgspec.structs.replace(of, branches=others, claims={})
    result = apply(meanwhile, stamped(of, create()), Done(value=MADE), now=NOW, jitter=0.5)
    assert result.ledger.branches[create().key].state is BranchState.CREATED
