"""Objects that the API server accepts and nobody would write: each is taken in, or set aside, and no other waits."""

import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from common import threads
from common.clock import SystemClock
from common.kube.transport import Request, connect
from common.model.ids import NodeName
from tests.integration.api_servers import API_SERVERS, CNINODES, NODES, Cluster, api_server
from tests.kit.waiting import until
from watcher.cluster_cache import ClusterCache
from watcher.kinds import Kind
from watcher.reflecting import follow, reflector

ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture(scope="module", params=API_SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with api_server(request.param, tmp_path_factory.mktemp("odd")) as found:
        yield found


class Following:
    """The watcher's reflectors in their threads, and what they know."""

    def __init__(self, cluster: Cluster) -> None:
        clock = SystemClock()
        self.problems: list[str] = []
        self.cache = ClusterCache(clock=clock, on_problem=self.problems.append)
        self._stop = threading.Event()
        transport = connect(kubeconfig=cluster.kubeconfig, context="", clock=clock)
        for kind in Kind:
            rng = random.Random(str(kind))
            each = reflector(kind, transport, self.cache, clock=clock, rng=rng, page_size=50)
            follow(each, self._stop, wanted=lambda: True)

    def stop(self) -> None:
        self._stop.set()


@pytest.fixture
def following(cluster: Cluster) -> Iterator[Following]:
    """Ends with new objects of every kind seen: nobody waits for those made before."""
    found = Following(cluster)
    try:
        yield found
        cluster.ok("POST", NODES, {"metadata": {"name": "last", "labels": {"kubernetes.io/os": "linux"}}})
        spec = {"subnet": "subnet-1", "securityGroups": ["sg-1"]}
        cluster.ok("POST", ENI_CONFIGS, eni_config("last", spec))
        cluster.ok("POST", CNINODES, cninode("last", {"features": [{"name": "CustomNetworking", "value": "last"}]}))
        until(lambda: (view := found.cache.view(NodeName("last"))) and view.node and view.cninode and view.eni_config)
        assert threads.died() is None
    finally:
        found.stop()
        cluster.clear()
        cluster.transport.send(Request("DELETE", ENI_CONFIGS))
        cluster.transport.send(Request("DELETE", POLICIES))


def eni_config(name: str, spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def cninode(name: str, spec: Any) -> dict[str, Any]:
    return {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode", "metadata": {"name": name}, "spec": spec}


def post(cluster: Cluster, path: str, body: str) -> int:
    """Post JSON that json.dumps cannot write: too deep for it. The status."""
    transport = cluster.transport
    headers = {**transport._credentials.headers(), "Content-Type": "application/json"}
    return int(
        transport._pool.request(
            "POST", transport._url(Request("POST", path)), body=body.encode(), headers=headers
        ).status
    )


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "watched"])
def test_an_eni_config_nested_beyond_any_decoder_is_read(cluster: Cluster, following: Following, listed: bool) -> None:
    if not cluster.real:
        pytest.skip("the sandbox refuses such objects")
    if not listed:
        until(lambda: following.cache.complete)
    labels = {"vpc.amazonaws.com/eniConfig": "deep", "kubernetes.io/os": "linux"}
    cluster.ok("POST", NODES, {"metadata": {"name": "n1", "labels": labels}})
    spec = '{"subnet":"subnet-9","securityGroups":["sg-9"],"more":' + nested(1_500) + "}"
    assert post(cluster, ENI_CONFIGS, json.dumps(eni_config("deep", None)).replace("null", spec)) == 201
    reading = Following(cluster) if listed else following
    try:
        until(lambda: (view := reading.cache.view(NodeName("n1"))) and view.eni_config)
        view = reading.cache.view(NodeName("n1"))
        assert view is not None
        assert view.eni_config is not None
        assert (view.eni_config.subnet, view.eni_config.groups) == ("subnet-9", ("sg-9",))
        assert threads.died() is None
    finally:
        reading.stop()


def test_a_number_longer_than_python_reads_is_no_value(cluster: Cluster, following: Following) -> None:
    data = {"branch-eni-cooldown": "0" * 4_300 + "45", "warm-ip-target": "9" * 5_000}
    cluster.transport.send(Request("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni"))
    cluster.ok("POST", CONFIG_MAPS, {"metadata": {"name": "amazon-vpc-cni"}, "data": data})
    try:
        until(lambda: following.problems)
        config = following.cache.config
        assert config is not None
        assert config.warm_ip is None
    finally:
        cluster.transport.send(Request("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni"))
