"""What a real API server makes of deploy/base: accepted whole, and each role may do its work and no more."""

import json
import subprocess

import pytest


@pytest.fixture(scope="module")
def cluster(installed: list[str]) -> list[str]:
    return installed


def may(cluster: list[str], role: str, verb: str, what: str, *, name: str = "", namespace: str = "default") -> bool:
    """Ask the API server as a SubjectAccessReview. `what` is RESOURCE[.GROUP][/SUBRESOURCE]."""
    resource, _, subresource = what.partition("/")
    resource, _, group = resource.partition(".")
    attributes = {"verb": verb, "resource": resource, "group": group, "subresource": subresource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:kube-system:vpc-rc-{role}",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            "resourceAttributes": {**attributes, "name": name, "namespace": namespace},
        },
    }
    answer = subprocess.run(
        [*cluster, "create", "-o", "json", "-f", "-"],
        input=json.dumps(review),
        text=True,
        check=True,
        capture_output=True,
    )
    return bool(json.loads(answer.stdout)["status"]["allowed"])


def test_the_base_is_accepted(cluster: list[str]) -> None:
    listed = subprocess.run(
        [*cluster, "-n", "kube-system", "get", "deployments,statefulsets", "-o", "name"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert listed == [
        "deployment.apps/vpc-rc-flower",
        "deployment.apps/vpc-rc-watcher",
        "deployment.apps/vpc-rc-webhook",
        "deployment.apps/vpc-rc-worker",
        "statefulset.apps/vpc-rc-redis",
    ]


@pytest.mark.parametrize("resource", ["securitygrouppolicies.vpcresources.k8s.aws", "cninodes.vpcresources.k8s.aws"])
@pytest.mark.parametrize("role", ["watcher", "worker"])
def test_roles_read_our_custom_resources(cluster: list[str], role: str, resource: str) -> None:
    assert may(cluster, role, "list" if role == "watcher" or "policies" in resource else "get", resource)


CONFIG_MAP = {"what": "configmaps", "namespace": "kube-system", "name": "amazon-vpc-cni"}
LEASE = {"what": "leases.coordination.k8s.io", "namespace": "kube-system", "name": "cp-vpc-resource-controller"}
LEGACY = {"what": "deployments.apps", "namespace": "kube-system", "name": "vpc-resource-controller"}


@pytest.mark.parametrize(
    ("role", "verb", "request_"),
    [
        pytest.param("watcher", "watch", {"what": "pods"}, id="watcher watches pods"),
        pytest.param("watcher", "list", {"what": "nodes"}, id="watcher lists nodes"),
        pytest.param("watcher", "watch", {"what": "eniconfigs.crd.k8s.amazonaws.com"}, id="watcher watches ENIConfigs"),
        pytest.param("watcher", "watch", {"what": "serviceaccounts"}, id="watcher watches service accounts"),
        pytest.param("watcher", "watch", CONFIG_MAP, id="watcher: ConfigMap"),
        pytest.param("watcher", "list", LEGACY, id="watcher: legacy"),
        pytest.param("watcher", "create", {**LEASE, "name": ""}, id="watcher makes its lease"),
        pytest.param("watcher", "update", LEASE, id="watcher renews its lease"),
        pytest.param("watcher", "create", {"what": "events"}, id="watcher tells"),
        pytest.param("worker", "patch", {"what": "pods/status"}, id="worker annotates pods"),
        pytest.param("worker", "get", {"what": "pods"}, id="worker asks whether a pod is gone"),
        pytest.param("worker", "list", {"what": "pods"}, id="worker asks whose what it found is"),
        pytest.param("worker", "patch", {"what": "nodes/status"}, id="worker advertises capacity"),
        pytest.param("worker", "create", {"what": "cninodes.vpcresources.k8s.aws"}, id="worker makes CNINodes"),
        pytest.param("worker", "delete", {"what": "cninodes.vpcresources.k8s.aws"}, id="worker deletes CNINodes"),
        pytest.param("worker", "get", {"what": "serviceaccounts"}, id="worker reads service accounts"),
        pytest.param("worker", "patch", {"what": "events"}, id="worker counts events up"),
        pytest.param("webhook", "watch", {"what": "serviceaccounts"}, id="webhook watches service accounts"),
        pytest.param("webhook", "watch", LEGACY, id="webhook looks for the legacy controller"),
    ],
)
def test_a_role_may_do_its_work(cluster: list[str], role: str, verb: str, request_: dict[str, str]) -> None:
    assert may(cluster, role, verb, **request_)


@pytest.mark.parametrize(
    ("role", "verb", "request_"),
    [
        pytest.param("watcher", "patch", {"what": "pods"}, id="watcher annotates nothing"),
        pytest.param("watcher", "patch", {"what": "nodes/status"}, id="watcher advertises nothing"),
        pytest.param("watcher", "delete", {"what": "cninodes.vpcresources.k8s.aws"}, id="watcher deletes nothing"),
        pytest.param("watcher", "update", {**LEASE, "name": "kube-scheduler"}, id="watcher: no other lease"),
        pytest.param("worker", "delete", {"what": "pods"}, id="worker deletes no pods"),
        pytest.param("worker", "patch", {"what": "pods"}, id="worker changes no pod beside its status"),
        pytest.param("watcher", "list", {**CONFIG_MAP, "name": ""}, id="watcher lists no other ConfigMaps"),
        pytest.param("webhook", "watch", {**LEGACY, "name": ""}, id="webhook watches no other Deployments"),
        pytest.param("worker", "patch", {"what": "nodes"}, id="worker changes no node beside its status"),
        pytest.param("worker", "get", {"what": "secrets"}, id="worker reads no secrets"),
        pytest.param("worker", "get", {**CONFIG_MAP, "name": "aws-auth"}, id="worker reads no other ConfigMap"),
        pytest.param("webhook", "get", {"what": "pods"}, id="webhook reads no pods"),
        pytest.param("webhook", "get", {"what": "secrets", "namespace": "kube-system"}, id="webhook reads no secrets"),
        pytest.param("webhook", "create", {"what": "events"}, id="webhook writes nothing"),
    ],
)
def test_a_role_may_do_no_more(cluster: list[str], role: str, verb: str, request_: dict[str, str]) -> None:
    assert not may(cluster, role, verb, **request_)
