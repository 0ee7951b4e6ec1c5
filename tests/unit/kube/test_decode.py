"""Raw objects as our values: what is read, and what a malformed object turns into."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kube import decode, tolerant
from common.kube import raw as k
from common.model.ids import PodUid
from common.model.policy import LabelSelector, Requirement

ENI, IP = "vpc.amazonaws.com/pod-eni", "vpc.amazonaws.com/PrivateIPv4Address"


def container(**resources: Any) -> dict[str, Any]:
    return {"name": "c", "resources": resources}


def raw_pod(**changes: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u1",
            "creationTimestamp": "2024-01-01T00:00:00Z",
            "labels": {"app": "web"},
        },
        "spec": {"nodeName": "n1", "containers": [container(requests={ENI: "1"}, limits={ENI: "1"})]},
        "status": {"phase": "Pending"},
    }
    for path, value in changes.items():
        at: Any = pod
        *parents, last = path.split("__")
        for part in parents:
            at = at[part]
        at[last] = value
    return pod


def test_a_bound_pod_is_read_whole() -> None:
    condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2024-01-01T00:00:09Z"}
    raw = raw_pod(
        metadata__annotations={ENI: "[]", "other": "x"},
        metadata__deletionTimestamp="2024-01-02T00:00:00Z",
        spec__serviceAccountName="shopper",
        status__conditions=[condition],
    )
    request = decode.pod_request(json.dumps(raw).encode(), 7.0)
    assert request is not None
    assert (request.uid, request.namespace, request.name, request.labels) == ("u1", "shop", "web", {"app": "web"})
    assert (request.branches, request.addresses, request.service_account) == (1, 0, "shopper")
    assert (request.eni_annotation, request.ip_annotation, request.deleting, request.finished) == (
        "[]",
        None,
        True,
        False,
    )
    assert (request.scheduled_at, request.seen_at) == (1704067209.0, 7.0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(raw_pod(spec__nodeName=None), None, id="an unbound pod is no request"),
        pytest.param(raw_pod(spec__nodeName=""), None, id="nor with an empty node name"),
        pytest.param(raw_pod(spec__containers=[container()]), None, id="a pod that asks for nothing is no request"),
        pytest.param(
            raw_pod(spec__containers=[], metadata__annotations={IP: "10.0.0.1/19"}), (0, 0), id="an annotation counts"
        ),
        pytest.param(
            raw_pod(spec__containers=[container(requests={ENI: "2"}), container(limits={ENI: "1", IP: 1})]),
            (3, 1),
            id="containers add up, limits count where requests are missing",
        ),
        pytest.param(
            raw_pod(spec__initContainers=[container(requests={ENI: "5"})]), (1, 0), id="init containers do not count"
        ),
        pytest.param(raw_pod(spec__hostNetwork=True), (1, 0), id="host-network pods are served"),
        pytest.param(
            raw_pod(spec__containers=[container(requests={ENI: "x"}), container(requests={ENI: "1"})]),
            (1, 0),
            id="a quantity that is no number counts as none",
        ),
    ],
)
def test_what_a_pod_asks_for(raw: dict[str, Any], expected: tuple[int, int] | None) -> None:
    request = decode.pod_request(raw, 0.0, lambda _: None)
    assert (None if request is None else (request.branches, request.addresses)) == expected


@pytest.mark.parametrize(("phase", "finished"), [("Succeeded", True), ("Failed", True), ("Running", False), (5, False)])
def test_only_a_phase_that_says_so_is_an_end(phase: object, finished: bool) -> None:
    request = decode.pod_request(raw_pod(status__phase=phase), 0.0, lambda _: None)
    assert request is not None
    assert request.finished is finished


def test_a_bad_value_costs_only_itself() -> None:
    raw = raw_pod(metadata__labels={"app": "web", "bad": 5}, metadata__annotations={ENI: ["no"], IP: "10.0.0.9/19"})
    problems: list[str] = []
    request = decode.pod_request(json.dumps(raw).encode(), 0.0, problems.append)
    assert request is not None
    assert (request.labels, request.eni_annotation, request.ip_annotation) == ({"app": "web"}, None, "10.0.0.9/19")
    assert request.branches == 1
    assert problems


def test_a_node_is_read_whole() -> None:
    raw = {
        "metadata": {
            "name": "n1",
            "uid": "u",
            "labels": {
                "beta.kubernetes.io/os": "windows",
                "vpc.amazonaws.com/has-trunk-attached": "false",
                "vpc.amazonaws.com/eniConfig": "az-a",
                "vpc.amazonaws.com/branch-eni-warm-target": "4",
                "eks.amazonaws.com/compute-type": "auto",
            },
        },
        "spec": {"providerID": "aws:///us-west-2c/i-0123456789abcdef0"},
        "status": {"capacity": {"cpu": "2", ENI: "9"}},
    }
    facts = decode.node_facts(raw)
    assert facts is not None
    assert (facts.os, facts.os_label, facts.instance_id) == ("windows", "", "i-0123456789abcdef0")
    assert (facts.trunk_label, facts.eni_config_label, facts.auto) == (True, "az-a", True)
    assert facts.warm_target_label == "4"
    assert facts.capacity == {ENI: "9"}


def test_a_bare_node_has_nothing() -> None:
    facts = decode.node_facts({"metadata": {"name": "n1", "uid": "u"}})
    assert facts is not None
    assert (facts.os, facts.instance_id, facts.trunk_label, facts.capacity) == ("", None, False, {})


def test_a_cninode_is_read_whole() -> None:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": True}
    raw = {
        "metadata": {
            "name": "n1",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"kubernetes.io/os": "linux"},
            "finalizers": ["other", "networking.k8s.aws/resource-cleanup"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "c"}, owner],
        },
        "spec": {
            "features": [{"name": "SecurityGroupsForPods"}, {"name": "CustomNetworking", "value": "az-a"}],
            "tags": {"team": "a"},
        },
    }
    facts = decode.cninode_facts(raw)
    assert facts is not None
    assert (facts.uid, facts.resource_version, facts.os_label) == ("u", "7", "linux")
    assert (facts.finalizer, facts.owner_uid, facts.deleting) == (True, "node-uid", False)
    assert facts.spec.pod_groups
    assert facts.spec.eni_config_name == "az-a"
    assert facts.spec.tags == {"team": "a"}
    assert (facts.spec.managed_by, facts.spec.of_another) == ("", False)


@pytest.mark.parametrize(
    ("manager", "another"), [(None, False), ("", False), ("vpc-resource-controller", False), ("eks-auto-mode", True)]
)
def test_a_cninode_says_whose_it_is(manager: str | None, another: bool) -> None:
    facts = decode.cninode_facts({"metadata": {"name": "n1", "uid": "u"}, "spec": {"managedBy": manager}})
    assert facts is not None
    assert facts.spec.of_another is another


def test_an_eni_config_needs_a_subnet() -> None:
    problems: list[str] = []
    full = {"metadata": {"name": "a"}, "spec": {"subnet": "subnet-1", "securityGroups": ["sg-1"], "more": 1}}
    facts = decode.eni_config_facts(full)
    assert facts is not None
    assert (facts.subnet, facts.groups) == ("subnet-1", ("sg-1",))
    assert decode.eni_config_facts({"metadata": {"name": "a"}, "spec": {}}, problems.append) is None
    assert problems


def test_a_policy_is_read_with_its_selectors() -> None:
    raw = {
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
            "serviceAccountSelector": {},
            "securityGroups": {"groupIds": ["sg-1", "sg-2"]},
        },
    }
    policy = decode.policy(raw)
    assert policy is not None
    assert policy.pod_selector == LabelSelector(
        match_expressions=(Requirement(key="app", operator="In", values=("web",)),)
    )
    assert policy.account_selector == LabelSelector()
    assert policy.groups == ("sg-1", "sg-2")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"podSelector": {"matchLabels": {"app": 5}}}, id="a label that is a number"),
        pytest.param({"podSelector": {"matchExpressions": [{"operator": "Exists"}]}}, id="an expression without key"),
        pytest.param({"podSelector": []}, id="a selector that is a list"),
    ],
)
def test_a_malformed_policy_is_no_policy_rather_than_a_wider_one(spec: dict[str, Any]) -> None:
    problems: list[str] = []
    raw = {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}
    assert decode.policy(json.dumps(raw).encode(), problems.append) is None
    assert "shop/p" in problems[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    ("metadata", "name"), ("metadata", "uid"), ("metadata", "labels"), ("metadata", "annotations"), ("spec",),
    ("metadata", "finalizers"), ("metadata", "ownerReferences"), ("spec", "containers"), ("spec", "features"),
    ("spec", "tags"), ("status",), ("status", "capacity"), ("metadata", "creationTimestamp"), ("metadata",),
    ("spec", "podSelector"), ("spec", "securityGroups"), ("spec", "nodeName"), ("status", "conditions"),
]  # fmt: skip


@given(spoilt=st.lists(st.tuples(st.sampled_from(PATHS), JSON), max_size=4), encoded=st.booleans())
def test_nothing_raises_whatever_an_object_holds(spoilt: list[tuple[tuple[str, ...], Any]], encoded: bool) -> None:
    raw = raw_pod()
    for path, value in spoilt:
        at: Any = raw
        for part in path[:-1]:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at[path[-1]] = value
    given_as: Any = json.dumps(raw).encode() if encoded else raw
    for read in (
        decode.identity, decode.node_facts, decode.pod_facts, decode.cninode_facts, decode.eni_config_facts,
        decode.policy, decode.config_map_data,
    ):  # fmt: skip
        read(given_as, lambda _: None)
    request = decode.pod_request(given_as, 0.0, lambda _: None)
    assert request is None or isinstance(PodUid(request.uid), str)
    # What a reflector has decoded once says the same.
    for kind, read in (
        (k.Pod, decode.pod_facts), (k.Node, decode.node_facts), (k.CniNode, decode.cninode_facts),
        (k.EniConfig, decode.eni_config_facts), (k.ConfigMap, decode.config_map_data), (k.Labelled, decode.labels_of),
        (k.Pod, decode.identity), (k.Labelled, decode.identity),
    ):  # fmt: skip
        once = tolerant.decode(given_as, kind, lambda _: None)
        assert once is None or read(once, lambda _: None) == read(given_as, lambda _: None)


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"5", b'{"metadata": 5}', b"{"])
def test_what_is_no_object_is_nothing(raw: bytes) -> None:
    assert decode.pod_request(raw, 0.0, lambda _: None) is None
    assert decode.node_facts(raw, lambda _: None) is None
    assert decode.cninode_facts(raw, lambda _: None) is None
    assert decode.policy(raw, lambda _: None) is None
