"""One case's part of the cluster: its namespace and its nodes, on which only its pods land."""

import json
import time
from collections.abc import Callable
from typing import Any

from common.model.names import POD_ENI
from tests.e2e.product import Product
from tests.integration.rig import SUBNET
from tests.integration.webhook_cluster import POLICIES

CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
PLACE = "e2e/case"
Object = dict[str, Any]


class Scene:
    def __init__(self, product: Product, name: str) -> None:
        self.product, self.name = product, name
        self.api, self.rig = product.plane.api, product.rig
        self.api.namespace(name)
        self.instances: dict[str, str] = {}
        self._scheduled: dict[str, float] = {}
        self._served: dict[str, float] = {}

    def wait(self, what: str, until: Callable[[], bool], seconds: float = 30.0) -> float:
        """Seconds until it holds."""
        return self.rig.wait(what, until, seconds)

    # --- nodes

    def add_node(self, name: str, instance_type: str = "m5.large", *, system: str = "linux") -> None:
        """An instance and its node."""
        node = {"instance_type": instance_type, "subnet": SUBNET, "platform": system if system == "windows" else None}
        self.instances[name] = instance = self.rig.ec2("POST", "seed", {"nodes": [node]})["instance_ids"][0]
        self.register(name, instance, system=system)

    def register(self, name: str, instance: str, *, system: str = "linux") -> None:
        """What a kubelet does when it finds no node of its name."""
        amounts = {"cpu": "64", "memory": "256Gi", "pods": "110"}
        self.api.make("/api/v1/nodes", {
            "metadata": {"name": name, "labels": {"kubernetes.io/os": system, PLACE: self.name}},
            "spec": {"providerID": f"aws:///us-west-2a/{instance}"},
            "status": {"capacity": amounts, "allocatable": amounts},
        })  # fmt: skip

    def add_trunk_nodes(self, *names: str) -> None:
        """Linux nodes whose VPC CNI wants security groups for pods, with their trunks."""
        self.begin_trunk_nodes(*names)
        self.finish_trunk_nodes(*names)

    def begin_trunk_nodes(self, *names: str) -> None:
        for name in names:
            self.add_node(name)
        self.wait(f"CNINodes of {names}", lambda: all(self.cninode(name) is not None for name in names))
        for name in names:
            self.ask_for_trunk(name)

    def finish_trunk_nodes(self, *names: str) -> None:
        self.wait(f"capacity of {names}", lambda: all(self.amount("allocatable", name) == 9 for name in names))

    def ask_for_trunk(self, node: str) -> None:
        """What the VPC CNI writes on its node's CNINode."""
        feature = {"name": "SecurityGroupsForPods"}
        assert self.api.merge(f"{CNINODES}/{node}", {"spec": {"features": [feature]}}).status == 200

    def cninode(self, node: str) -> Object | None:
        answer = self.api("GET", f"{CNINODES}/{node}")
        return answer.body if answer.status == 200 else None

    def node(self, name: str) -> Object:
        found: Object = self.api("GET", f"/api/v1/nodes/{name}").body
        return found

    def amount(self, kind: str, node: str, resource: str = POD_ENI) -> int:
        """`kind`: capacity or allocatable."""
        return int(self.node(node).get("status", {}).get(kind, {}).get(resource, 0))

    # --- pods

    def pod_template(self, *, resource: str | None = POD_ENI, system: str = "linux", **spec: Any) -> Object:
        container: Object = {"name": "main", "image": "registry.invalid/app"}
        if resource:
            container["resources"] = {"limits": {resource: "1"}, "requests": {resource: "1"}}
        place = {PLACE: self.name} if system == "linux" else {"kubernetes.io/os": system}
        return {"containers": [container], "nodeSelector": place, "terminationGracePeriodSeconds": 0, **spec}

    def deploy(self, name: str, replicas: int, **template: Any) -> None:
        labels = {"app": name}
        self.api.make(f"/apis/apps/v1/namespaces/{self.name}/deployments", {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self.pod_template(**template)},
            },
        })  # fmt: skip

    def stateful(self, name: str, replicas: int) -> None:
        """Its pods keep their names when they are replaced."""
        labels = {"app": name}
        self.api.make(f"/apis/apps/v1/namespaces/{self.name}/statefulsets", {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "podManagementPolicy": "Parallel",
                "serviceName": name,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self.pod_template()},
            },
        })  # fmt: skip

    def scale(self, name: str, replicas: int) -> None:
        path = f"/apis/apps/v1/namespaces/{self.name}/deployments/{name}"
        assert self.api.merge(path, {"spec": {"replicas": replicas}}).status == 200

    def add_policy(self, name: str, groups: list[str], **selectors: Object) -> None:
        spec = {"securityGroups": {"groupIds": groups}, **selectors}
        kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
        self.api.make(POLICIES.format(self.name), {**kind, "metadata": {"name": name}, "spec": spec})

    def pods(self, app: str | None = None) -> list[Object]:
        selector = f"?labelSelector=app%3D{app}" if app else ""
        found: list[Object] = self.api("GET", f"/api/v1/namespaces/{self.name}/pods{selector}").body["items"]
        now = time.monotonic()
        for pod in found:
            uid = pod["metadata"]["uid"]
            if pod["spec"].get("nodeName"):
                self._scheduled.setdefault(uid, now)
            if given(pod) or address(pod):
                self._served.setdefault(uid, now)
        return found

    def run(self, count: int, app: str | None = None, seconds: float = 30.0) -> float:
        """Wait until exactly so many pods run and none is going; seconds."""

        def so_many() -> bool:
            pods = [pod for pod in self.pods(app) if pod["spec"].get("nodeName")]
            return len(pods) == count and all(running(pod) for pod in pods)

        return self.wait(f"{count} pods of {self.name}/{app or ''} run", so_many, seconds)

    def waits(self) -> list[float]:
        """From scheduled to annotated, seconds, as seen by looking again and again (within some 0.1 s), sorted."""
        return sorted(self._served[uid] - self._scheduled[uid] for uid in self._served)

    def interfaces(self) -> dict[str, Object]:
        """EC2's, by id."""
        return {one["id"]: one for one in self.rig.ec2("GET", "state")["interfaces"]}

    def groups_of(self, pod: Object) -> list[str]:
        """Groups of the pod's interface, as EC2 has it."""
        return list(self.interfaces()[given(pod)[0]["eniId"]]["groups"])


def annotations(pod: Object) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"].get("annotations", {})
    return found


def given(pod: Object) -> list[Object]:
    """The branch interfaces of its annotation."""
    found: list[Object] = json.loads(annotations(pod).get(POD_ENI, "[]"))
    return found


def address(pod: Object) -> str:
    """The annotation of a Windows pod."""
    return annotations(pod).get("vpc.amazonaws.com/PrivateIPv4Address", "")


def running(pod: Object) -> bool:
    return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
