"""All there is to say of one node or one pod: pure functions from its record and desired state to plain values."""

from collections.abc import Iterable, Mapping

import msgspec

from cli.status.summary import NodeStatus, node_status, waits, why_waiting
from common.model.desired import Desired
from common.model.errors import ControllerError
from common.model.ids import BranchKey, NodeName, PodUid
from common.model.ledger import Address, Branch, Ledger
from common.model.limits import InstanceLimits
from common.model.pod import PodRequest
from common.rules import subjects


class NotThere(ControllerError):
    """No node or pod of that name is known."""


class BranchRow(msgspec.Struct, frozen=True, kw_only=True):
    pod: str
    """namespace/name, "" where it is not known."""
    state: str
    since: float
    """Epoch seconds."""
    vlan: int
    interface: str
    address: str
    subnet: str
    groups: tuple[str, ...]


class AddressRow(msgspec.Struct, frozen=True, kw_only=True):
    pod: str
    state: str
    since: float
    address: str
    prefix: str
    """The prefix that it is out of; "" for a secondary address."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step that failed, or waits for its turn."""

    subject: str
    pod: str
    """namespace/name of the pod that it serves, "" where it is not known or the step is the node's."""
    code: str
    message: str
    attempts: int
    next_at: float
    """Epoch seconds."""
    in_queue: bool
    """It has a place in the queue of EC2's limits."""


class NodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    summary: NodeStatus
    instance: str
    subnet: str
    trunk_subnet: str
    trunk_groups: tuple[str, ...]
    branches: tuple[BranchRow, ...]
    addresses: tuple[AddressRow, ...]
    steps: tuple[StepRow, ...]


class PodDetail(msgspec.Struct, frozen=True, kw_only=True):
    pod: str
    uid: str
    """"" where the pod is gone and only what it had is left."""
    node: str
    asks_branches: int
    asks_addresses: int
    annotated: bool
    finished: bool
    deleting: bool
    scheduled_at: float
    why: str
    """Why it waits; "" where it does not."""
    groups: tuple[str, ...]
    matched: bool
    """A policy matched; False: the groups are the node's, or nothing was decided yet."""
    branches: tuple[BranchRow, ...]
    addresses: tuple[AddressRow, ...]
    steps: tuple[StepRow, ...]


def find_node(names: Iterable[NodeName], wanted: str) -> NodeName:
    """By its name, or by its host name without the domain. Raises NotThere."""
    known = list(names)
    found = [name for name in known if name == wanted] or [n for n in known if n.partition(".")[0] == wanted]
    if len(found) != 1:
        raise NotThere(f"{wanted}: {len(found)} nodes of that name; a pod is named as namespace/name")
    return found[0]


def node_detail(
    ledger: Ledger | None,
    desired: Desired,
    name: NodeName,
    limits: Mapping[str, InstanceLimits],
    unreadable: str = "",
) -> NodeDetail:
    """As `node_status`, with everything that its ledger holds."""
    summary = node_status(ledger, desired, name, limits, unreadable)
    ledger = ledger or Ledger(node=name)
    return NodeDetail(
        summary=summary,
        instance=ledger.instance.instance_id if ledger.instance else "",
        subnet=ledger.instance.subnet.subnet_id if ledger.instance else "",
        trunk_subnet=ledger.trunk.subnet_id or "",
        trunk_groups=ledger.trunk.groups,
        branches=_branches(ledger.branches.values()),
        addresses=_addresses(ledger.pool.addresses.values() if ledger.pool else ()),
        steps=_steps(ledger, tuple(ledger.backoffs)),
    )


