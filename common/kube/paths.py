"""Paths of resources and objects in the API server: the one place where they are written, and where names become parts
of them."""

import re

from common.model.errors import NotFound
from common.model.names import SYSTEM_NAMESPACE

CNINODE_VERSION = "vpcresources.k8s.aws/v1alpha1"
POLICY_VERSION = "vpcresources.k8s.aws/v1beta1"
ENI_CONFIG_VERSION = "crd.k8s.amazonaws.com/v1alpha1"
LEASE_VERSION = "coordination.k8s.io/v1"

NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
ACCOUNTS = "/api/v1/serviceaccounts"
CNINODES = f"/apis/{CNINODE_VERSION}/cninodes"
ENI_CONFIGS = f"/apis/{ENI_CONFIG_VERSION}/eniconfigs"
POLICIES = f"/apis/{POLICY_VERSION}/securitygrouppolicies"
SYSTEM_CONFIG_MAPS = f"{NAMESPACES}/{SYSTEM_NAMESPACE}/configmaps"
SYSTEM_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{SYSTEM_NAMESPACE}/deployments"
"""Collections: of the whole cluster, or of our namespace."""

_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
"""DNS subdomain of RFC 1123: what the API server takes as the name of everything that we read and write. Needs no
quoting in a path."""


class NoSuchName(NotFound):
    """Nothing can have this name."""

    def __init__(self, name: str) -> None:
        super().__init__("NoSuchName", f"{name[:80]!r} is no name of an object")


def is_object_name(name: str) -> bool:
    return _OBJECT_NAME.fullmatch(name) is not None


def path_of(collection: str, *segments: str) -> str:
    """`collection` is a constant of ours, segments can be anybody's. Raises NoSuchName."""
    for segment in segments:
        if not is_object_name(segment):
            raise NoSuchName(segment)
    return "/".join((collection, *segments))


def events_in(namespace: str) -> str:
    """As the functions below: a collection of one namespace. Raises NoSuchName."""
    return path_of(NAMESPACES, namespace, "events")


def policies_in(namespace: str) -> str:
    return path_of(f"/apis/{POLICY_VERSION}/namespaces", namespace, "securitygrouppolicies")


def leases_in(namespace: str) -> str:
    return path_of(f"/apis/{LEASE_VERSION}/namespaces", namespace, "leases")
