"""Every branch interface's next step: create, permit, associate, annotate; rest, disassociate, delete."""

from collections.abc import Iterable

from common.model.actions import (
    Annotate,
    AssociateBranch,
    CreateBranch,
    PermitBranch,
)
from common.model.ids import PodUid
from common.model.ledger import ON_TRUNK, Branch, BranchState, TrunkState
from common.model.names import POD_ENI
from common.model.pod import PodWish, is_live
from common.node.branch.releasing import release, review
from common.node.endings import undo_claim
from common.node.state import Planning
from common.node.tokens import association_token
from common.rules import subjects
from common.rules.managed import interface_tags
from common.rules.pod_eni import annotation_of


def advance(state: Planning, *, serving: bool) -> None:
    """Start the next step of each branch: what pods wait for first, then releases."""
    unknown = []
    for branch in _in_order(state.ledger.branches.values()):
        match branch.state:
            case BranchState.PLANNED | BranchState.CREATED | BranchState.PERMITTED:
                if _make(state, branch, serving=serving):
                    unknown.append(branch)
            case BranchState.ASSOCIATED if branch.unwanted:
                state.set_branch(branch.key, state=BranchState.COOLING, since=0.0)  # Never used: it need not rest.
                state.look_at(state.now)
            case BranchState.COOLING | BranchState.DISASSOCIATED:
                if release(state, branch):
                    unknown.append(branch)
            case _:
                pass
    if unknown:
        review(state, unknown)
    _annotate(state, serving=serving)


def _in_order(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (b.unwanted, b.state in (BranchState.COOLING, BranchState.DISASSOCIATED)))


def _make(state: Planning, branch: Branch, *, serving: bool) -> bool:
    """The next step of its making, or of its undoing. True: as `release`."""
    subject = subjects.branch(branch.key)
    if branch.unwanted:
        if branch.state is BranchState.PLANNED and not branch.tried and subject not in state.busy:
            state.drop_branch(branch.key)
            return False
        if branch.state is not BranchState.PLANNED and not branch.associating:
            return release(state, branch)
        # It may exist, or be associated, without our knowing: the same call with the same token tells.
    elif not serving and not branch.tried:
        return False
    if not state.may(subject):
        return False
    trunk = state.ledger.trunk
    if not branch.unwanted and (trunk.state is not TrunkState.READY or trunk.eni_id != branch.trunk_id):
        state.ledger = undo_claim(state.ledger, branch.pod_uid)
        state.look_at(state.now)
        return False
    match branch.state:
        case BranchState.PLANNED:
            extra, _ = interface_tags(state.ledger.cninode_spec)
            state.set_branch(branch.key, tried=True)
            state.start(
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
            state.start(PermitBranch(subject=subject, key=branch.key, eni_id=branch.eni_id))
        case BranchState.PERMITTED:
            assert branch.eni_id is not None
            state.set_branch(branch.key, associating=True)
            state.start(
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


def _annotate(state: Planning, *, serving: bool) -> None:
    """Pods all of whose interfaces are associated get their annotation, and get it again where it was taken away."""
    by_pod: dict[PodUid, list[Branch]] = {}
    for branch in state.ledger.branches.values():
        if not branch.unwanted and branch.pod_uid:
            by_pod.setdefault(branch.pod_uid, []).append(branch)
    for uid, branches in by_pod.items():
        pod, claim = state.desired.pods.get(uid), state.ledger.claims.get(uid)
        if pod is None or claim is None or not is_live(pod) or pod.branches == 0:
            continue
        subject = subjects.annotate(uid)
        if subject in state.busy or (claim.annotated and not (serving and _lost_annotation(state, pod, branches))):
            continue
        if any(b.state in ON_TRUNK and b.trunk_id != state.ledger.trunk.eni_id for b in branches):
            _begin_anew(state, uid, branches)
            continue
        if len(branches) < pod.branches or any(b.state not in ON_TRUNK for b in branches) or not state.may(subject):
            continue
        for branch in branches:
            state.set_branch(branch.key, state=BranchState.ASSIGNED, since=state.now)
        state.start(
            Annotate(
                subject=subject,
                pod_uid=uid,
                namespace=pod.namespace,
                name=pod.name,
                annotation=POD_ENI,
                value=annotation_of(branches),
            )
        )


def _lost_annotation(state: Planning, pod: PodWish, branches: Iterable[Branch]) -> bool:
    """Somebody took it away from a pod that has its interfaces."""
    trunk = state.ledger.trunk.eni_id
    if pod.eni_annotation is not None or any(b.state not in ON_TRUNK or b.trunk_id != trunk for b in branches):
        return False
    return state.unseen_for_long(max(branch.since for branch in branches))


def _begin_anew(state: Planning, uid: PodUid, branches: Iterable[Branch]) -> None:
    """Its instance was replaced before the pod was seen annotated. What may have been written into the annotation
    rests, and stays the pod's if it was."""
    for branch in branches:
        if branch.state is BranchState.ASSIGNED:
            state.set_branch(branch.key, state=BranchState.COOLING, since=state.now)
    state.ledger = undo_claim(state.ledger, uid)
    state.look_at(state.now)
