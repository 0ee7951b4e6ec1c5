"""Objects that people wrote wrongly: nothing crashes, nothing is released, the others are served, and an event says
so."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.rig import MERGE, Rig, running
from tests.integration.standing import annotation, branches, repeated_events, shared, unserved

CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
RELEASE_SECONDS = 3


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("bad")
    with running(folder, VPC_RC_NODE_RELEASE_SECONDS=str(RELEASE_SECONDS)) as (found, _):
        found.add_node("n0", "m5.4xlarge")
        found.wait("the node", lambda: found.capacity("n0") == "54")
        for number in range(4):
            found.add_pod(f"good-{number}", "n0")
        found.wait_for_none("unserved", lambda: unserved(found))
        yield found
        assert found.faults_logged() == []
        assert found.restarts == []
        assert repeated_events(found) == []


def served(rig: Rig, name: str) -> None:
    """A new pod gets its interface; what was to be noticed before it, was noticed."""
    rig.add_pod(name, "n0")
    rig.wait_for_none("unserved", lambda: [other for other in unserved(rig) if other == name])


@pytest.fixture(autouse=True)
def had(rig: Rig) -> Iterator[set[str]]:
    """Afterwards the interfaces of the first pods are as before, and a new pod is served."""
    kept = {entry["eniId"] for pod in rig.pods() for entry in annotation(pod)}
    yield kept
    try:
        served(rig, "after")
        assert kept <= branches(rig)
        assert all(process.running for process in rig.processes)
        assert shared(rig) == []
    finally:
        rig.remove_pod("after")


@pytest.mark.parametrize(
    "text",
    ["", "null", "{", "[1, 2]", '"eni-1"', '[{"eniId": 5}]', '[{"eniId": "eni-1", "vlanId": "x"}]', "[{}]", "\x00é"],
)
def test_an_annotation_that_cannot_be_read(rig: Rig, had: set[str], text: str) -> None:
    """Somebody spoils the annotation of a served pod, and comes with a pod that carries such a one."""
    before = rig.pod("good-0")["metadata"]["annotations"]["vpc.amazonaws.com/pod-eni"]
    rig.annotate("good-0", text)
    served(rig, "marker")
    assert had <= branches(rig)
    (marker,) = annotation(rig.pod("marker"))
    assert marker["vlanId"] != json.loads(before)[0]["vlanId"]
    rig.annotate("good-0", before)
    rig.remove_pod("marker")


def test_an_annotation_that_cannot_be_read_is_reported(rig: Rig) -> None:
    assert rig.events("n0", "PodAnnotationMalformed")


def test_an_annotation_that_somebody_takes_away_releases_nothing(rig: Rig, had: set[str]) -> None:
    before = rig.pod("good-0")["metadata"]["annotations"]["vpc.amazonaws.com/pod-eni"]
    rig.annotate("good-0", None)
    served(rig, "marker")
    assert had <= branches(rig)
    (marker,) = annotation(rig.pod("marker"))
    assert marker["vlanId"] != json.loads(before)[0]["vlanId"]
    if "vpc.amazonaws.com/pod-eni" not in rig.pod("good-0")["metadata"].get("annotations", {}):
        rig.annotate("good-0", before)
    rig.remove_pod("marker")


SPECS: dict[str, dict[str, Any]] = {
    "features without names and with unknown ones": {
        "features": [{}, {"name": ""}, {"value": "x"}, {"name": "Teleport", "value": "on"}],
    },
    "custom networking without a name": {"features": [{"name": "CustomNetworking"}]},
    "tags that are no tags of EC2": {"tags": {"aws:mine": "x", "k" * 200: "v" * 300, "": "empty", "ok": "é"}},
    "tags of another cluster and instance": {
        "tags": {"cluster.k8s.amazonaws.com/name": "other", "node.k8s.amazonaws.com/instance_id": "i-nonsense"}
    },
    "nothing at all": {"features": None, "tags": None},
}


@pytest.mark.parametrize("spec", SPECS)
def test_a_cninode_with(rig: Rig, spec: str) -> None:
    path = f"{CNINODES}/n0"
    rig.kube("PATCH", path, {"spec": SPECS[spec], "metadata": {"finalizers": [], "ownerReferences": []}}, MERGE)

    def whole() -> bool:
        found = rig.kube("GET", path)
        tags = found["spec"].get("tags") or {}
        owners = found["metadata"].get("ownerReferences") or []
        return (
            tags.get("cluster.k8s.amazonaws.com/name") == "rig"
            and str(tags.get("node.k8s.amazonaws.com/instance_id")).startswith("i-0")
            and "networking.k8s.aws/resource-cleanup" in found["metadata"].get("finalizers", [])
            and [owner["name"] for owner in owners] == ["n0"]
        )

    rig.wait("it is put right", whole)
    rig.kube("PATCH", path, {"spec": {"features": None}}, MERGE)


def test_cninodes_and_policies_that_the_definition_refuses_or_lets_pass(rig: Rig) -> None:
    """A CNINode of no node, one without a spec, and policies with every kind of emptiness."""
    bodies: dict[str, dict[str, Any]] = {"nobody": {"spec": {}}, "bare": {}}
    for name, body in bodies.items():
        kind = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode", "metadata": {"name": name}}
        rig.kube("POST", CNINODES, {**kind, **body})
    specs: dict[str, dict[str, Any]] = {
        "none": {},
        "no-selector": {"securityGroups": {"groupIds": ["sg-1"]}},
        "no-groups": {"podSelector": {}},
        "bad-operator": {
            "podSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]},
            "securityGroups": {"groupIds": ["sg-1"]},
        },
    }
    for name, spec in specs.items():
        kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy", "metadata": {"name": name}}
        rig.kube("POST", POLICIES, {**kind, "spec": spec})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("branch-eni-cooldown", "soon"),
        ("branch-eni-cooldown", "-1"),
        ("branch-eni-cooldown", "99999999999999999999"),
        ("enable-windows-ipam", "perhaps"),
        ("warm-ip-target", "2.5"),
        ("minimum-ip-target", ""),
        ("windows-warm-prefix-target", "x"),
    ],
)
def test_a_value_of_the_configmap_that_cannot_be_used(rig: Rig, key: str, value: str) -> None:
    rig.set_config(**{key: value})
    if key != "enable-windows-ipam":  # Off for anything that is not a yes.

        def reported() -> bool:
            return any(key in event["message"] for event in rig.events("amazon-vpc-cni", "InvalidConfiguration"))

        rig.wait("the event", reported)
        # `kubectl describe` looks for the object's uid.
        config_map = rig.kube("GET", "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni")
        (*_, event) = rig.events("amazon-vpc-cni", "InvalidConfiguration")
        assert event["involvedObject"]["uid"] == config_map["metadata"]["uid"]
    rig.set_config(branch_eni_cooldown="30")


NODES: dict[str, tuple[str, dict[str, str]]] = {
    "no-id": ("", {}),
    "short-id": ("aws:///us-west-2a/i-12", {}),
    "other-cloud": ("gce://project/zone/machine", {}),
    "slashes": ("///", {}),
    "not-hex": ("aws:///us-west-2a/i-0123456789abcdefg", {}),
    "unknown-instance": ("aws:///us-west-2a/i-0123456789abcdef0", {}),
    "no-os": ("aws:///us-west-2a/i-0123456789abcdef1", {"kubernetes.io/os": ""}),
    "other-os": ("aws:///us-west-2a/i-0123456789abcdef2", {"kubernetes.io/os": "plan9"}),
    "eniconfig": ("aws:///us-west-2a/i-0123456789abcdef3", {"vpc.amazonaws.com/eniConfig": "none"}),
    "compute": ("aws:///us-west-2a/i-0123456789abcdef4", {"eks.amazonaws.com/compute-type": "other"}),
}


def test_nodes_with_ids_and_labels_that_mean_nothing(rig: Rig) -> None:
    usual = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "whatever"}
    for name, (provider_id, labels) in NODES.items():
        rig.register(name, provider_id, **{**usual, **labels})
        rig.add_pod(f"on-{name}", name)
    rig.wait("the event", lambda: bool(rig.events("unknown-instance", "InstanceNotFound")))
    assert all(rig.capacity(name) is None for name in NODES)

    def without_cninode() -> list[str]:
        return sorted(NODES.keys() - {item["metadata"]["name"] for item in rig.kube("GET", CNINODES)["items"]})

    rig.wait_for_none("nodes without CNINode", without_cninode)
    for name in ("no-id", "short-id", "other-cloud", "slashes", "not-hex"):
        tags = rig.kube("GET", f"{CNINODES}/{name}")["spec"].get("tags", {})
        assert "node.k8s.amazonaws.com/instance_id" not in tags
    assert shared(rig) == []
