"""One operation of EC2, one node or one path of the API that never answers: pods that do not need it are served as
fast as without, and the worker ends in time."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.ec2.sdk_data import OPERATIONS
from common.model.names import (
    BRANCH_DESCRIPTION,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    POD_ENI,
    PRIVATE_IPV4,
    cluster_tag,
)
from sandbox.ports import free_port
from tests.integration.rig import CLUSTER, ROOT, SUBNET, Rig, running
from tests.integration.standing import annotation
from tests.integration.unknowing import UNKNOWN
from tests.integration.windows_churn import WINDOWS

NODES, PODS_A_NODE = 6, 6
PROBE_PODS = 5
THREADS = "16"
"""A quarter for releases: fewer than there are to release."""
CELERY_THREADS = "4"
"""Fewer than nodes with calls that hang."""
SILENT_SECONDS = 150.0
NEEDED_BY_BRANCHES = ("CreateNetworkInterface", "CreateNetworkInterfacePermission", "AssociateTrunkInterface")
OTHERS = (
    "DescribeInstances",
    "DescribeSubnets",
    "DescribeNetworkInterfaces",
    "AttachNetworkInterface",
    "ModifyNetworkInterfaceAttribute",
    "DisassociateTrunkInterface",
    "DeleteNetworkInterface",
    "AssignPrivateIpAddresses",
    "UnassignPrivateIpAddresses",
    "DescribeInstanceTypes",
    "DetachNetworkInterface",
    "DescribeTrunkInterfaceAssociations",
)
NO_POD_WAITS_FOR = {
    "CreateTags": "of interfaces that a warm target keeps, after their pods' end",
    "DescribeSecurityGroups": "the doctor's",
}
PROVOKED: dict[str, dict[str, Any]] = {
    # A trunk that cannot be finished is taken off its instance again.
    "DetachNetworkInterface": {
        "action": "ModifyNetworkInterfaceAttribute", "code": "InvalidParameterValue", "status": 400, "delay": 0.0,
    },
}  # fmt: skip
"""A fault without which the operation is not called."""
PATHS: dict[str, dict[str, str]] = {
    "events": {"resource": "events"},
    "CNINodes": {"resource": "cninodes"},
    "capacity": {"resource": "nodes", "subresource": "status"},
    "annotations of one node's pods": {
        "resource": "pods",
        "subresource": "status",
        "name": ",".join(f"round2-{number}" for number in range(0, NODES * PODS_A_NODE, NODES)),
    },
}
MARGIN_SECONDS = 1.0


class Scene:
    """Nodes with pods to release, and two without, where probes are served."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.busy = [f"busy{number}" for number in range(NODES)]
        self.windows = [f"win{number}" for number in range(2)]
        for name in self.busy:
            rig.add_node(name, "m5.4xlarge")
        for name in (*self.windows, "quiet-win"):
            rig.add_node(name, "m5.4xlarge", **WINDOWS)
        rig.add_node("quiet", "c5.18xlarge")
        branches, addresses = [*self.busy, "quiet"], [*self.windows, "quiet-win"]
        rig.wait_for_none("nodes", lambda: [n for n in branches if rig.capacity(n) is None])
        rig.wait_for_none("Windows nodes", lambda: [n for n in addresses if rig.capacity(n, PRIVATE_IPV4) is None])
        self._round = 0
        rig.add_node("leaves0")
        rig.wait("the one that leaves", lambda: rig.capacity("leaves0") is not None)
        self._add("round0")
        rig.wait_for_none("pods", lambda: self.unserved("round"))

    def disturb(self) -> None:
        """Have every operation called: pods end and come on all nodes but the quiet ones, and nodes join."""
        self._round += 1
        for pod in self.rig.pods():
            if pod["metadata"]["name"].startswith("round"):
                self.rig.remove_pod(pod["metadata"]["name"])
        self._add(f"round{self._round}")
        for number in range(2):
            self.rig.add_node(f"joins{self._round}-{number}", UNKNOWN)
            self.rig.add_node(f"joins{self._round}-win{number}", "m5.xlarge", **WINDOWS)

        self._depart(f"leaves{self._round - 1}")
        self.rig.add_node(f"leaves{self._round}")

    def _depart(self, name: str) -> None:
        """A node goes, and leaves an interface behind: whoever cleans up asks what is on a trunk."""
        path = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
        instance = self.rig.kube("GET", f"/api/v1/nodes/{name}")["spec"]["providerID"].rpartition("/")[2]
        tags = {INSTANCE_TAG: instance, OWNER_TAG: OWNER_OURS, cluster_tag(CLUSTER): "owned"}
        tagged = {
            "ResourceType": "network-interface",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        params = {"SubnetId": SUBNET, "TagSpecifications": [tagged]}
        self.rig.ec2("POST", "arrange", [{"action": "CreateNetworkInterface", "params": params}])
        self.rig.kube("DELETE", f"/api/v1/nodes/{name}")
        self.rig.ec2("POST", "terminate", {"instance_ids": [instance]})
        self.rig.kube("DELETE", f"{path}/{name}")

    def limit(self, resource: str) -> float:
        """What probes take while all that is going on without a fault, and a second."""
        self.disturb()
        taken = max(self.probe(f"before{number}", resource) for number in range(3))
        self.rig.wait_for_none("pods", lambda: self.unserved("round"))
        self.rig.wait_for_none("releases", self._cooling)
        return taken + MARGIN_SECONDS

    def _cooling(self) -> list[str]:
        """Branches of pods that ended."""
        held = {e["eniId"] for p in self.rig.pods() for e in annotation(p)}
        return [i["id"] for i in self.rig.interfaces(BRANCH_DESCRIPTION) if i["id"] not in held]

    def _add(self, kind: str) -> None:
        for number in range(NODES * PODS_A_NODE):
            self.rig.add_pod(f"{kind}-{number}", self.busy[number % NODES])
        for number in range(2 * PODS_A_NODE):
            self.rig.add_pod(f"{kind}-win-{number}", self.windows[number % 2], resource=PRIVATE_IPV4)

    def unserved(self, kind: str) -> list[str]:
        wanted = [p for p in self.rig.pods() if p["metadata"]["name"].startswith(kind)]
        return [
            p["metadata"]["name"]
            for p in wanted
            if not {POD_ENI, PRIVATE_IPV4} & p["metadata"].get("annotations", {}).keys()
        ]

    def probe(self, name: str, resource: str) -> float:
        """Seconds until some pods on a node where nothing else happens are served; then they end."""
        node = "quiet" if resource == POD_ENI else "quiet-win"
        names = [f"probe-{name}-{number}" for number in range(PROBE_PODS)]
        for each in names:
            self.rig.add_pod(each, node, resource=resource)
        seconds = self.rig.wait_for_none("probes", lambda: self.unserved(f"probe-{name}-"), 60)
        for each in names:
            self.rig.remove_pod(each)
        return seconds

    def probe_for(self, seconds: float, resource: str, limit: float) -> list[float]:
        """One after the other. Asserts that none takes longer than the limit."""
        taken: list[float] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            taken.append(self.probe(f"during{len(taken)}", resource))
            assert taken[-1] < limit, f"probes took {taken}, {limit - MARGIN_SECONDS:.1f} s without the fault"
            # So few that Windows probes are served from what is warm: their addresses rest for a while.
            time.sleep(min(20.0, max(0.0, until - time.monotonic())))
        return taken


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    limits = {"VPC_RC_EC2_MAX_CONNECTIONS": THREADS, "VPC_RC_WORKER_THREADS": CELERY_THREADS}
    with running(tmp_path, workers=0) as (rig, _):
        rig.environment |= limits
        script = str(Path(__file__).with_name("unknowing.py"))
        port = str(free_port())
        rig.run("worker0", sys.executable, script, "worker", VPC_RC_METRICS_PORT=port).supervised = True
        # Windows probes are served from what is warm: no operation is needed while they wait.
        rig.set_config(branch_eni_cooldown="30", enable_windows_ipam="true", windows_warm_ip_target=str(2 * PROBE_PODS))
        yield Scene(rig)
        assert rig.faults_logged() == []


def hangs(rig: Rig, operation: str) -> Callable[[], bool]:
    """Whether calls of this operation were given up as silent."""
    worker = next(p for p in rig.processes if p.name == "worker0")
    return lambda: rig.metric(worker, "vpc_rc_ec2_calls_total", operation=operation, code="ReadTimeoutError") > 0


def silence(rig: Rig, *rules: dict[str, Any]) -> None:
    rig.ec2("POST", "faults", [{"code": "none", "delay": 600.0, **rule} for rule in rules])


def test_every_operation_is_in_one_of_the_lists_above() -> None:
    assert {*NEEDED_BY_BRANCHES, *OTHERS, *NO_POD_WAITS_FOR} == set(OPERATIONS)
    product = "".join(
        file.read_text() for package in ("common/ec2", "workers") for file in (ROOT / package).rglob("*.py")
    )
    assert [name for name in (*NEEDED_BY_BRANCHES, *OTHERS) if f'"{name}"' not in product] == []


@pytest.mark.slow
@pytest.mark.parametrize("operation", [*NEEDED_BY_BRANCHES, *OTHERS])
def test_an_operation_that_is_silent_keeps_no_pod_waiting_that_does_not_need_it(scene: Scene, operation: str) -> None:
    resource = PRIVATE_IPV4 if operation in NEEDED_BY_BRANCHES else POD_ENI
    limit = scene.limit(resource)
    silence(scene.rig, {"action": operation}, *([PROVOKED[operation]] if operation in PROVOKED else []))
    began = time.monotonic()
    scene.disturb()
    scene.rig.wait("calls hang", hangs(scene.rig, operation), 120)
    taken = scene.probe_for(max(20.0, SILENT_SECONDS - (time.monotonic() - began)), resource, limit)
    print(f"{operation}: {limit - MARGIN_SECONDS:.2f} s without the fault, {max(taken):.2f} s at most with it")
    # It ends while the fault lasts.
    worker = next(p for p in scene.rig.processes if p.name == "worker0")
    worker.supervised, began = False, time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 40


@pytest.mark.slow
def test_a_node_that_is_silent_keeps_no_other_nodes_pod_waiting(scene: Scene) -> None:
    """Whatever names its instance, its trunk or its subnet."""
    rig = scene.rig
    own = "subnet-0000000000000009"
    rig.ec2("POST", "seed", {"subnets": [{"cidr": "10.1.0.0/24", "id": own, "az": "us-west-2a"}]})
    instance = rig.add_node("silent", "m5.4xlarge", subnet=own)
    rig.wait("the node", lambda: rig.capacity("silent") is not None)
    mine = [i for i in rig.ec2("GET", "state")["interfaces"] if (i["attachment"] or {}).get("instance_id") == instance]
    limit = scene.limit(POD_ENI)
    silence(
        rig,
        {"match": {"SubnetId": own}},
        {"match": {"InstanceId": instance}},
        *({"match": {"TrunkInterfaceId": one["id"]}} for one in mine),
        *({"match": {"NetworkInterfaceId": one["id"]}} for one in mine),
    )
    for number in range(30):
        rig.add_pod(f"lost-{number}", "silent")
    rig.wait("calls hang", hangs(rig, "CreateNetworkInterface"), 120)
    taken = scene.probe_for(SILENT_SECONDS, POD_ENI, limit)
    print(f"silent node: {limit - MARGIN_SECONDS:.2f} s without the fault, {max(taken):.2f} s at most with it")
    assert len(scene.unserved("lost")) == 30


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_a_path_of_the_api_that_is_silent_keeps_no_pod_waiting_that_does_not_need_it(scene: Scene, path: str) -> None:
    limit = scene.limit(POD_ENI)
    scene.rig.kube_fault("hang", 1.0, None, **PATHS[path])
    scene.disturb()
    time.sleep(10)  # Until all that can hang does.
    taken = scene.probe_for(SILENT_SECONDS, POD_ENI, limit)
    print(f"{path}: {limit - MARGIN_SECONDS:.2f} s without the fault, {max(taken):.2f} s at most with it")
    scene.rig.end_kube_faults()
    scene.rig.wait_for_none("pods", lambda: scene.unserved("round"), 120)
