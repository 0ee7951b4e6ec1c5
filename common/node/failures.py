"""What a failed action means for the ledger, and what people are told. Each failure undoes what came before it,
unless it says only `later` or leaves open whether the call took effect."""

from __future__ import annotations

from common.model import actions as act
from common.model.errors import (
    Conflict,
    Denied,
    NotFound,
    NotYetFound,
    OutsideError,
    Throttled,
    TokenMismatch,
    Unavailable,
    Unsure,
    WrongClock,
)
from common.model.ledger import Branch, BranchState, Trunk, TrunkState
from common.model.notice import CniNodeNotice, NodeNotice, Severity
from common.node.endings import undo_claim
from common.node.retry import UNDONE, after_failure
from common.node.state import NodeState
from common.node.windows import outcomes as windows_outcomes
from common.rules import subjects

LOOKS_BEFORE_GONE = 4
"""EC2's Describe calls lag behind its writes by seconds: a trunk just attached is not gone because some looks, over
14 s, do not show it."""
PASSING = (Throttled, Unsure, NotYetFound, Unavailable)
"""Errors that say nothing about the step itself."""
TRUNKING_NOT_ALLOWED = (
    "AWS allows trunk interfaces only to accounts on a list (the managed control plane of EKS is); see the README"
)
MISSING_POLICY = "Please verify the cluster IAM role has AmazonEKSVPCResourceController policy"


def failed(state: NodeState, action: act.Action, error: OutsideError, now: float) -> None:
    match action:
        case act.CreateTrunk() | act.PermitInterface() | act.AttachTrunk() | act.FinishTrunk():
            _trunk_failed(state, action, error, now)
        case act.AwaitTrunk() | act.UndoTrunk() if isinstance(error, NotFound):
            _trunk_not_found(state, action, now)
        case act.CreateBranch() | act.PermitBranch() | act.AssociateBranch():
            _branch_failed(state, action, error, now)
        case act.DisassociateBranch() if isinstance(error, NotFound):
            state.set_pace(action.subject, None)
            state.set_branch(action.key, state=BranchState.DISASSOCIATED, association=None, since=now)
        case act.DeleteBranch() if isinstance(error, NotFound):
            state.drop_branch(action.key)
        case act.Annotate():
            _annotate_failed(state, action, error)
        case act.ResolvePod() if not isinstance(error, PASSING):
            state.tell_pod(_claim_of(action), "BranchAllocationFailed", _words(error), Severity.WARNING)
        case act.CreateCniNode() if not isinstance(error, (Conflict, *PASSING)):
            _tell_node(state, "CNINodeCreationFailed", f"The CNINode could not be created: {_words(error)}")
        case act.CleanDeparted() if not isinstance(error, PASSING):
            state.notices.append(
                CniNodeNotice(
                    name=action.node,
                    uid=action.cninode_uid,
                    reason="CNINodeDeletionFailed",
                    message=f"Leaked interfaces of the instance could not be deleted yet: {_words(error)}",
                    severity=Severity.WARNING,
                )
            )
        case act.SetTrunkGroups() if not isinstance(error, PASSING):
            _tell_node(
                state,
                "TrunkGroupsNotChanged",
                f"The trunk interface keeps its security groups, the ENIConfig's were refused: {_words(error)}",
            )
        case (
            act.InspectPool()
            | act.AssignAddresses()
            | act.AssignPrefixes()
            | act.UnassignAddresses()
            | act.UnassignPrefixes()
        ):
            windows_outcomes.failed(state, action, error, now)
        case _:
            pass


def not_begun(state: NodeState, action: act.Action) -> None:
    """The call was not made, or was turned away for its rate: where it was the first, nothing can have come of it."""
    match action:
        case act.CreateTrunk(again=False):
            state.set_trunk(state=TrunkState.ABSENT)
        case act.CreateBranch(again=False):
            state.set_branch(action.key, tried=False)
        case act.AssociateBranch(again=False):
            state.set_branch(action.key, associating=False)
        case act.AssignAddresses() | act.AssignPrefixes() | act.UnassignAddresses() | act.UnassignPrefixes():
            windows_outcomes.not_begun(state, action)
        case _:
            pass


