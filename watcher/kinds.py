"""What the watcher watches."""

from enum import StrEnum

from common.kube import paths, raw
from common.kube.reflector import Resource
from common.model.names import CONFIG_MAP, LEGACY_DEPLOYMENT


class Kind(StrEnum):
    NODES = "nodes"
    PODS = "pods"
    CNINODES = "cninodes"
    ENI_CONFIGS = "eniconfigs"
    CONFIG_MAP = "configmap"
    LEGACY = "legacy"
    """The legacy controller's Deployment: Windows is its business while it is there."""
    POLICIES = "policies"
    """SecurityGroupPolicies: only to wake nodes whose pods wait, and to find pods that run without their groups."""
    ACCOUNTS = "serviceaccounts"
    """Only while a policy selects by labels of service accounts."""


NEEDED = frozenset(Kind) - {Kind.POLICIES, Kind.ACCOUNTS}
"""Known in full before anything is written: a node without its CNINode would look as if its features were off."""

RESOURCES: dict[Kind, Resource] = {
    Kind.NODES: Resource(name=Kind.NODES, path=paths.NODES, decoded_as=raw.Node),
    Kind.PODS: Resource(name=Kind.PODS, path=paths.PODS, decoded_as=raw.Pod),
    Kind.CNINODES: Resource(name=Kind.CNINODES, path=paths.CNINODES, optional=True, decoded_as=raw.CniNode),
    Kind.ENI_CONFIGS: Resource(name=Kind.ENI_CONFIGS, path=paths.ENI_CONFIGS, optional=True, decoded_as=raw.EniConfig),
    Kind.CONFIG_MAP: Resource(
        name=Kind.CONFIG_MAP,
        path=paths.SYSTEM_CONFIG_MAPS,
        field_selector=f"metadata.name={CONFIG_MAP}",
        decoded_as=raw.ConfigMap,
    ),
    Kind.LEGACY: Resource(
        name=Kind.LEGACY,
        path=paths.SYSTEM_DEPLOYMENTS,
        field_selector=f"metadata.name={LEGACY_DEPLOYMENT}",
    ),
    Kind.POLICIES: Resource(name=Kind.POLICIES, path=paths.POLICIES, optional=True),
    Kind.ACCOUNTS: Resource(name=Kind.ACCOUNTS, path=paths.ACCOUNTS, metadata_only=True, decoded_as=raw.Labelled),
}

OBJECTS: dict[Kind, tuple[str, str]] = {
    Kind.NODES: ("v1", "Node"),
    Kind.PODS: ("v1", "Pod"),
    Kind.CNINODES: (paths.CNINODE_VERSION, "CNINode"),
    Kind.ENI_CONFIGS: (paths.ENI_CONFIG_VERSION, "ENIConfig"),
    Kind.CONFIG_MAP: ("v1", "ConfigMap"),
    Kind.LEGACY: ("apps/v1", "Deployment"),
    Kind.POLICIES: (paths.POLICY_VERSION, "SecurityGroupPolicy"),
    Kind.ACCOUNTS: ("v1", "ServiceAccount"),
}
"""apiVersion and kind, as events name them."""
