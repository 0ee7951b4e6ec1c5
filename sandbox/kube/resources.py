"""Which resources the API serves: the built-in ones, and those that CustomResourceDefinitions add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""As JSON has it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource:
    """One resource of one group and version, with those of its traits that clients can see."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    counts_generation: bool = False
    unconditional_update: bool = True
    """PUT without a resourceVersion is accepted (registry strategy AllowUnconditionalUpdate)."""
    returns_deleted: bool = False
    """DELETE answers with the object, not with a Status."""
    fields: tuple[str, ...] = ()
    """Field selectors beyond metadata.name and metadata.namespace."""
    custom: bool = False
    schema: Object | None = None
    columns: tuple[Object, ...] = ()
    singular: str = ""

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


POD_FIELDS = ("spec.nodeName", "status.phase", "spec.serviceAccountName", "spec.schedulerName", "spec.restartPolicy",
              "spec.hostNetwork", "status.podIP", "status.nominatedNodeName")  # fmt: skip
EVENT_FIELDS = ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source.component", "type")  # fmt: skip

NAMESPACES = Resource(
    group="", version="v1", kind="Namespace", plural="namespaces", namespaced=False, short_names=("ns",),
    subresources=("status", "finalize"), fields=("status.phase",),
)  # fmt: skip
NODES = Resource(
    group="", version="v1", kind="Node", plural="nodes", namespaced=False, short_names=("no",),
    subresources=("status",), fields=("spec.unschedulable",),
)  # fmt: skip
PODS = Resource(
    group="", version="v1", kind="Pod", plural="pods", namespaced=True, short_names=("po",), counts_generation=True,
    subresources=("status", "binding", "eviction"), returns_deleted=True, fields=POD_FIELDS,
)  # fmt: skip
CONFIG_MAPS = Resource(
    group="", version="v1", kind="ConfigMap", plural="configmaps", namespaced=True, short_names=("cm",)
)  # fmt: skip
SECRETS = Resource(group="", version="v1", kind="Secret", plural="secrets", namespaced=True, fields=("type",))
SERVICE_ACCOUNTS = Resource(
    group="", version="v1", kind="ServiceAccount", plural="serviceaccounts", namespaced=True, short_names=("sa",),
    returns_deleted=True,
)  # fmt: skip
EVENTS = Resource(
    group="", version="v1", kind="Event", plural="events", namespaced=True, short_names=("ev",), fields=EVENT_FIELDS
)
DEPLOYMENTS = Resource(
    group="apps", version="v1", kind="Deployment", plural="deployments", namespaced=True, short_names=("deploy",),
    subresources=("status", "scale"), counts_generation=True,
)  # fmt: skip
LEASES = Resource(
    group="coordination.k8s.io", version="v1", kind="Lease", plural="leases", namespaced=True,
    unconditional_update=False,
)  # fmt: skip
DEFINITIONS = Resource(
    group="apiextensions.k8s.io", version="v1", kind="CustomResourceDefinition", plural="customresourcedefinitions",
    namespaced=False, short_names=("crd", "crds"), subresources=("status",), counts_generation=True,
    unconditional_update=False,
)  # fmt: skip
MUTATING = Resource(
    group="admissionregistration.k8s.io", version="v1", kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations", namespaced=False, counts_generation=True, unconditional_update=False,
)  # fmt: skip
VALIDATING = Resource(
    group="admissionregistration.k8s.io", version="v1", kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations", namespaced=False, counts_generation=True, unconditional_update=False,
)  # fmt: skip

BUILT_IN = (NAMESPACES, NODES, PODS, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, EVENTS, DEPLOYMENTS, LEASES, DEFINITIONS,
            MUTATING, VALIDATING)  # fmt: skip


def of_definition(definition: Object) -> list[Resource]:
    """The resource that a CustomResourceDefinition serves: its storage version (there is no conversion here)."""
    spec = definition["spec"]
    names = spec["names"]
    found = []
    for version in spec["versions"]:
        if not (version.get("served") and version.get("storage")):
            continue
        found.append(Resource(
            group=spec["group"], version=version["name"], kind=names["kind"], plural=names["plural"],
            singular=names.get("singular") or names["kind"].lower(), namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames", ())), counts_generation=True, unconditional_update=False,
            subresources=tuple(version.get("subresources", {})), custom=True,
            schema=version.get("schema", {}).get("openAPIV3Schema"),
            columns=tuple(version.get("additionalPrinterColumns", ())),
            fields=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())),
        ))  # fmt: skip
    return found


class Registry:
    """The resources served now, by group, version and plural."""

    def __init__(self) -> None:
        self._served = {(r.group, r.version, r.plural): r for r in BUILT_IN}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._served.get((group, version, plural))

    def built_in(self, group: str, version: str) -> bool:
        """Whether the API server itself serves this group: only there an unknown resource gets a Status."""
        return any((r.group, r.version) == (group, version) for r in BUILT_IN)

    def serve(self, resources: list[Resource]) -> None:
        self._served |= {(r.group, r.version, r.plural): r for r in resources}

    def withdraw(self, resources: list[Resource]) -> None:
        for r in resources:
            self._served.pop((r.group, r.version, r.plural), None)

    def all(self) -> list[Resource]:
        return list(self._served.values())
