"""What controllers depend on, checked alike against the sandbox and a real kube-apiserver."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.kube_fixtures import (
    APPLY,
    JSON_PATCH,
    MERGE,
    ROOT,
    STRATEGIC,
    Api,
    config_map,
    pod,
    real_control_plane,
    sandbox_server,
)  # fmt: skip

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
NODES = "/api/v1/nodes"


@pytest.fixture(scope="module", params=["sandbox", "real"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if request.param == "sandbox":
        with sandbox_server(tls_folder=tmp_path_factory.mktemp("tls")) as listening:
            assert listening.certificates is not None
            found = Api(listening.url, authority=str(listening.certificates.authority))
            _define(found)
            yield found
    else:
        with real_control_plane(tmp_path_factory.mktemp("control-plane")) as found:
            _define(found)
            yield found


def _define(api: Api) -> None:
    for file in sorted(Path(ROOT, "deploy/crds").glob("*_*.yaml")):
        definition = yaml.safe_load(file.read_text())
        assert api("POST", CRDS, definition).status == 201
        group, names = definition["spec"]["group"], definition["spec"]["names"]
        path = f"/apis/{group}/{definition['spec']['versions'][0]['name']}/{names['plural']}"
        deadline = time.monotonic() + 30
        while api("GET", path).status != 200:
            assert time.monotonic() < deadline, f"{names['plural']} is not served"


@pytest.fixture
def namespace(api: Api) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
    return name


@pytest.fixture
def node(api: Api) -> Iterator[str]:
    name = f"n-{uuid.uuid4().hex[:8]}"
    body = {"metadata": {"name": name, "labels": {"a": "b"}}, "spec": {"providerID": "aws:///x/i-12345678"}}
    assert api("POST", NODES, {**body, "status": {"capacity": {"cpu": "2"}}}).status == 201
    yield name
    api("DELETE", f"{NODES}/{name}")


def pods(namespace: str, *rest: str) -> str:
    return "/".join((f"/api/v1/namespaces/{namespace}/pods", *rest))


def maps(namespace: str, *rest: str) -> str:
    return "/".join((f"/api/v1/namespaces/{namespace}/configmaps", *rest))


def policies(namespace: str, *rest: str) -> str:
    return "/".join((f"/apis/vpcresources.k8s.aws/v1beta1/namespaces/{namespace}/securitygrouppolicies", *rest))


def leases(namespace: str, *rest: str) -> str:
    return "/".join((f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", *rest))


def policy(name: str, groups: list[Any] | None, **spec: Any) -> dict[str, Any]:
    chosen = {"securityGroups": {"groupIds": groups}} if groups is not None else {}
    return {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy", "metadata": {"name": name},
            "spec": {"podSelector": {}, **chosen, **spec}}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request on a namespace that holds pod `p` (annotated a/b=1), config map `c` and policy `s`."""

    method: str
    path: str
    body: Any = None
    media: str = "application/json"
    query: dict[str, str] = field(default_factory=dict)
    status: int
    reason: str = ""
    field: str = ""


