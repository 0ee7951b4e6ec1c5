"""What a failed action means: undone or asked again, with or without an event, and nothing that a pod has taken from
it."""

from typing import Any

import pytest

from common.model import actions as act
from common.model import errors
from common.model.errors import OutsideError
from common.model.ids import AttachmentId, ClientToken
from common.model.ledger import Backoff, Branch, BranchState, Ledger, TrunkState
from common.model.names import POD_ENI, PRIVATE_IPV4
from common.model.node import CniNodeSpec
from common.model.outcome import Failed
from common.node.planner import Applied, apply
from common.node.trunk.making import LOOKS_BEFORE_GONE
from common.node.trunk.subject import UNDONE
from tests.unit.node.builders import (
    GROUP,
    INSTANCE,
    NODE,
    NOW,
    SUBNET,
    TRUNK,
    branch,
    claim,
    leave,
    ledger,
    reasons,
    trunk,
)
from tests.unit.node.steps import DELETE, DISASSOCIATE, PERMIT, RESOLVE, UID, annotate, associate, create

PASSING: list[type[OutsideError]] = [errors.Throttled, errors.Unsure]
FINAL: list[type[OutsideError]] = [
    errors.NotFound,
    errors.Denied,
    errors.SubnetExhausted,
    errors.LimitExceeded,
    errors.InUse,
    errors.TokenMismatch,
    errors.Invalid,
]
CREATE_TRUNK = act.CreateTrunk(
    subject="trunk",
    instance_id=INSTANCE,
    subnet_id=SUBNET.subnet_id,
    groups=(GROUP,),
    token=ClientToken("t"),
    extra_tags={},
)
PERMIT_TRUNK = act.PermitInterface(subject="trunk", eni_id=TRUNK)
ATTACH = act.AttachTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, device_index=2)
FINISH = act.FinishTrunk(subject="trunk", eni_id=TRUNK, attachment_id=AttachmentId("attach-1"))
AWAIT = act.AwaitTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE)
UNDO = act.UndoTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, warrant=leave(TRUNK))


def failed(of: Ledger, action: act.Action, error: OutsideError | type[OutsideError]) -> Applied:
    one = error if isinstance(error, OutsideError) else error(f"{error.__name__}.Code", "in EC2's words")
    return apply(of, action, Failed(error=one), now=NOW, jitter=0.5)


def only(of: Applied) -> Branch:
    (one,) = of.ledger.branches.values()
    return one


def wants(state: BranchState, **fields: Any) -> Ledger:
    return ledger(branch("a", state, **fields), claims=[claim("a")])


# Branch interfaces in the making

STEPS = [(BranchState.PLANNED, create()), (BranchState.CREATED, PERMIT), (BranchState.PERMITTED, associate())]


@pytest.mark.parametrize(("state", "action"), STEPS)
@pytest.mark.parametrize("error", PASSING)
def test_errors_that_say_nothing_about_the_step_undo_nothing(
    state: BranchState, action: act.Action, error: type[OutsideError]
) -> None:
    result = failed(wants(state), action, error)
    assert (only(result).state, only(result).unwanted, result.notices) == (state, False, ())
    assert result.ledger.backoffs[action.subject].not_before > NOW


@pytest.mark.parametrize(("state", "action"), STEPS)
@pytest.mark.parametrize("error", FINAL)
def test_a_step_that_failed_undoes_what_came_before_and_the_pod_is_reported(
    state: BranchState, action: act.Action, error: type[OutsideError]
) -> None:
    result = failed(wants(state), action, error)
    assert only(result).unwanted
    assert (result.ledger.claims[UID].generation, result.ledger.claims[UID].resolved_at) == (1, 0.0)
    assert reasons(result.notices) == ["BranchAllocationFailed"]
    assert result.notices[0].message.endswith(f"{error.__name__}.Code: in EC2's words")
    backoff = result.ledger.backoffs["claim/uid-a"]
    assert backoff.not_before > NOW
    assert backoff.attempts == 1
    assert action.subject not in result.ledger.backoffs
    assert result.ledger.audit_at == NOW + 10


