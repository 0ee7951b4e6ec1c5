"""API servers over HTTP, the sandbox's and, where there is one, a kube-apiserver, with the product's own transport."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.clock import SystemClock
from common.kube.transport import HttpTransport, Request, connect
from sandbox.kube import KubeWorld
from sandbox.kube.running import in_thread, load_manifests

ROOT = Path(__file__).parents[2]
NODES, PODS = "/api/v1/nodes", "/api/v1/namespaces/default/pods"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Cluster:
    def __init__(self, kubeconfig: Path, *, real: bool = False) -> None:
        self.kubeconfig, self.real = kubeconfig, real
        self.transport: HttpTransport = connect(kubeconfig=kubeconfig, context="", clock=SystemClock())

    def ok(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> dict[str, Any]:
        response = self.transport.send(Request(method, path, body=body, content_type=content_type))
        assert response.status < 300, response
        found: dict[str, Any] = json.loads(response.body)
        return found

    def clear(self) -> None:
        for path in (PODS, NODES, CNINODES):
            self.transport.send(Request("DELETE", path, body={"gracePeriodSeconds": 0}))
        self.transport.send(Request("DELETE", LEASE))


API_SERVERS = ("sandbox", "kube-apiserver")


@contextmanager
def api_server(which: str, folder: Path) -> Iterator[Cluster]:
    """One of `API_SERVERS` with our definitions; skips where there is no kube-apiserver to start."""
    if which == "sandbox":
        world = KubeWorld(clock=time.time)
        load_manifests(world, ROOT / "deploy/crds")
        with in_thread(world, tls_folder=folder / "tls") as listening:
            yield Cluster(listening.write_kubeconfig(folder / "kubeconfig"))
        return
    script = Path(os.environ.get("VPC_RC_TEST_CONTROL_PLANE") or ROOT.parent / "shared/envtest/control-plane")
    if not script.exists() or not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("no kube-apiserver to start")
    command = [sys.executable, str(script), str(folder / "plane"), "--watch-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        words = process.stdout.readline().split()
        assert words[:1] == ["ready"], words
        cluster = Cluster(Path(words[1]), real=True)
        _serve_definitions(cluster)
        yield cluster
        process.stdin.close()
        process.wait(30)


def _serve_definitions(cluster: Cluster) -> None:
    for file in sorted((ROOT / "deploy/crds").glob("*_*.yaml")):
        cluster.ok(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            yaml.safe_load(file.read_text()),
        )
    for path in (CNINODES, "/apis/vpcresources.k8s.aws/v1beta1/securitygrouppolicies"):
        until(partial(_answers, cluster, path))
    until(partial(_answers, cluster, "/api/v1/namespaces/default"))


def _answers(cluster: Cluster, path: str) -> bool:
    return cluster.transport.send(Request("GET", path)).status == 200
