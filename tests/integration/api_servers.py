"""API servers over HTTP, the sandbox's and, where there is one, a kube-apiserver, with the product's own transport."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from common.clock import SystemClock
from common.kube.transport import HttpTransport, Request, connect
from sandbox.kube import KubeWorld
from sandbox.kube.running import in_thread, load_manifests
from tests.kit.control_plane import control_plane
from tests.kit.waiting import until

ROOT = Path(__file__).parents[2]
NODES, PODS = "/api/v1/nodes", "/api/v1/namespaces/default/pods"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"


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
    with control_plane(folder / "plane") as kubeconfig:
        cluster = Cluster(kubeconfig, real=True)
        _serve_definitions(cluster)
        yield cluster


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