def _words(error: OutsideError) -> str:
    return f"{error.code}: {error.message}" if error.message else error.code


def _tell_node(state: NodeState, reason: str, message: str, severity: Severity = Severity.WARNING) -> None:
    state.notices.append(
        NodeNotice(node=state.ledger.node, reason=reason, message=message, severity=severity),
    )


def _claim_of(action: act.ResolvePod) -> act.Annotate:
    pod = action.pod
    return act.Annotate(
        subject=action.subject, pod_uid=pod.uid, namespace=pod.namespace, name=pod.name, annotation="", value=""
    )


def _trunk_failed(
    state: NodeState,
    action: act.CreateTrunk | act.PermitInterface | act.AttachTrunk | act.FinishTrunk,
    error: OutsideError,
    now: float,
) -> None:
    if isinstance(error, Unavailable):
        not_begun(state, action)
    if isinstance(error, PASSING):
        return
    trunk, pace = state.ledger.trunk, state.pace(action.subject)
    if isinstance(action, act.CreateTrunk):
        if isinstance(error, TokenMismatch):
            state.set_trunk(state=TrunkState.ABSENT, generation=trunk.generation + 1)
        else:
            state.set_trunk(state=TrunkState.ABSENT, device_index=None)
        # By the next try subnet, groups and device indexes may be others.
        state.change(snapshot_after=now if pace.scope else pace.not_before)
    elif isinstance(action, act.FinishTrunk) and _carries(state):
        # Found in use: pods live by it. Better a trunk that outlives its instance than pods without network.
        if isinstance(error, NotFound):
            _look_anew(state, now)
        else:
            state.set_trunk(state=TrunkState.ATTACHED)
            state.set_pace(action.subject, None)
    else:
        # The undoing begins at once; what is waited for is the next try, with the attempts counted through.
        undone = state.pace(UNDONE)
        state.set_pace(UNDONE, after_failure(undone, error, now, 1.0))
        state.set_pace(action.subject, None)
        state.set_trunk(state=TrunkState.UNDOING)
    message = f"Failed to create trunk interface: Error Code: {error.code}"
    if isinstance(error, Denied) and not isinstance(error, WrongClock):
        hint = MISSING_POLICY if error.code != "OperationNotPermitted" else TRUNKING_NOT_ALLOWED
        message += f": {hint}"
        if error.code != "OperationNotPermitted":
            message += f". {TRUNKING_NOT_ALLOWED}"
    elif error.message:
        message += f": {error.message}"
    _tell_node(state, "TrunkENICreationFailed", message)
    _tell_node(
        state,
        "NodeTrunkFailedInit",
        "The node failed initializing trunk interface",
        Severity.NORMAL,
    )


def _trunk_not_found(state: NodeState, action: act.AwaitTrunk | act.UndoTrunk, now: float) -> None:
    if isinstance(action, act.UndoTrunk):
        state.set_pace(action.subject, None)
        trunk_undone(state, now)
    elif state.pace(action.subject).attempts < LOOKS_BEFORE_GONE:
        return
    elif _carries(state):
        _look_anew(state, now)
    else:
        state.set_trunk(state=TrunkState.UNDOING)


def trunk_undone(state: NodeState, now: float) -> None:
    """The trunk is detached and deleted; the next attempt waits for its time and a fresh look."""
    pace = state.pace(UNDONE)
    before = state.ledger.trunk
    trunk = Trunk(generation=before.generation + 1, undone=before.eni_id)
    state.change(trunk=trunk, snapshot_after=max(now, pace.not_before))


def _carries(state: NodeState) -> bool:
    return any(b.trunk_id == state.ledger.trunk.eni_id for b in state.ledger.branches.values())


def _look_anew(state: NodeState, now: float) -> None:
    """EC2 says that a trunk is gone that pods live by: it is not detached on one word; a snapshot tells."""
    state.change(trunk=Trunk(generation=state.ledger.trunk.generation + 1), snapshot_after=now)