def test_all_interfaces_of_the_pod_are_undone_and_those_of_others_are_not() -> None:
    of = ledger(
        branch("a", BranchState.PERMITTED),
        branch("a", BranchState.ASSOCIATED, ordinal=1),
        branch("b", BranchState.PERMITTED),
        claims=[claim("a"), claim("b")],
    )
    after = failed(of, associate(), errors.LimitExceeded).ledger
    assert {b.eni_id: b.unwanted for b in after.branches.values()} == {
        "eni-a-0": True,
        "eni-a-1": True,
        "eni-b-0": False,
    }


@pytest.mark.parametrize(
    ("error", "again", "may_exist"),
    [
        (errors.SubnetExhausted, False, False),
        (errors.Denied, False, False),
        (errors.SubnetExhausted, True, False),
        (errors.Denied, True, True),
        (errors.Unsure, False, True),
        (errors.Throttled, False, False),
        (errors.Throttled, True, True),
    ],
)
def test_whether_an_interface_may_exist_after_a_failure(error: Any, again: bool, may_exist: bool) -> None:
    result = failed(wants(BranchState.CREATING), create(again=again), error)
    assert only(result).state is (BranchState.CREATING if may_exist else BranchState.PLANNED)


@pytest.mark.parametrize("error", [error for error in FINAL if error is not errors.TokenMismatch])
def test_an_association_of_unknown_outcome_is_not_taken_for_none(error: Any) -> None:
    result = failed(wants(BranchState.ASSOCIATING), associate(again=True), error)
    assert (only(result).unwanted, only(result).state) == (True, BranchState.ASSOCIATING)
    first = failed(wants(BranchState.ASSOCIATING), associate(), error)
    assert (only(first).unwanted, only(first).state) == (True, BranchState.PERMITTED)


@pytest.mark.parametrize("error", FINAL)
def test_what_is_not_wanted_and_could_not_be_made_leaves_the_record_unless_rights_lack(error: Any) -> None:
    of = ledger(branch("a", BranchState.CREATING, unwanted=True))
    result = failed(of, create(again=True), error)
    assert len(result.ledger.branches) == (1 if error is errors.Denied else 0)
    assert result.notices == ()


@pytest.mark.parametrize("error", FINAL)
def test_what_is_not_wanted_and_may_be_on_the_trunk_is_released_in_order(error: Any) -> None:
    of = ledger(branch("a", BranchState.ASSOCIATING, unwanted=True))
    one = only(failed(of, associate(again=True), error))
    assert (one.state, one.since) == (BranchState.COOLING, 0.0)


@pytest.mark.parametrize("error", [*PASSING, *FINAL])
@pytest.mark.parametrize("action", [create(), PERMIT, associate()])
def test_failures_about_what_is_no_more_change_nothing_else(action: act.Action, error: Any) -> None:
    result = failed(ledger(), action, error)
    assert (result.ledger.branches, result.ledger.claims, result.notices) == ({}, {}, ())


# Releases


def test_not_found_is_success_for_releases() -> None:
    of = ledger(branch("a", BranchState.COOLING), backoffs={DISASSOCIATE.subject: Backoff(attempts=2)})
    result = failed(of, DISASSOCIATE, errors.NotFound)
    assert (only(result).state, only(result).association, result.ledger.backoffs) == (
        BranchState.DISASSOCIATED,
        None,
        {},
    )
    assert failed(ledger(branch("a", BranchState.DISASSOCIATED)), DELETE, errors.NotFound).ledger.branches == {}


