"""Every branch interface's next step: create, permit, associate, annotate; rest, disassociate, delete."""

from collections.abc import Iterable, Mapping

import msgspec

from common.model.actions import (
    Annotate,
    AssociateBranch,
    CreateBranch,
    PermitBranch,
)
from common.model.ids import BranchKey, PodUid
from common.model.ledger import ON_TRUNK, Branch, BranchState, TrunkState
from common.model.names import POD_ENI
from common.model.pod import PodWish, is_live
from common.node.branch.releasing import release, review
from common.node.endings import undo_claim
from common.node.state import Draft
from common.node.tokens import association_token
from common.rules import subjects
from common.rules.managed import interface_tags
from common.rules.pod_eni import annotation_of


def advance(draft: Draft, *, serving: bool) -> None:
    """Start the next step of each branch: what pods wait for first, then releases."""
    unknown = []
    for branch in _in_order(draft.ledger.branches.values()):
        match branch.state:
            case BranchState.PLANNED | BranchState.CREATED | BranchState.PERMITTED:
                if _make(draft, branch, serving=serving):
                    unknown.append(branch)
            case BranchState.ASSOCIATED if branch.unwanted:
                _change(draft, branch, state=BranchState.COOLING, since=0.0)  # Never used: it need not rest.
                draft.look_at(draft.now)
            case BranchState.COOLING | BranchState.DISASSOCIATED:
                if release(draft, branch):
                    unknown.append(branch)
            case _:
                pass
    if unknown:
        review(draft, unknown)
    _annotate(draft, serving=serving)


def _in_order(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (b.unwanted, b.state in (BranchState.COOLING, BranchState.DISASSOCIATED)))


def _make(draft: Draft, branch: Branch, *, serving: bool) -> bool:
    """The next step of its making, or of its undoing. True: as `release`."""
    subject = subjects.branch(branch.key)
    if branch.unwanted:
        if branch.state is BranchState.PLANNED and not branch.tried and subject not in draft.busy:
            _drop(draft, branch.key)
            return False
        if branch.state is not BranchState.PLANNED and not branch.associating:
            return release(draft, branch)
        # It may exist, or be associated, without our knowing: the same call with the same token tells.
    elif not serving and not branch.tried:
        return False
    if not draft.may(subject):
        return False
    trunk = draft.ledger.trunk
    if not branch.unwanted and (trunk.state is not TrunkState.READY or trunk.eni_id != branch.trunk_id):
        draft.ledger = undo_claim(draft.ledger, branch.pod_uid)
        draft.look_at(draft.now)
        return False
    match branch.state:
        case BranchState.PLANNED:
            extra, _ = interface_tags(draft.ledger.cninode_spec)
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
                    token=association_token(branch.token, branch.associations_ended),
                    again=branch.associating,
                )
            )
        case _:
            pass
    return False


def _annotate(draft: Draft, *, serving: bool) -> None:
    """Pods all of whose interfaces are associated get their annotation, and get it again where it was taken away."""
    by_pod: dict[PodUid, list[Branch]] = {}
    for branch in draft.ledger.branches.values():
        if not branch.unwanted and branch.pod_uid:
            by_pod.setdefault(branch.pod_uid, []).append(branch)
    for uid, branches in by_pod.items():
        pod, claim = draft.desired.pods.get(uid), draft.ledger.claims.get(uid)
        if pod is None or claim is None or not is_live(pod) or pod.branches == 0:
            continue
        subject = subjects.annotate(uid)
        if subject in draft.busy or (claim.annotated and not (serving and _lost_annotation(draft, pod, branches))):
            continue
        if any(b.state in ON_TRUNK and b.trunk_id != draft.ledger.trunk.eni_id for b in branches):
            _begin_anew(draft, uid, branches)
            continue
        if len(branches) < pod.branches or any(b.state not in ON_TRUNK for b in branches) or not draft.may(subject):
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


def _lost_annotation(draft: Draft, pod: PodWish, branches: Iterable[Branch]) -> bool:
    """Somebody took it away from a pod that has its interfaces."""
    trunk = draft.ledger.trunk.eni_id
    if pod.eni_annotation is not None or any(b.state not in ON_TRUNK or b.trunk_id != trunk for b in branches):
        return False
    return draft.unseen_for_long(max(branch.since for branch in branches))


def _begin_anew(draft: Draft, uid: PodUid, branches: Iterable[Branch]) -> None:
    """Its instance was replaced before the pod was seen annotated. What may have been written into the annotation
    rests, and stays the pod's if it was."""
    for branch in branches:
        if branch.state is BranchState.ASSIGNED:
            _change(draft, branch, state=BranchState.COOLING, since=draft.now)
    draft.ledger = undo_claim(draft.ledger, uid)
    draft.look_at(draft.now)


def _change(draft: Draft, branch: Branch, **fields: object) -> None:
    changed: Branch = msgspec.structs.replace(draft.ledger.branches[branch.key], **fields)
    draft.change(branches={**draft.ledger.branches, branch.key: changed})


def _drop(draft: Draft, key: BranchKey) -> None:
    draft.change(branches=without(draft.ledger.branches, key))


def without(branches: Mapping[BranchKey, Branch], key: BranchKey) -> dict[BranchKey, Branch]:
    return {k: b for k, b in branches.items() if k != key}
