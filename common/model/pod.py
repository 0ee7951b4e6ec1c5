"""What Kubernetes says of a pod that wants something of ours."""

import msgspec

from common.model.ids import AssociationId, EniId, PodUid, VlanId


class PodRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pod bound to a node that asks for our resources, or carries one of our annotations."""

    uid: PodUid
    namespace: str
    name: str
    branches: int = 0
    """Branch interfaces asked for: the sum over containers of `vpc.amazonaws.com/pod-eni`."""
    addresses: int = 0
    """Windows addresses asked for (one is given, however many are asked for)."""
    labels: dict[str, str] = {}
    service_account: str = "default"
    eni_annotation: str | None = None
    ip_annotation: str | None = None
    pod_ip: str = ""
    """The address that it runs with by the kubelet's word (`status.podIP`), of pods that ask for addresses."""
    finished: bool = False
    """Phase Succeeded or Failed: its containers do not run again."""
    deleting: bool = False
    scheduled_at: float = 0.0
    """Epoch seconds of condition PodScheduled (creation where it is missing)."""
    seen_at: float = 0.0
    """Epoch seconds at which the watcher first saw it bound; answers older than this are too old for it."""


class BarePod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod bound to a node that asks for nothing of ours and carries none of our annotations, though it could: not
    on the host's network, not finished or being deleted."""

    uid: PodUid
    namespace: str
    name: str
    labels: dict[str, str] = {}
    service_account: str = "default"
    created_at: float = 0.0
    """Epoch seconds."""


def is_live(pod: PodRequest | None) -> bool:
    """Whether what it has is its own: it is desired, and its containers have not all ended."""
    return pod is not None and not pod.finished


class BranchAnnotation(msgspec.Struct, frozen=True, kw_only=True):
    """One object of the annotation `vpc.amazonaws.com/pod-eni`, as the VPC CNI plugin reads it."""

    eni_id: EniId = msgspec.field(name="eniId")
    mac: str = msgspec.field(name="ifAddress")
    private_ip: str = msgspec.field(name="privateIp")
    ipv6: str = msgspec.field(name="ipv6Addr", default="")
    vlan: VlanId = msgspec.field(name="vlanId")
    subnet_cidr: str = msgspec.field(name="subnetCidr", default="")
    subnet_v6_cidr: str = msgspec.field(name="subnetV6Cidr", default="")
    association: AssociationId = msgspec.field(name="associationID", default=AssociationId(""))
