"""Objects that are wrong in one field, for every field of their kind and every way to be wrong: what the API server
admits of them, the product's processes have to live with."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from common.kube import raw
from common.model.names import FARGATE_GROUPS, POD_ENI, PRIVATE_IPV4

Path = tuple[str | int, ...]
ABSENT, TWICE, MANY = object(), object(), object()
"""The field left out; its entries repeated; a thousand of them."""


def nested(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": found}
    return found


VALUES: tuple[Any, ...] = (
    None, "", " ", "x" * 3_000, "\u0000", "é\u202e\U0001f4a9" * 20, "yesterday", "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59Z", "-1", "1e400", "9" * 400, "0" * 4_300, "1Ki", "[" * 5_000, "{", "null", "NaN",
    '[{"eniId":null,"vlanId":"x"}]', "10.0.0.1/99", "aws:///us-west-2a/i-xyz", "true", 0, -1, 2**31, 2**63 - 1, 10**30,
    1.5, 1e308, True, [], {}, [[]], [None], {"": ""}, {"a": None}, ["a", 1, None], nested(100), ABSENT, TWICE, MANY,
)  # fmt: skip

ASKS = {POD_ENI: "1", PRIVATE_IPV4: "1"}
LABELS = {"app": "odd", "team": "pay"}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "odd", "uid": "1", "controller": False}
TIME = "2026-01-01T00:00:00Z"
SET_BY_THE_SERVER = {
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields", "time",
}  # fmt: skip
"""Of metadata: whatever is asked for, the API server writes its own, or refuses."""


@dataclass(frozen=True, kw_only=True)
class OddKind:
    name: str
    path: str
    """The collection's."""
    likely: dict[str, Any]
    """An object with every field that the product reads, and others."""
    read_as: type[msgspec.Struct] | None = None
    only: str = ""
    """The one name under which the product reads an object of this kind; "": any."""
    status: bool = False
    """The status is written apart."""
    deepest: bool = False
    """Fields that nobody declared are kept, however deep."""