BranchMaking = act.CreateBranch | act.PermitBranch | act.AssociateBranch
STEP_NAMES = {
    act.CreateBranch: "creating network interface",
    act.PermitBranch: "creating network interface permission",
    act.AssociateBranch: "associating branch to trunk",
}


def _branch_failed(state: NodeState, action: BranchMaking, error: OutsideError, now: float) -> None:
    branch = state.ledger.branches.get(action.key)
    if isinstance(error, (Throttled, NotYetFound, Unavailable)):
        not_begun(state, action)
        branch = state.ledger.branches.get(action.key)
    if isinstance(error, Unavailable) and branch is not None and _nothing_begun(state, branch):
        _begin_later(state, action, branch)
    if branch is None or isinstance(error, PASSING):
        return
    if branch.unwanted:
        _learned(state, action, branch, error)
        return
    if isinstance(action, act.AssociateBranch) and _token_spent(action, branch, error):
        state.set_branch(action.key, associations_ended=1)
        state.set_pace(action.subject, None)
        return
    if isinstance(action, act.CreateBranch) and not (action.again and isinstance(error, Denied)):
        # Refused: nothing was made under this token, or (a mismatch) something that the audit will find.
        state.set_branch(action.key, tried=False)
    if isinstance(action, act.AssociateBranch) and not action.again:
        state.set_branch(action.key, associating=False)
    pace = state.pace(action.subject)
    claim_subject = subjects.claim(branch.pod_uid)
    earlier = state.pace(claim_subject)
    state.set_pace(action.subject, None)
    state.set_pace(claim_subject, after_failure(earlier, error, now, (pace.not_before * 1000) % 1.0, pace.scope))
    state.ledger = undo_claim(state.ledger, branch.pod_uid)
    state.change(audit_at=min(state.ledger.audit_at, now + 10.0))
    state.tell_pod(
        branch,
        "BranchAllocationFailed",
        f"failed to allocate branch ENI to pod: {STEP_NAMES[type(action)]}, {_words(error)}",
        Severity.WARNING,
    )


def _nothing_begun(state: NodeState, branch: Branch) -> bool:
    """No call was made yet for any interface of the pod."""
    made_for = [b for b in state.ledger.branches.values() if b.pod_uid == branch.pod_uid and not b.unwanted]
    return branch in made_for and all(b.state is BranchState.PLANNED and not b.tried for b in made_for)


def _begin_later(state: NodeState, action: BranchMaking, branch: Branch) -> None:
    """The pod waits without a place on the trunk, and by then its groups may be others."""
    pace = state.pace(action.subject)
    state.set_pace(action.subject, None)
    state.set_pace(f"claim/{branch.pod_uid}", pace)
    state.ledger = undo_claim(state.ledger, branch.pod_uid)


def _token_spent(action: act.AssociateBranch, branch: Branch, error: OutsideError) -> bool:
    """An earlier call took effect and its association has ended since: the token makes no other one. Believed once."""
    return action.again and isinstance(error, TokenMismatch) and not branch.associations_ended


def _learned(
    state: NodeState,
    action: act.CreateBranch | act.PermitBranch | act.AssociateBranch,
    branch: Branch,
    error: OutsideError,
) -> None:
    """The call was made to learn whether it had taken effect before. A refusal does not tell so of an association:
    it is released as if it were there. Of an interface it does, but for one for lack of rights: asked again later."""
    if isinstance(action, act.CreateBranch) and isinstance(error, Denied):
        return
    state.set_pace(action.subject, None)
    if isinstance(action, act.CreateBranch):
        state.drop_branch(branch.key)
    elif isinstance(action, act.AssociateBranch):
        state.set_branch(action.key, state=BranchState.COOLING, associating=False, since=0.0)


def _annotate_failed(state: NodeState, action: act.Annotate, error: OutsideError) -> None:
    if isinstance(error, (NotFound, Conflict)):
        return  # Gone, or another of the same name: the watch tells, and the API server confirms.
    if isinstance(error, PASSING):
        return
    reason = "BranchENIAnnotationFailed" if action.annotation.endswith("pod-eni") else "ResourceAllocationFailed"
    state.tell_pod(action, reason, f"The annotation could not be written: {_words(error)}", Severity.WARNING)
