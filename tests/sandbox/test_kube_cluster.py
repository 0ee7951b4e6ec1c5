"""The toy cluster: scheduler, kubelets, deployments and garbage collection, driven step by step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sandbox.kube import KubeWorld
from sandbox.kube.kubelet import ToyCluster
from sandbox.kube.running import load_manifests
from sandbox.kube.scheduler import quantity
from tests.sandbox.kube_fixtures import MERGE, ROOT, config_map, pod

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ENI = "vpc.amazonaws.com/pod-eni"


class Cluster:
    """A world with a toy cluster under a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.world = KubeWorld(clock=lambda: self.now)
        load_manifests(self.world, ROOT / "deploy/crds")
        self.toy = ToyCluster(self.world)

    def settle(self) -> None:
        """Steps until nothing is due now."""
        for _ in range(200):
            due = self.toy.step()
            if due is None or due > 0.0:
                return
        raise AssertionError("the cluster does not come to rest")

    def pass_time(self, seconds: float) -> None:
        self.settle()
        self.now += seconds
        self.settle()

    def add_node(self, name: str, **capacity: str) -> None:
        given = {k.replace("_", "/"): v for k, v in capacity.items()}
        body = {"metadata": {"name": name, "labels": {"zone": name}},
                "status": {"capacity": {"cpu": "4", "pods": "110", **given}}}  # fmt: skip
        assert self.world.request("POST", "/api/v1/nodes", body=body).status == 201

    def deploy(self, name: str, replicas: int, **limits: str) -> str:
        container = {"name": "main", "image": "example/x", "resources": {"limits": limits}}
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        response = self.world.request("POST", DEPLOYMENTS, body={"metadata": {"name": name}, "spec": spec})
        assert response.status == 201, response.body
        return str(response.json()["metadata"]["uid"])

    def pods(self) -> list[Any]:
        return list(self.world.request("GET", PODS).json()["items"])

    def phases(self) -> Counter[tuple[str, bool]]:
        return Counter((p["status"]["phase"], "nodeName" in p["spec"]) for p in self.pods())


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_allocatable_follows_capacity_and_the_node_becomes_ready(cluster: Cluster) -> None:
    cluster.add_node("n1")
    cluster.settle()
    change = {"status": {"capacity": {ENI: "3"}}}
    cluster.world.request("PATCH", "/api/v1/nodes/n1/status", body=change, content_type=MERGE)
    cluster.settle()
    status = cluster.world.request("GET", "/api/v1/nodes/n1").json()["status"]
    assert status["allocatable"] == {"cpu": "4", "pods": "110", ENI: "3"}
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Ready", "True")]
    cluster.world.request(
        "PATCH", "/api/v1/nodes/n1/status", body={"status": {"capacity": {ENI: None}}}, content_type=MERGE
    )
    cluster.settle()
    assert ENI not in cluster.world.request("GET", "/api/v1/nodes/n1").json()["status"]["allocatable"]


def test_as_many_pods_are_placed_as_capacity_allows_and_they_run_once_annotated(cluster: Cluster) -> None:
    cluster.add_node("n1")
    cluster.deploy("web", 8, **{ENI: "1"})
    cluster.settle()
    assert cluster.phases() == {("Pending", False): 8}
    change = {"status": {"capacity": {ENI: "3"}}}
    cluster.world.request("PATCH", "/api/v1/nodes/n1/status", body=change, content_type=MERGE)
    cluster.settle()
    assert cluster.phases() == {("Pending", True): 3, ("Pending", False): 5}
    placed = next(p for p in cluster.pods() if "nodeName" in p["spec"])
    body = {"metadata": {"annotations": {ENI: "[]"}}}
    cluster.world.request("PATCH", f"{PODS}/{placed['metadata']['name']}", body=body, content_type=MERGE)
    cluster.settle()
    assert cluster.phases() == {("Running", True): 1, ("Pending", True): 2, ("Pending", False): 5}


def test_a_deleted_pod_goes_after_a_fifth_of_a_second_and_its_place_is_taken(cluster: Cluster) -> None:
    cluster.add_node("n1", **{"vpc.amazonaws.com_pod-eni": "1"})
    cluster.deploy("web", 2, **{ENI: "1"})
    cluster.settle()
    placed = next(p for p in cluster.pods() if "nodeName" in p["spec"])
    cluster.world.request("DELETE", f"{PODS}/{placed['metadata']['name']}")
    cluster.pass_time(0.1)
    assert cluster.world.request("GET", f"{PODS}/{placed['metadata']['name']}").status == 200
    cluster.pass_time(0.15)
    assert cluster.world.request("GET", f"{PODS}/{placed['metadata']['name']}").status == 404
    assert cluster.phases() == {("Pending", True): 1, ("Pending", False): 1}


