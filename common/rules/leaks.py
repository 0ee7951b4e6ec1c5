"""Which interfaces belong to nothing any more.

Only those in state `available` come into question: an interface in use, by an instance or as a branch, is `in-use`.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from common.model.ec2 import Interface
from common.model.ids import EniId, InstanceId
from common.model.ledger import BranchState, Ledger
from common.model.names import (
    CNINODE_CLUSTER_TAG,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    OWNER_VPC_CNI,
    POD_UID_TAG,
    cluster_tag,
)
from common.model.pod import PodRequest
from common.rules.pod_eni import interfaces_named

AVAILABLE = "available"
_CLUSTER_TAGS = cluster_tag("")


def made_by_us(interface: Interface) -> bool:
    return interface.tags.get(OWNER_TAG) == OWNER_OURS


def made_by_vpc_cni(interface: Interface) -> bool:
    return interface.tags.get(OWNER_TAG) == OWNER_VPC_CNI


def idle_in_cluster(
    interfaces: Iterable[Interface], cluster: str, vpc: str, foreign: AbstractSet[str] = frozenset()
) -> tuple[Interface, ...]:
    """Those `available` in the cluster's VPC that are the cluster's, made by us or by the VPC CNI. Being made right
    now, or leaked: one look cannot tell. Those of `foreign` instances are another controller's."""
    return tuple(
        one
        for one in interfaces
        if one.status == AVAILABLE
        and one.vpc_id == vpc
        and one.tags.get(INSTANCE_TAG) not in foreign
        and not _of_another(one, cluster)
        and _tagged(one, cluster)
    )


def leaked(idle: Iterable[Interface], seen_before: AbstractSet[EniId]) -> tuple[Interface, ...]:
    """Those that the previous pass saw `available`, too: no interface is that long in the making."""
    return tuple(one for one in idle if one.eni_id in seen_before)


def left_by_instance(interfaces: Iterable[Interface], instance_id: InstanceId, cluster: str) -> tuple[Interface, ...]:
    """Those `available` that we or the VPC CNI made for an instance that is gone. Where they name clusters, only this
    one: an instance id alone says nothing about who cleans up."""
    return tuple(
        one
        for one in interfaces
        if one.status == AVAILABLE
        and one.tags.get(INSTANCE_TAG) == instance_id
        and (made_by_us(one) or made_by_vpc_cni(one))
        and not _of_another(one, cluster)
    )


def unchanged(seen: Interface, shown: Interface) -> bool:
    """Whether an interface that was seen idle is shown idle still, and with the same tags."""
    idle = shown.status == AVAILABLE and shown.type not in ("branch", "trunk") and shown.instance_id is None
    return (idle or (shown.status == AVAILABLE and shown.type == seen.type == "trunk")) and shown.tags == seen.tags


def being_made(ledger: Ledger, interface: Interface) -> bool:
    """Whether it may be what a call of ours with yet unknown outcome made: that call, made again, gives it to us."""
    return any(
        b.state is BranchState.CREATING
        and b.trunk_id == interface.trunk_tag
        and b.vlan == interface.vlan_tag
        and b.pod_uid == interface.tags.get(POD_UID_TAG)
        for b in ledger.branches.values()
    )


def claimed_by_ledgers(interface: Interface, ledgers: Iterable[Ledger]) -> bool:
    """Whether a record has it, in whatever state, or means to make it."""
    return any(
        interface.eni_id == ledger.trunk.eni_id
        or any(b.eni_id == interface.eni_id for b in ledger.branches.values())
        or being_made(ledger, interface)
        for ledger in ledgers
    )


def claimed_by_pods(interface: Interface, pods: Iterable[PodRequest]) -> bool:
    """Whether a living pod's annotation names it, or it was made for a living pod whose annotation is not there yet or
    cannot be read. For whom it was made is in its tag; where it has none every annotation counts."""
    tagged = interface.tags.get(POD_UID_TAG, "")
    for pod in pods:
        entries, problem = interfaces_named(pod)
        if pod.finished or tagged not in ("", pod.uid):
            continue
        if any(entry.eni_id == interface.eni_id for entry in entries):
            return True
        if tagged == pod.uid and (problem or pod.eni_annotation is None):
            return True
    return False


def _tagged(interface: Interface, cluster: str) -> bool:
    if made_by_us(interface):
        return interface.tags.get(cluster_tag(cluster)) == "owned"
    return made_by_vpc_cni(interface) and interface.tags.get(CNINODE_CLUSTER_TAG) == cluster


def _of_another(interface: Interface, cluster: str) -> bool:
    """Whether it names a cluster other than this one."""
    named = {key.removeprefix(_CLUSTER_TAGS) for key in interface.tags if key.startswith(_CLUSTER_TAGS)}
    if CNINODE_CLUSTER_TAG in interface.tags:
        named.add(interface.tags[CNINODE_CLUSTER_TAG])
    return bool(named - {cluster})
