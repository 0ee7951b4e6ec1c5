"""What is seen of pods: the interfaces that they have already, and their end."""

from collections.abc import Iterable

import msgspec

from common.model.actions import ConfirmGone
from common.model.ids import EniId, PodUid
from common.model.ledger import Branch, BranchState, Claim, TrunkState
from common.model.names import POD_ENI
from common.model.notice import Severity
from common.model.pod import PodWish, is_live
from common.node.branch.releasing import may_own
from common.node.endings import drop_pod
from common.node.state import Planning
from common.rules import subjects
from common.rules.pod_eni import interfaces_named

_BEING_MADE = (BranchState.PLANNED, BranchState.CREATED, BranchState.PERMITTED, BranchState.ASSOCIATED)


def observe_annotations(state: Planning) -> None:
    """A pod whose annotation names interfaces has them: whoever wrote it, whatever the ledger thought."""
    by_eni: dict[EniId, Branch] = {b.eni_id: b for b in state.ledger.branches.values() if b.eni_id is not None}
    branches, claims = dict(state.ledger.branches), dict(state.ledger.claims)
    for pod in state.desired.pods.values():
        if pod.eni_annotation is None or pod.finished:
            continue
        named, problem = interfaces_named(pod)
        if problem:
            what = f"Pod {pod.namespace}/{pod.name} carries an annotation {POD_ENI} that cannot be read: {problem}"
            if state.first_time(subjects.annotation(pod.uid), what):
                state.tell_node("PodAnnotationMalformed", what, Severity.WARNING)
                state.tell_pod(pod, "PodAnnotationMalformed", what, Severity.WARNING)
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
                    _tell_forged(state, pod, entry.eni_id, "which is not on the trunk of its node")
                continue
            if not may_own(branch, pod.uid):
                _tell_forged(state, pod, entry.eni_id, "which was made for another pod")
                continue
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


def not_named(branches: Iterable[Branch], uid: PodUid, annotation: str, now: float, *, ours: bool) -> list[Branch]:
    """What was made for a pod and its `annotation` does not name, somebody else having written it: changed so that it
    gives its places back. `ours`: an annotation of ours was there before, so that the pod may use what it named."""
    changed = []
    for branch in branches:
        if branch.pod_uid != uid or branch.unwanted or (branch.eni_id is not None and branch.eni_id in annotation):
            continue
        if branch.state in _BEING_MADE:
            changed.append(msgspec.structs.replace(branch, unwanted=True))
        elif branch.state is BranchState.ASSIGNED and not ours:
            changed.append(msgspec.structs.replace(branch, state=BranchState.COOLING, since=now))
    return changed


def _tell_forged(state: Planning, pod: PodWish, eni_id: EniId, why: str) -> None:
    """Once, however many it names."""
    if state.first_time(subjects.annotation(pod.uid), "not its own"):
        state.tell_pod(
            pod,
            "AnnotationNotVerified",
            f"The annotation {POD_ENI} names the interface {eni_id}, {why}: it does not count",
            Severity.WARNING,
        )


def release_ended(state: Planning) -> None:
    """Pods that are not wished for any more: nothing leaves them before the API server itself has confirmed it."""
    if not state.desired.complete:
        return
    for uid, claim in list(state.ledger.claims.items()):
        if not is_live(state.desired.pods.get(uid)) and not any(b.pod_uid == uid for b in _in_use(state)):
            state.ledger = drop_pod(state.ledger, claim.pod_uid, state.now)
    ended = {b.pod_uid: b for b in _in_use(state) if b.pod_uid and not is_live(state.desired.pods.get(b.pod_uid))}
    for uid, branch in ended.items():
        subject = subjects.pod(uid)
        if state.may(subject):
            state.start(
                ConfirmGone(
                    subject=subject,
                    pod_uid=uid,
                    namespace=branch.pod_namespace,
                    name=branch.pod_name,
                )
            )


def _in_use(state: Planning) -> list[Branch]:
    """Branches that their pods have, or are being made for them."""
    resting = (BranchState.COOLING, BranchState.DISASSOCIATED)
    return [b for b in state.ledger.branches.values() if b.state not in resting and not b.unwanted]