def test_a_deployment_is_scaled_down_and_its_pods_go_with_it(cluster: Cluster) -> None:
    cluster.add_node("n1")
    cluster.deploy("web", 4)
    cluster.settle()
    assert cluster.phases() == {("Running", True): 4}
    cluster.world.request("PATCH", f"{DEPLOYMENTS}/web/scale", body={"spec": {"replicas": 1}}, content_type=MERGE)
    cluster.pass_time(0.3)
    assert cluster.phases() == {("Running", True): 1}
    status = cluster.world.request("GET", f"{DEPLOYMENTS}/web").json()["status"]
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    cluster.world.request("DELETE", f"{DEPLOYMENTS}/web")
    cluster.pass_time(0.3)
    assert cluster.pods() == []


def test_node_selectors_and_cordons_are_respected(cluster: Cluster) -> None:
    cluster.add_node("n1")
    cluster.add_node("n2")
    cluster.world.request("PATCH", "/api/v1/nodes/n2", body={"spec": {"unschedulable": True}}, content_type=MERGE)
    for name, zone in (("a", "n1"), ("b", "n2"), ("c", "n3")):
        body = pod(name)
        body["spec"]["nodeSelector"] = {"zone": zone}
        cluster.world.request("POST", PODS, body=body)
    cluster.settle()
    assert {p["metadata"]["name"]: p["spec"].get("nodeName") for p in cluster.pods()} == {
        "a": "n1",
        "b": None,
        "c": None,
    }


def test_what_lost_its_owner_is_collected_and_finalizers_are_respected(cluster: Cluster) -> None:
    cluster.add_node("n1")
    uid = cluster.world.request("GET", "/api/v1/nodes/n1").json()["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    metadata = {"name": "n1", "ownerReferences": [owner], "finalizers": ["networking.k8s.aws/resource-cleanup"]}
    cninodes = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
    assert cluster.world.request("POST", cninodes, body={"metadata": metadata}).status == 201
    cluster.settle()
    assert "deletionTimestamp" not in cluster.world.request("GET", f"{cninodes}/n1").json()["metadata"]
    cluster.world.request("DELETE", "/api/v1/nodes/n1")
    cluster.settle()
    assert "deletionTimestamp" in cluster.world.request("GET", f"{cninodes}/n1").json()["metadata"]
    body = {"metadata": {"finalizers": None}}
    cluster.world.request("PATCH", f"{cninodes}/n1", body=body, content_type=MERGE)
    assert cluster.world.request("GET", f"{cninodes}/n1").status == 404


@pytest.mark.parametrize(("policy", "left"), [("Foreground", 0), ("Background", 0), ("Orphan", 1)])
def test_propagation_policies(cluster: Cluster, policy: str, left: int) -> None:
    uid = cluster.world.request("POST", MAPS, body=config_map("owner")).json()["metadata"]["uid"]
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    cluster.world.request("POST", MAPS, body=owned)
    cluster.settle()
    cluster.world.request("DELETE", f"{MAPS}/owner", body={"propagationPolicy": policy})
    cluster.settle()
    found = cluster.world.request("GET", MAPS).json()["items"]
    assert [i["metadata"]["name"] for i in found] == ["owned"] * left
    assert all("ownerReferences" not in i["metadata"] for i in found)


def test_an_ending_namespace_is_emptied_and_goes(cluster: Cluster) -> None:
    cluster.world.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "team"}})
    cluster.world.request("POST", "/api/v1/namespaces/team/configmaps", body=config_map("a"))
    cluster.settle()
    cluster.world.request("DELETE", "/api/v1/namespaces/team")
    cluster.settle()
    assert cluster.world.request("GET", "/api/v1/namespaces/team").status == 404
    assert cluster.world.request("GET", "/api/v1/namespaces/team/configmaps").json()["items"] == []


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("500m", 0.5), ("2Gi", 2**31), ("1k", 1000), (3, 3), ("0", 0)])
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number
