"""Pods that wait: their order, room on the trunk, VLAN ids, and the interfaces to make."""

import msgspec

from common.model.ids import FIRST_VLAN, LAST_VLAN, VlanId
from common.model.ledger import ON_TRUNK, Branch, BranchState, Claim
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.model.pod import PodRequest
from common.node.branch.claims import goes_elsewhere, resolve
from common.node.branch.idle import fitting, give_way, takeable, taken
from common.node.state import Planning
from common.node.tokens import branch_key, branch_token
from common.node.trunk.place import branch_limit
from common.rules import subjects
from common.rules.pod_eni import vlans_reserved

GROUPS_STALE_SECONDS = 5.0
"""Groups found for a pod that then waited longer than this are looked up once more before its interface is made."""


def serve(state: Planning, node: NodeFacts) -> None:
    """Pods in the order in which they were scheduled. The first that finds no room holds those behind it, and one whose
    groups are being looked up keeps its places meanwhile, so that a pod asking for two does not starve behind pods
    asking for one. One that fails holds nobody until it is tried again."""
    waiting = sorted(
        (
            p
            for p in state.desired.pods.values()
            if p.branches > 0 and not p.finished and not p.deleting and p.eni_annotation is None
        ),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    unserved = [pod for pod in waiting if _waits(state, pod)]
    if not unserved:
        return
    limit = branch_limit(state)
    vlans = len(free_vlans(state, LAST_VLAN))
    places = min(room(state), vlans)
    idle = takeable(state)
    first: PodRequest | None = None
    for pod in unserved:
        claim = state.ledger.claims.get(pod.uid)
        if claim is None or claim.resolved_at == 0.0:
            resolve(state, node, pod)
        resolved = claim is not None and claim.resolved_at > 0.0
        if pod.branches > limit:
            if resolved:
                _emit_too_many(state, pod, limit)
            continue
        if _fails(state, pod):
            continue
        offered = fitting(idle, claim, pod.branches) if claim is not None and resolved else idle[: pod.branches]
        to_make = pod.branches - len(offered)
        if first is not None or to_make > places:
            state.lacking += pod.branches
            makes_room = first is None and resolved and give_way(state, offered, to_make - places)
            first = first or pod
            if resolved and not makes_room:
                _emit_no_room(state, pod, first, vlans=vlans if vlans < room(state) else None)
            continue
        places -= to_make
        idle = [branch for branch in idle if branch not in offered]
        if claim is not None and resolved:
            _allot(state, node, pod, claim, offered)


def _waits(state: Planning, pod: PodRequest) -> bool:
    """Whether nothing was made for the pod so far. Where its annotation was taken away and it has nothing any more, it
    begins anew, with tokens of a new generation."""
    claim = state.ledger.claims.get(pod.uid)
    if claim is None:
        return True
    if _made_for(state, claim):
        return False
    if claim.annotated and subjects.annotate(pod.uid) not in state.busy and state.unseen_for_long(claim.annotated_at):
        anew = msgspec.structs.replace(claim, annotated=False, generation=claim.generation + 1, resolved_at=0.0)
        state.change(claims={**state.ledger.claims, pod.uid: anew})
        return True
    return not claim.annotated


def _fails(state: Planning, pod: PodRequest) -> bool:
    """Whether it waits for its next attempt after a failure."""
    subject = subjects.claim(pod.uid)
    due_at = state.due_at(subject)
    if state.backoff(subject).reserved or due_at <= state.now or goes_elsewhere(state, pod):
        return False
    state.look_at(due_at)
    return True


def _made_for(state: Planning, claim: Claim) -> bool:
    return any(b.pod_uid == claim.pod_uid and not b.unwanted for b in state.ledger.branches.values())


def _allot(state: Planning, node: NodeFacts, pod: PodRequest, claim: Claim, offered: list[Branch]) -> None:
    """Give a pod for which there is room the idle interfaces that are offered, and its VLANs, and record the interfaces
    to make."""
    trunk, instance = state.ledger.trunk, state.ledger.instance
    assert trunk.eni_id is not None
    assert instance is not None
    if subjects.claim(pod.uid) in state.busy:
        return
    if claim.resolved_at < state.now - GROUPS_STALE_SECONDS:
        resolve(state, node, pod)
        return
    if not state.may(subjects.claim(pod.uid)):
        return
    branches = {key: b for key, b in state.ledger.branches.items() if b not in offered}
    for ordinal, branch in enumerate(offered):
        key = branch_key(pod.uid, ordinal, claim.generation)
        branches[key] = taken(branch, key, pod, ordinal, claim, state.now)
    for ordinal, vlan in enumerate(free_vlans(state, pod.branches - len(offered)), start=len(offered)):
        key = branch_key(pod.uid, ordinal, claim.generation)
        branches[key] = Branch(
            key=key,
            state=BranchState.PLANNED,
            instance_id=instance.instance_id,
            trunk_id=trunk.eni_id,
            pod_uid=pod.uid,
            pod_namespace=pod.namespace,
            pod_name=pod.name,
            ordinal=ordinal,
            vlan=vlan,
            subnet_id=claim.subnet_id,
            groups=claim.groups,
            token=branch_token(state.options.cluster, key),
            subnet_cidr=claim.subnet_cidr,
            subnet_v6_cidr=claim.subnet_v6_cidr,
            since=state.now,
        )
    state.change(branches=branches)


def room(state: Planning) -> int:
    """Branch interfaces that the trunk could carry besides those that are on it, or may be, or shall be."""
    return branch_limit(state) - len(_on_trunk(state))


def _on_trunk(state: Planning) -> list[Branch]:
    trunk = state.ledger.trunk.eni_id
    return [b for b in state.ledger.branches.values() if b.trunk_id == trunk and counts(b)]


def _emit_too_many(state: Planning, pod: PodRequest, limit: int) -> None:
    state.emit_pod_once(
        pod,
        EventReason.BRANCH_ALLOCATION_FAILED,
        f"The pod asks for {pod.branches} branch interfaces and its node can have {limit}",
        Severity.WARNING,
    )


def _emit_no_room(state: Planning, pod: PodRequest, first: PodRequest, *, vlans: int | None) -> None:
    """Why a pod waits for which there is no room, or whose turn comes after a pod for which there is none. `vlans`: how
    many VLAN ids are free, where they are what is short."""
    if vlans is not None:
        state.emit_pod_once(
            pod,
            EventReason.NO_FREE_VLAN,
            f"{vlans} of the {LAST_VLAN} VLAN ids of the node's trunk are free: its interfaces have some, and "
            "annotations of pods that have not finished name the others",
            Severity.WARNING,
        )
        return
    limit, on_trunk = branch_limit(state), _on_trunk(state)
    resting = sum(1 for b in on_trunk if b.state is BranchState.COOLING)
    why = f"it can have {limit} ({resting} of them rest after their pods ended)"
    if pod.uid != first.uid:
        why += f", and {first.namespace}/{first.name}, which came first, waits for {first.branches}"
    state.emit_pod_once(
        pod,
        EventReason.BRANCH_CAPACITY_REACHED,
        f"The node has no room for the pod's branch interfaces: {why}; pods are served in their order when there is "
        "room",
    )


LEAVING = (
    BranchState.ASSOCIATING, BranchState.REGROUPING, *ON_TRUNK, BranchState.COOLING, BranchState.IDLE
)  # fmt: skip
"""On the trunk, or perhaps, also where they are not wanted any more."""


def counts(branch: Branch) -> bool:
    """Whether it takes one of its trunk's places: it is on the trunk, or may be, or shall be."""
    if branch.state is BranchState.DISASSOCIATED:
        return False
    return not branch.unwanted or branch.state in LEAVING


def free_vlans(state: Planning, count: int) -> list[VlanId]:
    """The lowest VLAN ids that nobody on this trunk has, cooling ones included, nor the annotation of a pod that has
    not finished names: as many entries of it count as the pod asks for."""
    taken = {b.vlan for b in _on_trunk(state)}
    for pod in state.desired.pods.values():
        taken |= vlans_reserved(pod)
    free = (VlanId(n) for n in range(FIRST_VLAN, LAST_VLAN + 1) if n not in taken)
    return [vlan for vlan, _ in zip(free, range(count), strict=False)]
