"""The admission policies on a real API server without any webhook: what is forged is refused, what is ours passes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import guards
from cli.doctor.finding import State
from common.clock import SystemClock
from common.kube.transport import connect
from tests.integration.webhook_cluster import Answer, Cluster
from tests.kit.waiting import until
from tests.unit.webhook.stand import ENI, FARGATE, IP, OWN_ACCOUNT
from tests.unit.webhook.updates import CREATED, OTHERS, UPDATED, USERS

SPACE = "policy"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
OURS = (*USERS, OWN_ACCOUNT)
STRANGERS = tuple(user for user in OTHERS if user)
CONTROLLER = USERS[0]

Annotations = dict[str, str] | None


@pytest.fixture(scope="module")
def api(installed: list[str], kubeconfig: Path) -> Cluster:
    found = Cluster(kubeconfig)
    found.namespace(SPACE)
    until(lambda: make(found, {ENI: "[]"}, dry_run=True).status == 403)
    return found


@pytest.fixture(scope="module", params=["on", "off", "no ConfigMap", "no data"])
def ipam(request: pytest.FixtureRequest, api: Cluster) -> Iterator[bool]:
    """Whether Windows nodes are managed."""
    api("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni")
    switch = {"on": "true", "off": "false"}.get(request.param)
    if request.param != "no ConfigMap":
        data = {"data": {"enable-windows-ipam": switch}} if switch else {}
        api.make(CONFIG_MAPS, {"metadata": {"name": "amazon-vpc-cni"}, **data})
    managed = request.param == "on"
    until(lambda: make(api, {IP: "10.0.0.1/19"}, dry_run=True).status == (403 if managed else 201), 60.0)
    yield managed
    api("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni")


def make(api: Cluster, annotations: Annotations, *, user: str = "", dry_run: bool = False) -> Answer:
    body = {
        "metadata": {"generateName": "p-", "annotations": annotations},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "example/c:1"}]},
    }
    return api("POST", PODS + ("?dryRun=All" if dry_run else ""), body, user=user)


def annotated(api: Cluster, annotations: Annotations) -> str:
    """A pod that has them, written by those who may; its path."""
    given = annotations or {}
    pod = make(api, {key: value for key, value in given.items() if key not in (ENI, IP)})
    assert pod.status == 201, pod
    path = f"{PODS}/{pod.body['metadata']['name']}"
    assert api.merge(path, {"metadata": {"annotations": given}}, user=CONTROLLER).status == 200
    return path


def change(old: Annotations, new: Annotations) -> dict[str, Any]:
    """As a merge patch."""
    gone = dict.fromkeys((old or {}).keys() - (new or {}).keys())
    return {"metadata": {"annotations": {**(new or {}), **gone}}}


@pytest.mark.parametrize("sentence", CREATED)
def test_created(api: Cluster, ipam: bool, sentence: str) -> None:
    guarded = sentence in ("with pod-eni", "with empty pod-eni", "with all three")
    wanted = 403 if guarded or (sentence == "with Windows address" and ipam) else 201
    for user in (*OURS, *STRANGERS):
        assert make(api, CREATED[sentence], user=user, dry_run=True).status == wanted, user


@pytest.mark.parametrize("sentence", UPDATED)
def test_updated(api: Cluster, ipam: bool, sentence: str) -> None:
    old, new = UPDATED[sentence]
    path = annotated(api, old)
    key, what = sentence.rsplit(" ", 1)
    for user in (*OURS, *STRANGERS):
        allowed = what == "kept" or (key != FARGATE and (user in OURS or (key == IP and not ipam)))
        for place in (path, f"{path}/status"):
            answer = api.merge(f"{place}?dryRun=All", change(old, new), user=user)
            assert (answer.status, user, place) == (200 if allowed else 403, user, place)
            assert allowed or key in answer.message


def test_through_other_subresources(api: Cluster) -> None:
    path = annotated(api, None)
    for subresource in ("ephemeralcontainers", "resize"):
        whole = api("GET", path).body
        whole["metadata"]["annotations"] = {ENI: "[]"}
        if subresource == "ephemeralcontainers":
            whole["spec"]["ephemeralContainers"] = [
                {"name": "e", "image": "example/e:1", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}
            ]
        answer = api("PUT", f"{path}/{subresource}", whole, user="alice")
        # Some API servers drop here what is not the subresource's, others let it through to the policy.
        assert answer.status == 200 or ENI in answer.message, subresource
        assert ENI not in api("GET", path).body["metadata"].get("annotations", {}), subresource


@pytest.mark.parametrize("key", [ENI, FARGATE])
@pytest.mark.parametrize("user", ["alice", "system:kube-scheduler", CONTROLLER])
def test_a_binding_writes_no_annotation_of_ours(api: Cluster, key: str, user: str) -> None:
    path = annotated(api, None)
    name = path.rsplit("/", 1)[1]
    target = {"apiVersion": "v1", "kind": "Node", "name": "n-1"}
    for place in (f"{path}/binding", f"/api/v1/namespaces/{SPACE}/bindings"):
        forged = {"metadata": {"name": name, "annotations": {key: "x"}}, "target": target}
        answer = api("POST", place, forged, user=user)
        assert (answer.status, key in answer.message) == (403, True), place
    plain = {"metadata": {"name": name, "annotations": {"other": "x"}}, "target": target}
    assert api("POST", f"{path}/binding", plain, user=user).status == 201
    found = api("GET", path).body
    assert (found["spec"]["nodeName"], found["metadata"]["annotations"]) == ("n-1", {"other": "x"})


def test_a_windows_address_in_a_binding(api: Cluster, ipam: bool) -> None:
    path = annotated(api, None)
    name = path.rsplit("/", 1)[1]
    target = {"apiVersion": "v1", "kind": "Node", "name": "n-1"}
    forged = {"metadata": {"name": name, "annotations": {IP: "10.0.0.1/19"}}, "target": target}
    assert api("POST", f"{path}/binding?dryRun=All", forged, user="alice").status == (403 if ipam else 201)


def test_other_writes_are_not_in_the_way(api: Cluster, ipam: bool) -> None:
    path = annotated(api, {ENI: "[]", FARGATE: "sg-1"})
    assert api.merge(path, {"metadata": {"labels": {"a": "b"}}}, user="alice").status == 200
    status = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": None}]}}
    assert api.merge(f"{path}/status", status, user="system:node:n-1").status == 200
    assert api("DELETE", f"{path}?gracePeriodSeconds=0", user="alice").status == 200
    began = time.monotonic()
    assert make(api, None, user="alice").status == 201
    assert time.monotonic() - began < 5


def test_the_doctor_sees_who_guards(api: Cluster) -> None:
    transport = connect(kubeconfig=api.kubeconfig, context="", clock=SystemClock())
    [found] = guards.check(transport)
    assert (found.state, found.what) == (State.OK, "annotations guarded by ValidatingAdmissionPolicy")
