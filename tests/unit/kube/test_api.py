"""Reads and writes against the sandbox's API server."""

from collections.abc import Callable
from typing import Any

import pytest

from common.kube.api import Kube
from common.kube.transport import Response
from common.model.errors import Conflict, Denied, Invalid, NotFound, OutsideError, Throttled, Unsure
from common.model.ids import NodeName, PodUid
from common.model.names import CNINODE_FINALIZER
from common.model.node import CniNodeSpec, Feature
from tests.kit.api import InProcess, cluster, node, pod
from tests.kit.clock import VirtualClock

PODS = "/api/v1/namespaces/default/pods"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
KEY = "vpc.amazonaws.com/pod-eni"
N1 = NodeName("n1")
SPEC = CniNodeSpec(features=(Feature(name="CustomNetworking", value="az"), Feature(name="X")), tags={"a": "b"})


@pytest.fixture
def api() -> InProcess:
    return cluster(VirtualClock())


@pytest.fixture
def kube(api: InProcess) -> Kube:
    return Kube(api)


def made(api: InProcess, kube: Kube) -> dict[str, Any]:
    api.ok("POST", "/api/v1/nodes", node("n1"))
    kube.create_cninode(N1, "node-uid", "linux", SPEC)
    return api.ok("GET", f"{CNINODES}/n1")


# --- errors

STATUS = b'{"kind":"Status","apiVersion":"v1","reason":"X","message":"m"}'


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Invalid), (401, Denied), (403, Denied), (405, Invalid), (408, Unsure), (409, Conflict), (410, Invalid),
        (415, Invalid), (422, Invalid), (429, Throttled), (500, Unsure), (503, Unsure), (504, Unsure), (404, NotFound),
    ],
)  # fmt: skip
def test_errors_by_status(api: InProcess, kube: Kube, status: int, error: type[OutsideError]) -> None:
    api.before = lambda *_: Response(status, STATUS)
    with pytest.raises(error) as raised:
        kube.get_pod("default", "p")
    assert raised.value.code == "X"


@pytest.mark.parametrize(
    "body", [b"404 page not found", b"", b'{"kind":"Status","reason":"NotFound","details":{}}', STATUS]
)
def test_a_404_that_does_not_name_the_pod_is_not_its_absence(api: InProcess, kube: Kube, body: bytes) -> None:
    api.before = lambda *_: Response(404, body)
    with pytest.raises(NotFound):
        kube.get_pod("default", "p")


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]"])
def test_an_answer_that_is_no_pod_is_unsure(api: InProcess, kube: Kube, body: bytes) -> None:
    api.before = lambda *_: Response(200, body)
    with pytest.raises(Unsure):
        kube.get_pod("default", "p")


# --- pods


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"{}", b'{"metadata":{"name":"other"}}', b""])
def test_a_page_of_a_proxy_with_status_200_is_no_answer(api: InProcess, kube: Kube, body: bytes) -> None:
    calls: list[Callable[[], object]] = [
        lambda: kube.get_pod("default", "p"),
        lambda: kube.annotate_pod("default", "p", PodUid("u"), KEY, "[]"),
        lambda: kube.list_policies("default"),
        lambda: kube.service_account_labels("default", "a"),
        lambda: kube.advertise(N1, {KEY: "9"}),
        lambda: kube.drop_finalizer(N1, "u"),
    ]
    api.before = lambda *_: Response(200, body)
    for call in calls:
        with pytest.raises(Unsure):
            call()


def test_a_pod_that_is_not_there_is_none(kube: Kube) -> None:
    assert kube.get_pod("default", "p") is None


def test_annotating_reaches_the_pod(api: InProcess, kube: Kube) -> None:
    uid = PodUid(api.ok("POST", PODS, pod("p", "n1"))["metadata"]["uid"])
    kube.annotate_pod("default", "p", uid, KEY, "[1]")
    facts = kube.get_pod("default", "p")
    assert facts is not None
    assert (facts.uid, facts.node_name, facts.eni_annotation, facts.finished) == (uid, "n1", "[1]", False)


