"""The annotation `vpc.amazonaws.com/pod-eni`: read, written, lost, forged, refused."""

from collections.abc import Iterable

import msgspec

from common.model.actions import Annotate
from common.model.errors import Conflict, NotFound, OutsideError
from common.model.ids import EniId, PodUid
from common.model.ledger import ON_TRUNK, Branch, BranchState, Claim, TrunkState
from common.model.names import POD_ENI
from common.model.notice import EventReason, Severity
from common.model.pod import BranchAnnotation, PodRequest, is_live
from common.node.branch.claims import undo_claim
from common.node.branch.life import BEING_MADE
from common.node.branch.owning import give_back, hold, may_own
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.rules import subjects
from common.rules.pod_eni import annotation_of, interfaces_named


def observe_annotations(state: Planning) -> None:
    """A pod whose annotation names interfaces has them, whoever wrote it and whatever the ledger says."""
    by_eni: dict[EniId, Branch] = {b.eni_id: b for b in state.ledger.branches.values() if b.eni_id is not None}
    branches, claims = dict(state.ledger.branches), dict(state.ledger.claims)
    for pod in state.desired.pods.values():
        if pod.eni_annotation is None or pod.finished:
            continue
        named, problem = interfaces_named(pod)
        if problem:
            what = f"Pod {pod.namespace}/{pod.name} carries an annotation {POD_ENI} that cannot be read: {problem}"
            if state.first_time(subjects.annotation(pod.uid), what):
                state.emit_node(EventReason.POD_ANNOTATION_MALFORMED, what, Severity.WARNING)
                state.emit_pod(pod, EventReason.POD_ANNOTATION_MALFORMED, what, Severity.WARNING)
        claim = claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
        if not claim.annotated:
            claims[pod.uid] = msgspec.structs.replace(claim, annotated=True, annotated_at=state.now)
        if subjects.annotate(pod.uid) not in state.busy:
            superfluous = not_named(branches.values(), pod.uid, pod.eni_annotation, state.now, ours=claim.annotated)
            branches |= {branch.key: branch for branch in superfluous}
        for entry in named:
            branch = by_eni.get(entry.eni_id)
            if branch is None:
                # Not adopted yet, perhaps; the audits find what is there.
                if state.ledger.trunk.state is TrunkState.READY and state.unseen_for_long(pod.seen_at):
                    _emit_forged(state, pod, entry.eni_id, "which is not on the trunk of its node")
                continue
            if not may_own(branch, pod.uid):
                _emit_forged(state, pod, entry.eni_id, "which was made for another pod")
                continue
            if differing := _differing(branch, entry):
                _emit_forged(state, pod, entry.eni_id, f"with another {differing} than it has")
            if branch.state is BranchState.DISASSOCIATED or subjects.branch(branch.key) in state.busy:
                continue
            if branch.state is not BranchState.ASSIGNED or not is_live(state.desired.pods.get(branch.pod_uid)):
                branches[branch.key] = msgspec.structs.replace(
                    branch,
                    state=BranchState.ASSIGNED,
                    pod_uid=pod.uid,
                    pod_namespace=pod.namespace,
                    pod_name=pod.name,
                    vlan=branch.vlan or entry.vlan,
                    unwanted=False,
                    since=state.now,
                    word_at=0.0,
                    looked_at=0.0,
                )
    state.change(branches=branches, claims=claims)
    hold(state)


def not_named(branches: Iterable[Branch], uid: PodUid, annotation: str, now: float, *, ours: bool) -> list[Branch]:
    """What was made for a pod and its `annotation` does not name, somebody else having written it: changed so that it
    gives its places back. `ours`: an annotation of ours was there before, so that the pod may use what it named."""
    changed = []
    for branch in branches:
        if branch.pod_uid != uid or branch.unwanted or (branch.eni_id is not None and branch.eni_id in annotation):
            continue
        if branch.state in BEING_MADE:
            changed.append(msgspec.structs.replace(branch, unwanted=True))
        elif branch.state is BranchState.ASSIGNED and not ours:
            changed.append(msgspec.structs.replace(branch, state=BranchState.COOLING, since=now))
    return changed


def _differing(branch: Branch, entry: BranchAnnotation) -> str:
    """What an entry says otherwise than we know of the interface, in words; "": nothing. What we do not know, as the
    association of one that was found in EC2, tells nothing."""
    said = (
        ("VLAN id", branch.vlan, entry.vlan),
        ("address", branch.private_ip, entry.private_ip),
        ("association", branch.association, entry.association),
    )
    return " and ".join(name for name, known, named in said if known and named and known != named)


def _emit_forged(state: Planning, pod: PodRequest, eni_id: EniId, why: str) -> None:
    """Once, however many it names."""
    if state.first_time(subjects.annotation(pod.uid), "not its own"):
        state.emit_pod(
            pod,
            EventReason.ANNOTATION_NOT_VERIFIED,
            f"The annotation {POD_ENI} names the interface {eni_id}, {why}: it does not count",
            Severity.WARNING,
        )


def annotate(state: Planning, *, serving: bool) -> None:
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


def _lost_annotation(state: Planning, pod: PodRequest, branches: Iterable[Branch]) -> bool:
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


def annotated(state: NodeState, action: Annotate, stands: str) -> None:
    """`stands` is the annotation that the pod has now: ours, or the one that it had before."""
    claim = state.ledger.claims.get(action.pod_uid)
    state.set_backoff(subjects.claim(action.pod_uid), None)
    if claim is not None:
        claims = {
            **state.ledger.claims,
            claim.pod_uid: msgspec.structs.replace(claim, annotated=True, annotated_at=state.now),
        }
        state.change(claims=claims)
    if stands == action.value:
        state.emit_pod(action, EventReason.RESOURCE_ALLOCATED, f"Allocated {action.value} to the pod")
        return
    # It was annotated before us, by the API server's own word: what of ours it does not name goes, and rests where the
    # pod may use it; what it names of those that were found without an owner has one.
    ours = claim is not None and claim.annotated
    has = PodRequest(uid=action.pod_uid, namespace=action.namespace, name=action.name, eni_annotation=stands)
    named = {entry.eni_id for entry in interfaces_named(has)[0]}
    for branch in list(state.ledger.branches.values()):
        if branch.eni_id in named and branch.state is BranchState.COOLING and may_own(branch, action.pod_uid):
            give_back(state, branch, has)
    for branch in not_named(state.ledger.branches.values(), action.pod_uid, stands, state.now, ours=ours):
        state.set_branch(
            branch.key, state=branch.state, since=branch.since, unwanted=branch.unwanted, word_at=state.now
        )


def failed(state: NodeState, action: Annotate, error: OutsideError) -> None:
    """NotFound and Conflict: it is gone, or another of the same name. The watch tells, and the API server confirms."""
    if not isinstance(error, (NotFound, Conflict, *PASSING)):
        state.emit_pod(
            action,
            EventReason.BRANCH_ENI_ANNOTATION_FAILED,
            f"The annotation could not be written: {error}",
            Severity.WARNING,
        )
