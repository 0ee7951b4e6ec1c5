"""What an ended action makes of the ledger. Pure, like planning: the loop saves the state."""

from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

from common.model import actions as act
from common.model.errors import OutsideError
from common.model.ledger import BranchState, Claim, Ledger, Pace, TrunkState
from common.model.names import PRIVATE_IPV4
from common.model.notice import Notice, Severity
from common.model.outcome import Done, Failed, Outcome, Resolution, Waits
from common.model.pod import PodWish
from common.node.branch.observing import not_named
from common.node.branch.releasing import may_own
from common.node.endings import end_pod
from common.node.failures import failed, not_begun, trunk_undone
from common.node.lag import weighed
from common.node.made_for import BranchAction, TrunkAction, moved_on
from common.node.retry import UNDONE, after_failure, grown
from common.node.reviewing import give_back, reviewed
from common.node.state import NodeState
from common.node.windows import outcomes as windows_outcomes
from common.rules import subjects
from common.rules.pod_eni import interfaces_named

SNAPSHOT_ASK_AGAIN_SECONDS = 10.0
STILL_THERE_SECONDS = 5.0
"""The watch said it ended and the API server says it lives: asked again after this long."""
WATCH_SECONDS = 1.0
LONGEST_REPAIR_SECONDS = 300.0
TRUNK_POLL_SECONDS = 0.4
FIRST_TRUNK_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    ledger: Ledger
    notices: tuple[Notice, ...] = ()
    moved_on: bool = False
    """The action was about something else than the ledger is by now: its outcome was dropped."""


def apply(ledger: Ledger, action: act.Action, outcome: Outcome, *, now: float, jitter: float) -> Applied:
    """The ledger after `action` ended so; as it was, where it is about something else by now."""
    if moved_on(ledger, action):
        return Applied(ledger=ledger, moved_on=True)
    state = NodeState(ledger=ledger, now=now, jitter=jitter)
    match outcome:
        case Waits(until=until):
            pace = ledger.paces.get(action.subject, Pace())
            state.set_pace(action.subject, msgspec.structs.replace(pace, not_before=until, turn=True, scope=""))
            not_begun(state, action)
        case Failed(error=error, scope=scope):
            error = weighed(ledger, action, error, now)
            _pace(state, action, error, now, jitter, scope)
            failed(state, action, error, now)
        case Done(value=value):
            state.set_pace(action.subject, _counted_on(action, ledger.paces.get(action.subject), now))
            _done(state, action, value, now)
        case _:
            assert_never(outcome)
    return Applied(ledger=state.ledger, notices=tuple(state.notices))


def turned_away(ledger: Ledger, action: act.Action, *, now: float) -> Ledger:
    """The ledger without the intent of an action that was not begun, for want of a thread. Its turn stays its own."""
    state = NodeState(ledger=ledger, now=now, jitter=0.0)
    not_begun(state, action)
    if action.turn:
        pace = ledger.paces.get(action.subject, Pace())
        state.set_pace(action.subject, msgspec.structs.replace(pace, turn=True))
    return state.ledger


def _pace(state: NodeState, action: act.Action, error: OutsideError, now: float, jitter: float, scope: str) -> None:
    """A step of a pod's interface that failed for good is paced by the pod: the interface itself is begun anew."""
    pace = state.pace(action.subject)
    state.set_pace(action.subject, after_failure(pace, error, now, jitter, scope))


def _counted_on(action: act.Action, pace: Pace | None, now: float) -> Pace | None:
    """A success ends the row of failures, but for these: that a pod's groups were found does not end that of its
    interfaces, nor that a snapshot was asked for that of what it shows; and a CNINode that is not whole after its
    repair, whatever the reason, is not worth a call a second."""
    pace = pace or Pace()
    match action:
        case act.ResolvePod():
            return msgspec.structs.replace(pace, not_before=0.0, turn=False, scope="")
        case act.RequestSnapshot():
            return msgspec.structs.replace(pace, not_before=now + SNAPSHOT_ASK_AGAIN_SECONDS, turn=False)
        case act.RepairCniNode():
            wait = grown(WATCH_SECONDS, LONGEST_REPAIR_SECONDS, pace.attempts)
            return Pace(not_before=now + wait, attempts=pace.attempts + 1)
        case _:
            return None


def _done(state: NodeState, action: act.Action, value: Any, now: float) -> None:
    match action:
        case act.RequestSnapshot() | act.RepairCniNode():
            pass
        case act.CreateCniNode() | act.DropFinalizer() | act.CleanDeparted() | act.DeleteCniNode() | act.Advertise():
            # The watch shows the new state within moments; until then the old one is no reason to do it again.
            state.set_pace(action.subject, Pace(not_before=now + WATCH_SECONDS))
        case act.ConfirmNodeGone():
            if value:
                gone_since = state.ledger.gone_since
                state.change(gone_since=now if gone_since is None else gone_since, gone_asked_at=now)
            else:
                state.change(gone_since=None, gone_asked_at=0.0)
                state.set_pace(action.subject, Pace(not_before=now + STILL_THERE_SECONDS))
        case act.Review():
            reviewed(state, action, value, now)
        case act.ResolvePod():
            _resolved(state, action, value, now)
        case act.Annotate(annotation=annotation) if annotation == PRIVATE_IPV4:
            windows_outcomes.annotated(state, action, value, now)
        case act.Annotate():
            _annotated(state, action, value, now)
        case act.ConfirmGone():
            if value:
                state.ledger = end_pod(state.ledger, action.pod_uid, now)
                windows_outcomes.pod_ended(state, action.pod_uid, now)
            else:
                state.set_pace(action.subject, Pace(not_before=now + STILL_THERE_SECONDS))
        case (
            act.InspectPool()
            | act.AssignAddresses()
            | act.AssignPrefixes()
            | act.UnassignAddresses()
            | act.UnassignPrefixes()
        ):
            windows_outcomes.done(state, action, value, now)
        case (
            act.CreateBranch()
            | act.PermitBranch()
            | act.AssociateBranch()
            | act.DisassociateBranch()
            | act.DeleteBranch()
        ):
            _branch_done(state, action, value, now)
        case _:
            _trunk_done(state, action, value, now)


