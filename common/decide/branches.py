"""Chapter: each pod's branch interfaces, from its wish to their deletion."""

from collections.abc import Iterable, Mapping

import msgspec

from common.decide.annotations import annotation_of, interfaces_named
from common.decide.draft import Draft
from common.decide.endings import drop_pod, undo_claim
from common.decide.managed import eni_config_name, interface_tags
from common.decide.tokens import association_token, branch_key, branch_token, disassociation_token
from common.decide.trunk import branch_limit
from common.model.actions import (
    Annotate,
    AssociateBranch,
    ConfirmGone,
    CreateBranch,
    DeleteBranch,
    DisassociateBranch,
    PermitBranch,
    ResolvePod,
)
from common.model.config import DEFAULT_COOLDOWN_SECONDS
from common.model.ids import FIRST_VLAN, LAST_VLAN, BranchKey, EniId, PodUid, VlanId
from common.model.ledger import Branch, BranchState, Claim, TrunkState
from common.model.names import POD_ENI
from common.model.node import NodeFacts
from common.model.notice import Severity
from common.model.pod import PodWish

GROUPS_STALE_SECONDS = 5.0
"""Groups found for a pod that then waited longer than this are looked up once more before its interface is made."""
_USED = (BranchState.ASSOCIATED, BranchState.ASSIGNED)


def is_live(pod: PodWish | None) -> bool:
    return pod is not None and not pod.finished


def keep_branches(draft: Draft, node: NodeFacts, *, serving: bool) -> None:
    """`serving`: the node is managed and its trunk is ready; otherwise only what exists is seen to its end."""
    observe_annotations(draft)
    release_ended(draft)
    if serving:
        _serve(draft, node)
    advance(draft, serving=serving)


def observe_annotations(draft: Draft) -> None:
    """A pod whose annotation names interfaces has them: whoever wrote it, whatever the ledger thought."""
    by_eni: dict[EniId, Branch] = {b.eni_id: b for b in draft.ledger.branches.values() if b.eni_id is not None}
    branches, claims = dict(draft.ledger.branches), dict(draft.ledger.claims)
    for pod in draft.desired.pods.values():
        if pod.eni_annotation is None or pod.finished:
            continue
        named, problem = interfaces_named(pod)
        if problem:
            draft.tell_node_once(
                f"annotation/{pod.uid}",
                "PodAnnotationMalformed",
                f"Pod {pod.namespace}/{pod.name} carries an annotation {POD_ENI} that cannot be read: {problem}",
                Severity.WARNING,
            )
        claim = claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
        if not claim.annotated:
            claims[pod.uid] = msgspec.structs.replace(claim, annotated=True)
        for entry in named:
            branch = by_eni.get(entry.eni_id)
            if branch is None or branch.state is BranchState.DISASSOCIATED or f"branch/{branch.key}" in draft.busy:
                continue
            if branch.state is not BranchState.ASSIGNED or not is_live(draft.desired.pods.get(branch.pod_uid)):
                branches[branch.key] = msgspec.structs.replace(
                    branch,
                    state=BranchState.ASSIGNED,
                    pod_uid=pod.uid,
                    pod_namespace=pod.namespace,
                    pod_name=pod.name,
                    vlan=entry.vlan,
                    unwanted=False,
                    since=draft.now,
                    association=branch.association or entry.association or None,
                )
    draft.change(branches=branches, claims=claims)


def release_ended(draft: Draft) -> None:
    """Pods that are not wished for any more: nothing leaves them before the API server itself has confirmed it."""
    if not draft.desired.complete:
        return
    for uid, claim in list(draft.ledger.claims.items()):
        if not is_live(draft.desired.pods.get(uid)) and not any(b.pod_uid == uid for b in _in_use(draft)):
            draft.ledger = drop_pod(draft.ledger, claim.pod_uid, draft.now)
    ended = {b.pod_uid: b for b in _in_use(draft) if b.pod_uid and not is_live(draft.desired.pods.get(b.pod_uid))}
    for uid, branch in ended.items():
        subject = f"pod/{uid}"
        if draft.may(subject):
            draft.start(
                ConfirmGone(
                    subject=subject,
                    pod_uid=uid,
                    namespace=branch.pod_namespace,
                    name=branch.pod_name,
                )
            )


def _in_use(draft: Draft) -> list[Branch]:
    """Branches that their pods have, or are being made for them."""
    resting = (BranchState.COOLING, BranchState.DISASSOCIATED)
    return [b for b in draft.ledger.branches.values() if b.state not in resting and not b.unwanted]


def _serve(draft: Draft, node: NodeFacts) -> None:
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
    return not branch.unwanted or branch.associating or branch.state in (*_USED, BranchState.COOLING)


def free_vlans(draft: Draft, count: int) -> list[VlanId]:
    """The lowest VLAN ids that nobody on this trunk has, cooling ones included, nor any pod's annotation names."""
    taken = {b.vlan for b in _on_trunk(draft)}
    for pod in draft.desired.pods.values():
        taken |= {entry.vlan for entry in interfaces_named(pod)[0]}
    free = (VlanId(n) for n in range(FIRST_VLAN, LAST_VLAN + 1) if n not in taken)
    return [vlan for vlan, _ in zip(free, range(count), strict=False)]