def test_annotating_never_hits_a_successor_of_the_same_name(api: InProcess, kube: Kube) -> None:
    old = PodUid(api.ok("POST", PODS, pod("p", "n1"))["metadata"]["uid"])
    api.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    api.ok("POST", PODS, pod("p", "n1"))
    with pytest.raises(Conflict):
        kube.annotate_pod("default", "p", old, KEY, "[1]")
    assert "annotations" not in api.ok("GET", f"{PODS}/p")["metadata"]


def test_annotating_a_pod_that_changed_since_it_was_read(api: InProcess, kube: Kube) -> None:
    uid = PodUid(api.ok("POST", PODS, pod("p", "n1"))["metadata"]["uid"])
    read = kube.get_pod("default", "p")
    assert read is not None
    kube.annotate_pod("default", "p", uid, KEY, "first", resource_version=read.resource_version)
    with pytest.raises(Conflict):
        kube.annotate_pod("default", "p", uid, KEY, "second", resource_version=read.resource_version)
    assert api.ok("GET", f"{PODS}/p")["metadata"]["annotations"] == {KEY: "first"}


def test_annotating_a_pod_that_is_gone(kube: Kube) -> None:
    with pytest.raises(NotFound):
        kube.annotate_pod("default", "p", PodUid("u"), KEY, "v")


def test_service_account_labels(api: InProcess, kube: Kube) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts"
    api.ok("POST", path, {"metadata": {"name": "bare"}})
    api.ok("POST", path, {"metadata": {"name": "full", "labels": {"team": "a"}}})
    assert kube.service_account_labels("default", "bare") == {}
    assert kube.service_account_labels("default", "full") == {"team": "a"}
    assert kube.service_account_labels("default", "none") is None


def test_policies_come_by_name(api: InProcess, kube: Kube) -> None:
    for name in ("b", "a", "c"):
        spec = {"podSelector": {}, "securityGroups": {"groupIds": [f"sg-{name}"]}}
        api.ok("POST", POLICIES, {"metadata": {"name": name}, "spec": spec})
    assert [(p.name, p.groups) for p in kube.list_policies("default")] == [
        ("a", ("sg-a",)), ("b", ("sg-b",)), ("c", ("sg-c",)),
    ]  # fmt: skip
    assert kube.list_policies("kube-system") == ()


def test_without_their_definitions_policies_and_cninodes_are_not_found() -> None:
    kube = Kube(cluster(VirtualClock(), definitions=False))
    with pytest.raises(NotFound):
        kube.list_policies("default")
    with pytest.raises(NotFound):
        kube.get_cninode(N1)
    with pytest.raises(NotFound):
        kube.create_cninode(N1, "u", "linux", SPEC)


# --- nodes


def test_capacity_is_advertised_beside_what_is_there(api: InProcess, kube: Kube) -> None:
    made_node = node("n1") | {"status": {"capacity": {"cpu": "2"}}}
    api.ok("POST", "/api/v1/nodes", made_node)
    kube.advertise(N1, {KEY: "9"})
    assert api.ok("GET", "/api/v1/nodes/n1")["status"]["capacity"] == {"cpu": "2", KEY: "9"}
    facts = kube.get_node(N1)
    assert facts is not None
    assert facts.capacity == {KEY: "9"}
    assert kube.get_node(NodeName("n2")) is None
    with pytest.raises(NotFound):
        kube.advertise(NodeName("n2"), {KEY: "9"})
    with pytest.raises(Conflict):
        kube.advertise(N1, {KEY: "9"}, uid="another")


def test_eni_configs(api: InProcess, kube: Kube) -> None:
    path = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
    api.ok("POST", path, {"metadata": {"name": "az"}, "spec": {"subnet": "subnet-1"}})
    facts = kube.get_eni_config("az")
    assert facts is not None
    assert facts.subnet == "subnet-1"
    assert kube.get_eni_config("none") is None


# --- CNINodes