P, C, S = "/api/v1/namespaces/NS/pods", "/api/v1/namespaces/NS/configmaps", policies("NS")
REFUSALS = {
    "a second object of the same name": Refusal(
        method="POST", path=P, body=pod("p"), status=409, reason="AlreadyExists"),
    "an object without a name": Refusal(
        method="POST", path=P, body=pod(""), status=422, reason="Invalid", field="metadata.name"),
    "a name that is no DNS name": Refusal(
        method="POST", path=P, body=pod("Bad_Name"), status=422, reason="Invalid", field="metadata.name"),
    "a pod without containers": Refusal(
        method="POST", path=P, body={"metadata": {"name": "x"}, "spec": {}}, status=422, reason="Invalid",
        field="spec.containers"),
    "an object of another kind": Refusal(
        method="POST", path=P, body={**pod("x"), "apiVersion": "apps/v1"}, status=400, reason="BadRequest"),
    "a body that is no JSON": Refusal(method="POST", path=P, body=b"{", status=400, reason="BadRequest"),
    "another namespace in the body": Refusal(
        method="POST", path=P, body=pod("x", namespace="other"), status=400, reason="BadRequest"),
    "a namespace that does not exist": Refusal(
        method="POST", path="/api/v1/namespaces/none/pods", body=pod("x"), status=404, reason="NotFound"),
    "a creation across namespaces": Refusal(
        method="POST", path="/api/v1/pods", body=pod("x"), status=405, reason="MethodNotAllowed"),
    "a label that is no text": Refusal(
        method="POST", path=P, body=pod("x", labels={"a": 1}), status=400, reason="BadRequest"),
    "a config map value that is no text": Refusal(
        method="POST", path=C, body={"metadata": {"name": "x"}, "data": {"a": True}}, status=400, reason="BadRequest"),
    "an extended resource requested without a limit": Refusal(
        method="POST", path=P, status=422, reason="Invalid", field="spec.containers[0].resources.limits",
        body={"metadata": {"name": "x"}, "spec": {"containers": [{
            "name": "c", "image": "i", "resources": {"requests": {"vpc.amazonaws.com/pod-eni": "1"}}}]}}),
    "reading what is not there": Refusal(method="GET", path=P + "/none", status=404, reason="NotFound"),
    "a resource that is not served": Refusal(method="GET", path="/api/v1/nope", status=404, reason="NotFound"),
    "an API group that is not served": Refusal(method="GET", path="/apis/nope/v1/x", status=404),
    "patching what is not there": Refusal(
        method="PATCH", path=P + "/none", body={}, media=MERGE, status=404, reason="NotFound"),
    "a merge patch with another uid": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"uid": "other"}}, media=MERGE, status=422, reason="Invalid",
        field="metadata.uid"),
    "a strategic patch with another uid": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"uid": "other"}}, media=STRATEGIC, status=422,
        reason="Invalid", field="metadata.uid"),
    "a status patch with another uid": Refusal(
        method="PATCH", path=P + "/p/status", body={"metadata": {"uid": "other"}, "status": {"message": "x"}},
        media=MERGE, status=422, reason="Invalid", field="metadata.uid"),
    "a custom resource's patch with another uid": Refusal(
        method="PATCH", path=S + "/s", body={"metadata": {"uid": "other"}}, media=MERGE, status=422, reason="Invalid",
        field="metadata.uid"),
    "a patch with a stale version": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"resourceVersion": "1"}}, media=MERGE, status=409,
        reason="Conflict"),
    "a strategic patch with a stale version": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"resourceVersion": "1"}}, media=STRATEGIC, status=409,
        reason="Conflict"),
    "a patch of the name": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"name": "q"}}, media=MERGE, status=400, reason="BadRequest"),
    "a patch of unknown type": Refusal(
        method="PATCH", path=P + "/p", body={}, status=415, reason="UnsupportedMediaType"),
    "a strategic patch of a custom resource": Refusal(
        method="PATCH", path=S + "/s", body={}, media=STRATEGIC, status=415, reason="UnsupportedMediaType"),
    "a patch that is no JSON": Refusal(
        method="PATCH", path=P + "/p", body=b"{", media=MERGE, status=400, reason="BadRequest"),
    "a JSON patch whose test fails": Refusal(
        method="PATCH", path=P + "/p", body=[{"op": "test", "path": "/metadata/name", "value": "q"}], media=JSON_PATCH,
        status=422, reason="Invalid"),
    "a JSON patch that removes what is not there": Refusal(
        method="PATCH", path=P + "/p", body=[{"op": "remove", "path": "/metadata/labels"}], media=JSON_PATCH,
        status=422, reason="Invalid"),
    "a JSON patch into a map that is not there": Refusal(
        method="PATCH", path=P + "/p", body=[{"op": "add", "path": "/metadata/labels/a", "value": "b"}],
        media=JSON_PATCH, status=422, reason="Invalid"),
    "an annotation patched to a number": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"annotations": {"a": 1}}}, media=MERGE, status=422,
        reason="Invalid"),
    "a finalizer without a domain": Refusal(
        method="PATCH", path=P + "/p", body={"metadata": {"finalizers": ["plain"]}}, media=MERGE, status=422,
        reason="Invalid", field="metadata.finalizers[0]"),
    "an owner reference without a uid": Refusal(
        method="PATCH", path=P + "/p", media=MERGE, status=422, reason="Invalid", field="metadata.ownerReferences.uid",
        body={"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n"}]}}),
    "a change of a pod's containers": Refusal(
        method="PATCH", path=P + "/p", media=STRATEGIC, status=422, reason="Invalid",
        body={"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}),
    "a PUT with a stale version": Refusal(
        method="PUT", path=P + "/p", body=pod("p", resourceVersion="1"), status=409, reason="Conflict"),
    "a PUT with another uid": Refusal(
        method="PUT", path=P + "/p", body=pod("p", uid="other"), status=409, reason="Conflict"),
    "a PUT with another name": Refusal(method="PUT", path=P + "/p", body=pod("q"), status=400, reason="BadRequest"),
    "a PUT to what is not there": Refusal(
        method="PUT", path=P + "/none", body=pod("none"), status=404, reason="NotFound"),
    "a PUT of a custom resource without version": Refusal(
        method="PUT", path=S + "/s", body=policy("s", ["sg-1"]), status=422, reason="Invalid",
        field="metadata.resourceVersion"),
    "an apply without field manager": Refusal(
        method="PATCH", path=C + "/c", body=config_map("c"), media=APPLY, status=422, reason="Invalid",
        field="fieldManager"),
    "a deletion for another uid": Refusal(
        method="DELETE", path=P + "/p", body={"preconditions": {"uid": "other"}}, status=409, reason="Conflict"),
    "a deletion for another version": Refusal(
        method="DELETE", path=P + "/p", body={"preconditions": {"resourceVersion": "1"}}, status=409,
        reason="Conflict"),
    "deleting what is not there": Refusal(method="DELETE", path=P + "/none", status=404, reason="NotFound"),
    "a policy with an empty list of groups": Refusal(
        method="POST", path=S, body=policy("x", []), status=422, reason="Invalid",
        field="spec.securityGroups.groupIds"),
    "a policy whose group is no text": Refusal(
        method="POST", path=S, body=policy("x", [1]), status=422, reason="Invalid",
        field="spec.securityGroups.groupIds[0]"),
    "an ENIConfig without a subnet": Refusal(
        method="POST", path="/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs", status=422, reason="Invalid",
        body={"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig", "metadata": {"name": "x"},
              "spec": {}}, field="spec.subnet"),
    "an unknown field where validation is strict": Refusal(
        method="POST", path=S, body=policy("x", ["sg-1"], unknown=1), query={"fieldValidation": "Strict"}, status=400,
        reason="BadRequest"),
    "an event in another namespace than its object's": Refusal(
        method="POST", path="/api/v1/namespaces/NS/events", status=422, reason="Invalid",
        body={"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "other", "name": "p"}},
        field="involvedObject.namespace"),
    "a field that cannot be selected by": Refusal(
        method="GET", path="/api/v1/pods", query={"fieldSelector": "spec.foo=1"}, status=400, reason="BadRequest"),
    "a label selector that does not parse": Refusal(
        method="GET", path="/api/v1/pods", query={"labelSelector": "a b c"}, status=400, reason="BadRequest"),
    "a continue token that is none": Refusal(
        method="GET", path="/api/v1/pods", query={"limit": "1", "continue": "abc"}, status=400, reason="BadRequest"),
    "a list of a version to come": Refusal(
        method="GET", path="/api/v1/pods", query={"resourceVersion": "99999999"}, status=504, reason="Timeout"),
    "a version match without version": Refusal(
        method="GET", path="/api/v1/pods", query={"resourceVersionMatch": "Exact"}, status=422, reason="Invalid",
        field="resourceVersionMatch"),
    "initial events without a version match": Refusal(
        method="GET", path="/api/v1/pods", query={"watch": "1", "sendInitialEvents": "true"}, status=422,
        reason="Invalid", field="resourceVersionMatch"),
}  # fmt: skip


@pytest.fixture(scope="module")
def furnished(api: Api) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
    assert api("POST", pods(name), pod("p", annotations={"a/b": "1"})).status == 201
    assert api("POST", maps(name), config_map("c")).status == 201
    assert api("POST", policies(name), policy("s", ["sg-1"])).status == 201
    return name


@pytest.mark.parametrize("sentence", REFUSALS)
def test_refuses(api: Api, furnished: str, sentence: str) -> None:
    r = REFUSALS[sentence]
    answer = api(r.method, r.path.replace("NS", furnished), r.body, media=r.media, **r.query)
    assert answer.status == r.status, answer.body
    assert answer.reason == r.reason
    if r.reason:
        assert answer.body["kind"] == "Status"
        assert answer.body["code"] == r.status
    if r.field:
        assert r.field in {c["field"] for c in answer.body["details"]["causes"]}


def test_a_new_object_gets_uid_version_and_time(api: Api, namespace: str) -> None:
    answer = api("POST", pods(namespace), pod("a", uid="mine", deletionTimestamp="2020-01-01T00:00:00Z"))
    metadata = answer.body["metadata"]
    assert answer.status == 201
    assert metadata["uid"] != "mine"
    assert "deletionTimestamp" not in metadata
    assert metadata["resourceVersion"].isdigit()
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["generation"] == 1
    assert answer.body["status"]["phase"] == "Pending"
    assert answer.body["spec"]["terminationGracePeriodSeconds"] == 30


def test_generated_names_begin_as_asked_and_differ(api: Api, namespace: str) -> None:
    names = {api("POST", pods(namespace), pod("", generateName="g-")).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(n.startswith("g-") and len(n) == 7 for n in names)


def test_versions_rise_with_every_write_of_any_object(api: Api, namespace: str) -> None:
    first = api("POST", pods(namespace), pod("a")).body["metadata"]["resourceVersion"]
    second = api("POST", maps(namespace), config_map("a")).body["metadata"]["resourceVersion"]
    third = api("PATCH", pods(namespace, "a"), {"metadata": {"labels": {"x": "y"}}}, media=MERGE)
    assert int(first) < int(second) < int(third.body["metadata"]["resourceVersion"])


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
def test_a_patch_that_changes_nothing_keeps_the_version(api: Api, namespace: str, media: str) -> None:
    created = api("POST", pods(namespace), pod("a", labels={"x": "y"})).body
    patched = api("PATCH", pods(namespace, "a"), {"metadata": {"labels": {"x": "y"}}}, media=media)
    assert patched.body["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


def test_a_patch_with_the_right_uid_and_version_takes(api: Api, namespace: str) -> None:
    metadata = api("POST", pods(namespace), pod("a")).body["metadata"]
    held = {k: metadata[k] for k in ("uid", "resourceVersion")}
    answer = api("PATCH", pods(namespace, "a"), {"metadata": {**held, "annotations": {"k": "v"}}}, media=MERGE)
    assert answer.status == 200
    assert answer.body["metadata"]["annotations"] == {"k": "v"}
    again = api("PATCH", pods(namespace, "a"), {"metadata": {**held, "annotations": {"k": "w"}}}, media=MERGE)
    assert (again.status, again.reason) == (409, "Conflict")


def test_a_patch_cannot_hit_a_successor_of_the_same_name(api: Api, namespace: str) -> None:
    uid = api("POST", pods(namespace), pod("a")).body["metadata"]["uid"]
    api("DELETE", pods(namespace, "a"))
    api("POST", pods(namespace), pod("a"))
    answer = api("PATCH", pods(namespace, "a"), {"metadata": {"uid": uid, "annotations": {"k": "v"}}}, media=MERGE)
    assert answer.status == 422
    assert "annotations" not in api("GET", pods(namespace, "a")).body["metadata"]


def test_json_patch_changes_exactly_what_it_names(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a", annotations={"a/b": "1", "keep": "x"}))
    operations = [
        {"op": "test", "path": "/metadata/annotations/a~1b", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"l": "m"}},
    ]
    metadata = api("PATCH", pods(namespace, "a"), operations, media=JSON_PATCH).body["metadata"]
    assert metadata["annotations"] == {"a/b": "2", "keep": "x"}
    assert metadata["labels"] == {"l": "m"}


@pytest.mark.parametrize(
    ("media", "expected"),
    [(MERGE, ["b.c/d"]), (STRATEGIC, ["b.c/d", "q.w/e"])],
    ids=["a merge patch replaces lists", "a strategic patch adds to finalizers"],
)
def test_lists_in_patches(api: Api, namespace: str, media: str, expected: list[str]) -> None:
    api("POST", pods(namespace), pod("a", finalizers=["q.w/e"]))
    answer = api("PATCH", pods(namespace, "a"), {"metadata": {"finalizers": ["b.c/d"]}}, media=media)
    assert answer.body["metadata"]["finalizers"] == expected
    api("PATCH", pods(namespace, "a"), {"metadata": {"finalizers": None}}, media=MERGE)


def test_strategic_patches_merge_conditions_by_type(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a"))
    path = pods(namespace, "a", "status")
    api("PATCH", path, {"status": {"conditions": [{"type": "A", "status": "True"}]}}, media=STRATEGIC)
    both = [{"type": "B", "status": "True"}, {"type": "A", "status": "False"}]
    answer = api("PATCH", path, {"status": {"conditions": both}}, media=STRATEGIC)
    assert [(c["type"], c["status"]) for c in answer.body["status"]["conditions"]] == [("B", "True"), ("A", "False")]
    gone = [{"$patch": "delete", "type": "B"}]
    answer = api("PATCH", path, {"status": {"conditions": gone}}, media=STRATEGIC)
    assert [c["type"] for c in answer.body["status"]["conditions"]] == ["A"]


def test_strategic_patches_merge_containers_by_name(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a"))
    body = {"spec": {"containers": [{"name": "main", "image": "example/main:2"}]}}
    answer = api("PATCH", pods(namespace, "a"), body, media=STRATEGIC)
    assert [c["image"] for c in answer.body["spec"]["containers"]] == ["example/main:2"]
    assert answer.body["metadata"]["generation"] == 2


def test_a_status_patch_of_a_pod_changes_status_labels_and_annotations_only(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a"))
    body = {"metadata": {"labels": {"l": "1"}, "annotations": {"a": "1"}}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running"}}  # fmt: skip
    found = api("PATCH", pods(namespace, "a", "status"), body, media=MERGE).body
    assert found["status"]["phase"] == "Running"
    assert (found["metadata"]["labels"], found["metadata"]["annotations"]) == ({"l": "1"}, {"a": "1"})
    assert "nodeName" not in found["spec"]


def test_a_patch_of_a_node_does_not_change_its_status_and_the_other_way_round(api: Api, node: str) -> None:
    body = {"metadata": {"labels": {"x": "y"}}, "spec": {"unschedulable": True},
            "status": {"capacity": {"vpc.amazonaws.com/pod-eni": "9"}}}  # fmt: skip
    plain = api("PATCH", f"{NODES}/{node}", body, media=STRATEGIC).body
    assert plain["status"]["capacity"] == {"cpu": "2"}
    assert plain["spec"]["unschedulable"] is True
    body["spec"], body["metadata"] = {"unschedulable": False}, {"labels": {"x": "z"}}
    status = api("PATCH", f"{NODES}/{node}/status", body, media=STRATEGIC).body
    assert status["status"]["capacity"] == {"cpu": "2", "vpc.amazonaws.com/pod-eni": "9"}
    assert status["spec"]["unschedulable"] is True
    assert status["metadata"]["labels"]["x"] == "z"
    assert status["status"]["allocatable"] == {"cpu": "2"}


def test_capacity_goes_with_a_null_in_a_patch(api: Api, node: str) -> None:
    path, name = f"{NODES}/{node}/status", "vpc.amazonaws.com/pod-eni"
    api("PATCH", path, [{"op": "add", "path": "/status/capacity/vpc.amazonaws.com~1pod-eni", "value": "9"}],
        media=JSON_PATCH)  # fmt: skip
    assert api("GET", f"{NODES}/{node}").body["status"]["capacity"][name] == "9"
    answer = api("PATCH", path, {"status": {"capacity": {name: None}}}, media=MERGE)
    assert answer.body["status"]["capacity"] == {"cpu": "2"}


def test_limits_become_requests(api: Api, namespace: str) -> None:
    body = pod("a")
    body["spec"]["containers"][0]["resources"] = {"limits": {"vpc.amazonaws.com/pod-eni": 1}}
    found = api("POST", pods(namespace), body).body["spec"]["containers"][0]["resources"]
    assert found == {"limits": {"vpc.amazonaws.com/pod-eni": "1"}, "requests": {"vpc.amazonaws.com/pod-eni": "1"}}


def test_put_replaces_with_and_without_a_version(api: Api, namespace: str) -> None:
    created = api("POST", maps(namespace), config_map("a", x="1")).body
    without = api("PUT", maps(namespace, "a"), config_map("a", y="2"))
    assert (without.status, without.body["data"]) == (200, {"y": "2"})
    assert without.body["metadata"]["uid"] == created["metadata"]["uid"]
    stale = api("PUT", maps(namespace, "a"), {**created, "data": {"z": "3"}})
    assert (stale.status, stale.reason) == (409, "Conflict")


def test_a_lease_is_updated_only_with_its_version(api: Api, namespace: str) -> None:
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 30}}
    created = api("POST", leases(namespace), body).body
    assert api("PUT", leases(namespace, "l"), body).status == 422
    taken = api("PUT", leases(namespace, "l"), {**created, "spec": {"holderIdentity": "b"}})
    assert (taken.status, taken.body["spec"]["holderIdentity"]) == (200, "b")
    late = api("PUT", leases(namespace, "l"), {**created, "spec": {"holderIdentity": "c"}})
    assert (late.status, late.reason) == (409, "Conflict")


def test_finalizers_hold_an_object_until_the_last_is_gone(api: Api) -> None:
    name = f"c-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode",
            "metadata": {"name": name, "finalizers": ["networking.k8s.aws/resource-cleanup"]},
            "spec": {"tags": {"a": "b"}}}  # fmt: skip
    assert api("POST", CNINODES, body).body["metadata"]["generation"] == 1
    deleted = api("DELETE", f"{CNINODES}/{name}")
    assert deleted.status == 200
    assert deleted.body["metadata"]["deletionTimestamp"]
    assert deleted.body["metadata"]["generation"] == 2
    again = api("DELETE", f"{CNINODES}/{name}")
    assert again.body["metadata"]["resourceVersion"] == deleted.body["metadata"]["resourceVersion"]
    added = {"metadata": {"finalizers": ["networking.k8s.aws/resource-cleanup", "x.y/z"]}}
    assert api("PATCH", f"{CNINODES}/{name}", added, media=MERGE).status == 422
    assert api("PATCH", f"{CNINODES}/{name}", {"metadata": {"labels": {"a": "b"}}}, media=MERGE).status == 200
    assert api("PATCH", f"{CNINODES}/{name}", {"metadata": {"finalizers": None}}, media=MERGE).status == 200
    assert api("GET", f"{CNINODES}/{name}").status == 404


def test_generation_of_a_custom_resource_rises_with_its_spec_only(api: Api, namespace: str) -> None:
    api("POST", policies(namespace), policy("a", ["sg-1"]))
    labelled = api("PATCH", policies(namespace, "a"), {"metadata": {"labels": {"x": "y"}}}, media=MERGE).body
    assert labelled["metadata"]["generation"] == 1
    groups = {"spec": {"securityGroups": {"groupIds": ["sg-2"]}}}
    changed = api("PATCH", policies(namespace, "a"), groups, media=MERGE).body
    assert changed["metadata"]["generation"] == 2
    assert changed["spec"]["securityGroups"]["groupIds"] == ["sg-2"]


def test_a_policy_without_groups_or_with_unknown_fields_is_stored_without_them(api: Api, namespace: str) -> None:
    answer = api("POST", policies(namespace), policy("a", None, unknown=1))
    assert answer.status == 201
    assert answer.body["spec"] == {"podSelector": {}}
    assert any("unknown" in w for w in answer.warnings)


def test_an_eniconfig_keeps_fields_that_nobody_knows(api: Api) -> None:
    name = f"e-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig", "metadata": {"name": name},
            "spec": {"subnet": "subnet-1", "securityGroups": ["sg-1"], "other": {"a": 1}}}  # fmt: skip
    answer = api("POST", "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs", body)
    assert (answer.status, answer.body["spec"]) == (201, body["spec"])


def test_a_pod_on_a_node_ends_gracefully(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a", node="n"))
    ending = api("DELETE", pods(namespace, "a")).body["metadata"]
    assert ending["deletionGracePeriodSeconds"] == 30
    assert ending["generation"] == 2
    longer = api("DELETE", pods(namespace, "a"), {"gracePeriodSeconds": 60}).body["metadata"]
    assert longer["deletionGracePeriodSeconds"] == 30
    shorter = api("DELETE", pods(namespace, "a"), gracePeriodSeconds="5").body["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < ending["deletionTimestamp"]
    assert api("DELETE", pods(namespace, "a"), {"gracePeriodSeconds": 0}).status == 200
    assert api("GET", pods(namespace, "a")).status == 404


@pytest.mark.parametrize("phase", ["unscheduled", "Succeeded", "Failed"])
def test_a_pod_that_no_kubelet_runs_goes_at_once(api: Api, namespace: str, phase: str) -> None:
    api("POST", pods(namespace), pod("a", node=None if phase == "unscheduled" else "n"))
    if phase != "unscheduled":
        api("PATCH", pods(namespace, "a", "status"), {"status": {"phase": phase}}, media=MERGE)
    answer = api("DELETE", pods(namespace, "a"))
    assert (answer.status, answer.body["kind"]) == (200, "Pod")
    assert api("GET", pods(namespace, "a")).status == 404


def test_a_finalizer_holds_a_pod_beyond_its_grace(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a", node="n", finalizers=["x.y/z"]))
    api("DELETE", pods(namespace, "a"), {"gracePeriodSeconds": 0})
    assert api("GET", pods(namespace, "a")).body["metadata"]["deletionGracePeriodSeconds"] == 0
    api("PATCH", pods(namespace, "a"), {"metadata": {"finalizers": None}}, media=MERGE)
    assert api("GET", pods(namespace, "a")).status == 404


def test_preconditions_that_hold_let_a_deletion_through(api: Api, namespace: str) -> None:
    metadata = api("POST", maps(namespace), config_map("a")).body["metadata"]
    held = {k: metadata[k] for k in ("uid", "resourceVersion")}
    answer = api("DELETE", maps(namespace, "a"), {"preconditions": held})
    assert (answer.status, answer.body["status"]) == (200, "Success")
    assert answer.body["details"]["uid"] == metadata["uid"]


def test_binding_gives_a_pod_its_node_once(api: Api, namespace: str) -> None:
    api("POST", pods(namespace), pod("a"))

    def bind(node: str) -> Any:
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "a"},
            "target": {"kind": "Node", "name": node},
        }
        return api("POST", pods(namespace, "a", "binding"), body)

    assert bind("n1").status == 201
    found = api("GET", pods(namespace, "a")).body
    assert found["spec"]["nodeName"] == "n1"
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    assert condition["lastTransitionTime"]
    assert (bind("n2").status, bind("n2").reason) == (409, "Conflict")


def test_dry_run_changes_nothing(api: Api, namespace: str) -> None:
    assert api("POST", maps(namespace), config_map("a"), dryRun="All").status == 201
    assert api("GET", maps(namespace, "a")).status == 404
    api("POST", maps(namespace), config_map("a", x="1"))
    patched = api("PATCH", maps(namespace, "a"), {"data": {"x": "2"}}, media=MERGE, dryRun="All")
    assert patched.body["data"] == {"x": "2"}
    api("DELETE", maps(namespace, "a"), dryRun="All")
    assert api("GET", maps(namespace, "a")).body["data"] == {"x": "1"}


def test_server_side_apply_creates_merges_and_takes_back(api: Api, namespace: str) -> None:
    path = maps(namespace, "a")
    assert api("PATCH", path, config_map("a", x="1", y="1"), media=APPLY, fieldManager="me").status == 201
    assert api("PATCH", path, config_map("a", z="9"), media=APPLY, fieldManager="other").status == 200
    again = api("PATCH", path, config_map("a", x="2"), media=APPLY, fieldManager="me")
    assert again.body["data"] == {"x": "2", "z": "9"}
    conflicting = api("PATCH", path, config_map("a", x="3"), media=APPLY, fieldManager="other")
    assert (conflicting.status, conflicting.reason) == (409, "Conflict")
    forced = api("PATCH", path, config_map("a", x="3"), media=APPLY, fieldManager="other", force="true")
    assert forced.body["data"]["x"] == "3"


def test_deletecollection_takes_only_what_is_selected(api: Api, namespace: str) -> None:
    for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
        api("POST", pods(namespace), pod(name, labels={"color": color}))
    deleted = api("DELETE", pods(namespace), labelSelector="color=red")
    assert (deleted.status, len(deleted.body["items"])) == (200, 2)
    assert _names(api("GET", pods(namespace)).body) == ["b"]


def _names(listed: Any) -> list[str]:
    return [i["metadata"]["name"] for i in listed["items"]]


LABELS = {
    "a=1": ["p1"], "a==1": ["p1"], "a!=1": ["p2", "p3", "p4"], "a": ["p1", "p2"], "!a": ["p3", "p4"],
    "a in (1,2)": ["p1", "p2"], "a notin (1)": ["p2", "p3", "p4"], "a in (2), b": ["p2"], "a=1,b=x": [],
    "b=x,b!=y": ["p2", "p3"], "a.example/k=v": ["p4"], "": ["p1", "p2", "p3", "p4"],
}  # fmt: skip
FIELDS = {
    "metadata.name=p2": ["p2"], "metadata.name!=p2": ["p1", "p3", "p4"], "spec.nodeName=n1": ["p1", "p2"],
    "spec.nodeName==n1,metadata.name!=p1": ["p2"], "spec.nodeName=": ["p4"], "status.phase=Running": ["p1"],
    "status.phase!=Running,spec.nodeName!=": ["p2", "p3"], "metadata.namespace=default": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def four_pods(api: Api) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    api("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for p in (
        pod("p1", node="n1", labels={"a": "1"}), pod("p2", node="n1", labels={"a": "2", "b": "x"}),
        pod("p3", node="n2", labels={"b": "x"}), pod("p4", labels={"a.example/k": "v"}),
    ):  # fmt: skip
        assert api("POST", pods(name), p).status == 201
    api("PATCH", pods(name, "p1", "status"), {"status": {"phase": "Running"}}, media=MERGE)
    return name


@pytest.mark.parametrize("selector", LABELS)
def test_label_selectors(api: Api, four_pods: str, selector: str) -> None:
    assert _names(api("GET", pods(four_pods), labelSelector=selector).body) == LABELS[selector]


@pytest.mark.parametrize("selector", FIELDS)
def test_field_selectors(api: Api, four_pods: str, selector: str) -> None:
    assert _names(api("GET", pods(four_pods), fieldSelector=selector).body) == FIELDS[selector]


def test_events_are_selected_by_what_they_are_about(api: Api, namespace: str) -> None:
    for name, about in (("e1", "a"), ("e2", "b")):
        body = {"metadata": {"name": name}, "reason": "R", "type": "Normal", "message": "m",
                "involvedObject": {"kind": "Pod", "namespace": namespace, "name": about,
                                   "uid": f"u-{about}"}}  # fmt: skip
        assert api("POST", f"/api/v1/namespaces/{namespace}/events", body).status == 201
    path, chosen = f"/api/v1/namespaces/{namespace}/events", "involvedObject.name=b,involvedObject.uid=u-b,reason=R"
    assert _names(api("GET", path, fieldSelector=chosen).body) == ["e2"]
    counted = api("PATCH", f"{path}/e2", {"count": 2}, media=MERGE)
    assert counted.body["count"] == 2


def test_pages_show_one_consistent_state(api: Api, namespace: str) -> None:
    for i in range(5):
        api("POST", maps(namespace), config_map(f"c{i}"))
    first = api("GET", maps(namespace), limit="2").body
    assert _names(first) == ["c0", "c1"]
    assert first["metadata"]["remainingItemCount"] == 3
    api("DELETE", maps(namespace, "c2"))
    api("POST", maps(namespace), config_map("c9"))
    second = api("GET", maps(namespace), limit="2", **{"continue": first["metadata"]["continue"]}).body
    assert _names(second) == ["c2", "c3"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = api("GET", maps(namespace), limit="2", **{"continue": second["metadata"]["continue"]}).body
    assert _names(third) == ["c4"]
    assert "continue" not in third["metadata"]


def test_a_list_tells_kind_and_version_once(api: Api, namespace: str) -> None:
    api("POST", maps(namespace), config_map("a"))
    listed = api("GET", maps(namespace)).body
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in listed["items"][0]
    api("POST", policies(namespace), policy("a", ["sg-1"]))
    custom = api("GET", policies(namespace)).body
    assert (custom["kind"], custom["items"][0]["kind"]) == ("SecurityGroupPolicyList", "SecurityGroupPolicy")


def test_a_list_of_an_exact_version_shows_that_state(api: Api, namespace: str) -> None:
    version = api("POST", maps(namespace), config_map("a")).body["metadata"]["resourceVersion"]
    api("DELETE", maps(namespace, "a"))
    past = api("GET", maps(namespace), resourceVersion=version, resourceVersionMatch="Exact").body
    assert _names(past) == ["a"]


def test_a_watch_from_a_version_tells_everything_since(api: Api, namespace: str) -> None:
    version = api("GET", pods(namespace)).body["metadata"]["resourceVersion"]
    api("POST", pods(namespace), pod("a"))
    api("PATCH", pods(namespace, "a"), {"metadata": {"labels": {"x": "y"}}}, media=MERGE)
    api("DELETE", pods(namespace, "a"))
    with api.watching(pods(namespace), resourceVersion=version) as events:
        found = list(islice(events, 4))
    # Marked as being deleted in a version of its own, even where the pod goes at once.
    assert [e["type"] for e in found] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert "deletionTimestamp" in found[2]["object"]["metadata"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in found]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)
    assert found[0]["object"]["kind"] == "Pod"


def test_a_watch_without_version_begins_with_what_is_there(api: Api, namespace: str) -> None:
    api("POST", maps(namespace), config_map("a"))
    with api.watching(maps(namespace)) as events:
        first = next(events)
        api("POST", maps(namespace), config_map("b"))
        second = next(events)
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in (first, second)] == [("ADDED", "a"), ("ADDED", "b")]


def test_a_selective_watch_sees_objects_come_and_go(api: Api, namespace: str) -> None:
    version = api("GET", pods(namespace)).body["metadata"]["resourceVersion"]
    api("POST", pods(namespace), pod("a"))
    last: Any = None
    for labels in ({"w": "1"}, {"w": "1", "v": "1"}, {"w": "2"}):
        last = api("PATCH", pods(namespace, "a"), {"metadata": {"labels": labels}}, media=MERGE).body
    with api.watching(pods(namespace), resourceVersion=version, labelSelector="w=1") as events:
        found = list(islice(events, 3))
    assert [e["type"] for e in found] == ["ADDED", "MODIFIED", "DELETED"]
    assert found[2]["object"]["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"]
    assert found[2]["object"]["metadata"]["labels"]["w"] == "1"


def test_a_watch_of_a_nodes_pods_begins_when_they_are_bound(api: Api, namespace: str) -> None:
    version = api("GET", pods(namespace)).body["metadata"]["resourceVersion"]
    api("POST", pods(namespace), pod("a"))
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n7"}}
    api("POST", pods(namespace, "a", "binding"), body)
    with api.watching("/api/v1/pods", resourceVersion=version, fieldSelector="spec.nodeName=n7") as events:
        assert next(events)["type"] == "ADDED"


def test_initial_events_end_with_a_bookmark(api: Api, namespace: str) -> None:
    for name in ("a", "b"):
        api("POST", maps(namespace), config_map(name))
    options: Any = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with api.watching(maps(namespace), **options) as events:
        found = list(islice(events, 3))
        api("DELETE", maps(namespace, "a"))
        after = next(events)
    assert [e["type"] for e in found] == ["ADDED", "ADDED", "BOOKMARK"]
    assert found[2]["object"]["kind"] == "ConfigMap"
    assert found[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(found[2]["object"]["metadata"]["resourceVersion"]) > 0
    assert after["type"] == "DELETED"


def test_a_watch_ends_at_its_time(api: Api, namespace: str) -> None:
    version = api("GET", maps(namespace)).body["metadata"]["resourceVersion"]
    started = time.monotonic()
    with api.watching(maps(namespace), seconds=1, resourceVersion=version) as events:
        assert list(events) == []
    assert 0.5 < time.monotonic() - started < 5


def test_a_watch_of_one_object_by_field_selector(api: Api, namespace: str) -> None:
    for name in ("a", "b"):
        api("POST", maps(namespace), config_map(name))
    with api.watching(maps(namespace), fieldSelector="metadata.name=b") as events:
        assert next(events)["object"]["metadata"]["name"] == "b"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            "PartialObjectMetadataList",
        ),
        ("application/json;as=Table;g=meta.k8s.io;v=v1", "Table"),
        ("application/json", "PodList"),
    ],
)
def test_lists_come_in_the_form_that_is_accepted(api: Api, namespace: str, accept: str, kind: str) -> None:
    api("POST", pods(namespace), pod("a"))
    found = api("GET", pods(namespace), accept=accept).body
    assert found["kind"] == kind
    if kind == "Table":
        assert found["rows"][0]["cells"][0] == "a"
        assert [c["name"] for c in found["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
    if kind == "PartialObjectMetadataList":
        assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_tables_of_custom_resources_have_their_printer_columns(api: Api, namespace: str) -> None:
    api("POST", policies(namespace), policy("a", ["sg-1", "sg-2"]))
    found = api("GET", policies(namespace), accept="application/json;as=Table;g=meta.k8s.io;v=v1").body
    assert [c["name"] for c in found["columnDefinitions"]] == ["Name", "Security-Group-Ids"]
    assert found["rows"][0]["cells"] == ["a", '["sg-1","sg-2"]']


def cninode(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode", "metadata": {"name": name}, "spec": spec}


def test_a_cninodes_manager_is_kept_selectable_and_immutable(api: Api, namespace: str) -> None:
    """Names are of one test by the namespace's."""
    ours, others = f"{namespace}-ours", f"{namespace}-others"
    assert api("POST", CNINODES, cninode(ours)).status == 201
    assert (
        api("POST", CNINODES, cninode(others, managedBy="eks-auto-mode")).body["spec"]["managedBy"] == "eks-auto-mode"
    )
    found = api("GET", CNINODES, fieldSelector="spec.managedBy=eks-auto-mode").body["items"]
    assert [one["metadata"]["name"] for one in found] == [others]
    refused = api("PATCH", f"{CNINODES}/{others}", {"spec": {"managedBy": "vpc-resource-controller"}}, MERGE)
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "spec.managedBy"
    assert api("PATCH", f"{CNINODES}/{ours}", {"spec": {"managedBy": "vpc-resource-controller"}}, MERGE).status == 200
    assert api("POST", CNINODES, cninode(f"{namespace}-odd", managedBy="somebody")).status == 422
    for name in (ours, others):
        api("DELETE", f"{CNINODES}/{name}")


def test_a_cninodes_status_is_written_apart_and_keeps_what_its_manager_writes(api: Api, namespace: str) -> None:
    branch = {"id": "eni-1", "vlanID": 1, "subnetID": "subnet-1", "ipv4CIDRs": ["10.0.0.9/32"]}
    status = {"trunkInterface": {"id": "eni-0", "deviceIndex": 2, "branches": [branch]}}
    assert "status" not in api("POST", CNINODES, {**cninode(namespace), "status": status}).body
    path = f"{CNINODES}/{namespace}"
    assert api("PATCH", f"{path}/status", {"status": status}, MERGE).body["status"] == status
    assert api("PATCH", path, {"spec": {"tags": {"a": "b"}}, "status": {}}, MERGE).body["status"] == status
    api("DELETE", path)


def test_discovery_names_resources_with_their_short_names(api: Api) -> None:
    assert "v1" in api("GET", "/api").body["versions"]
    groups = {g["name"] for g in api("GET", "/apis").body["groups"]}
    assert {"apps", "coordination.k8s.io", "vpcresources.k8s.aws", "crd.k8s.amazonaws.com"} <= groups
    custom, status = api("GET", "/apis/vpcresources.k8s.aws/v1alpha1").body["resources"]
    assert status["name"] == "cninodes/status"
    assert (custom["name"], custom["shortNames"], custom["namespaced"]) == ("cninodes", ["cnd"], False)
    core = {r["name"]: r for r in api("GET", "/api/v1").body["resources"]}
    assert core["pods"]["shortNames"] == ["po"]
    assert {"pods/status", "pods/binding", "nodes/status"} <= core.keys()
    assert api("GET", "/version").body["major"] == "1"
    assert all(api("GET", path).status == 200 for path in ("/healthz", "/readyz", "/livez"))
