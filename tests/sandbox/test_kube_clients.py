"""The sandbox's API server with the clients that people use: the official Python client and kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from sandbox.kube.clusterloop import run_toy_cluster
from sandbox.kube.running import Listening, load_manifests
from tests.sandbox.kube_fixtures import ROOT, pod, sandbox_server

NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kubernetes.io/os: linux}}
status: {capacity: {cpu: "4", memory: 8Gi, pods: "110"}}
"""
MANIFEST = f"""{NODE}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: main, image: example/web}}]}}}}
---
apiVersion: vpcresources.k8s.aws/v1beta1
kind: SecurityGroupPolicy
metadata: {{name: web}}
spec: {{podSelector: {{}}, securityGroups: {{groupIds: [sg-1, sg-2]}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    folder = tmp_path_factory.mktemp("kube")
    with sandbox_server(tls_folder=folder, background=(run_toy_cluster,)) as listening:
        assert load_manifests(listening.world, ROOT / "deploy/crds") == 3
        listening.write_kubeconfig(folder / "kubeconfig")
        yield listening


@pytest.fixture
def kubeconfig(server: Listening) -> Path:
    assert server.certificates is not None
    return server.certificates.authority.parent / "kubeconfig"


class Kubectl:
    def __init__(self, binary: str, kubeconfig: Path, home: Path) -> None:
        self._command, self._environment = [binary, "--kubeconfig", str(kubeconfig)], {**os.environ, "HOME": str(home)}

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        ended = subprocess.run(
            [*self._command, *arguments], input=stdin, text=True, check=False, capture_output=True, timeout=60,
            env=self._environment,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Kubectl:
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    binary = shutil.which("kubectl") or shutil.which("kubectl", path=assets)
    if binary is None:
        pytest.skip("no kubectl on the PATH")
    return Kubectl(binary, kubeconfig, tmp_path)


def test_kubectl_applies_gets_scales_describes_and_deletes(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in kubectl("apply", "-f", "-", stdin=MANIFEST)
    kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    rows = kubectl("get", "pods", "-l", "app=web").splitlines()
    assert rows[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [r.split()[1:3] for r in rows[1:]] == [["1/1", "Running"]] * 3
    assert '["sg-1","sg-2"]' in kubectl("get", "sgp")
    kubectl("scale", "deployment/web", "--replicas=5")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "Controlled By:  Deployment/web" in kubectl("describe", "pods", "-l", "app=web")
    assert "Non-terminated Pods:          (5 in total)" in kubectl("describe", "node", "n1")
    applied = kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "node/n1 unchanged" in applied
    assert "deployment.apps/web configured" in applied
    kubectl("label", "node", "n1", "zone=a")
    assert kubectl("get", "node", "n1", "-o", "jsonpath={.metadata.labels.zone}") == "a"
    kubectl("delete", "--wait", "-f", "-", stdin=MANIFEST)
    kubectl("wait", "--for=delete", "pods", "-l", "app=web", "--timeout=30s")
    assert kubectl("get", "deployments,pods,sgp", "-o", "name") == ""


def test_kubectl_applies_on_the_server_and_removes_a_namespace(kubectl: Kubectl) -> None:
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n"
    kubectl("create", "-f", "-", stdin=manifest)
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\ndata: {a: b}\n"
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=config)
    kubectl("delete", "namespace", "team", "--timeout=30s")
    assert "team" not in kubectl("get", "namespaces", "-o", "name")


def test_kubectl_creates_what_it_sends_as_protobuf(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=NODE)
    kubectl("create", "namespace", "p")
    kubectl("create", "configmap", "c", "-n", "p", "--from-literal=a=b")
    kubectl("create", "serviceaccount", "s", "-n", "p")
    kubectl("create", "secret", "generic", "k", "-n", "p", "--from-literal=a=b")
    kubectl("create", "deployment", "d", "-n", "p", "--image=example/d:1", "--replicas=2")
    kubectl("wait", "--for=condition=Available", "deployment/d", "-n", "p", "--timeout=30s")
    assert kubectl("get", "configmap", "c", "-n", "p", "-o", "jsonpath={.data.a}") == "b"
    assert kubectl("get", "secret", "k", "-n", "p", "-o", "jsonpath={.data.a}") == "Yg=="
    assert len(kubectl("get", "pods", "-n", "p", "-o", "name").split()) == 2


@pytest.fixture
def client(kubeconfig: Path) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(config_file=str(kubeconfig)) as found:
        yield found


def test_the_official_client_creates_lists_patches_and_deletes(client: Any) -> None:
    core: Any = kubernetes.client.CoreV1Api(client)
    created = core.create_namespaced_pod("default", pod("typed", labels={"test": "typed"}))
    assert created.metadata.uid
    body = {"metadata": {"uid": created.metadata.uid, "annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}
    patched = core.patch_namespaced_pod("typed", "default", body)
    assert patched.metadata.annotations == {"vpc.amazonaws.com/pod-eni": "[]"}
    listed = core.list_pod_for_all_namespaces(label_selector="test=typed", limit=1)
    assert [p.metadata.name for p in listed.items] == ["typed"]
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.create_namespaced_pod("default", pod("typed"))
    assert caught.value.status == 409
    core.delete_namespaced_pod("typed", "default")


def test_the_official_client_watches(client: Any) -> None:
    core: Any = kubernetes.client.CoreV1Api(client)
    version = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "w"}, "data": {"a": "1"}})
    core.delete_namespaced_config_map("w", "default")
    watch, seen = kubernetes.watch.Watch(), []
    stream = watch.stream(
        core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=10
    )  # fmt: skip
    for event in stream:
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watch.stop()
    assert seen == [("ADDED", "w"), ("DELETED", "w")]


def test_the_official_client_reads_custom_resources_and_leases(client: Any) -> None:
    custom: Any = kubernetes.client.CustomObjectsApi(client)
    place = ("vpcresources.k8s.aws", "v1alpha1", "cninodes")
    body = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode", "metadata": {"name": "typed"}, "spec": {}}
    custom.create_cluster_custom_object(*place, body)
    assert custom.get_cluster_custom_object(*place, "typed")["metadata"]["generation"] == 1
    custom.delete_cluster_custom_object(*place, "typed")
    leases: Any = kubernetes.client.CoordinationV1Api(client)
    lease = leases.create_namespaced_lease("kube-system", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})
    lease.spec.holder_identity = "b"
    assert leases.replace_namespaced_lease("l", "kube-system", lease).spec.holder_identity == "b"
