"""Deleting interfaces that leaked.

Why this harms nothing that is in use: only what is `available` in two passes half an hour apart is thought leaked, and
right before each delete EC2, all ledgers and the API server are asked again (inquiry.py); EC2 would delete an interface
that came onto a trunk since.
"""

from collections.abc import Iterable

import msgspec

from common.clock import Clock
from common.ec2.api import Ec2
from common.ec2.gate import Deferred
from common.logging import get_logger
from common.metrics import CNI_AVAILABLE_ENIS, LEAKED_DELETED, LEAKED_ENI_COUNT, LEAKED_FOUND, RC_AVAILABLE_ENIS
from common.model.ec2 import Interface
from common.model.errors import InUse, NotFound, OutsideError, Throttled
from common.model.ids import EniId, InstanceId, NodeName
from common.model.names import (
    CNINODE_CLUSTER_TAG,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    OWNER_VPC_CNI,
    cluster_tag,
)
from common.model.warrant import Warrant
from common.rules import leaks
from common.rules.managed import foreign_instances
from common.rules.release_gate import EC2_LAG_SECONDS, Refusal
from common.store import Store
from workers.maintenance.inquiry import Inquiry, InquiryKube

SWEEP_SECONDS = 1800.0
"""Interval of passes unless set otherwise."""
ROLE, MEMBER = "sweep", "last"
"""Under which the store keeps when the last pass began."""
REMEMBERED_PASSES = 8
NODES_A_READ = 100

_log = get_logger(__name__)


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How a pass ended."""

    found: int = 0
    """Interfaces that belong to nothing."""
    deleted: int = 0
    skipped: bool = False
    """The last pass is too close: a doubled task."""


def sweep_leaks(
    store: Store,
    ec2: Ec2,
    kube: InquiryKube,
    clock: Clock,
    cluster: str,
    vpc: str,
    *,
    interval: float = SWEEP_SECONDS,
) -> Sweep:
    """One pass over the VPC. Passes nearer than half the `interval` are skipped: they would make one look of two.
    Raises as `Ec2` does where it cannot look (then nothing is deleted or remembered), and StoreUnavailable; what
    cannot be deleted is left to the next pass."""
    # In this order: whoever sees what another pass remembered sees that it began, too.
    seen = store.sweep.read()
    now = clock.now()
    last = store.members.alive(ROLE).get(MEMBER)
    if last and abs(now - float(last["began"])) < interval / 2:
        return Sweep(skipped=True)
    store.members.beat(ROLE, MEMBER, {"began": str(now)}, ttl=REMEMBERED_PASSES * interval)
    idle = leaks.idle_in_cluster(_available(ec2, cluster, vpc), cluster, vpc, _foreign(store))
    leaked = leaks.leaked(idle, seen)
    store.sweep.write({one.eni_id for one in idle})
    RC_AVAILABLE_ENIS.set(sum(map(leaks.made_by_us, idle)))
    CNI_AVAILABLE_ENIS.set(sum(map(leaks.made_by_vpc_cni, idle)))
    LEAKED_ENI_COUNT.set(len(leaked))
    LEAKED_FOUND.inc(len(leaked))
    inquiry = Inquiry(store, ec2, kube, clock)
    # Idle since the pass before; with passes closer together than EC2 lags, ledgers and pods are the evidence.
    idle_since = min(float(last["began"]) if last else now, now - EC2_LAG_SECONDS)
    return Sweep(found=len(leaked), deleted=_delete_what_can_be(ec2, inquiry, leaked, idle_since=idle_since))


def clean_instance(
    ec2: Ec2, inquiry: Inquiry, instance_id: InstanceId, cluster: str, *, node: NodeName, gone_since: float, rest: float
) -> int:
    """Delete what was made for an instance whose node is gone; the number deleted. Looks again afterwards: where
    something is left, raises what stood in the way of deleting it, or InUse. Else raises as `Ec2` does. Safe to
    repeat."""
    gone: set[EniId] = set()
    deleted = 0
    obstacle: OutsideError | None = None
    for one in _left(ec2, instance_id, cluster):
        try:
            leave = inquiry.about(one, idle_since=gone_since, rest=rest, ended=node)
            if isinstance(leave, Refusal):
                _log.warning("interface of a deleted node kept", interface=one.eni_id, lacking=leave.lack)
                continue
            deleted += _delete(ec2, leave)
            gone.add(one.eni_id)
        except NotFound:
            gone.add(one.eni_id)
        except Throttled:
            raise
        except OutsideError as error:
            _log.warning("interface of a deleted node not deleted", interface=one.eni_id, error=str(error))
            obstacle = obstacle or error
    # EC2's lists lag behind: what it deleted may still stand there.
    remaining = [one.eni_id for one in _left(ec2, instance_id, cluster) if one.eni_id not in gone]
    if remaining:
        raise obstacle or InUse("InterfacesRemain", f"of {instance_id}: {', '.join(remaining)}")
    return deleted


def _foreign(store: Store) -> frozenset[str]:
    """Instances of nodes that EKS auto mode manages."""
    names, found = sorted(store.desired.known_nodes()), set[str]()
    for start in range(0, len(names), NODES_A_READ):
        for desired in store.desired.read_many(names[start : start + NODES_A_READ]).values():
            found |= foreign_instances(desired.view)
    return frozenset(found)


def _available(ec2: Ec2, cluster: str, vpc: str) -> Iterable[Interface]:
    place: dict[str, list[str]] = {"vpc-id": [vpc], "status": [leaks.AVAILABLE]}
    ours = {f"tag:{OWNER_TAG}": [OWNER_OURS], f"tag:{cluster_tag(cluster)}": ["owned"]}
    vpc_cni = {f"tag:{OWNER_TAG}": [OWNER_VPC_CNI], f"tag:{CNINODE_CLUSTER_TAG}": [cluster]}
    return [
        *ec2.describe_interfaces(filters={**place, **ours}),
        *ec2.describe_interfaces(filters={**place, **vpc_cni}),
    ]


def _left(ec2: Ec2, instance_id: InstanceId, cluster: str) -> tuple[Interface, ...]:
    wanted: dict[str, list[str]] = {f"tag:{INSTANCE_TAG}": [instance_id], "status": [leaks.AVAILABLE]}
    return leaks.left_by_instance(ec2.describe_interfaces(filters=wanted), instance_id, cluster)


def _delete(ec2: Ec2, leave: Warrant) -> bool:
    """False: it was gone already."""
    try:
        ec2.delete_network_interface(leave)
    except NotFound:
        return False
    _log.info("leaked interface deleted", interface=leave.eni_id)
    LEAKED_DELETED.inc()
    return True


def _delete_what_can_be(ec2: Ec2, inquiry: Inquiry, leaked: Iterable[Interface], *, idle_since: float) -> int:
    deleted = 0
    for one in leaked:
        try:
            leave = inquiry.about(one, idle_since=idle_since)
            if isinstance(leave, Refusal):
                _log.info("idle interface kept", interface=one.eni_id, lacking=leave.lack)
                continue
            deleted += _delete(ec2, leave)
        except NotFound:
            continue
        except InUse:
            _log.info("leaked interface is in use after all", interface=one.eni_id)
        except (Throttled, Deferred) as error:
            _log.warning("sweep ends early", error=str(error))
            break
        except OutsideError as error:
            _log.warning("leaked interface not deleted", interface=one.eni_id, error=str(error))
    return deleted
