"""One request a sentence for the validating webhooks; the sentences are those of the recorded cases."""

from typing import Any

from tests.unit.webhook.stand import ENI, FARGATE, IP, Object, pod, review

USERS = (
    "system:serviceaccount:kube-system:vpc-resource-controller",
    "system:serviceaccount:kube-system:eks-vpc-resource-controller",
    "eks:vpc-resource-controller",
)
OTHERS = (
    "alice",
    "system:admin",
    "system:serviceaccount:default:vpc-resource-controller",
    "system:serviceaccount:kube-system:aws-node",
    "system:serviceaccount:kube-system:default",
    "system:node:n-1",
    "EKS:vpc-resource-controller",
    "",
)
CNI = "system:serviceaccount:kube-system:aws-node"

CREATED: dict[str, dict[str, str] | None] = {
    "without annotations": None,
    "with other annotations": {"a": "b"},
    "with pod-eni": {ENI: "[]"},
    "with empty pod-eni": {ENI: ""},
    "with Windows address": {IP: "10.0.0.1/19"},
    "with Fargate groups": {FARGATE: "sg-1"},
    "with all three": {ENI: "[]", IP: "10.0.0.1/19", FARGATE: "sg-1"},
}

UPDATED: dict[str, tuple[dict[str, str] | None, dict[str, str] | None]] = {}
for _key in (ENI, IP, FARGATE):
    UPDATED[f"{_key} added"] = ({"a": "b"}, {"a": "b", _key: "x"})
    UPDATED[f"{_key} changed"] = ({_key: "x"}, {_key: "y"})
    UPDATED[f"{_key} emptied"] = ({_key: "x"}, {_key: ""})
    UPDATED[f"{_key} removed"] = ({_key: "x"}, {})
    UPDATED[f"{_key} kept"] = ({_key: "x"}, {_key: "x", "other": "changed"})


def updated(old: dict[str, str] | None, new: dict[str, str] | None, username: str, **more: Any) -> Object:
    return review(pod(annotations=new), old=pod(annotations=old), operation="UPDATE", username=username, **more)


CONTROLLER = USERS[0]
OTHER_REQUESTS: dict[str, Object] = {
    "CREATE without object": review(None),
    "UPDATE without object": review(None, old=pod(), operation="UPDATE"),
    "UPDATE without old object": review(pod(), operation="UPDATE"),
    "DELETE": review(None, old=pod(annotations={ENI: "[]"}), operation="DELETE"),
    "DELETE without old object": review(None, operation="DELETE"),
    "CONNECT": review({"kind": "PodExecOptions"}, operation="CONNECT", kind="PodExecOptions"),
    "labels changed": review(pod({"a": "b"}), old=pod({"a": "c"}), operation="UPDATE"),
    "no annotations on either": updated(None, None, "alice"),
    "other annotation changed": updated({"a": "b", ENI: "x"}, {"a": "c", ENI: "x"}, "alice"),
    "status subresource adds pod-eni": updated(None, {ENI: "x"}, "alice", subResource="status"),
    "administrator's groups do not matter": updated(
        None, {ENI: "x"}, "admin", userInfo={"username": "admin", "groups": ["system:masters"]}
    ),
    "two annotations by the controller, one of them Fargate groups": updated(
        None, {ENI: "x", FARGATE: "sg-1"}, CONTROLLER
    ),
}


def node(labels: dict[str, str] | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "n-1",
            "resourceVersion": "7",
            "labels": {"kubernetes.io/os": "linux", **(labels or {})},
            "annotations": {"a": "b"},
            "managedFields": [{"manager": "kubelet"}],
            **metadata,
        },
        "spec": {"providerID": "aws:///a/i-0123456789abcdef0"},
        "status": {"capacity": {"cpu": "2"}},
    }


def changed(**parts: Any) -> Object:
    return {**node(), **parts}


TRUNK, ENI_CONFIG = "vpc.amazonaws.com/has-trunk-attached", "vpc.amazonaws.com/eniConfig"
NODES: dict[str, tuple[Object, Object]] = {
    "nothing": (node(), node()),
    "trunk label added": (node(), node({TRUNK: "false"})),
    "trunk label changed": (node({TRUNK: "false"}), node({TRUNK: "true"})),
    "trunk label removed": (node({TRUNK: "false"}), node()),
    "ENIConfig label added": (node(), node({ENI_CONFIG: "az-a"})),
    "both labels": (node(), node({TRUNK: "false", ENI_CONFIG: "az-a"})),
    "allowed and another label": (node(), node({TRUNK: "false", "x": "y"})),
    "another label added": (node(), node({"x": "y"})),
    "another label removed": (node({"x": "y"}), node()),
    "another vpc.amazonaws.com label": (node(), node({"vpc.amazonaws.com/other": "y"})),
    "annotation added": (node(), node(annotations={"a": "b", "c": "d"})),
    "finalizer added": (node(), node(finalizers=["f"])),
    "managed fields changed": (node(), node(managedFields=[{"manager": "aws-node"}])),
    "resource version changed": (node(), node(resourceVersion="8")),
    "capacity changed": (node(), changed(status={"capacity": {"cpu": "3"}})),
    "taint added": (node(), changed(spec={**node()["spec"], "taints": [{"key": "k", "effect": "NoSchedule"}]})),
    "unschedulable": (node(), changed(spec={**node()["spec"], "unschedulable": True})),
}
NODE_CHANGES_OF_THE_CNI = {
    "nothing",
    "trunk label added",
    "trunk label changed",
    "trunk label removed",
    "ENIConfig label added",
    "both labels",
    "managed fields changed",
    # Recorded as refused; the contract allows it.
    "resource version changed",
}


def node_update(old: Any, new: Any, username: str, **more: Any) -> Object:
    return review(new, old=old, operation="UPDATE", kind="Node", namespace="", username=username, **more)


OTHER_NODE_REQUESTS: dict[str, Object] = {
    "by alice, UPDATE without objects": node_update(None, None, "alice"),
    "by aws-node of another namespace, another label": node_update(
        node(), node({"x": "y"}), "system:serviceaccount:default:aws-node"
    ),
    "by aws-node, UPDATE without object": node_update(node(), None, CNI),
    "by aws-node, UPDATE without old object": node_update(None, node(), CNI),
    "by aws-node, status subresource": node_update(
        node(), changed(status={"capacity": {"cpu": "3"}}), CNI, subResource="status"
    ),
}
