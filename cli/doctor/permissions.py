"""What each role must be allowed to do in Kubernetes: what deploy/base grants, as data."""

from dataclasses import dataclass

from common.model.names import CONFIG_MAP, LEGACY_DEPLOYMENT, SYSTEM_NAMESPACE

VPC = "vpcresources.k8s.aws"
CRD = "crd.k8s.amazonaws.com"
ROLES = ("watcher", "worker", "webhook")
FOLLOW = ("list", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    """"" for cluster-wide."""
    name: str = ""
    """"" for every name."""

    def __str__(self) -> str:
        what = "/".join(filter(None, (self.resource, self.subresource)))
        which = f" {self.name}" if self.name else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{'.' + self.group if self.group else ''}{which}{where}"


def _all(verbs: tuple[str, ...], group: str, *resources: str, namespace: str = "", name: str = "") -> list[Permission]:
    return [
        Permission(
            verb=verb,
            group=group,
            resource=each.partition("/")[0],
            subresource=each.partition("/")[2],
            namespace=namespace,
            name=name,
        )
        for each in resources
        for verb in verbs
    ]


def needed(role: str, lease: str, lease_namespace: str) -> list[Permission]:
    """The permissions of one of ROLES."""
    if role == "watcher":
        leases = {"namespace": lease_namespace}
        return [
            *_all(FOLLOW, "", "nodes", "pods", "serviceaccounts"),
            *_all(FOLLOW, VPC, "cninodes", "securitygrouppolicies"),
            *_all(FOLLOW, CRD, "eniconfigs"),
            *_all(("create", "patch"), "", "events"),
            *_all(FOLLOW, "", "configmaps", namespace=SYSTEM_NAMESPACE, name=CONFIG_MAP),
            *_all(FOLLOW, "apps", "deployments", namespace=SYSTEM_NAMESPACE, name=LEGACY_DEPLOYMENT),
            *_all(("create",), "coordination.k8s.io", "leases", **leases),
            *_all(("get", "update"), "coordination.k8s.io", "leases", name=lease, **leases),
        ]
    if role == "worker":
        return [
            *_all(("get", "list"), "", "pods"),
            *_all(("patch",), "", "pods/status"),
            *_all(("get",), "", "nodes"),
            *_all(("patch",), "", "nodes/status"),
            *_all(("get",), "", "serviceaccounts"),
            *_all(("create", "patch"), "", "events"),
            *_all(("list",), VPC, "securitygrouppolicies"),
            *_all(("get", "create", "patch", "delete"), VPC, "cninodes"),
            *_all(("get",), CRD, "eniconfigs"),
        ]
    return [
        *_all(("get", *FOLLOW), "", "serviceaccounts"),
        *_all(FOLLOW, VPC, "securitygrouppolicies"),
        *_all(FOLLOW, "", "configmaps", namespace=SYSTEM_NAMESPACE, name=CONFIG_MAP),
        *_all(FOLLOW, "apps", "deployments", namespace=SYSTEM_NAMESPACE, name=LEGACY_DEPLOYMENT),
    ]
