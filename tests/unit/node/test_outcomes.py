"""What an action that succeeded, or waits for its turn, makes of the ledger."""

from itertools import pairwise
from typing import Any

import pytest

from common.model import actions as act
from common.model.ec2 import Interface
from common.model.errors import Denied
from common.model.ids import AssociationId, AttachmentId, EniId, SubnetId
from common.model.ledger import Backoff, Branch, BranchState, Claim, Ledger, Pool, Trunk, TrunkState
from common.model.names import POD_ENI
from common.model.node import CniNodeSpec
from common.model.outcome import Done, Failed, Resolution, Waits
from common.node.planner import Applied, apply
from common.node.trunk.subject import UNDONE
from tests.unit.node.builders import (
    GROUP,
    INSTANCE,
    NODE,
    NOW,
    POD_GROUP,
    SUBNET,
    TRUNK,
    branch,
    claim,
    cninode,
    desired,
    leave,
    ledger,
    left,
    names,
    planned,
    pod,
    reasons,
    trunk,
)
from tests.unit.node.steps import DELETE, DISASSOCIATE, ENI, MADE, PERMIT, RESOLVE, UID, annotate, associate, create


def done(of: Ledger, action: act.Action, value: Any = None) -> Applied:
    return apply(of, action, Done(value=value), now=NOW, jitter=0.5)


def only(of: Applied) -> Branch:
    (one,) = of.ledger.branches.values()
    return one


# Branch interfaces


@pytest.mark.parametrize(
    ("before", "action", "value", "after"),
    [
        (BranchState.PLANNED, create(), MADE, BranchState.CREATED),
        (BranchState.CREATING, create(), MADE, BranchState.CREATED),
        (BranchState.CREATED, PERMIT, None, BranchState.PERMITTED),
        (BranchState.ASSOCIATING, associate(), "trunk-assoc-9", BranchState.ASSOCIATED),
        (BranchState.PERMITTED, associate(), "trunk-assoc-9", BranchState.ASSOCIATED),
        (BranchState.COOLING, DISASSOCIATE, None, BranchState.DISASSOCIATED),
    ],
)
@pytest.mark.parametrize("unwanted", [False, True])
def test_each_step_brings_its_state(
    before: BranchState, action: act.Action, value: Any, after: BranchState, unwanted: bool
) -> None:
    result = done(ledger(branch("a", before, unwanted=unwanted)), action, value)
    assert (only(result).state, only(result).since, only(result).unwanted) == (after, NOW, unwanted)


def test_what_was_made_is_recorded() -> None:
    one = only(done(ledger(branch("a", BranchState.PLANNED)), create(), MADE))
    assert (one.eni_id, one.mac, one.private_ip, one.ipv6) == (ENI, "02:01", "10.0.3.9", "2600::9")
    one = only(done(ledger(branch("a", BranchState.ASSOCIATING)), associate(), AssociationId("x")))
    assert (one.association, one.state) == ("x", BranchState.ASSOCIATED)
    assert only(done(ledger(branch("a", BranchState.COOLING)), DISASSOCIATE)).association is None


def test_a_deleted_one_leaves_the_record() -> None:
    assert done(ledger(branch("a", BranchState.DISASSOCIATED)), DELETE).ledger.branches == {}


@pytest.mark.parametrize(
    ("action", "value"), [(create(), MADE), (PERMIT, None), (associate(), "x"), (DISASSOCIATE, None), (DELETE, None)]
)
def test_an_outcome_about_what_is_no_more_changes_nothing(action: act.Action, value: Any) -> None:
    assert done(ledger(), action, value).ledger == ledger()


# Turns and backoffs


def test_a_deferred_step_keeps_its_turn_and_its_failures() -> None:
    of = ledger(backoffs={DELETE.subject: Backoff(attempts=3)})
    result = apply(of, DELETE, Waits(until=NOW + 8), now=NOW, jitter=0.0)
    assert result.ledger.backoffs == {DELETE.subject: Backoff(not_before=NOW + 8, attempts=3, reserved=True)}


@pytest.mark.parametrize("again", [False, True])
def test_a_first_call_that_was_never_made_has_done_nothing(again: bool) -> None:
    wait = Waits(until=NOW + 8)
    made = apply(ledger(branch("a", BranchState.CREATING)), create(again=again), wait, now=NOW, jitter=0.0)
    assert only(made).state is (BranchState.CREATING if again else BranchState.PLANNED)
    on = ledger(branch("a", BranchState.ASSOCIATING))
    begun = only(apply(on, associate(again=again), wait, now=NOW, jitter=0.0))
    assert begun.state is (BranchState.ASSOCIATING if again else BranchState.PERMITTED)


@pytest.mark.parametrize("kind", [act.AssignAddresses, act.AssignPrefixes])
def test_an_assignment_that_waits_for_its_turn_is_still_its_next_step(kind: Any) -> None:
    of = ledger(pool=Pool(assigning=3, suspect=False))
    action = kind(subject="pool", eni_id=EniId("eni-primary"), count=3)
    pool = apply(of, action, Waits(until=NOW + 8), now=NOW, jitter=0.0).ledger.pool
    assert pool == Pool(assigning=0, suspect=False)


