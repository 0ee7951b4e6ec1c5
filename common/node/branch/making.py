"""A branch from plan to association: create, permit, associate; and what a step that failed undoes."""

from typing import Any, assert_never

from common.model import actions as act
from common.model.errors import Denied, NotFound, NotYetFound, OutsideError, Throttled, TokenMismatch, Unavailable
from common.model.ids import BranchKey
from common.model.ledger import Branch, BranchState, TrunkState
from common.model.notice import EventReason, Severity
from common.node.branch import ahead
from common.node.branch.claims import undo_claim
from common.node.branch.idle import put
from common.node.branch.life import DONE, NOT_BEGUN, REFUSED_UNWANTED, step_of
from common.node.branch.releasing import release, retire
from common.node.lag import GROUP_NOT_FOUND
from common.node.retry import PASSING, after_failure
from common.node.state import NodeState, Planning
from common.node.tokens import association_token, made_ahead
from common.rules import subjects
from common.rules.managed import interface_tags

STEP_NAMES = {
    act.CreateBranch: "creating network interface",
    act.PermitBranch: "creating network interface permission",
    act.AssociateBranch: "associating branch to trunk",
    act.SetBranchGroups: "setting security groups",
}
AUDIT_SECONDS = 10.0
"""After a step that failed for good the node is compared with EC2: what it left shows by then."""


def make(state: Planning, branch: Branch, *, serving: bool) -> bool:
    """The next step of its making, or of its undoing. True: as `release`."""
    subject = subjects.branch(branch.key)
    step = step_of(branch)
    if step is not None and step.action is act.DeleteBranch:
        return release(state, branch)
    begins = branch.state is BranchState.PLANNED
    if step is None or (begins and not serving) or not state.may(subject):
        return False
    trunk = state.ledger.trunk
    if not branch.unwanted and (trunk.state is not TrunkState.READY or trunk.eni_id != branch.trunk_id):
        state.ledger = undo_claim(state.ledger, branch.pod_uid)
        state.look_at(state.now)
        return False
    again = branch.state is step.begun
    state.set_branch(branch.key, state=step.begun)
    match branch.state:
        case BranchState.PLANNED | BranchState.CREATING:
            extra, _ = interface_tags(state.ledger.cninode_spec)
            state.start(
                act.CreateBranch(
                    subject=subject,
                    key=branch.key,
                    subnet_id=branch.subnet_id,
                    groups=branch.groups,
                    token=branch.token,
                    vlan=branch.vlan,
                    trunk_id=branch.trunk_id,
                    instance_id=branch.instance_id,
                    pod_uid=branch.pod_uid,
                    extra_tags=extra,
                    again=again,
                )
            )
        case BranchState.CREATED:
            assert branch.eni_id is not None
            state.start(act.PermitBranch(subject=subject, key=branch.key, eni_id=branch.eni_id))
        case BranchState.PERMITTED | BranchState.ASSOCIATING:
            assert branch.eni_id is not None
            state.start(
                act.AssociateBranch(
                    subject=subject,
                    key=branch.key,
                    eni_id=branch.eni_id,
                    trunk_id=branch.trunk_id,
                    vlan=branch.vlan,
                    token=association_token(branch.token, branch.associations_ended),
                    again=again,
                )
            )
        case BranchState.REGROUPING:
            assert branch.eni_id is not None
            state.start(
                act.SetBranchGroups(subject=subject, key=branch.key, eni_id=branch.eni_id, groups=branch.groups)
            )
        case _:
            pass
    return False


def done(state: NodeState, action: act.Making, value: Any) -> None:
    match action:
        case act.CreateBranch(key=key):
            state.set_branch(
                key,
                state=DONE[type(action)],
                eni_id=value.eni_id,
                mac=value.mac,
                private_ip=value.primary_ip,
                ipv6=value.ipv6,
                made_at=state.now,
                since=state.now,
            )
        case act.PermitBranch(key=key):
            state.set_branch(key, state=DONE[type(action)], since=state.now)
        case act.AssociateBranch(key=key):
            state.set_branch(key, state=DONE[type(action)], association=value, since=state.now)
        case act.SetBranchGroups(key=key):
            state.set_branch(key, state=DONE[type(action)], since=state.now)
        case _:
            assert_never(action)


def not_begun(state: NodeState, action: act.Making) -> None:
    """Where it was the first call, nothing can have come of it."""
    if isinstance(action, act.CreateBranch | act.AssociateBranch) and not action.again:
        _take_back(state, action.key)


