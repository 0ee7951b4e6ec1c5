"""What people and the VPC CNI do in a cluster, in the words of the recorded cases."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from common.model.names import (
    CNINODE_CLUSTER_TAG,
    FEATURE_POD_GROUPS,
    INSTANCE_TAG,
    LABEL_OS,
    OWNER_OURS,
    OWNER_TAG,
    OWNER_VPC_CNI,
    POD_ENI,
    PRIVATE_IPV4,
    cluster_tag,
)
from sandbox.ec2.behaviour import FaultRule
from sandbox.kube.world import Response
from tests.kit.fake_redis import FakeRedis
from tests.simulation.cluster import CLUSTER, SUBNET, VPC, Cluster
from tests.simulation.watcher import PumpedWatcher

PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
SOON = 30.0
"""Seconds within which a healthy cluster does what was asked."""


@dataclass(slots=True)
class Scene:
    """A cluster with names for its ids, and the times at which pods got and lost their interfaces."""

    cluster: Cluster
    names: dict[str, str] = field(default_factory=lambda: {CLUSTER: "bench", SUBNET: "<subnet>"})
    """What an id is called in the recorded cases."""
    instances: dict[str, str] = field(default_factory=dict)
    """Instance id by name of the node."""
    first_seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Annotation and time, by uid of the pod, as it was first seen."""
    ended: dict[str, float] = field(default_factory=dict)
    """By uid of the pod: when it ended."""
    uids: dict[str, str] = field(default_factory=dict)
    """The latest pod of each name."""

    _noted: int = -1
    strangers: set[str] = field(default_factory=set)
    """Interfaces that a pod's annotation names and that never were."""

    # --- time

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        def noting() -> bool:
            self._note()
            return until is not None and until()

        reached = self.cluster.run(seconds, noting)
        wrong = [p for p in self.cluster.problems if not any(eni in p for eni in self.strangers)]
        assert not wrong, wrong[:3]
        return reached

    def until(self, what: str, holds: Callable[[], bool], seconds: float = SOON) -> None:
        assert self.run(seconds, holds), f"not within {seconds:g} s: {what}"

    @property
    def now(self) -> float:
        return self.cluster.clock.now()

    def _note(self) -> None:
        version = self.cluster.kube.store.version
        if version == self._noted:
            return
        self._noted = version
        for pod in self.cluster.pods():
            uid, annotations = pod["metadata"]["uid"], pod["metadata"].get("annotations", {})
            text = annotations.get(POD_ENI) or annotations.get(PRIVATE_IPV4)
            if text is not None:
                self.first_seen.setdefault(uid, (text, self.now))

    def kill(self, *, lose_redis: bool = False) -> None:
        """`kill -9` of watcher and workers: what they had in hand is lost. They start when time next passes."""
        cluster = self.cluster
        if lose_redis:
            FakeRedis(server=cluster.server).flushall()
        cluster.queue.tasks.clear()
        cluster.start_worker()
        cluster.watcher = PumpedWatcher(cluster.kube, cluster.plain, cluster.queue, cluster.clock)

    # --- the VPC

    def name(self, identifier: str, name: str) -> str:
        self.names[identifier] = name
        return identifier

    def group(self, name: str) -> str:
        return self.name(self.cluster.ec2.add_security_group(vpc_id=VPC, name=name), f"<{name}>")

    def subnet(self, name: str, cidr: str = "10.0.96.0/19", **more: Any) -> str:
        return self.name(self.cluster.ec2.add_subnet(vpc_id=VPC, cidr=cidr, **more), f"<{name}>")

    def interface(self, description: str = "aws-k8s-branch-eni", subnet: str = SUBNET, **tags: str) -> str:
        """One that somebody made by hand, `available`."""
        made = self.cluster.ec2.arrange(
            "CreateNetworkInterface",
            {
                "SubnetId": subnet,
                "Description": description,
                "TagSpecifications": [
                    {
                        "ResourceType": "network-interface",
                        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    }
                ],
            },
        )
        eni: str = made["NetworkInterface"]["NetworkInterfaceId"]
        return eni

    def ours(self, instance: str, *, cluster: str = CLUSTER) -> dict[str, str]:
        """Tags of an interface that we made."""
        return {OWNER_TAG: OWNER_OURS, cluster_tag(cluster): "owned", INSTANCE_TAG: instance}

    def of_the_cni(self, instance: str) -> dict[str, str]:
        return {OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: instance}

    def fault(self, action: str, code: str = "UnauthorizedOperation", **rule: Any) -> None:
        self.cluster.ec2.inject(FaultRule(action=action, code=code, **rule))

    def heal(self) -> None:
        self.cluster.ec2.clear_faults()

    # --- nodes

    def instance(self, node: str = "node", kind: str = "m5.large", subnet: str = SUBNET) -> str:
        """An instance with a group of its own, called `<groups of NODE>`."""
        made = self.cluster.ec2.add_instance(
            subnet_id=subnet, instance_type=kind, groups=[self.group(f"groups of {node}")]
        )
        self.instances[node] = self.name(made, f"<instance of {node}>")
        return made

    def put_node(self, name: str, provider: str, labels: dict[str, str]) -> None:
        given = {key: value for key, value in {LABEL_OS: "linux", **labels}.items() if value}
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": given},
            "spec": {"providerID": provider},
            "status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}},
        }
        answer = self.cluster.kube.request("POST", "/api/v1/nodes", body=body)
        assert answer.status == 201, answer.body
        self.names[answer.json()["metadata"]["uid"]] = f"<uid of {name}>"

    def node(
        self,
        name: str = "node",
        kind: str = "m5.large",
        *,
        features: tuple[tuple[str, str], ...] = ((FEATURE_POD_GROUPS, ""),),
        subnet: str = SUBNET,
        ready: bool = True,
        labels: dict[str, str] | None = None,
    ) -> str:
        """A node that joins; the VPC CNI gives its CNINode these features. `ready`: wait for the trunk's capacity."""
        instance = self.instance(name, kind, subnet)
        self.put_node(name, f"aws:///us-west-2a/{instance}", labels or {})
        self.until("a CNINode", lambda: bool(self.cluster.cninode(name)))
        if features:
            self.features(name, *features)
        if ready:
            self.until("capacity", lambda: self.cluster.capacity(name) is not None)
        return instance

    def windows(self, name: str = "node", kind: str = "m5.large", subnet: str = SUBNET) -> str:
        instance = self.instance(name, kind, subnet)
        self.put_node(name, f"aws:///us-west-2a/{instance}", {LABEL_OS: "windows"})
        return instance

    def features(self, node: str, *features: tuple[str, str]) -> None:
        entries = [{"name": name, **({"value": value} if value else {})} for name, value in features]
        self.cluster.patch_cninode(node, {"spec": {"features": entries or None}})

    def remove_node(self, name: str, *, terminate: bool = False) -> None:
        """The garbage collector takes its pods and its CNINode with it."""
        for pod in self.cluster.pods():
            if pod["spec"].get("nodeName") == name:
                self.remove(pod["metadata"]["name"])
        self.cluster.remove_node(name, terminate=self.instances[name] if terminate else None)

    # --- pods

    def pod(self, name: str, node: str = "node", count: int = 1, *, windows: bool = False, **more: Any) -> str:
        """`more`: `labels`, `account`, `host_network`, `annotations`, `containers` (amounts, instead of `count`),
        `init_containers` (as in the API)."""
        resource = PRIVATE_IPV4 if windows else POD_ENI
        containers = [
            {
                "name": f"c{place}",
                "image": "i",
                "resources": {"limits": {resource: str(n)}, "requests": {resource: str(n)}},
            }
            for place, n in enumerate(more.get("containers", (count,)))
        ]
        spec = {"nodeName": node, "containers": containers, "hostNetwork": more.get("host_network", False)}
        if "init_containers" in more:
            spec["initContainers"] = more["init_containers"]
        if "account" in more:
            spec["serviceAccountName"] = more["account"]
        metadata = {
            "name": name,
            "labels": more.get("labels", {"app": "web"}),
            "annotations": more.get("annotations", {}),
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        answer = self.cluster.kube.request("POST", PODS, body=body)
        assert answer.status == 201, answer.body
        uid: str = answer.json()["metadata"]["uid"]
        self.uids[name] = uid
        return uid

    def pods(self, names: Iterable[str], **more: Any) -> list[str]:
        return [self.pod(name, **more) for name in names]

    def served(self, *names: str, within: float = SOON) -> None:
        self.until(f"{', '.join(names)} served", lambda: all(self.annotation(name) for name in names), within)

    def annotation(self, name: str) -> str | None:
        answer = self.cluster.kube.request("GET", f"{PODS}/{name}")
        if answer.status != 200:
            return None
        annotations = answer.json()["metadata"].get("annotations", {})
        text: str | None = annotations.get(POD_ENI) or annotations.get(PRIVATE_IPV4)
        return text

    def remove(self, name: str) -> str:
        self._end(name)
        self.cluster.remove_pod(name)
        return self.uids[name]

    def finish(self, name: str, phase: str) -> str:
        self._end(name)
        self.cluster.finish_pod(name, phase)
        return self.uids[name]

    def _end(self, name: str) -> None:
        self._note()
        self.ended.setdefault(self.uids[name], self.now)

    def terminate(self, name: str) -> None:
        """Deleted, with a grace period that the kubelet uses."""
        self.cluster.kube.request("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": "300"})

    # --- policies and accounts

    def policy(self, name: str, groups: list[str] | None, **selectors: dict[str, Any]) -> int:
        """`pod` and `account` are label selectors. The API server's status."""
        spec: dict[str, Any] = {} if groups is None else {"securityGroups": {"groupIds": groups}}
        kinds = {"pod": "podSelector", "account": "serviceAccountSelector"}
        spec |= {kinds[kind]: selector for kind, selector in selectors.items()}
        path = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
        version = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
        self.cluster.kube.request("DELETE", f"{path}/{name}")
        answer = self.cluster.kube.request("POST", path, body={**version, "metadata": {"name": name}, "spec": spec})
        return answer.status

    def web(self) -> str:
        """The policy of most cases: pods labelled app=web get the group `<web>`."""
        group = self.group("web")
        assert self.policy("web", [group], pod={"matchLabels": {"app": "web"}}) == 201
        return group

    def account(self, name: str, **labels: str) -> None:
        path = "/api/v1/namespaces/default/serviceaccounts"
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}}
        assert self.cluster.kube.request("POST", path, body=body).status == 201

    # --- an API server that refuses

    def deny(self, method: str, part_of_path: str) -> None:
        """These requests are answered 403, from everybody, until `allow`."""
        answer, words = self.cluster.kube.request, "denied by the scene"
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}

        def request(verb: str, path: str, *args: Any, **more: Any) -> Response:
            if verb == method and part_of_path in path:
                return Response(status=403, body=json.dumps({**status, "message": words}).encode())
            return answer(verb, path, *args, **more)

        vars(self.cluster.kube)["request"] = request

    def allow(self) -> None:
        del vars(self.cluster.kube)["request"]
