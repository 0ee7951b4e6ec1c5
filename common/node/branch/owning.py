"""Which pod a branch belongs to."""

from collections.abc import Iterable

import msgspec

from common.model.ids import PodUid
from common.model.ledger import Branch, BranchState, Claim
from common.model.pod import PodRequest
from common.node.state import NodeState
from common.rules.pod_eni import interfaces_named


def may_own(branch: Branch, pod: PodUid) -> bool:
    """Whether an annotation of this pod that names the branch counts: it was made for that pod. One without a tag (made
    by the reference) is whose annotation names it."""
    return branch.made_for in ("", pod)


def owner_of(branch: Branch, living: list[PodRequest], branches: Iterable[Branch]) -> PodRequest | None:
    """The living pod that has it: its annotation names it, or it was made for that pod, whose annotation names nothing
    of its own that could stand in its place."""
    for pod in living:
        entries, problem = interfaces_named(pod)
        if not may_own(branch, pod.uid):
            continue
        if any(entry.eni_id == branch.eni_id for entry in entries):
            return pod
        if pod.uid == branch.made_for and pod.eni_annotation is not None:
            own = {b.eni_id for b in branches if may_own(b, pod.uid)}
            if problem or not any(entry.eni_id in own for entry in entries):
                return pod
    return None


def give_back(state: NodeState, branch: Branch, pod: PodRequest) -> None:
    """The pod has had it all the time."""
    state.set_branch(
        branch.key,
        state=BranchState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        unwanted=False,
        since=state.now,
        word_at=0.0,
        looked_at=0.0,
    )
    claim = state.ledger.claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
    claims = {**state.ledger.claims, pod.uid: msgspec.structs.replace(claim, annotated=True)}
    state.change(claims=claims)
