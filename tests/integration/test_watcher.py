"""Watcher processes on a real broker, against the sandbox's API server and, where there is one, a kube-apiserver."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
import redis

from common.clock import SystemClock
from common.kube.api import Kube
from common.kube.events import EventSink
from common.kube.transport import Request
from common.model.errors import Conflict, NotFound
from common.model.ids import NodeName, PodUid
from common.model.node import CniNodeSpec, Feature
from common.model.notice import EventReason, NodeNotice
from common.store import Store, keys
from common.store import connect as connect_redis
from tests.integration.api_servers import API_SERVERS, LEASE, NODES, PODS, ROOT, Cluster, api_server
from tests.integration.redis_server import RedisServer, free_port
from tests.kit.waiting import until

POD_ENI = "vpc.amazonaws.com/pod-eni"
N1 = NodeName("n1")
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module", params=API_SERVERS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with api_server(request.param, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    yield shared
    shared.clear()


class Watchers:
    """Watcher processes of one cluster and one Redis."""

    def __init__(self, cluster: Cluster, url: str, server: RedisServer) -> None:
        """`url`: where they find the server, or what stands before it."""
        self.cluster, self.url, self.server = cluster, url, server
        self.client = redis.Redis.from_url(url)
        self.store = Store.on(connect_redis(url), keys.prefix("it"))
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        settings = {
            "VPC_RC_KUBECONFIG": str(self.cluster.kubeconfig),
            "VPC_RC_REDIS_URL": self.url,
            "VPC_RC_CLUSTER_NAME": "it",
            "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
            "VPC_RC_HEALTH_PORT": str(port),
            "VPC_RC_METRICS_PORT": "0",
            "VPC_RC_LEASE_DURATION_SECONDS": "4",
            "VPC_RC_LEASE_RENEW_SECONDS": "2",
            "VPC_RC_LEASE_RETRY_SECONDS": "0.5",
        }
        command = [sys.executable, "-c", "from cli.main import main; main()", "watcher"]
        env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]} | settings
        process = subprocess.Popen(command, cwd=ROOT, env=env)
        self.processes.append(process)
        return process, port

    def running(self) -> int:
        """Started, ready; its health port."""
        _, port = self.start()
        until(lambda: get(port, "/readyz")[0] == 200)
        return port

    def published(self) -> set[str]:
        """Nodes in the queue, which is emptied."""
        names = set()
        while (raw := self.client.rpop("nodes")) is not None:
            assert isinstance(raw, bytes)
            arguments = json.loads(base64.b64decode(json.loads(raw)["body"]))[0]
            names.add(str(arguments[0]))
        return names

    def leader(self) -> str:
        response = self.cluster.transport.send(Request("GET", LEASE))
        return str(json.loads(response.body).get("spec", {}).get("holderIdentity", ""))


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def watchers(cluster: Cluster) -> Iterator[Watchers]:
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        found = Watchers(cluster, server.url, server)
        yield found
        for process in found.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"providerID": "aws:///us-west-2c/i-0123456789abcdef0"},
    }


def pod(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "resources": {"limits": {POD_ENI: "1"}, "requests": {POD_ENI: "1"}}}
    spec = {"nodeName": "n1", "containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_a_pod_reaches_redis_and_the_queue(watchers: Watchers) -> None:
    cluster = watchers.cluster
    port = watchers.running()
    cluster.ok("POST", NODES, node("n1"))
    uid = cluster.ok("POST", PODS, pod("p"))["metadata"]["uid"]
    until(lambda: uid in watchers.store.desired.read(N1).pods)
    until(lambda: watchers.client.llen("nodes"))
    assert watchers.published() == {"n1"}
    until(lambda: watchers.store.desired.read(N1).complete)
    assert get(port, "/healthz") == (200, "ok\n")
    assert "vpc_rc_leader 1.0" in get(port, "/metrics")[1]
    cluster.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    until(lambda: not watchers.store.desired.read(N1).pods)


def test_a_pod_that_no_webhook_saw_has_an_event_with_what_it_lacks(watchers: Watchers) -> None:
    cluster = watchers.cluster
    port = watchers.running()
    cluster.ok("POST", NODES, node("n1"))
    api = "/apis/vpcresources.k8s.aws/v1beta1"
    policy = f"{api}/namespaces/default/securitygrouppolicies"
    account = "/api/v1/namespaces/default/serviceaccounts"
    cluster.ok("POST", account, {"metadata": {"name": "pays", "labels": {"team": "pay"}}})
    spec = {
        "serviceAccountSelector": {"matchLabels": {"team": "pay"}},
        "securityGroups": {"groupIds": ["sg-1"]},
    }
    kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
    cluster.ok("POST", policy, {**kind, "metadata": {"name": "web"}, "spec": spec})
    try:
        bare = pod("p")
        bare["spec"]["serviceAccountName"] = "pays"
        del bare["spec"]["containers"][0]["resources"]
        uid = cluster.ok("POST", PODS, bare)["metadata"]["uid"]
        path = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.uid%3D{uid}"
        until(lambda: cluster.ok("GET", path)["items"])
        (event,) = cluster.ok("GET", path)["items"]
        assert (event["reason"], event["type"]) == ("SecurityGroupsNotApplied", "Warning")
        until(lambda: 'vpc_rc_pods_without_groups{namespace="default"} 1.0' in get(port, "/metrics")[1])
    finally:
        cluster.ok("DELETE", f"{policy}/web")
        cluster.ok("DELETE", f"{account}/pays")


def test_an_orderly_end_hands_over_at_once(watchers: Watchers) -> None:
    process, port = watchers.start()
    until(lambda: get(port, "/readyz")[0] == 200 and watchers.leader())
    first = watchers.leader()
    standby, standby_port = watchers.start()
    until(lambda: get(standby_port, "/readyz")[0] == 200)
    assert watchers.leader() == first
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    began = time.monotonic()
    until(lambda: watchers.leader() not in ("", first))
    assert time.monotonic() - began < 2.0, "released, not run out"
    watchers.cluster.ok("POST", NODES, node("n1"))
    until(lambda: watchers.store.desired.read(N1).view.node is not None)
    assert standby.poll() is None


def test_a_killed_leader_is_followed_when_its_lease_ran_out(watchers: Watchers) -> None:
    process, port = watchers.start()
    until(lambda: get(port, "/readyz")[0] == 200 and watchers.leader())
    first = watchers.leader()
    watchers.running()
    process.kill()
    watchers.cluster.ok("POST", NODES, node("n1"))
    until(lambda: watchers.leader() != first)
    until(lambda: watchers.store.desired.read(N1).view.node is not None)


def test_a_leader_that_slept_through_its_lease_ends(watchers: Watchers) -> None:
    process, port = watchers.start()
    until(lambda: get(port, "/readyz")[0] == 200 and watchers.leader())
    first = watchers.leader()
    watchers.running()
    process.send_signal(signal.SIGSTOP)
    until(lambda: watchers.leader() != first)
    process.send_signal(signal.SIGCONT)
    assert process.wait(10) == 75


def test_a_restarted_redis_is_filled_again(watchers: Watchers) -> None:
    watchers.cluster.ok("POST", NODES, node("n1"))
    watchers.running()
    until(lambda: watchers.store.desired.read(N1).complete)
    watchers.server.kill()
    watchers.cluster.ok("POST", PODS, pod("p"))
    watchers.server.start()
    until(lambda: watchers.store.desired.read(N1).complete)
    assert watchers.store.desired.read(N1).view.node is not None
    until(lambda: len(watchers.store.desired.read(N1).pods) == 1)
    until(lambda: watchers.client.llen("nodes"))


def test_calls_mean_the_same_over_the_wire(cluster: Cluster) -> None:
    """What the in-process tests take from the sandbox, asked of a server."""
    kube = Kube(cluster.transport)
    cluster.ok("POST", NODES, node("n1"))
    kube.advertise(N1, {POD_ENI: "9"})
    facts = kube.get_node(N1)
    assert facts is not None
    assert facts.capacity == {POD_ENI: "9"}
    assert kube.get_node(NodeName("n2")) is None
    assert kube.get_pod("default", "p") is None
    with pytest.raises(Conflict):
        kube.advertise(N1, {POD_ENI: "9"}, uid="11111111-2222-3333-4444-555555555555")
    old = PodUid(cluster.ok("POST", PODS, pod("p"))["metadata"]["uid"])
    kube.annotate_pod("default", "p", old, POD_ENI, "[]")
    cluster.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    with pytest.raises(NotFound):
        kube.annotate_pod("default", "p", old, POD_ENI, "[]")
    cluster.ok("POST", PODS, pod("p"))
    with pytest.raises(Conflict):
        kube.annotate_pod("default", "p", old, POD_ENI, "[]")
    assert kube.service_account_labels("default", "none") is None
    assert kube.list_policies("default") == ()


def test_a_cninodes_life_over_the_wire(cluster: Cluster) -> None:
    kube = Kube(cluster.transport)
    uid = cluster.ok("POST", NODES, node("n1"))["metadata"]["uid"]
    kube.create_cninode(N1, uid, "linux", CniNodeSpec(features=(Feature(name="SecurityGroupsForPods"),)))
    facts = kube.get_cninode(N1)
    assert facts is not None
    assert (facts.finalizer, facts.owner_uid, facts.os_label) == (True, uid, "linux")
    kube.repair_cninode(N1, facts, tags={"a": "b"}, os_label="linux", owner=(N1, uid), finalizer=True)
    kube.delete_cninode(N1, "11111111-2222-3333-4444-555555555555")
    kube.delete_cninode(N1, facts.uid)
    deleting = kube.get_cninode(N1)
    assert deleting is not None
    assert deleting.deleting
    assert deleting.spec.tags == {"a": "b"}
    another = msgspec.structs.replace(facts, uid="another")
    with pytest.raises(Conflict):
        kube.repair_cninode(N1, another, tags={}, os_label="", owner=None, finalizer=True)
    kube.drop_finalizer(N1, facts.uid)
    assert kube.get_cninode(N1) is None
    kube.drop_finalizer(N1, facts.uid)


def test_events_are_accepted_and_counted(cluster: Cluster) -> None:
    sink = EventSink(cluster.transport, clock=SystemClock(), host="it")
    for _ in range(2):
        sink.emit(NodeNotice(node=N1, reason=EventReason.NODE_TRUNK_INITIATED, message="ready"))
        sink.drain()
    path = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.uid%3Dn1"
    found = [event for event in cluster.ok("GET", path)["items"] if event["reason"] == "NodeTrunkInitiated"]
    assert [event["count"] for event in found] == [2]