def _trunk_done(state: NodeState, action: TrunkAction, value: Any, now: float) -> None:
    match action:
        case act.CreateTrunk():
            state.set_trunk(state=TrunkState.CREATED, eni_id=value.eni_id, made_at=now)
        case act.PermitInterface():
            state.set_trunk(state=TrunkState.PERMITTED)
        case act.AttachTrunk():
            state.set_trunk(state=TrunkState.ATTACHING, attachment_id=value)
        case act.FinishTrunk():
            state.set_trunk(state=TrunkState.ATTACHED)
            state.set_pace(action.subject, Pace(not_before=now + FIRST_TRUNK_POLL_SECONDS))
        case act.AwaitTrunk():
            if value:
                state.set_trunk(state=TrunkState.READY)
                state.change(audit_at=0.0)
                state.set_pace(UNDONE, None)
            else:
                state.set_pace(action.subject, Pace(not_before=now + TRUNK_POLL_SECONDS))
        case act.SetTrunkGroups(groups=groups):
            state.set_trunk(groups=groups)
        case act.UndoTrunk():
            trunk_undone(state, now)
        case _:
            assert_never(action)


def _branch_done(state: NodeState, action: BranchAction, value: Any, now: float) -> None:
    match action:
        case act.CreateBranch(key=key):
            state.set_branch(
                key,
                state=BranchState.CREATED,
                eni_id=value.eni_id,
                mac=value.mac,
                private_ip=value.primary_ip,
                ipv6=value.ipv6,
                made_at=now,
                since=now,
            )
        case act.PermitBranch(key=key):
            state.set_branch(key, state=BranchState.PERMITTED, since=now)
        case act.AssociateBranch(key=key):
            state.set_branch(key, state=BranchState.ASSOCIATED, association=value, associating=False, since=now)
        case act.DisassociateBranch(key=key):
            state.set_branch(key, state=BranchState.DISASSOCIATED, association=None, since=now)
        case act.DeleteBranch(key=key):
            state.drop_branch(key)
        case _:
            assert_never(action)


def _resolved(state: NodeState, action: act.ResolvePod, found: Resolution, now: float) -> None:
    pod, ledger = action.pod, state.ledger
    claim = ledger.claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
    if found.problem:
        pace = ledger.paces.get(action.subject, Pace())
        state.set_pace(action.subject, Pace(not_before=now + 10.0, attempts=pace.attempts, code="NotResolved"))
        state.change(claims={**ledger.claims, pod.uid: claim})
        state.tell_pod(claim, "BranchAllocationFailed", found.problem, Severity.WARNING)
        return
    told = claim.groups == found.groups and claim.matched == found.matched
    claim = msgspec.structs.replace(
        claim,
        groups=found.groups,
        matched=found.matched,
        subnet_id=found.subnet.subnet_id,
        subnet_cidr=found.subnet.cidr,
        subnet_v6_cidr=found.subnet.ipv6_cidr,
        resolved_at=now,
    )
    state.change(claims={**ledger.claims, pod.uid: claim})
    if told:
        return
    if found.matched:
        groups = " ".join(found.groups)
        state.tell_pod(claim, "SecurityGroupRequested", f"Pod will get the following Security Groups [{groups}]")
    else:
        state.tell_pod(
            claim,
            "SecurityGroupRequested",
            "Pod will get the instance security group as the pod didn't match any Security Group from "
            "SecurityGroupPolicy",
            Severity.WARNING,
        )


def _annotated(state: NodeState, action: act.Annotate, stands: str, now: float) -> None:
    """`stands` is the annotation that the pod has now: ours, or the one that it had before."""
    claim = state.ledger.claims.get(action.pod_uid)
    state.set_pace(subjects.claim(action.pod_uid), None)
    if claim is not None:
        claims = {
            **state.ledger.claims,
            claim.pod_uid: msgspec.structs.replace(claim, annotated=True, annotated_at=now),
        }
        state.change(claims=claims)
    if stands == action.value:
        state.tell_pod(action, "ResourceAllocated", f"Allocated {action.value} to the pod")
        return
    # It was annotated before us, by the API server's own word: what of ours it does not name goes, and rests where the
    # pod may use it; what it names of those that were found without an owner has one.
    ours = claim is not None and claim.annotated
    has = PodWish(uid=action.pod_uid, namespace=action.namespace, name=action.name, eni_annotation=stands)
    named = {entry.eni_id for entry in interfaces_named(has)[0]}
    for branch in list(state.ledger.branches.values()):
        if branch.eni_id in named and branch.state is BranchState.COOLING and may_own(branch, action.pod_uid):
            give_back(state, branch, has, now)
    for branch in not_named(state.ledger.branches.values(), action.pod_uid, stands, now, ours=ours):
        state.set_branch(branch.key, state=branch.state, since=branch.since, unwanted=branch.unwanted, word_at=now)
