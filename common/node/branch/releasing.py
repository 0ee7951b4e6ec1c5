"""What becomes of a branch that no pod has any more: rest, evidence, disassociation, deletion."""

from typing import assert_never

from common.model import actions as act
from common.model.config import DEFAULT_COOLDOWN_SECONDS
from common.model.errors import NotFound, OutsideError
from common.model.ids import EniId
from common.model.ledger import Branch, BranchState
from common.model.notice import EventReason
from common.model.pod import PodRequest, is_live
from common.node.branch.idle import keep, kept
from common.node.branch.life import DONE, RELEASED
from common.node.branch.owning import may_own
from common.node.state import NodeState, Planning
from common.node.tokens import branch_token, disassociation_token
from common.rules import subjects
from common.rules.pod_eni import interfaces_named
from common.rules.release_gate import Evidence, Lack, Refusal, warrant


def cooldown(state: Planning) -> float:
    config = state.desired.config
    return config.cooldown if config is not None else DEFAULT_COOLDOWN_SECONDS


def emit_cooldown(state: Planning) -> None:
    seconds = cooldown(state)
    if state.desired.config is None or state.ledger.cooldown_seen == seconds:
        return
    if state.ledger.cooldown_seen is not None:
        minutes, rest = divmod(int(seconds), 60)
        text = f"{minutes}m{rest}s" if minutes else f"{rest}s"
        state.emit_node(
            EventReason.BRANCH_ENI_COOL_DOWN_PERIOD_UPDATED, f"Branch ENI cool down period has been updated to {text}"
        )
    state.change(cooldown_seen=seconds)


def release(state: Planning, branch: Branch) -> bool:
    """Start the next step of its release, where the gate gives leave. True: it lacks the API server's or EC2's word."""
    if branch.eni_id is None:
        return False
    subject = subjects.branch(branch.key)
    leave = warrant(evidence_of(state, branch), state.now)
    if isinstance(leave, Refusal):
        if _owner_unknown(state, branch) and branch.word_at < branch.since:
            return True
        if leave.until > state.now:
            state.look_at(leave.until)
            return False
        return leave.lack in (Lack.WORD, Lack.LOOK)
    if (due := _rests_until(state, branch)) > state.now:
        state.look_at(due)
        return False
    if kept(state, branch):
        keep(state, branch)
        return False
    if not state.may(subject):
        return False
    if branch.state is BranchState.COOLING:
        state.set_branch(branch.key, releasing=True)
        state.start(
            act.DisassociateBranch(
                subject=subject,
                key=branch.key,
                eni_id=branch.eni_id,
                association=branch.association,
                token=disassociation_token(
                    branch.token or branch_token(state.options.cluster, branch.key), branch.associations_ended
                ),
                warrant=leave,
            )
        )
    else:
        state.start(act.DeleteBranch(subject=subject, key=branch.key, eni_id=branch.eni_id, warrant=leave))
    return False


def _owner_unknown(state: Planning, branch: Branch) -> bool:
    """It was found without an owner, who may have ended at any time since: asked about at once, it rests from the
    answer on, for it may be another pod's next."""
    return branch.found and branch.state is BranchState.COOLING and not state.node_ended


def _rests_until(state: Planning, branch: Branch) -> float:
    """Epoch seconds."""
    return branch.word_at + cooldown(state) if _owner_unknown(state, branch) else 0.0


def retire(state: NodeState, branch: Branch, become: BranchState | None) -> None:
    """It goes without a call. None: from the ledger, as nothing is there; otherwise it is released at once."""
    if become is None:
        state.drop_branch(branch.key)
    else:
        state.set_branch(branch.key, state=become, since=0.0)


def evidence_of(state: Planning, branch: Branch) -> Evidence:
    """Evidence about a branch that is to be taken away. Nobody uses a branch that has left its trunk."""
    assert branch.eni_id is not None
    off = branch.state is BranchState.DISASSOCIATED
    return Evidence(
        eni_id=branch.eni_id,
        complete=state.desired.complete,
        claimed=_claimed(state, branch),
        made=not branch.found,
        owner=None if branch.unwanted else branch.pod_uid,
        in_use_at=0.0 if off else branch.since,
        rest=0.0 if off else cooldown(state),
        word_at=branch.word_at,
        looked_at=branch.looked_at,
    )


def _claimed(state: Planning, branch: Branch) -> bool:
    others = (s.ledger for s in state.desired.sharers if s.ledger is not None and not s.ledger.yielded)
    if any(b.eni_id == branch.eni_id and b.state not in RELEASED for other in others for b in other.branches.values()):
        return True
    if state.node_ended:
        return False  # Its pods went with it.
    return any(_names(pod, branch.eni_id) and may_own(branch, pod.uid) for pod in state.desired.pods.values())


def _names(pod: PodRequest, eni_id: EniId | None) -> bool:
    return is_live(pod) and any(entry.eni_id == eni_id for entry in interfaces_named(pod)[0])


def done(state: NodeState, action: act.Releasing) -> None:
    match action:
        case act.DisassociateBranch(key=key):
            state.set_branch(key, state=DONE[type(action)], association=None, since=state.now)
        case act.DeleteBranch(key=key):
            state.drop_branch(key)
        case _:
            assert_never(action)


def failed(state: NodeState, action: act.Releasing, error: OutsideError) -> None:
    """What is not there any more is released."""
    if isinstance(error, NotFound):
        if isinstance(action, act.DisassociateBranch):
            state.set_backoff(action.subject, None)
        done(state, action)