def _selector() -> dict[str, Any]:
    return {"matchLabels": {"app": "odd"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}


def _kind(version: str, kind: str, **more: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": dict(LABELS), "annotations": {"note": "odd"}, "finalizers": []}
    metadata["ownerReferences"] = [dict(OWNER)]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _node() -> dict[str, Any]:
    taints = [{"key": "a", "effect": "NoExecute"}]
    found = _kind("v1", "Node", spec={"providerID": "aws:///us-west-2a/i-0123456789abcdef0", "taints": taints})
    found["status"] = {"capacity": dict(ASKS), "allocatable": dict(ASKS), "phase": "Running"}
    found["metadata"]["labels"] |= {
        "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false",
        "vpc.amazonaws.com/eniConfig": "odd-1",
        "vpc.amazonaws.com/branch-eni-warm-target": "2", "eks.amazonaws.com/compute-type": "x",
    }  # fmt: skip
    return found


def _pod() -> dict[str, Any]:
    container = {"name": "c", "image": "i", "resources": {"limits": dict(ASKS), "requests": dict(ASKS)}}
    spec = {"nodeName": "odd-1", "serviceAccountName": "default", "hostNetwork": False, "containers": [container]}
    condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": TIME}
    found = _kind("v1", "Pod", spec=spec)
    found["status"] = {"phase": "Running", "conditions": [condition], "podIP": "10.0.0.9"}
    found["metadata"]["annotations"] |= {POD_ENI: "[]", PRIVATE_IPV4: "10.0.0.9/16", FARGATE_GROUPS: "sg-1"}
    return found


def _cninode() -> dict[str, Any]:
    features = [{"name": "CustomNetworking", "value": "odd-1"}, {"name": "SecurityGroupsForPods"}]
    spec = {"features": features, "tags": {"cost": "1"}, "managedBy": "vpc-resource-controller"}
    return _kind("vpcresources.k8s.aws/v1alpha1", "CNINode", spec=spec)


POLICY_SPEC = {
    "podSelector": _selector(),
    "serviceAccountSelector": _selector(),
    "securityGroups": {"groupIds": ["sg-0000000000000001"]},
}
CONFIG = {
    "enable-windows-ipam": "false", "enable-windows-prefix-delegation": "false", "windows-warm-ip-target": "3",
    "warm-ip-target": "3", "windows-minimum-ip-target": "3", "minimum-ip-target": "3",
    "windows-warm-prefix-target": "0", "warm-prefix-target": "0", "branch-eni-cooldown": "30",
    "branch-eni-warm-target": "0",
}  # fmt: skip
TEMPLATE = {"metadata": {"labels": {"app": "odd"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}

KINDS: tuple[OddKind, ...] = (
    OddKind(name="Node", path="/api/v1/nodes", likely=_node(), read_as=raw.Node, status=True),
    OddKind(name="Pod", path="/api/v1/namespaces/default/pods", likely=_pod(), read_as=raw.Pod, status=True),
    OddKind(
        name="CNINode",
        path="/apis/vpcresources.k8s.aws/v1alpha1/cninodes",
        likely=_cninode(),
        read_as=raw.CniNode,
    ),
    OddKind(
        name="SecurityGroupPolicy",
        path="/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies",
        likely=_kind("vpcresources.k8s.aws/v1beta1", "SecurityGroupPolicy", spec=POLICY_SPEC),
        read_as=raw.SecurityGroupPolicy,
    ),
    OddKind(
        name="ENIConfig",
        path="/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs",
        likely=_kind(
            "crd.k8s.amazonaws.com/v1alpha1",
            "ENIConfig",
            spec={"subnet": "subnet-1", "securityGroups": ["sg-1"], "more": {"a": [1, {"b": "c"}]}},
        ),
        read_as=raw.EniConfig,
        deepest=True,
    ),
    OddKind(
        name="ServiceAccount",
        path="/api/v1/namespaces/default/serviceaccounts",
        likely=_kind("v1", "ServiceAccount", secrets=[{"name": "s"}]),
        read_as=raw.Labelled,
    ),
    OddKind(
        name="ConfigMap",
        path="/api/v1/namespaces/kube-system/configmaps",
        likely=_kind("v1", "ConfigMap", data=CONFIG, binaryData={"b": "AA=="}),
        read_as=raw.ConfigMap,
        only="amazon-vpc-cni",
    ),
    OddKind(
        name="Deployment",
        path="/apis/apps/v1/namespaces/kube-system/deployments",
        likely=_kind(
            "apps/v1",
            "Deployment",
            spec={"replicas": 1, "selector": {"matchLabels": {"app": "odd"}}, "template": TEMPLATE},
        ),
        only="vpc-resource-controller",
    ),
)


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Of every field, inner ones too, but for what says which kind of object it is."""
    entries: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inner in entries:
        if at == () and key in ("apiVersion", "kind"):
            continue
        yield (*at, key)
        yield from paths(inner, (*at, key))


def spoiled(likely: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The object with this value in that place."""
    found: dict[str, Any] = json.loads(json.dumps(likely))
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    last, before = path[-1], place[path[-1]]
    if value is ABSENT:
        del place[last]
    elif value is TWICE:
        place[last] = before * 2 if isinstance(before, list | str) else [before, before]
    elif value is MANY:
        many = before * 1_000 if isinstance(before, list) else {f"k{number}": "v" for number in range(1_000)}
        place[last] = many
    else:
        place[last] = value
    return found


def odd_objects(kind: OddKind, count: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each field in turn; those that follow meet the next value each time."""
    fields = list(paths(kind.likely))
    random.Random(kind.name).shuffle(fields)  # A short run has something of everything.
    for number in range(count):
        path = fields[number % len(fields)]
        # Neighbours differ also in a run that is shorter than all combinations.
        value = VALUES[(number // len(fields) + 7 * (number % len(fields))) % len(VALUES)]
        found = spoiled(kind.likely, path, value)
        if isinstance(found.get("metadata"), dict):
            found["metadata"]["name"] = kind.only or f"odd-{number}"
        else:
            found["metadata"] = {"name": kind.only or f"odd-{number}"}
        yield path, found


def read_fields(kind: type[msgspec.Struct], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Of every field that the product reads of the kind, the names on the way."""
    for field in msgspec.structs.fields(kind):
        if at == ("metadata",) and field.encode_name in SET_BY_THE_SERVER:
            continue
        yield (*at, field.encode_name)
        for inner in (field.type, *get_args(field.type), *(a for t in get_args(field.type) for a in get_args(t))):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from read_fields(inner, (*at, field.encode_name))
