"""What there is to say of a cluster: pure functions from ledgers and desired state to plain values."""

from collections import Counter
from collections.abc import Mapping
from operator import attrgetter

import msgspec

from cli.status.alarms import Member
from cli.status.ec2_limits import Ec2Limit
from common.model.desired import Desired
from common.model.ids import NodeName, PodUid
from common.model.ledger import AddressState, Backoff, BranchState, Ledger, TrunkState
from common.model.limits import InstanceLimits
from common.model.pod import PodRequest
from common.rules import subjects

RESTING = (BranchState.COOLING, BranchState.DISASSOCIATED)
IN_THE_MAKING = (
    BranchState.PLANNED,
    BranchState.CREATING,
    BranchState.CREATED,
    BranchState.PERMITTED,
    BranchState.ASSOCIATING,
    BranchState.REGROUPING,
)
IN_QUEUE = "in the queue of the EC2 limits"


class WaitingPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod without what it asks for."""

    pod: str
    """namespace/name"""
    since: float
    """Epoch seconds of its scheduling."""
    why: str


class WindowsPool(msgspec.Struct, frozen=True, kw_only=True):
    used: int
    warm: int
    """Secondary addresses; of a prefix only addresses that were in use are known one by one."""
    cooling: int
    prefixes: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Branch interfaces: `making + used + cooling + free` is what the instance type allows."""

    node: NodeName
    instance_type: str
    trunk: str
    trunk_id: str
    making: int
    used: int
    cooling: int
    free: int
    """Idle ones among them."""
    pool: WindowsPool | None
    pods: int
    waiting: tuple[WaitingPod, ...]
    problem: str
    """The last failure of the node itself, "" without one."""
    next_audit: float
    """Epoch seconds; 0: not planned."""
    idle: int = 0
    """Branch interfaces kept for the next pods."""


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[NodeStatus, ...]
    queues: dict[str, int]
    workers: dict[str, Member]
    watchers: dict[str, Member]
    alarms: tuple[str, ...] = ()
    """What is wrong with the processes, a sentence each."""
    complete: bool
    """The watcher has written a full list; without it nothing is released."""
    config: dict[str, float | bool | int | None]
    ec2_limits: tuple[Ec2Limit, ...] = ()
    """Only those that differ from the settings, or that calls wait for."""


def node_status(
    ledger: Ledger | None,
    desired: Desired,
    name: NodeName,
    limits: Mapping[str, InstanceLimits],
    unreadable: str = "",
) -> NodeStatus:
    """`limits` by instance type. `unreadable`: why there is no ledger although Redis holds one."""
    ledger = ledger or Ledger(node=name)
    instance_type = ledger.instance.instance_type if ledger.instance else ""
    states = Counter(branch.state for branch in ledger.branches.values())
    allowed = limits[instance_type].max_branch_interfaces if instance_type in limits else 0
    if ledger.trunk.state is not TrunkState.READY:
        allowed = 0
    waiting = tuple(
        WaitingPod(
            pod=f"{pod.namespace}/{pod.name}", since=pod.scheduled_at, why=unreadable or why_waiting(ledger, pod)
        )
        for pod in sorted(desired.pods.values(), key=attrgetter("scheduled_at", "uid"))
        if waits(pod)
    )
    return NodeStatus(
        node=name,
        instance_type=instance_type,
        trunk=str(ledger.trunk.state),
        trunk_id=ledger.trunk.eni_id or "",
        making=sum(states[state] for state in IN_THE_MAKING),
        used=states[BranchState.ASSOCIATED] + states[BranchState.ASSIGNED],
        cooling=sum(states[state] for state in RESTING),
        free=max(0, allowed - states.total() + states[BranchState.IDLE]),
        idle=states[BranchState.IDLE],
        pool=_pool(ledger),
        pods=len(desired.pods),
        waiting=waiting,
        problem=unreadable or _problem(ledger),
        next_audit=ledger.audit_at,
    )


def waits(pod: PodRequest) -> bool:
    """Whether it has not yet what it asks for."""
    if pod.finished or pod.deleting:
        return False
    return bool(pod.branches and not pod.eni_annotation) or bool(pod.addresses and not pod.ip_annotation)


def why_waiting(ledger: Ledger, pod: PodRequest) -> str:
    """Why a pod has no interface or address yet: the last failure of any step for it, else how far it is."""
    backoffs = _backoffs_of(ledger, pod.uid)
    failed = [backoff for backoff in backoffs if backoff.code]
    if failed:
        return _words(max(failed, key=attrgetter("not_before")))
    if any(backoff.reserved for backoff in backoffs):
        return IN_QUEUE
    if pod.branches and ledger.trunk.state is not TrunkState.READY:
        return f"the trunk is {ledger.trunk.state}"
    if pod.addresses and ledger.pool is None:
        return "the node's addresses are not known yet"
    return "is being served"


def _backoffs_of(ledger: Ledger, uid: PodUid) -> list[Backoff]:
    keys = {subjects.branch(branch.key) for branch in ledger.branches.values() if branch.pod_uid == uid}
    keys |= subjects.of_pod(uid)
    return [backoff for subject, backoff in ledger.backoffs.items() if subject in keys]


def _problem(ledger: Ledger) -> str:
    """Of steps that concern the whole node."""
    failed = [
        (subject, backoff)
        for subject, backoff in ledger.backoffs.items()
        if backoff.code
        and not subjects.is_kind(subject, subjects.BRANCH, subjects.CLAIM, subjects.ANNOTATE, subjects.POD)
    ]
    if not failed:
        return ""
    subject, backoff = max(failed, key=lambda one: one[1].not_before)
    return f"{subject}: {_words(backoff)}"


def _words(backoff: Backoff) -> str:
    again = f", {backoff.attempts} times" if backoff.attempts > 1 else ""
    return f"{backoff.code}{again}"


def _pool(ledger: Ledger) -> WindowsPool | None:
    if ledger.pool is None:
        return None
    states = Counter(address.state for address in ledger.pool.addresses.values())
    return WindowsPool(
        used=states[AddressState.ASSIGNED],
        warm=states[AddressState.WARM],
        cooling=states[AddressState.COOLING] + states[AddressState.RELEASING],
        prefixes=len(ledger.pool.prefixes),
    )
