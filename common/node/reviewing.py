"""What a review makes of branches that nobody was known to own: a pod that has one after all gets it back, what the
API server and EC2 know no owner of may be released."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from common.model.actions import Review
from common.model.ec2 import Interface
from common.model.ids import PodUid
from common.model.ledger import ON_TRUNK, AddressState, Branch, BranchState, Claim
from common.model.names import POD_UID_TAG
from common.model.outcome import Reviewed
from common.model.pod import PodWish
from common.node.branch.releasing import may_own
from common.node.state import NodeState
from common.node.windows.contents import reserved
from common.rules.pod_eni import interfaces_named
from common.rules.release_gate import EC2_LAG_SECONDS


def reviewed(state: NodeState, action: Review, found: Reviewed, now: float) -> None:
    living = [pod for pod in found.pods if not pod.finished]
    shown = {interface.eni_id: interface for interface in found.interfaces}
    for branch in list(state.ledger.branches.values()):
        if branch.eni_id not in action.eni_ids or branch.state in ON_TRUNK:
            continue
        interface = shown.get(branch.eni_id)
        tagged = PodUid(interface.tags.get(POD_UID_TAG, "")) if interface is not None else branch.tagged
        if branch.found and tagged != branch.tagged:
            state.set_branch(branch.key, tagged=tagged, since=now)  # Made for another pod than was believed.
            continue
        owner = owner_of(branch, living, state.ledger.branches.values()) if state.ledger.gone_since is None else None
        if owner is not None:
            give_back(state, branch, owner, now)
        else:
            state.set_branch(branch.key, word_at=found.began_at, looked_at=found.began_at)
            if branch.found and found.began_at >= branch.since + EC2_LAG_SECONDS and _off_trunk(interface):
                state.set_branch(branch.key, state=BranchState.DISASSOCIATED, since=now)

    _review_addresses(state, living, found.began_at, now)


def _review_addresses(state: NodeState, living: list[PodWish], began_at: float, now: float) -> None:
    """Addresses that were found in EC2: a living pod's are its own, the others are nobody's."""
    pool = state.ledger.pool
    if pool is None or not any(a.unasked for a in pool.addresses.values()):
        return
    named = reserved({pod.uid: pod for pod in living}, pool.addresses.keys(), pool.prefixes)
    addresses = dict(pool.addresses)
    for ip, address in pool.addresses.items():
        pod = named.get(ip)
        if not address.unasked or address.since > began_at:
            continue
        if pod is None:
            addresses[ip] = msgspec.structs.replace(address, unasked=False)
        else:
            addresses[ip] = msgspec.structs.replace(
                address,
                state=AddressState.ASSIGNED,
                unasked=False,
                pod_uid=pod.uid,
                pod_namespace=pod.namespace,
                pod_name=pod.name,
                annotated=True,
                since=now,
            )
    state.change(pool=msgspec.structs.replace(pool, addresses=addresses))


def owner_of(branch: Branch, living: list[PodWish], branches: Iterable[Branch]) -> PodWish | None:
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


def give_back(state: NodeState, branch: Branch, pod: PodWish, now: float) -> None:
    """The pod has had it all the time."""
    state.set_branch(
        branch.key,
        state=BranchState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        unwanted=False,
        since=now,
        word_at=0.0,
        looked_at=0.0,
    )
    claim = state.ledger.claims.get(pod.uid) or Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name)
    claims = {**state.ledger.claims, pod.uid: msgspec.structs.replace(claim, annotated=True)}
    state.change(claims=claims)


def _off_trunk(interface: Interface | None) -> bool:
    return interface is None or (interface.status == "available" and interface.type != "branch")
