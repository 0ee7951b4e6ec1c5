"""What becomes of a branch that no pod has any more: rest, evidence, disassociation, deletion."""

from common.model.actions import DeleteBranch, DisassociateBranch, Review
from common.model.config import DEFAULT_COOLDOWN_SECONDS
from common.model.ids import EniId, PodUid
from common.model.ledger import Branch, BranchState
from common.model.pod import PodWish, is_live
from common.node.state import Planning
from common.node.tokens import branch_token, disassociation_token
from common.rules import subjects
from common.rules.pod_eni import interfaces_named
from common.rules.release_gate import Evidence, Lack, Refusal, warrant

SUBJECT = "review"
RELEASED = (BranchState.COOLING, BranchState.DISASSOCIATED)


def cooldown(state: Planning) -> float:
    config = state.desired.config
    return config.cooldown if config is not None else DEFAULT_COOLDOWN_SECONDS


def release(state: Planning, branch: Branch) -> bool:
    """Start the next step of its release, where the gate gives leave. True: it lacks the API server's or EC2's word."""
    if branch.eni_id is None:
        return False
    subject = subjects.branch(branch.key)
    leave = warrant(evidence_of(state, branch), state.now)
    if isinstance(leave, Refusal):
        if leave.until > state.now:
            state.look_at(leave.until)
            return False
        return leave.lack in (Lack.WORD, Lack.LOOK)
    if not state.may(subject):
        return False
    if branch.state is BranchState.COOLING:
        state.start(
            DisassociateBranch(
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
        state.start(DeleteBranch(subject=subject, key=branch.key, eni_id=branch.eni_id, warrant=leave))
    return False


def review(state: Planning, branches: list[Branch]) -> None:
    """Ask about the pods of the instance, and about all branches that lack a word, at once."""
    if state.may(SUBJECT):
        nodes = sorted({state.ledger.node, *(sharer.name for sharer in state.desired.sharers)})
        eni_ids = tuple(sorted(b.eni_id for b in branches if b.eni_id is not None))
        state.start(Review(subject=SUBJECT, nodes=tuple(nodes), eni_ids=eni_ids))


def evidence_of(state: Planning, branch: Branch) -> Evidence:
    """Of a branch that is to be taken away. Off its trunk it is in nobody's use any more."""
    assert branch.eni_id is not None
    off = branch.state is BranchState.DISASSOCIATED
    return Evidence(
        eni_id=branch.eni_id,
        complete=state.desired.complete,
        claimed=_claimed(state, branch),
        made=not branch.found,
        used=not branch.unwanted,
        in_use_at=0.0 if off else branch.since,
        rest=0.0 if off else cooldown(state),
        word_at=branch.word_at,
        looked_at=branch.looked_at,
    )


def may_own(branch: Branch, pod: PodUid) -> bool:
    """Whether an annotation of this pod that names the branch counts: it was made for that pod. One without a tag (made
    by the reference) is whose annotation names it."""
    return branch.made_for in ("", pod)


def _claimed(state: Planning, branch: Branch) -> bool:
    others = (s.ledger for s in state.desired.sharers if s.ledger is not None and not s.ledger.yielded)
    if any(b.eni_id == branch.eni_id and b.state not in RELEASED for other in others for b in other.branches.values()):
        return True
    if state.node_ended:
        return False  # Its pods went with it.
    return any(_names(pod, branch.eni_id) and may_own(branch, pod.uid) for pod in state.desired.pods.values())


def _names(pod: PodWish, eni_id: EniId | None) -> bool:
    return is_live(pod) and any(entry.eni_id == eni_id for entry in interfaces_named(pod)[0])