def _take_back(state: NodeState, key: BranchKey) -> None:
    """The call that was begun has not taken effect."""
    branch = state.ledger.branches.get(key)
    if branch is not None and branch.state in NOT_BEGUN:
        state.set_branch(key, state=NOT_BEGUN[branch.state])


def failed(state: NodeState, action: act.Making, error: OutsideError) -> None:
    if isinstance(error, (Throttled, NotYetFound, Unavailable)):
        not_begun(state, action)
    branch = state.ledger.branches.get(action.key)
    if branch is None:
        return
    if isinstance(action, act.SetBranchGroups) and not branch.unwanted and _groups_refused(error):
        put(state, branch, groups=())
        _give_up(state, action, branch, error)
        return
    if isinstance(error, Unavailable) and _nothing_begun(state, branch):
        _begin_later(state, action, branch)
    if isinstance(error, PASSING):
        return
    if branch.unwanted:
        _learned(state, action, branch, error)
    elif isinstance(action, act.AssociateBranch) and _token_spent(action, branch, error):
        state.set_branch(action.key, associations_ended=1)
        state.set_backoff(action.subject, None)
    else:
        _refused(state, action, branch, error)


def _refused(state: NodeState, action: act.Making, branch: Branch, error: OutsideError) -> None:
    """The pod begins anew: its interfaces are taken back, and the next attempt is paced by the pod."""
    if isinstance(action, act.CreateBranch) and not (action.again and isinstance(error, Denied)):
        # Nothing was made under this token, or (a mismatch) something that the audit will find.
        _take_back(state, action.key)
    if isinstance(action, act.AssociateBranch) and not action.again:
        _take_back(state, action.key)
    if made_ahead(branch.key):
        ahead.refused(state, state.ledger.branches[branch.key], error)
    else:
        _give_up(state, action, branch, error)


def _give_up(state: NodeState, action: act.Making, branch: Branch, error: OutsideError) -> None:
    backoff = state.backoff(action.subject)
    claim = subjects.claim(branch.pod_uid)
    state.set_backoff(action.subject, None)
    state.set_backoff(claim, after_failure(state.backoff(claim), error, state.now, state.jitter, backoff.scope))
    state.ledger = undo_claim(state.ledger, branch.pod_uid)
    state.change(audit_at=min(state.ledger.audit_at, state.now + AUDIT_SECONDS))
    state.emit_pod(
        branch,
        EventReason.BRANCH_ALLOCATION_FAILED,
        f"failed to allocate branch ENI to pod: {STEP_NAMES[type(action)]}, {error}",
        Severity.WARNING,
    )


def _nothing_begun(state: NodeState, branch: Branch) -> bool:
    """No call was made yet for any interface of the pod."""
    made_for = [b for b in state.ledger.branches.values() if b.pod_uid == branch.pod_uid and not b.unwanted]
    return not made_ahead(branch.key) and branch in made_for and all(b.state is BranchState.PLANNED for b in made_for)


def _begin_later(state: NodeState, action: act.Making, branch: Branch) -> None:
    """The pod waits without a place on the trunk, and by then its groups may be others."""
    backoff = state.backoff(action.subject)
    state.set_backoff(action.subject, None)
    state.set_backoff(subjects.claim(branch.pod_uid), backoff)
    state.ledger = undo_claim(state.ledger, branch.pod_uid)


def _groups_refused(error: OutsideError) -> bool:
    """The interface is there and has not got the groups: by EC2's word, or because the call fails for all and was not
    made. It stays idle, of groups that are not known, and the pod gets another."""
    if isinstance(error, NotFound):
        return error.code in GROUP_NOT_FOUND
    return isinstance(error, Unavailable) or not isinstance(error, PASSING)


def _token_spent(action: act.AssociateBranch, branch: Branch, error: OutsideError) -> bool:
    """An earlier call took effect and its association has ended since: the token makes no other one. Believed once."""
    return action.again and isinstance(error, TokenMismatch) and not branch.associations_ended


def _learned(
    state: NodeState,
    action: act.Making,
    branch: Branch,
    error: OutsideError,
) -> None:
    """The call was made to learn whether the one before had taken effect. A refusal for lack of rights does not tell so
    of an interface: asked again later."""
    if isinstance(action, act.CreateBranch) and isinstance(error, Denied):
        return
    state.set_backoff(action.subject, None)
    if branch.state in REFUSED_UNWANTED:
        retire(state, branch, REFUSED_UNWANTED[branch.state])
