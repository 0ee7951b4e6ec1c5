"""What the watcher watches."""

from enum import StrEnum

from common.kube.reflector import Resource
from common.model.names import CONFIG_MAP, LEGACY_DEPLOYMENT, SYSTEM_NAMESPACE


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
    Kind.NODES: Resource(name=Kind.NODES, path="/api/v1/nodes"),
    Kind.PODS: Resource(name=Kind.PODS, path="/api/v1/pods"),
    Kind.CNINODES: Resource(name=Kind.CNINODES, path="/apis/vpcresources.k8s.aws/v1alpha1/cninodes", optional=True),
    Kind.ENI_CONFIGS: Resource(
        name=Kind.ENI_CONFIGS, path="/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs", optional=True
    ),
    Kind.CONFIG_MAP: Resource(
        name=Kind.CONFIG_MAP,
        path=f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/configmaps",
        field_selector=f"metadata.name={CONFIG_MAP}",
    ),
    Kind.LEGACY: Resource(
        name=Kind.LEGACY,
        path=f"/apis/apps/v1/namespaces/{SYSTEM_NAMESPACE}/deployments",
        field_selector=f"metadata.name={LEGACY_DEPLOYMENT}",
    ),
    Kind.POLICIES: Resource(
        name=Kind.POLICIES, path="/apis/vpcresources.k8s.aws/v1beta1/securitygrouppolicies", optional=True
    ),
    Kind.ACCOUNTS: Resource(name=Kind.ACCOUNTS, path="/api/v1/serviceaccounts", metadata_only=True),
}

OBJECTS: dict[Kind, tuple[str, str]] = {
    Kind.NODES: ("v1", "Node"),
    Kind.PODS: ("v1", "Pod"),
    Kind.CNINODES: ("vpcresources.k8s.aws/v1alpha1", "CNINode"),
    Kind.ENI_CONFIGS: ("crd.k8s.amazonaws.com/v1alpha1", "ENIConfig"),
    Kind.CONFIG_MAP: ("v1", "ConfigMap"),
    Kind.LEGACY: ("apps/v1", "Deployment"),
    Kind.POLICIES: ("vpcresources.k8s.aws/v1beta1", "SecurityGroupPolicy"),
    Kind.ACCOUNTS: ("v1", "ServiceAccount"),
}
"""apiVersion and kind, as events name them."""