@pytest.mark.parametrize("error", [*PASSING, errors.Denied, errors.InUse, errors.Invalid])
@pytest.mark.parametrize(
    ("state", "action"), [(BranchState.COOLING, DISASSOCIATE), (BranchState.DISASSOCIATED, DELETE)]
)
def test_a_release_that_fails_is_tried_again_and_never_given_up(
    state: BranchState, action: act.Action, error: Any
) -> None:
    of = ledger(branch("a", state), backoffs={action.subject: Backoff(attempts=500)})
    result = failed(of, action, error)
    assert only(result).state is state
    assert NOW < result.ledger.backoffs[action.subject].not_before <= NOW + 300


# Annotations and groups


def test_a_pod_that_went_before_it_was_annotated_is_no_failure_to_tell() -> None:
    kinds: list[type[OutsideError]] = [errors.NotFound, errors.Conflict, *PASSING]
    for error in kinds:
        result = failed(ledger(branch("a"), claims=[claim("a")]), annotate(), error)
        assert (result.notices, only(result).state) == ((), BranchState.ASSIGNED)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [(POD_ENI, "BranchENIAnnotationFailed"), (PRIVATE_IPV4, "ResourceAllocationFailed")],
)
def test_an_annotation_that_is_refused_is_reported_and_tried_again(annotation: str, reason: str) -> None:
    action = act.Annotate(
        subject="annotate/uid-a", pod_uid=UID, namespace="default", name="a", annotation=annotation, value="x"
    )
    result = failed(ledger(branch("a"), claims=[claim("a")]), action, errors.Denied)
    assert reasons(result.notices) == [reason]
    assert only(result).state is BranchState.ASSIGNED
    assert result.ledger.backoffs[action.subject].attempts == 1


@pytest.mark.parametrize(("error", "reported"), [(errors.Denied, ["BranchAllocationFailed"]), (errors.Unsure, [])])
def test_groups_that_cannot_be_read_are_reported(error: Any, reported: list[str]) -> None:
    result = failed(ledger(), RESOLVE, error)
    assert reasons(result.notices) == reported
    assert result.ledger.backoffs["claim/uid-a"].attempts == 1


# The trunk

IN_THE_MAKING = [
    (TrunkState.CREATED, PERMIT_TRUNK),
    (TrunkState.ATTACHING, ATTACH),
    (TrunkState.ATTACHING, FINISH),
]


@pytest.mark.parametrize(("state", "action"), [(TrunkState.CREATING, CREATE_TRUNK), *IN_THE_MAKING])
@pytest.mark.parametrize("error", PASSING)
def test_a_trunk_survives_errors_that_say_nothing(state: TrunkState, action: act.Action, error: Any) -> None:
    result = failed(ledger(trunk=trunk(state)), action, error)
    assert (result.ledger.trunk.state, result.notices) == (state, ())
    assert result.ledger.backoffs["trunk"].not_before > NOW


@pytest.mark.parametrize(("state", "action"), IN_THE_MAKING)
@pytest.mark.parametrize("error", FINAL)
def test_a_trunk_that_fails_in_the_making_is_undone_and_begun_later_and_later(
    state: TrunkState, action: act.Action, error: Any
) -> None:
    result = failed(ledger(trunk=trunk(state), backoffs={UNDONE: Backoff(attempts=2)}), action, error)
    assert result.ledger.trunk.state is TrunkState.UNDOING
    assert reasons(result.notices) == ["TrunkENICreationFailed", "NodeTrunkFailedInit"]
    assert result.ledger.backoffs.keys() == {UNDONE}
    assert result.ledger.backoffs[UNDONE].attempts == 3


@pytest.mark.parametrize("error", FINAL)
def test_a_trunk_that_could_not_be_made_is_begun_anew_with_a_fresh_look(error: Any) -> None:
    result = failed(ledger(trunk=trunk(TrunkState.CREATING, eni_id=None)), CREATE_TRUNK, error)
    after = result.ledger
    assert after.trunk.state is TrunkState.ABSENT
    assert after.trunk.generation == (1 if error is errors.TokenMismatch else 0)
    assert after.snapshot_after == after.backoffs["trunk"].not_before > NOW