def test_a_success_ends_a_row_of_failures() -> None:
    of = ledger(branch("a", BranchState.CREATED), backoffs={PERMIT.subject: Backoff(attempts=3)})
    assert done(of, PERMIT).ledger.backoffs == {}


def test_a_pods_failures_count_on_over_its_groups_and_end_with_its_annotation() -> None:
    of = ledger(
        branch("a"), claims=[claim("a")], backoffs={"claim/uid-a": Backoff(not_before=NOW, attempts=3, code="X")}
    )
    resolved = done(of, RESOLVE, Resolution(groups=(POD_GROUP,), matched=True, subnet=SUBNET)).ledger
    assert resolved.backoffs["claim/uid-a"] == Backoff(attempts=3, code="X")
    assert done(resolved, annotate(), "[]").ledger.backoffs == {}


def test_a_pod_that_fails_again_and_again_is_tried_more_and_more_seldom() -> None:
    """Denied from the first to the tenth time, as the loop would see it: planned, refused, planned anew."""
    of, goal, now = ledger(), desired(pod("a")), NOW
    tries: list[float] = []
    while len(tries) < 10:
        plan = planned(of, goal, now=now)
        of = left(plan)
        for action in plan.actions:
            if isinstance(action, act.CreateBranch):
                tries.append(now)
                of = apply(of, action, Failed(error=Denied("UnauthorizedOperation")), now=now, jitter=0.5).ledger
            elif isinstance(action, act.ResolvePod):
                found = Resolution(groups=(POD_GROUP,), matched=True, subnet=SUBNET)
                of = apply(of, action, Done(value=found), now=now, jitter=0.5).ledger
        now += 1.0
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[0] < 8
    assert gaps[-1] > 40
    assert len(of.branches) <= 1


def test_a_repair_that_does_not_make_it_whole_is_repeated_at_growing_intervals() -> None:
    action = act.RepairCniNode(subject="cninode", node=NODE, facts=cninode(), tags={}, os_label="", node_uid="u")
    of, intervals = ledger(), []
    for _ in range(12):
        of = done(of, action).ledger
        intervals.append(of.backoffs["cninode"].not_before - NOW)
    assert intervals == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize(
    "action",
    [
        act.CreateCniNode(subject="cninode", node=NODE, node_uid="u", os_label="linux", spec=CniNodeSpec()),
        act.DropFinalizer(subject="cninode", node=NODE, uid="u"),
        act.DeleteCniNode(subject="cninode", node=NODE),
        act.CleanDeparted(subject="cninode", node=NODE, cninode_uid="u", instance_id=None, gone_since=NOW, rest=60.0),
        act.Advertise(subject="capacity", node=NODE, node_uid="u", resource=POD_ENI, amount=9),
    ],
)
def test_what_the_watch_will_show_is_not_done_again_at_once(action: act.Action) -> None:
    assert done(ledger(), action).ledger.backoffs == {action.subject: Backoff(not_before=NOW + 1)}


def test_a_snapshot_that_does_not_come_is_asked_for_again() -> None:
    action = act.RequestSnapshot(subject="snapshot", node=NODE, instance_id=INSTANCE)
    assert done(ledger(), action).ledger.backoffs == {"snapshot": Backoff(not_before=NOW + 10)}


# Ends


def test_a_confirmed_end_lets_what_the_pod_had_rest() -> None:
    gone = act.ConfirmGone(subject="pod/uid-a", pod_uid=UID, namespace="default", name="a")
    result = done(ledger(branch("a"), claims=[claim("a")]), gone, True)
    assert (only(result).state, only(result).since, result.ledger.claims) == (BranchState.COOLING, NOW, {})
    alive = done(ledger(branch("a"), claims=[claim("a")]), gone, False)
    assert only(alive).state is BranchState.ASSIGNED
    assert alive.ledger.backoffs == {"pod/uid-a": Backoff(not_before=NOW + 5)}


def test_a_nodes_absence_counts_from_its_confirmation() -> None:
    gone = act.ConfirmNodeGone(subject="node", node=NODE)
    assert done(ledger(), gone, True).ledger.gone_since == NOW
    there = done(ledger(), gone, False).ledger
    assert (there.gone_since, there.backoffs) == (None, {"node": Backoff(not_before=NOW + 5)})


# Groups


def resolution(**fields: Any) -> Resolution:
    return Resolution(**{"groups": (POD_GROUP,), "matched": True, "subnet": SUBNET, **fields})


def test_found_groups_are_recorded_and_reported() -> None:
    result = done(ledger(), RESOLVE, resolution())
    assert result.ledger.claims[UID] == claim("a")
    assert reasons(result.notices) == ["SecurityGroupRequested"]
    assert str(POD_GROUP) in result.notices[0].message


