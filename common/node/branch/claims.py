"""What is decided for a pod before its interfaces are made: groups and subnet; and the way back to it."""

import msgspec

from common.model.actions import ResolvePod
from common.model.errors import OutsideError
from common.model.ids import BranchKey, PodUid
from common.model.ledger import Backoff, Branch, BranchState, Claim, Ledger
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.model.outcome import Resolution
from common.model.pod import PodRequest
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.rules import subjects
from common.rules.managed import eni_config_name

UNRESOLVED_SECONDS = 10.0
"""Between looks for an ENIConfig that does not exist."""


def resolve(state: Planning, node: NodeFacts, pod: PodRequest) -> None:
    instance, subject = state.ledger.instance, subjects.claim(pod.uid)
    if instance is None or not (state.may(subject) or (goes_elsewhere(state, pod) and subject not in state.busy)):
        return
    state.start(
        ResolvePod(
            subject=subject,
            pod=pod,
            instance_groups=instance.groups,
            instance_subnet=instance.subnet,
            eni_config=eni_config_name(node, state.ledger.cninode_spec),
        )
    )


def goes_elsewhere(state: Planning, pod: PodRequest) -> bool:
    """Its node's ENIConfig names another subnet by now than the one that was tried."""
    config, claim = state.desired.view.eni_config, state.ledger.claims.get(pod.uid)
    return config is not None and claim is not None and claim.subnet_id not in ("", config.subnet)


def resolved(state: NodeState, action: ResolvePod, found: Resolution, earlier: Backoff) -> None:
    """`earlier` failures of the pod's interfaces stay counted: finding its groups does not reset them."""
    pod, ledger = action.pod, state.ledger
    state.set_backoff(action.subject, msgspec.structs.replace(earlier, not_before=0.0, reserved=False, scope=""))
    claim = ledger.claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
    if found.problem:
        until = state.now + UNRESOLVED_SECONDS
        state.set_backoff(action.subject, Backoff(not_before=until, attempts=earlier.attempts, code="NotResolved"))
        state.change(claims={**ledger.claims, pod.uid: claim})
        state.emit_pod(claim, EventReason.BRANCH_ALLOCATION_FAILED, found.problem, Severity.WARNING)
        return
    same = claim.groups == found.groups and claim.matched == found.matched
    claim = msgspec.structs.replace(
        claim,
        groups=found.groups,
        matched=found.matched,
        subnet_id=found.subnet.subnet_id,
        subnet_cidr=found.subnet.cidr,
        subnet_v6_cidr=found.subnet.ipv6_cidr,
        resolved_at=state.now,
    )
    state.change(claims={**ledger.claims, pod.uid: claim})
    if same:
        return
    if found.matched:
        groups = " ".join(found.groups)
        state.emit_pod(
            claim, EventReason.SECURITY_GROUP_REQUESTED, f"Pod will get the following Security Groups [{groups}]"
        )
    else:
        state.emit_pod(
            claim,
            EventReason.SECURITY_GROUP_REQUESTED,
            "Pod will get the instance security group as the pod didn't match any Security Group from "
            "SecurityGroupPolicy",
            Severity.WARNING,
        )


def failed(state: NodeState, action: ResolvePod, error: OutsideError) -> None:
    if not isinstance(error, PASSING):
        state.emit_pod(action.pod, EventReason.BRANCH_ALLOCATION_FAILED, str(error), Severity.WARNING)


def drop_pod(ledger: Ledger, uid: PodUid, now: float) -> Ledger:
    """Forget what was decided for a pod; what was begun for it is not wanted any more."""
    claims = {key: claim for key, claim in ledger.claims.items() if key != uid}
    backoffs = {
        key: backoff
        for key, backoff in ledger.backoffs.items()
        if key not in (subjects.claim(uid), subjects.annotate(uid))
    }
    return msgspec.structs.replace(ledger, branches=unwant(ledger, uid), claims=claims, backoffs=backoffs)


def undo_claim(ledger: Ledger, uid: PodUid) -> Ledger:
    """A step failed for good: what was made for the pod so far is taken back, and it begins again with its groups
    looked up anew and tokens of a new generation."""
    claim = ledger.claims.get(uid)
    claims = dict(ledger.claims)
    if claim is not None:
        claims[uid] = msgspec.structs.replace(claim, generation=claim.generation + 1, resolved_at=0.0)
    return msgspec.structs.replace(ledger, branches=unwant(ledger, uid), claims=claims)


def unwant(ledger: Ledger, uid: PodUid) -> dict[BranchKey, Branch]:
    settled = (BranchState.COOLING, BranchState.IDLE, BranchState.DISASSOCIATED, BranchState.ASSIGNED)
    return {
        key: msgspec.structs.replace(branch, unwanted=True)
        if branch.pod_uid == uid and branch.state not in settled
        else branch
        for key, branch in ledger.branches.items()
    }
