"""Pods that wait: their security groups, room on the trunk, VLAN ids, and the interfaces to make."""

from common.decide.annotations import interfaces_named
from common.decide.draft import Draft
from common.decide.managed import eni_config_name
from common.decide.tokens import branch_key, branch_token
from common.decide.trunk import branch_limit
from common.model.actions import ResolvePod
from common.model.ids import FIRST_VLAN, LAST_VLAN, VlanId
from common.model.ledger import ON_TRUNK, Branch, BranchState, Claim
from common.model.node import NodeFacts
from common.model.notice import Severity
from common.model.pod import PodWish

GROUPS_STALE_SECONDS = 5.0
"""Groups found for a pod that then waited longer than this are looked up once more before its interface is made."""


def serve(draft: Draft, node: NodeFacts) -> None:
    """Pods in the order in which they were scheduled. The first that finds no room holds those behind it, so that a
    pod asking for two does not starve behind pods asking for one."""
    waiting = sorted(
        (p for p in draft.desired.pods.values() if p.branches > 0 and not p.finished and p.eni_annotation is None),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    room = True
    for pod in waiting:
        claim = draft.ledger.claims.get(pod.uid)
        if claim is not None and (claim.annotated or _made_for(draft, claim)):
            continue
        if claim is None or claim.resolved_at == 0.0:
            _resolve(draft, node, pod, first=claim is None or not claim.groups)
        elif room:
            room = _allot(draft, node, pod, claim)
        else:
            _tell_full(draft, pod)


def _made_for(draft: Draft, claim: Claim) -> bool:
    return any(b.pod_uid == claim.pod_uid and not b.unwanted for b in draft.ledger.branches.values())


def _resolve(draft: Draft, node: NodeFacts, pod: PodWish, *, first: bool) -> None:
    instance, subject = draft.ledger.instance, f"claim/{pod.uid}"
    if instance is None or pod.deleting or not draft.may(subject):
        return
    draft.start(
        ResolvePod(
            subject=subject,
            pod=pod,
            instance_groups=instance.groups,
            instance_subnet=instance.subnet,
            eni_config=eni_config_name(node, draft.ledger.cninode_spec),
            first=first,
        )
    )


def _allot(draft: Draft, node: NodeFacts, pod: PodWish, claim: Claim) -> bool:
    """Give a pod its VLANs and record the interfaces to make; False where there is no room."""
    limit, trunk, instance = branch_limit(draft), draft.ledger.trunk, draft.ledger.instance
    assert trunk.eni_id is not None
    assert instance is not None
    if f"claim/{pod.uid}" in draft.busy or pod.deleting:
        return True
    if pod.branches > limit:
        draft.tell_pod_once(
            pod,
            "BranchAllocationFailed",
            f"The pod asks for {pod.branches} branch interfaces and its node can have {limit}",
            Severity.WARNING,
        )
        return True
    if len(_on_trunk(draft)) + pod.branches > limit:
        _tell_full(draft, pod)
        return False
    if claim.resolved_at < draft.now - GROUPS_STALE_SECONDS:
        _resolve(draft, node, pod, first=False)
        return True
    if not draft.may(f"claim/{pod.uid}"):
        return True
    vlans = free_vlans(draft, pod.branches)
    if len(vlans) < pod.branches:
        return False
    branches = dict(draft.ledger.branches)
    for ordinal, vlan in enumerate(vlans):
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
            token=branch_token(draft.options.cluster, key),
            subnet_cidr=claim.subnet_cidr,
            subnet_v6_cidr=claim.subnet_v6_cidr,
            since=draft.now,
        )
    draft.change(branches=branches)
    return True


def _on_trunk(draft: Draft) -> list[Branch]:
    trunk = draft.ledger.trunk.eni_id
    return [b for b in draft.ledger.branches.values() if b.trunk_id == trunk and counts(b)]


def _tell_full(draft: Draft, pod: PodWish) -> None:
    resting = sum(1 for b in _on_trunk(draft) if b.state is BranchState.COOLING)
    draft.tell_pod_once(
        pod,
        "BranchCapacityReached",
        f"The node has no room for the pod's branch interfaces: it can have {branch_limit(draft)} ({resting} of them "
        "rest after their pods ended); pods are served in their order when there is room",
    )


def counts(branch: Branch) -> bool:
    """Whether it takes one of its trunk's places: it is on the trunk, or may be, or shall be."""
    if branch.state is BranchState.DISASSOCIATED:
        return False
    return not branch.unwanted or branch.associating or branch.state in (*ON_TRUNK, BranchState.COOLING)


def free_vlans(draft: Draft, count: int) -> list[VlanId]:
    """The lowest VLAN ids that nobody on this trunk has, cooling ones included, nor any pod's annotation names."""
    taken = {b.vlan for b in _on_trunk(draft)}
    for pod in draft.desired.pods.values():
        taken |= {entry.vlan for entry in interfaces_named(pod)[0]}
    free = (VlanId(n) for n in range(FIRST_VLAN, LAST_VLAN + 1) if n not in taken)
    return [vlan for vlan, _ in zip(free, range(count), strict=False)]