@pytest.mark.parametrize("error", FINAL)
def test_a_trunk_that_pods_live_by_is_never_undone(error: Any) -> None:
    result = failed(ledger(branch("a"), trunk=trunk(TrunkState.ATTACHING, adopted=True)), FINISH, error)
    if error is errors.NotFound:
        assert (result.ledger.trunk.state, result.ledger.snapshot_after) == (TrunkState.ABSENT, NOW)
    else:
        assert (result.ledger.trunk.state, result.ledger.trunk.eni_id) == (TrunkState.ATTACHED, TRUNK)
    assert "TrunkENICreationFailed" in reasons(result.notices)
    looked = {"trunk": Backoff(attempts=LOOKS_BEFORE_GONE - 1)}
    waited = failed(ledger(branch("a"), trunk=trunk(TrunkState.ATTACHED), backoffs=looked), AWAIT, errors.NotFound)
    assert (waited.ledger.trunk.state, waited.ledger.snapshot_after) == (TrunkState.ABSENT, NOW)


@pytest.mark.parametrize("looks", range(1, LOOKS_BEFORE_GONE + 1))
def test_a_trunk_that_vanished_before_it_was_attached_is_undone_after_several_looks(looks: int) -> None:
    """Describe calls lag behind: one that does not show it yet says nothing."""
    of = ledger(trunk=trunk(TrunkState.ATTACHED), backoffs={"trunk": Backoff(attempts=looks - 1)})
    wanted = TrunkState.UNDOING if looks == LOOKS_BEFORE_GONE else TrunkState.ATTACHED
    assert failed(of, AWAIT, errors.NotFound).ledger.trunk.state is wanted


@pytest.mark.parametrize("error", [*PASSING, errors.Denied, errors.InUse])
def test_an_undoing_goes_on_until_it_is_done(error: Any) -> None:
    result = failed(ledger(trunk=trunk(TrunkState.UNDOING)), UNDO, error)
    assert result.ledger.trunk.state is TrunkState.UNDOING
    assert result.ledger.backoffs["trunk"].attempts == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("UnauthorizedOperation", ["UnauthorizedOperation", "AmazonEKSVPCResourceController", "accounts on a list"]),
        ("OperationNotPermitted", ["OperationNotPermitted", "accounts on a list"]),
    ],
)
def test_an_account_that_may_not_trunk_has_an_event_that_says_exactly_that(code: str, words: list[str]) -> None:
    result = failed(ledger(trunk=trunk(TrunkState.CREATING)), CREATE_TRUNK, errors.Denied(code))
    assert all(word in result.notices[0].message for word in words)


# The rest


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (
            act.CreateCniNode(subject="cninode", node=NODE, node_uid="u", os_label="", spec=CniNodeSpec()),
            "CNINodeCreationFailed",
        ),
        (
            act.CleanDeparted(
                subject="cninode", node=NODE, cninode_uid="u", instance_id=INSTANCE, gone_since=NOW, rest=60.0
            ),
            "CNINodeDeletionFailed",
        ),
        (act.SetTrunkGroups(subject="trunk", eni_id=TRUNK, groups=()), "TrunkGroupsNotChanged"),
    ],
)
def test_what_people_must_know_is_reported(action: act.Action, reason: str) -> None:
    assert reasons(failed(ledger(), action, errors.Denied).notices) == [reason]
    assert failed(ledger(), action, errors.Throttled).notices == ()
    assert failed(ledger(), action, errors.Denied).ledger.backoffs[action.subject].attempts == 1


def test_a_cninode_that_somebody_made_first_is_no_failure_to_tell() -> None:
    action = act.CreateCniNode(subject="cninode", node=NODE, node_uid="u", os_label="", spec=CniNodeSpec())
    assert failed(ledger(), action, errors.Conflict).notices == ()
