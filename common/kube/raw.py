"""The fields of Kubernetes objects that we read; msgspec skips all others without making objects of them."""

from typing import Any

import msgspec

from common.model.names import (
    LABEL_COMPUTE_TYPE,
    LABEL_ENI_CONFIG,
    LABEL_OS,
    LABEL_OS_BETA,
    LABEL_TRUNK,
    LABEL_WARM_TARGET,
    POD_ENI,
    PRIVATE_IPV4,
)


class _Fields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Everything has a default: what is left out, or malformed, is as if not set."""


class Owner(_Fields, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ManagedFields(_Fields, frozen=True, kw_only=True):
    """Who set which fields, as far as we ask: when."""

    time: str | None = None


class Name(_Fields, frozen=True, kw_only=True):
    """The part of every object's metadata that says which object it is."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Metadata(Name, frozen=True, kw_only=True):
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[Owner, ...] | None = None
    managed_fields: tuple[ManagedFields, ...] | None = None


class AnyObject(_Fields, frozen=True, kw_only=True):
    """Any object, as far as its identity goes."""

    metadata: Name = Name()


class Labels(Name, frozen=True, kw_only=True):
    labels: dict[str, str] | None = None


class Labelled(_Fields, frozen=True, kw_only=True):
    """Any object, as far as its labels go."""

    metadata: Labels = Labels()


class PodAnnotations(_Fields, frozen=True, kw_only=True):
    eni: str | None = msgspec.field(name=POD_ENI, default=None)
    ip: str | None = msgspec.field(name=PRIVATE_IPV4, default=None)


class PodMetadata(Name, frozen=True, kw_only=True):
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: PodAnnotations | None = None


class Quantities(_Fields, frozen=True, kw_only=True):
    eni: str | int | None = msgspec.field(name=POD_ENI, default=None)
    ip: str | int | None = msgspec.field(name=PRIVATE_IPV4, default=None)


class Resources(_Fields, frozen=True, kw_only=True):
    requests: Quantities | None = None
    limits: Quantities | None = None


class Container(_Fields, frozen=True, kw_only=True):
    resources: Resources | None = None


class PodSpec(_Fields, frozen=True, kw_only=True):
    node_name: str | None = None
    service_account_name: str | None = None
    host_network: bool | None = None
    containers: tuple[Container, ...] | None = None


class Condition(_Fields, frozen=True, kw_only=True):
    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class PodStatus(_Fields, frozen=True, kw_only=True):
    phase: str | None = None
    conditions: tuple[Condition, ...] | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)


class Pod(_Fields, frozen=True, kw_only=True):
    metadata: PodMetadata = PodMetadata()
    spec: PodSpec | None = None
    status: PodStatus | None = None


class NodeLabels(_Fields, frozen=True, kw_only=True):
    os: str | None = msgspec.field(name=LABEL_OS, default=None)
    os_beta: str | None = msgspec.field(name=LABEL_OS_BETA, default=None)
    trunk: str | None = msgspec.field(name=LABEL_TRUNK, default=None)
    eni_config: str | None = msgspec.field(name=LABEL_ENI_CONFIG, default=None)
    warm_target: str | None = msgspec.field(name=LABEL_WARM_TARGET, default=None)
    compute_type: str | None = msgspec.field(name=LABEL_COMPUTE_TYPE, default=None)


class NodeMetadata(Name, frozen=True, kw_only=True):
    creation_timestamp: str | None = None
    labels: NodeLabels | None = None


class NodeSpec(_Fields, frozen=True, kw_only=True):
    provider_id: str | None = msgspec.field(name="providerID", default=None)


class NodeStatus(_Fields, frozen=True, kw_only=True):
    capacity: Quantities | None = None


class Node(_Fields, frozen=True, kw_only=True):
    metadata: NodeMetadata = NodeMetadata()
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class FeatureEntry(_Fields, frozen=True, kw_only=True):
    name: str = ""
    value: str | None = None


class CniNodeSpecFields(_Fields, frozen=True, kw_only=True):
    features: tuple[FeatureEntry, ...] | None = None
    tags: dict[str, str] | None = None
    managed_by: str | None = None


class CniNode(_Fields, frozen=True, kw_only=True):
    metadata: Metadata = Metadata()
    spec: CniNodeSpecFields | None = None


class EniConfigSpec(_Fields, frozen=True, kw_only=True):
    subnet: str | None = None
    security_groups: tuple[str, ...] | None = None


class EniConfig(_Fields, frozen=True, kw_only=True):
    metadata: Metadata = Metadata()
    spec: EniConfigSpec | None = None


class ConfigMap(_Fields, frozen=True, kw_only=True):
    metadata: Metadata = Metadata()
    data: dict[str, str] | None = None


class Expression(_Fields, frozen=True, kw_only=True):
    key: str
    operator: str
    values: tuple[str, ...] | None = None


class Selector(_Fields, frozen=True, kw_only=True):
    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Expression, ...] | None = None


class SecurityGroups(_Fields, frozen=True, kw_only=True):
    group_ids: tuple[str, ...] | None = None


class PolicySpec(_Fields, frozen=True, kw_only=True):
    pod_selector: Selector | None = None
    service_account_selector: Selector | None = None
    security_groups: SecurityGroups | None = None


class SecurityGroupPolicy(_Fields, frozen=True, kw_only=True):
    metadata: Metadata
    spec: PolicySpec | None = None


class ListMetadata(_Fields, frozen=True, kw_only=True):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class Page(_Fields, frozen=True, kw_only=True):
    """One page of a list; the items stay encoded."""

    metadata: ListMetadata = ListMetadata()
    items: list[msgspec.Raw] | None = None


class WatchLine(_Fields, frozen=True, kw_only=True):
    type: str
    object: msgspec.Raw


class Cause(_Fields, frozen=True, kw_only=True):
    field: str = ""


class Details(_Fields, frozen=True, kw_only=True):
    name: str = ""
    causes: tuple[Cause, ...] | None = None


class Status(_Fields, frozen=True, kw_only=True):
    """What the API server says about a failure."""

    kind: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""
    details: Details | None = None


Untyped = dict[str, Any]
"""An object decoded whole, for patches that must keep what is not ours."""

# msgspec works a struct's fields out at its first use, and lets other threads see them half done: SIGSEGV (seen with
# 0.22). So the first use is here, while one thread imports.
for _kind in (*_Fields.__subclasses__(), *Name.__subclasses__()):
    msgspec.json.Decoder(_kind)
