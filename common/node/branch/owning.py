"""Which pod a branch belongs to."""

from collections.abc import Iterable

import msgspec

from common.model.ids import PodUid
from common.model.ledger import Branch, BranchState, Claim
from common.model.pod import PodRequest, is_live
from common.node.state import NodeState, Planning
from common.rules import subjects
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


def unclear(pods: Iterable[PodRequest], branches: Iterable[Branch]) -> list[PodRequest]:
    """Living pods whose annotations name less of their own than they ask for, oldest first: it is not known all what
    they have."""
    branches = list(branches)
    found = []
    for pod in pods:
        if pod.finished or pod.eni_annotation is None:
            continue
        named = {entry.eni_id for entry in interfaces_named(pod)[0]}
        has = [b for b in branches if (b.eni_id in named and may_own(b, pod.uid)) or b.made_for == pod.uid]
        if len(has) < max(1, pod.branches):
            found.append(pod)
    return sorted(found, key=lambda pod: (pod.scheduled_at, pod.uid))


def hold(state: Planning) -> None:
    """A found one whose tag names no pod, as of one that was given on, and that no living pod's annotation names, may
    be the own of a pod whose annotation somebody spoiled. It stays that pod's, and rests after its end; it rests as
    well where all is known of the living."""
    pods = state.desired.pods
    named = {e.eni_id for pod in pods.values() if is_live(pod) for e in interfaces_named(pod)[0]}
    loose = [
        b
        for b in state.ledger.branches.values()
        if b.found
        and b.untagged
        and b.state in (BranchState.COOLING, BranchState.ASSIGNED)
        and b.eni_id not in named
        and subjects.branch(b.key) not in state.busy
    ]
    if not loose:
        return
    holders = unclear(pods.values(), state.ledger.branches.values())
    for branch in loose:
        if branch.pod_uid in {pod.uid for pod in holders} and branch.state is BranchState.ASSIGNED:
            continue
        if holders:
            give_back(state, branch, holders[0])
        elif branch.state is BranchState.ASSIGNED and is_live(pods.get(branch.pod_uid)):
            state.set_branch(branch.key, state=BranchState.COOLING, since=state.now)


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