def pod_detail(
    ledgers: Mapping[NodeName, Ledger],
    desired: Mapping[NodeName, Desired],
    wanted: str,
    unreadable: Mapping[NodeName, str] | None = None,
) -> PodDetail:
    """`wanted`: namespace/name. `unreadable`: why nodes have no ledger although Redis holds one. Raises NotThere."""
    for node, state in desired.items():
        for pod in state.pods.values():
            if f"{pod.namespace}/{pod.name}" == wanted:
                return _pod(pod, node, ledgers.get(node) or Ledger(node=node), (unreadable or {}).get(node, ""))
    for node, ledger in ledgers.items():
        branches = [one for one in ledger.branches.values() if _of(one) == wanted]
        addresses = [one for one in (ledger.pool.addresses.values() if ledger.pool else ()) if _of(one) == wanted]
        if branches or addresses:
            return PodDetail(
                pod=wanted, uid="", node=node, asks_branches=0, asks_addresses=0, annotated=False, finished=True,
                deleting=False, scheduled_at=0.0, why="", groups=(), matched=False,
                branches=_branches(branches), addresses=_addresses(addresses), steps=(),
            )  # fmt: skip
    raise NotThere(f"{wanted}: no pod of that name asks for a branch interface or an address on any node")


def _pod(pod: PodRequest, node: NodeName, ledger: Ledger, unreadable: str) -> PodDetail:
    claim = ledger.claims.get(pod.uid)
    branches = [branch for branch in ledger.branches.values() if branch.pod_uid == pod.uid]
    pool = ledger.pool.addresses.values() if ledger.pool else ()
    recorded = {subjects.branch(branch.key) for branch in branches}
    recorded |= subjects.of_pod(pod.uid)
    return PodDetail(
        pod=f"{pod.namespace}/{pod.name}",
        uid=pod.uid,
        node=node,
        asks_branches=pod.branches,
        asks_addresses=pod.addresses,
        annotated=bool(pod.eni_annotation or pod.ip_annotation),
        finished=pod.finished,
        deleting=pod.deleting,
        scheduled_at=pod.scheduled_at,
        why=(unreadable or why_waiting(ledger, pod)) if waits(pod) else "",
        groups=claim.groups if claim else (),
        matched=claim.matched if claim else False,
        branches=_branches(branches),
        addresses=_addresses([one for one in pool if one.pod_uid == pod.uid]),
        steps=_steps(ledger, tuple(subject for subject in ledger.backoffs if subject in recorded)),
    )


def _of(one: Branch | Address) -> str:
    return f"{one.pod_namespace}/{one.pod_name}" if one.pod_name else ""


def _branches(found: Iterable[Branch]) -> tuple[BranchRow, ...]:
    return tuple(
        BranchRow(
            pod=_of(one),
            state=str(one.state),
            since=one.since,
            vlan=one.vlan,
            interface=one.eni_id or "",
            address=one.private_ip or one.ipv6,
            subnet=one.subnet_id,
            groups=one.groups,
        )
        for one in sorted(found, key=lambda one: one.vlan)
    )


def _addresses(found: Iterable[Address]) -> tuple[AddressRow, ...]:
    return tuple(
        AddressRow(pod=_of(one), state=str(one.state), since=one.since, address=one.ip, prefix=one.prefix or "")
        for one in sorted(found, key=lambda one: one.ip)
    )


def _steps(ledger: Ledger, chosen: tuple[str, ...]) -> tuple[StepRow, ...]:
    return tuple(
        StepRow(
            subject=subject,
            pod=_pod_of(subject, ledger),
            code=backoff.code,
            message=backoff.message,
            attempts=backoff.attempts,
            next_at=backoff.not_before,
            in_queue=backoff.reserved,
        )
        for subject, backoff in ((subject, ledger.backoffs[subject]) for subject in sorted(chosen))
        if backoff.code or backoff.reserved
    )


def _pod_of(subject: str, ledger: Ledger) -> str:
    kind, rest = subjects.parts(subject)
    if kind == subjects.BRANCH and (branch := ledger.branches.get(BranchKey(rest))):
        return _of(branch)
    if kind in subjects.OF_PODS and (claim := ledger.claims.get(PodUid(rest))):
        return f"{claim.namespace}/{claim.name}"
    return ""