def test_the_same_groups_found_again_are_not_reported_again_and_others_are() -> None:
    of = ledger(claims=[claim("a", resolved_at=0.0, generation=2)])
    again = done(of, RESOLVE, resolution())
    assert (again.notices, again.ledger.claims[UID].generation) == ((), 2)
    assert reasons(done(of, RESOLVE, resolution(groups=(GROUP,))).notices) == ["SecurityGroupRequested"]


def test_a_pod_that_no_policy_matches_is_warned() -> None:
    (notice,) = done(ledger(), RESOLVE, resolution(matched=False)).notices
    assert (notice.reason, notice.severity) == ("SecurityGroupRequested", "Warning")


def test_where_nothing_can_be_made_the_pods_event_says_why_and_it_is_looked_at_again() -> None:
    result = done(ledger(), RESOLVE, resolution(problem="no ENIConfig"))
    assert result.ledger.claims[UID] == Claim(pod_uid=UID, namespace="default", name="a")
    assert result.ledger.backoffs["claim/uid-a"].not_before == NOW + 10
    assert [(n.reason, n.message) for n in result.notices] == [("BranchAllocationFailed", "no ENIConfig")]


# Annotations


def test_an_annotated_pods_event_says_what_it_has() -> None:
    result = done(ledger(branch("a"), claims=[claim("a")]), annotate(), "[]")
    assert result.ledger.claims[UID].annotated
    assert reasons(result.notices) == ["ResourceAllocated"]
    assert only(result).state is BranchState.ASSIGNED


def test_what_somebody_elses_annotation_does_not_name_rests() -> None:
    two = branch("a"), branch("a", ordinal=1)
    result = done(ledger(*two, branch("b"), claims=[claim("a")]), annotate(), names(two[1]))
    states = {b.eni_id: b.state for b in result.ledger.branches.values()}
    assert states == {
        "eni-a-0": BranchState.COOLING,
        "eni-a-1": BranchState.ASSIGNED,
        "eni-b-0": BranchState.ASSIGNED,
    }
    assert result.ledger.claims[UID].annotated
    assert result.notices == ()


# The trunk


@pytest.mark.parametrize(
    ("before", "action", "value", "after"),
    [
        (TrunkState.CREATED, act.PermitInterface(subject="trunk", eni_id=TRUNK), None, TrunkState.PERMITTED),
        (
            TrunkState.ATTACHING,
            act.AttachTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, device_index=2),
            AttachmentId("attach-9"),
            TrunkState.ATTACHING,
        ),
        (
            TrunkState.ATTACHING,
            act.FinishTrunk(subject="trunk", eni_id=TRUNK, attachment_id=AttachmentId("attach-1")),
            None,
            TrunkState.ATTACHED,
        ),
        (
            TrunkState.ATTACHED,
            act.AwaitTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE),
            True,
            TrunkState.READY,
        ),
        (
            TrunkState.ATTACHED,
            act.AwaitTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE),
            False,
            TrunkState.ATTACHED,
        ),
    ],
)
def test_each_step_of_the_trunk_brings_its_state(
    before: TrunkState, action: act.Action, value: Any, after: TrunkState
) -> None:
    after_it = done(ledger(trunk=trunk(before)), action, value).ledger
    assert after_it.trunk.state is after
    assert after_it.trunk.attachment_id == (value if isinstance(action, act.AttachTrunk) else "attach-1")


def test_a_made_trunk_is_recorded() -> None:
    action = act.CreateTrunk(
        subject="trunk",
        instance_id=INSTANCE,
        subnet_id=SubnetId("s"),
        groups=(),
        token=branch("a").token,
        extra_tags={},
    )
    of = ledger(trunk=trunk(TrunkState.CREATING, eni_id=None))
    after = done(of, action, Interface(eni_id=EniId("eni-new"), subnet_id=SubnetId("s"))).ledger.trunk
    assert (after.state, after.eni_id) == (TrunkState.CREATED, "eni-new")


def test_a_ready_trunk_ends_the_row_of_undone_ones_and_begins_the_audits() -> None:
    of = ledger(trunk=trunk(TrunkState.ATTACHED), backoffs={UNDONE: Backoff(attempts=2)})
    after = done(of, act.AwaitTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE), True).ledger
    assert (after.backoffs, after.audit_at) == ({}, 0.0)


@pytest.mark.parametrize(("backoff", "wanted"), [(Backoff(), NOW), (Backoff(not_before=NOW + 40), NOW + 40)])
def test_after_an_undone_trunk_another_one_is_begun_in_its_time(backoff: Backoff, wanted: float) -> None:
    of = ledger(trunk=trunk(TrunkState.UNDOING, generation=4), backoffs={UNDONE: backoff})
    after = done(of, act.UndoTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, warrant=leave(TRUNK))).ledger
    assert after.trunk == Trunk(generation=5, undone=TRUNK)
    assert after.snapshot_after == wanted


def test_changed_groups_are_recorded() -> None:
    after = done(ledger(), act.SetTrunkGroups(subject="trunk", eni_id=TRUNK, groups=(POD_GROUP,))).ledger
    assert after.trunk.groups == (POD_GROUP,)
