"""Which nodes are ours to serve, and by which rules."""

from enum import StrEnum

from common.model.config import ClusterConfig
from common.model.names import (
    CNINODE_CLUSTER_TAG,
    INSTANCE_TAG,
)
from common.model.node import CniNodeSpec, NodeFacts, NodeView

LINUX = "linux"
WINDOWS = "windows"


class Management(StrEnum):
    """What a node is to us."""

    IGNORED = "ignored"
    """EKS auto mode, by the node's label or its CNINode's `managedBy`: not touched at all."""
    UNMANAGED = "unmanaged"
    """Gets a CNINode, nothing more."""
    LINUX = "linux"
    WINDOWS = "windows"


def management(node: NodeFacts, spec: CniNodeSpec | None, config: ClusterConfig | None) -> Management:
    """`spec` is the CNINode's, the one last seen where it is missing: a CNINode that cannot be read, or was deleted
    from under its node, takes no feature away."""
    if node.auto or (spec is not None and spec.of_another):
        return Management.IGNORED
    if node.instance_id is None:
        return Management.UNMANAGED
    if node.os == WINDOWS and config is not None and config.windows_ipam:
        return Management.WINDOWS
    if node.os == LINUX and (node.trunk_label or (spec is not None and spec.pod_groups)):
        return Management.LINUX
    return Management.UNMANAGED


def foreign_instances(view: NodeView) -> frozenset[str]:
    """The node's instance, as Node and CNINode name it, where EKS auto mode manages it."""
    node, spec = view.node, view.cninode.spec if view.cninode is not None else None
    if not ((node is not None and node.auto) or (spec is not None and spec.of_another)):
        return frozenset()
    named = (node.instance_id if node is not None else None, spec.tags.get(INSTANCE_TAG) if spec is not None else None)
    return frozenset(instance for instance in named if instance)


def eni_config_name(node: NodeFacts, spec: CniNodeSpec | None) -> str | None:
    """The ENIConfig that the node names: by label, else by feature. None: no custom networking; "": the feature is
    there and names none."""
    if node.eni_config_label:
        return node.eni_config_label
    return spec.eni_config_name if spec is not None else None


def spec_of(view: NodeView, remembered: CniNodeSpec | None) -> CniNodeSpec | None:
    return view.cninode.spec if view.cninode is not None else remembered


def wanted_tags(node: NodeFacts, cluster: str) -> dict[str, str]:
    """The tags that we keep on a node's CNINode. None is written for an unknown instance id."""
    tags = {CNINODE_CLUSTER_TAG: cluster}
    if node.instance_id is not None:
        tags[INSTANCE_TAG] = node.instance_id
    return tags


EC2_TAGS_PER_RESOURCE = 50
EC2_TAG_KEY_LENGTH = 128
EC2_TAG_VALUE_LENGTH = 256
OUR_TAGS_PER_INTERFACE = 6
RESERVED_TAGS = (
    "eks:",
    "kubernetes.io/cluster/",
    "cluster.k8s.amazonaws.com/",
    "node.k8s.amazonaws.com/",
    "vpcresources.k8s.aws/",
)
"""Keys that begin so say whose an interface is. With another cluster's, no cluster's sweep would take it."""


def interface_tags(spec: CniNodeSpec | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Other people's tags of a CNINode that go onto every interface made for its node, and what is wrong with those
    that do not. EC2's rules: at most 50 tags, keys of 1 to 128 and values of up to 256 characters, no `aws:`. Ours:
    none of the keys that say that an interface belongs to a cluster, a node or a pod."""
    good: dict[str, str] = {}
    bad: list[str] = []
    for key, value in sorted((spec.tags if spec is not None else {}).items()):
        if key in (CNINODE_CLUSTER_TAG, INSTANCE_TAG):
            continue  # Ours, on the CNINode itself.
        if not 1 <= len(key) <= EC2_TAG_KEY_LENGTH or len(value) > EC2_TAG_VALUE_LENGTH:
            bad.append(f"{key[:40]!r} is too long or empty")
        elif key.lower().startswith("aws:"):
            bad.append(f"{key!r} begins with aws:, which EC2 keeps for itself")
        elif key.startswith(RESERVED_TAGS):
            bad.append(f"{key!r} says whose an interface is, and is not a CNINode's to set")
        elif len(good) + OUR_TAGS_PER_INTERFACE >= EC2_TAGS_PER_RESOURCE:
            bad.append(f"{key!r} is one more than the 50 tags that EC2 allows")
        else:
            good[key] = value
    return good, tuple(bad)