def advance(draft: Draft, *, serving: bool) -> None:
    """Start the next step of each branch: what pods wait for first, then releases."""
    for branch in _in_order(draft.ledger.branches.values()):
        match branch.state:
            case BranchState.PLANNED | BranchState.CREATED | BranchState.PERMITTED:
                _make(draft, branch, serving=serving)
            case BranchState.ASSOCIATED if branch.unwanted:
                _change(draft, branch, state=BranchState.COOLING, since=0.0)  # Never used: it need not rest.
                draft.look_at(draft.now)
            case BranchState.COOLING | BranchState.DISASSOCIATED:
                _release(draft, branch)
            case _:
                pass
    _annotate(draft)


def _in_order(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (b.unwanted, b.state in (BranchState.COOLING, BranchState.DISASSOCIATED)))


def _make(draft: Draft, branch: Branch, *, serving: bool) -> None:
    subject = f"branch/{branch.key}"
    if branch.unwanted:
        if branch.state is BranchState.PLANNED and not branch.tried and subject not in draft.busy:
            _drop(draft, branch.key)
            return
        if branch.state is not BranchState.PLANNED and not branch.associating:
            _delete(draft, branch, subject)
            return
        # It may exist, or be associated, without our knowing: the same call with the same token tells.
    elif not serving and not branch.tried:
        return
    if not draft.may(subject):
        return
    trunk = draft.ledger.trunk
    if not branch.unwanted and (trunk.state is not TrunkState.READY or trunk.eni_id != branch.trunk_id):
        draft.ledger = undo_claim(draft.ledger, branch.pod_uid)
        draft.look_at(draft.now)
        return
    match branch.state:
        case BranchState.PLANNED:
            extra, _ = interface_tags(draft.ledger.cninode_spec, draft.options.cluster)
            _change(draft, branch, tried=True)
            draft.start(
                CreateBranch(
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
                    again=branch.tried,
                )
            )
        case BranchState.CREATED:
            assert branch.eni_id is not None
            draft.start(PermitBranch(subject=subject, key=branch.key, eni_id=branch.eni_id))
        case BranchState.PERMITTED:
            assert branch.eni_id is not None
            _change(draft, branch, associating=True)
            draft.start(
                AssociateBranch(
                    subject=subject,
                    key=branch.key,
                    eni_id=branch.eni_id,
                    trunk_id=branch.trunk_id,
                    vlan=branch.vlan,
                    token=association_token(branch.token),
                    again=branch.associating,
                )
            )
        case _:
            pass


def _annotate(draft: Draft) -> None:
    """Pods all of whose interfaces are associated get their annotation."""
    by_pod: dict[PodUid, list[Branch]] = {}
    for branch in draft.ledger.branches.values():
        if not branch.unwanted and branch.pod_uid:
            by_pod.setdefault(branch.pod_uid, []).append(branch)
    for uid, branches in by_pod.items():
        pod, claim = draft.desired.pods.get(uid), draft.ledger.claims.get(uid)
        if pod is None or claim is None or claim.annotated or not is_live(pod) or pod.branches == 0:
            continue
        subject = f"annotate/{uid}"
        if subject in draft.busy:
            continue
        if any(b.state in _USED and b.trunk_id != draft.ledger.trunk.eni_id for b in branches):
            _begin_anew(draft, uid, branches)
            continue
        if len(branches) < pod.branches or any(b.state not in _USED for b in branches) or not draft.may(subject):
            continue
        for branch in branches:
            _change(draft, branch, state=BranchState.ASSIGNED, since=draft.now)
        draft.start(
            Annotate(
                subject=subject,
                pod_uid=uid,
                namespace=pod.namespace,
                name=pod.name,
                annotation=POD_ENI,
                value=annotation_of(branches),
            )
        )


def _begin_anew(draft: Draft, uid: PodUid, branches: Iterable[Branch]) -> None:
    """Its instance was replaced before the pod was seen annotated. What may have been written into the annotation
    rests, and stays the pod's if it was."""
    for branch in branches:
        if branch.state is BranchState.ASSIGNED:
            _change(draft, branch, state=BranchState.COOLING, since=draft.now)
    draft.ledger = undo_claim(draft.ledger, uid)
    draft.look_at(draft.now)


def _release(draft: Draft, branch: Branch) -> None:
    subject = f"branch/{branch.key}"
    if branch.eni_id is None or not draft.desired.complete:
        return
    if branch.state is BranchState.DISASSOCIATED:
        _delete(draft, branch, subject)
        return
    due = branch.since + cooldown(draft)
    if due > draft.now:
        draft.look_at(due)
    elif draft.may(subject):
        draft.start(
            DisassociateBranch(
                subject=subject,
                key=branch.key,
                eni_id=branch.eni_id,
                association=branch.association,
                token=disassociation_token(branch.token or branch_token(draft.options.cluster, branch.key)),
            )
        )


def cooldown(draft: Draft) -> float:
    config = draft.desired.config
    return config.cooldown if config is not None else DEFAULT_COOLDOWN_SECONDS


def _delete(draft: Draft, branch: Branch, subject: str) -> None:
    if branch.eni_id is not None and draft.desired.complete and draft.may(subject):
        draft.start(DeleteBranch(subject=subject, key=branch.key, eni_id=branch.eni_id))


def _change(draft: Draft, branch: Branch, **fields: object) -> None:
    changed: Branch = msgspec.structs.replace(draft.ledger.branches[branch.key], **fields)
    draft.change(branches={**draft.ledger.branches, branch.key: changed})


def _drop(draft: Draft, key: BranchKey) -> None:
    draft.change(branches=without(draft.ledger.branches, key))


def without(branches: Mapping[BranchKey, Branch], key: BranchKey) -> dict[BranchKey, Branch]:
    return {k: b for k, b in branches.items() if k != key}
