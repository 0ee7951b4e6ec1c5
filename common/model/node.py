"""What Kubernetes says of a node."""

import msgspec

from common.model.ids import GroupId, InstanceId, NodeName, SubnetId
from common.model.names import FEATURE_CUSTOM_NETWORKING, FEATURE_POD_GROUPS, MANAGED_BY_US


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a CNINode's `spec.features`."""

    name: str
    value: str = ""


class CniNodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a CNINode that is made again when somebody deletes it from under a living node."""

    features: tuple[Feature, ...] = ()
    tags: dict[str, str] = {}
    managed_by: str = ""

    def has(self, name: str) -> bool:
        return any(feature.name == name for feature in self.features)

    @property
    def of_another(self) -> bool:
        """Another controller manages it (EKS auto mode): nothing of it nor of its node is ours."""
        return self.managed_by not in ("", MANAGED_BY_US)

    @property
    def pod_groups(self) -> bool:
        return self.has(FEATURE_POD_GROUPS)

    @property
    def eni_config_name(self) -> str | None:
        """The value of feature CustomNetworking: "" where it has none, None where the feature is absent."""
        return next((f.value for f in self.features if f.name == FEATURE_CUSTOM_NETWORKING), None)


class CniNodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A CNINode as it stands."""

    uid: str
    resource_version: str
    spec: CniNodeSpec = CniNodeSpec()
    os_label: str | None = None
    finalizer: bool = False
    """Carries our finalizer."""
    owner_uid: str | None = None
    """uid of the Node among its owner references."""
    deleting: bool = False


class EniConfigFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An ENIConfig: where and with which groups interfaces are made. No groups: the node's own are used."""

    name: str
    subnet: SubnetId
    groups: tuple[GroupId, ...] = ()


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Node as it stands."""

    name: NodeName
    uid: str
    os: str = ""
    """`linux`, `windows` or "" (label kubernetes.io/os, else beta.kubernetes.io/os)."""
    os_label: str = ""
    """The value of kubernetes.io/os alone: what the CNINode's label repeats."""
    instance_id: InstanceId | None = None
    """None: the providerID holds no instance id (yet)."""
    zone: str = ""
    """Availability zone, as far as the providerID names it."""
    trunk_label: bool = False
    eni_config_label: str | None = None
    warm_target_label: str | None = None
    """Branch interfaces to keep idle on its trunk, as somebody wrote it; None: the cluster's number holds."""
    auto: bool = False
    """EKS auto mode: the node is left alone altogether."""
    capacity: dict[str, str] = {}
    """Our two extended resources in `status.capacity`, as written there."""
    created_at: float = 0.0
    """Epoch seconds, as the API server has it: whole seconds."""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the watcher knows of one node name, its pods apart. Any part can be missing: a CNINode outlives its
    node until its finalizer goes."""

    node: NodeFacts | None = None
    cninode: CniNodeFacts | None = None
    eni_config: EniConfigFacts | None = None
    """The ENIConfig that the node names, where it exists."""
