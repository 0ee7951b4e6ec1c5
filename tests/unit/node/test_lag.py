"""NotFound soon after a create proves no absence: the call is repeated, and nothing is undone or forgotten for it."""

from typing import Any

import pytest

from common.model import actions as act
from common.model import errors
from common.model.errors import OutsideError
from common.model.ids import AttachmentId
from common.model.ledger import Backoff, BranchState, Ledger, TrunkState
from common.model.outcome import Failed
from common.node.planner import apply
from tests.unit.node.builders import INSTANCE, NOW, TRUNK, branch, claim, leave, ledger, trunk
from tests.unit.node.steps import DELETE, PERMIT, associate, create

MISSING = "InvalidNetworkInterfaceID.NotFound"
YOUNG, OLD = {"made_at": NOW - 2}, {"made_at": NOW - 61}
BRANCH_STEPS: list[tuple[BranchState, act.Action]] = [
    (BranchState.CREATED, PERMIT),
    (BranchState.PERMITTED, associate()),
    (BranchState.DISASSOCIATED, DELETE),
]
TRUNK_STEPS: list[tuple[TrunkState, act.Action]] = [
    (TrunkState.CREATED, act.PermitInterface(subject="trunk", eni_id=TRUNK)),
    (TrunkState.ATTACHING, act.AttachTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, device_index=2)),
    (TrunkState.ATTACHING, act.FinishTrunk(subject="trunk", eni_id=TRUNK, attachment_id=AttachmentId("attach-1"))),
    (TrunkState.UNDOING, act.UndoTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, warrant=leave(TRUNK))),
]


def after(of: Ledger, action: act.Action, code: str = MISSING, now: float = NOW) -> Any:
    return apply(of, action, Failed(error=errors.NotFound(code, "m")), now=now, jitter=0.5)


@pytest.mark.parametrize(("state", "action"), BRANCH_STEPS)
def test_a_young_branch_that_is_not_found_is_asked_for_again_soon(state: BranchState, action: act.Action) -> None:
    of = ledger(branch("a", state, **YOUNG), claims=[claim("a")])
    result = after(of, action)
    assert (result.ledger.branches, result.notices) == (of.branches, ())
    assert NOW < result.ledger.backoffs[action.subject].not_before <= NOW + 0.5
    tenth = after(ledger(branch("a", state, **YOUNG), backoffs={action.subject: Backoff(attempts=9)}), action)
    assert tenth.ledger.backoffs[action.subject].not_before <= NOW + 5


@pytest.mark.parametrize(("state", "action"), BRANCH_STEPS)
def test_an_old_branch_that_is_not_found_is_gone(state: BranchState, action: act.Action) -> None:
    of = ledger(branch("a", state, **OLD), claims=[claim("a")])
    assert after(of, action).ledger.branches != of.branches


@pytest.mark.parametrize(("state", "action"), TRUNK_STEPS)
def test_a_young_trunk_that_is_not_found_is_asked_for_again_soon(state: TrunkState, action: act.Action) -> None:
    of = ledger(trunk=trunk(state, **YOUNG))
    result = after(of, action)
    assert (result.ledger.trunk, result.notices) == (of.trunk, ())
    assert NOW < result.ledger.backoffs["trunk"].not_before <= NOW + 0.5


def test_an_old_trunk_that_is_not_found_is_undone_and_then_forgotten() -> None:
    states = [after(ledger(trunk=trunk(state, **OLD)), action).ledger.trunk.state for state, action in TRUNK_STEPS]
    assert states == [TrunkState.UNDOING, TrunkState.UNDOING, TrunkState.UNDOING, TrunkState.ABSENT]


def test_the_age_counts_from_the_making_not_from_the_last_step() -> None:
    of = ledger(branch("a", BranchState.PERMITTED, since=NOW - 1, **OLD), claims=[claim("a")])
    assert next(iter(after(of, associate()).ledger.branches.values())).unwanted


@pytest.mark.parametrize(
    ("code", "planned_ago", "generation", "repeated"),
    [
        ("InvalidSecurityGroupID.NotFound", 1, 0, True),
        ("InvalidGroup.NotFound", 1, 0, True),
        ("InvalidSubnetID.NotFound", 1, 0, False),
        ("InvalidGroup.NotFound", 6, 0, False),
        ("InvalidGroup.NotFound", 1, 1, False),
    ],
    ids=["a young group", "by its other code", "a subnet", "a group missing for long", "asked for before"],
)
def test_groups_made_seconds_before_their_policy_are_asked_for_again(
    code: str, planned_ago: float, generation: int, repeated: bool
) -> None:
    of = ledger(
        branch("a", BranchState.CREATING, since=NOW - planned_ago),
        claims=[claim("a", generation=generation)],
    )
    result = after(of, create(), code)
    (one,) = result.ledger.branches.values()
    assert (one.unwanted, one.state) == (not repeated, BranchState.PLANNED)
    assert bool(result.notices) is not repeated


def test_an_association_that_ended_under_its_token_is_made_again_with_another_once() -> None:
    of = ledger(branch("a", BranchState.ASSOCIATING), claims=[claim("a")])
    mismatch: OutsideError = errors.TokenMismatch("IdempotentParameterMismatch")
    first = apply(of, associate(again=True), Failed(error=mismatch), now=NOW, jitter=0.5)
    (one,) = first.ledger.branches.values()
    assert (one.state, one.unwanted, one.associations_ended) == (BranchState.ASSOCIATING, False, 1)
    assert (first.notices, first.ledger.backoffs) == ((), {})
    second = apply(first.ledger, associate(again=True), Failed(error=mismatch), now=NOW, jitter=0.5)
    assert next(iter(second.ledger.branches.values())).unwanted


def test_a_wrong_clock_is_not_taken_for_missing_rights() -> None:
    error = errors.WrongClock("InvalidSecurity.RequestHasExpired", "set the clock")
    result = apply(ledger(trunk=trunk(TrunkState.CREATED)), TRUNK_STEPS[0][1], Failed(error=error), now=NOW, jitter=0.5)
    assert "set the clock" in result.notices[0].message
    assert "AmazonEKSVPCResourceController" not in result.notices[0].message