def test_a_cninode_is_made_as_the_contract_says(api: InProcess, kube: Kube) -> None:
    found = made(api, kube)
    assert found["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": True}
    ]
    assert found["metadata"]["labels"] == {"kubernetes.io/os": "linux"}
    assert found["metadata"]["finalizers"] == [CNINODE_FINALIZER]
    assert found["spec"] == {
        "features": [{"name": "CustomNetworking", "value": "az"}, {"name": "X"}],
        "tags": {"a": "b"},
    }
    with pytest.raises(Conflict):
        kube.create_cninode(N1, "node-uid", "linux", SPEC)
    facts = kube.get_cninode(N1)
    assert facts is not None
    assert facts.spec == SPEC


def repair(kube: Kube, **changes: Any) -> None:
    facts = kube.get_cninode(N1)
    assert facts is not None
    wanted: dict[str, Any] = {"tags": {"t": "1"}, "os_label": "linux", "owner": (N1, "node-uid"), "finalizer": True}
    kube.repair_cninode(N1, facts, **(wanted | changes))


def test_repair_adds_what_is_missing_and_keeps_what_is_not_ours(api: InProcess, kube: Kube) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x-uid"}
    metadata = {
        "name": "n1", "labels": {"mine": "yes"}, "finalizers": ["example.com/theirs"], "ownerReferences": [other],
    }  # fmt: skip
    spec = {"features": [{"name": "SecurityGroupsForPods"}], "tags": {"t": "wrong", "team": "a"}}
    api.ok("POST", CNINODES, {"metadata": metadata, "spec": spec})
    repair(kube)
    found = api.ok("GET", f"{CNINODES}/n1")
    assert found["metadata"]["labels"] == {"mine": "yes", "kubernetes.io/os": "linux"}
    assert found["metadata"]["finalizers"] == ["example.com/theirs", CNINODE_FINALIZER]
    assert found["metadata"]["ownerReferences"] == [
        other, {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": True},
    ]  # fmt: skip
    assert found["spec"] == {"features": [{"name": "SecurityGroupsForPods"}], "tags": {"t": "1", "team": "a"}}


def test_repair_of_what_is_right_writes_nothing(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    repair(kube)
    api.calls.clear()
    repair(kube)
    assert {method for method, _ in api.calls} == {"GET"}


def test_an_owner_that_was_an_earlier_node_of_the_name_makes_way(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    repair(kube, owner=(N1, "new-uid"))
    owners = api.ok("GET", f"{CNINODES}/n1")["metadata"]["ownerReferences"]
    assert [(o["uid"], o["controller"]) for o in owners] == [("new-uid", True)]


def test_an_object_has_one_controller(api: InProcess, kube: Kube) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x-uid", "controller": True}
    api.ok("POST", CNINODES, {"metadata": {"name": "n1", "ownerReferences": [other]}, "spec": {}})
    repair(kube)
    owners = api.ok("GET", f"{CNINODES}/n1")["metadata"]["ownerReferences"]
    assert [(o["uid"], o.get("controller")) for o in owners] == [("x-uid", True), ("node-uid", None)]


def meddle(api: InProcess, times: int) -> Callable[[str, str, Response], Response]:
    """After each read somebody else changes the object, so many times."""
    left = [times]

    def after(method: str, path: str, response: Response) -> Response:
        if method == "GET" and left[0]:
            left[0] -= 1
            patch = {"spec": {"tags": {"meddled": str(left[0])}}}
            api.ok("PATCH", f"{CNINODES}/n1", patch, "application/merge-patch+json")
        return response

    return after


def test_repair_reads_again_when_somebody_was_faster(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    facts = kube.get_cninode(N1)
    assert facts is not None
    api.after = meddle(api, 4)
    kube.repair_cninode(N1, facts, tags={"t": "1"}, os_label="linux", owner=None, finalizer=True)
    tags = api.ok("GET", f"{CNINODES}/n1")["spec"]["tags"]
    assert (tags["t"], tags["meddled"]) == ("1", "0")


def test_repair_ends_when_somebody_is_always_faster(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    facts = kube.get_cninode(N1)
    assert facts is not None
    api.after = meddle(api, 100)
    with pytest.raises(Conflict):
        kube.repair_cninode(N1, facts, tags={"t": "1"}, os_label="linux", owner=None, finalizer=True)


def test_repair_never_touches_a_successor(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    facts = kube.get_cninode(N1)
    assert facts is not None
    kube.drop_finalizer(N1, facts.uid)
    kube.delete_cninode(N1, facts.uid)
    kube.create_cninode(N1, "node-uid", "linux", SPEC)
    with pytest.raises(Conflict):
        kube.repair_cninode(N1, facts, tags={"t": "1"}, os_label="linux", owner=None, finalizer=True)


def test_nothing_is_written_to_a_cninode_that_is_another_controllers_by_now(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    facts = kube.get_cninode(N1)
    assert facts is not None
    patch = {"spec": {"managedBy": "eks-auto-mode"}}
    before = api.ok("PATCH", f"{CNINODES}/n1", patch, "application/merge-patch+json")
    kube.repair_cninode(N1, facts, tags={"t": "1"}, os_label="windows", owner=(N1, "another"), finalizer=True)
    kube.drop_finalizer(N1, facts.uid)
    assert api.ok("GET", f"{CNINODES}/n1") == before


def test_a_cninode_is_made_again_with_its_manager(api: InProcess, kube: Kube) -> None:
    api.ok("POST", "/api/v1/nodes", node("n1"))
    kube.create_cninode(N1, "node-uid", "linux", CniNodeSpec(managed_by="vpc-resource-controller"))
    assert api.ok("GET", f"{CNINODES}/n1")["spec"] == {"managedBy": "vpc-resource-controller"}


def test_deletion_waits_for_the_finalizer_and_all_of_it_can_be_repeated(api: InProcess, kube: Kube) -> None:
    made(api, kube)
    facts = kube.get_cninode(N1)
    assert facts is not None
    kube.delete_cninode(N1, "another")
    assert kube.get_cninode(N1) == facts
    kube.delete_cninode(N1, facts.uid)
    deleting = kube.get_cninode(N1)
    assert deleting is not None
    assert deleting.deleting
    repair(kube)
    for _ in range(2):
        kube.drop_finalizer(N1, facts.uid)
        assert kube.get_cninode(N1) is None
        kube.delete_cninode(N1)


def test_dropping_our_finalizer_keeps_others_and_leaves_a_successor_alone(api: InProcess, kube: Kube) -> None:
    metadata = {"name": "n1", "finalizers": ["example.com/theirs", CNINODE_FINALIZER]}
    uid = api.ok("POST", CNINODES, {"metadata": metadata, "spec": {}})["metadata"]["uid"]
    kube.drop_finalizer(N1, "another")
    assert len(api.ok("GET", f"{CNINODES}/n1")["metadata"]["finalizers"]) == 2
    kube.drop_finalizer(N1, uid)
    assert api.ok("GET", f"{CNINODES}/n1")["metadata"]["finalizers"] == ["example.com/theirs"]


# --- paths


ODD_NAMES = (
    "",
    ".",
    "..",
    "../../api/v1/secrets",
    "a/b",
    "a?limit=1",
    "a#b",
    "a%2Fb",
    "A",
    "-a",
    "a" * 254,
    "ä",
    "a\n",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_what_is_no_name_of_an_object_does_not_exist_and_reaches_no_path(api: InProcess, kube: Kube, name: str) -> None:
    assert kube.get_eni_config(name) is None
    assert kube.get_node(NodeName(name)) is None
    assert kube.get_cninode(NodeName(name)) is None
    assert kube.get_pod("default", name) is None
    assert kube.get_pod(name, "p") is None
    assert kube.service_account_labels(name, "default") is None
    for write in (
        lambda: kube.annotate_pod(name, "p", PodUid("u"), KEY, "v"),
        lambda: kube.annotate_pod("default", name, PodUid("u"), KEY, "v"),
        lambda: kube.advertise(NodeName(name), {KEY: "1"}),
        lambda: kube.delete_cninode(NodeName(name)),
        lambda: kube.list_policies(name),
    ):
        with pytest.raises(NotFound):
            write()
    assert api.calls == []


def test_a_pod_is_annotated_through_its_status(api: InProcess, kube: Kube) -> None:
    uid = PodUid(api.ok("POST", PODS, pod("p", "n1"))["metadata"]["uid"])
    kube.annotate_pod("default", "p", uid, KEY, "[1]")
    assert api.calls == [("PATCH", f"{PODS}/p/status")]
