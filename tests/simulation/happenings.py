"""What can happen to a cluster: a small vocabulary of values. Lives are composed of them by tables and by a generator.

Nothing here knows the product: it is what people, Kubernetes, EC2, Redis and machines do.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from common.model.errors import StaleTerm
from common.model.names import POD_ENI, PRIVATE_IPV4, VLAN_TAG
from sandbox.ec2.behaviour import FaultRule
from tests.simulation.cluster import MERGE, OTHER_GROUP, OTHER_SUBNET, Cluster
from tests.simulation.watcher import PumpedWatcher
from watcher.kinds import Kind

ENI_CONFIG = "custom"


class Happening(Protocol):
    """One thing that happens at a moment."""

    def happen(self, cluster: Cluster) -> None: ...


def happen(cluster: Cluster, *happenings: Happening) -> None:
    """All of them at this moment; the watcher sees it at once, unless it is silent."""
    for one in happenings:
        cluster.on_happening(type(one).__name__)
        cluster.judge.timeline.note(cluster.clock.now(), f"** {one}")
        one.happen(cluster)
    cluster.pump()


@dataclass(frozen=True, slots=True)
class Later:
    """It happens some seconds later, whatever goes on then."""

    seconds: float
    happening: Happening

    def happen(self, cluster: Cluster) -> None:
        cluster.later(self.seconds, lambda: happen(cluster, self.happening))


# --- nodes and instances


@dataclass(frozen=True, slots=True)
class NodeJoins:
    node: str
    type: str = "m5.large"
    windows: bool = False

    def happen(self, cluster: Cluster) -> None:
        if self.node not in cluster.instances:
            cluster.add_node(self.node, self.type, windows=self.windows)


@dataclass(frozen=True, slots=True)
class CustomNetworking:
    """A node joins that is labelled with an ENIConfig: its trunk and its pods are in that one's subnet and groups."""

    node: str
    groups: tuple[str, ...] = (OTHER_GROUP,)
    type: str = "m5.large"

    def happen(self, cluster: Cluster) -> None:
        if self.node not in cluster.instances:
            cluster.put_eni_config(ENI_CONFIG, OTHER_SUBNET, list(self.groups))
            cluster.add_node(self.node, self.type, labels={"vpc.amazonaws.com/eniConfig": ENI_CONFIG})


@dataclass(frozen=True, slots=True)
class NodeLeaves:
    """The instance is terminated; with it its pods and its Node objects end."""

    node: str

    def happen(self, cluster: Cluster) -> None:
        if self.node in cluster.instances and cluster.node_there(self.node):
            instance = cluster.instances[self.node]
            cluster.left_to_the_sweep = True
            _end_all_of(cluster, instance)
            cluster.ec2.terminate_instance(instance)


def _end_all_of(cluster: Cluster, instance: str) -> None:
    for node in [name for name, one in cluster.instances.items() if one == instance]:
        for pod in cluster.pods_of(node):
            cluster.remove_pod(pod)
        cluster.remove_node(node)


@dataclass(frozen=True, slots=True)
class NodeAway:
    """Its Node object is deleted, the garbage collector follows, and the kubelet makes it again."""

    node: str
    seconds: float = 2.0

    def happen(self, cluster: Cluster) -> None:
        if self.node in cluster.instances and cluster.node_there(self.node):
            windows = cluster.is_windows(self.node)
            cluster.delete_node_object(self.node)
            cluster.later(self.seconds, lambda: self._back(cluster, windows=windows))

    def _back(self, cluster: Cluster, *, windows: bool) -> None:
        if self.node in cluster.instances and not cluster.node_there(self.node):
            cluster.put_node(self.node, cluster.instances[self.node], windows=windows)


@dataclass(frozen=True, slots=True)
class SecondNode:
    """A kubelet comes back under another name; the old Node object stays."""

    node: str
    of: str

    def happen(self, cluster: Cluster) -> None:
        if self.of in cluster.instances and self.node not in cluster.instances and cluster.node_there(self.of):
            instance, windows = cluster.instances[self.of], cluster.is_windows(self.of)
            cluster.put_node(self.node, instance, windows=windows, labels=cluster.labels[self.of])


@dataclass(frozen=True, slots=True)
class InstanceReplaced:
    """Another instance under the same name. With the old one its pods end, and so do other Node objects of it, as the
    cloud's controller has it."""

    node: str
    type: str = "m5.large"

    def happen(self, cluster: Cluster) -> None:
        if self.node not in cluster.instances or not cluster.node_there(self.node):
            return
        windows, old = cluster.is_windows(self.node), cluster.instances[self.node]
        cluster.left_to_the_sweep = True
        _end_all_of(cluster, old)
        cluster.ec2.terminate_instance(old)
        cluster.add_node(self.node, self.type, windows=windows)


@dataclass(frozen=True, slots=True)
class TypeChanged:
    """The instance is stopped, its type is changed, and it is started: its pods have ended."""

    node: str
    type: str

    def happen(self, cluster: Cluster) -> None:
        if self.node in cluster.instances:
            cluster.ec2.change_instance_type(cluster.instances[self.node], self.type)


# --- pods


@dataclass(frozen=True, slots=True)
class PodComes:
    pod: str
    node: str
    count: int = 1
    app: str | None = None

    def happen(self, cluster: Cluster) -> None:
        if self.node in cluster.instances and cluster.node_there(self.node) and self.pod not in cluster.pod_names():
            windows, labels = cluster.is_windows(self.node), {} if self.app is None else {"app": self.app}
            cluster.add_pod(self.pod, self.node, 1 if windows else self.count, windows=windows, **labels)


@dataclass(frozen=True, slots=True)
class PodGoes:
    pod: str

    def happen(self, cluster: Cluster) -> None:
        cluster.remove_pod(self.pod)


@dataclass(frozen=True, slots=True)
class PodFinishes:
    """Its object stays, with its annotation."""

    pod: str

    def happen(self, cluster: Cluster) -> None:
        cluster.finish_pod(self.pod)


@dataclass(frozen=True, slots=True)
class FinishedPodsStay:
    """So many pods ran here and are done; their objects keep their annotations, each with a VLAN id of its own."""

    node: str
    count: int

    def happen(self, cluster: Cluster) -> None:
        for number in range(1, self.count + 1):
            name = f"done{number}"
            entry = {"eniId": f"eni-{number:017x}", "ifAddress": "", "privateIp": "", "vlanId": number}
            cluster.add_pod(name, self.node)
            cluster.finish_pod(name)
            Annotated(name, json.dumps([entry])).happen(cluster)


@dataclass(frozen=True, slots=True)
class PodReplaced:
    """A successor of the same name on the same node, as a StatefulSet makes it."""

    pod: str

    def happen(self, cluster: Cluster) -> None:
        found = next((p for p in cluster.pods() if p["metadata"]["name"] == self.pod), None)
        if found is not None and cluster.node_there(found["spec"]["nodeName"]):
            cluster.remove_pod(self.pod)
            app = (found["metadata"].get("labels") or {}).get("app")
            PodComes(self.pod, found["spec"]["nodeName"], app=app).happen(cluster)


@dataclass(frozen=True, slots=True)
class Annotated:
    """Somebody writes, or with None takes, a pod's annotation."""

    pod: str
    text: str | None
    key: str = POD_ENI

    def happen(self, cluster: Cluster) -> None:
        if self.text is not None:
            cluster.judge.forged.add(self.text)
        path = f"/api/v1/namespaces/default/pods/{self.pod}"
        body = {"metadata": {"annotations": {self.key: self.text}}}
        cluster.kube.request("PATCH", path, body=body, content_type=MERGE)


@dataclass(frozen=True, slots=True)
class IdleNamed:
    """Somebody writes into a pod's annotation that it has what its node keeps idle."""

    pod: str

    def happen(self, cluster: Cluster) -> None:
        found = next((p for p in cluster.pods() if p["metadata"]["name"] == self.pod), None)
        idle = cluster.idle(found["spec"]["nodeName"]) if found is not None else []
        shown = [i for i in cluster.interfaces() if i["NetworkInterfaceId"] in idle]
        if shown:
            entries = [
                {
                    "eniId": one["NetworkInterfaceId"],
                    "ifAddress": one["MacAddress"],
                    "privateIp": one["PrivateIpAddress"],
                    "vlanId": next(int(tag["Value"]) for tag in one["TagSet"] if tag["Key"] == VLAN_TAG),
                }
                for one in shown
            ]
            Annotated(self.pod, json.dumps(entries)).happen(cluster)


@dataclass(frozen=True, slots=True)
class WebPodComes:
    """One that a policy gives groups of its own."""

    pod: str
    node: str

    def happen(self, cluster: Cluster) -> None:
        if self.node in cluster.instances and cluster.node_there(self.node) and self.pod not in cluster.pod_names():
            cluster.add_pod(self.pod, self.node, app="web")


@dataclass(frozen=True, slots=True)
class AnnotationCopied:
    """Somebody gives a pod the annotation of another one."""

    pod: str
    of: str

    def happen(self, cluster: Cluster) -> None:
        source = next((p for p in cluster.pods() if p["metadata"]["name"] == self.of), None)
        for key in (POD_ENI, PRIVATE_IPV4):
            text = (source or {"metadata": {}})["metadata"].get("annotations", {}).get(key)
            if text is not None:
                Annotated(self.pod, text, key).happen(cluster)


# --- policies and settings


@dataclass(frozen=True, slots=True)
class PolicyPut:
    """Pods of the app that come from now on have these groups."""

    name: str
    app: str
    groups: tuple[str, ...]

    def happen(self, cluster: Cluster) -> None:
        cluster.put_policy(self.name, self.app, list(self.groups))
        cluster.groups_changed_at = cluster.clock.now()


@dataclass(frozen=True, slots=True)
class PolicyGoes:
    name: str

    def happen(self, cluster: Cluster) -> None:
        cluster.remove_policy(self.name)
        cluster.groups_changed_at = cluster.clock.now()


@dataclass(frozen=True, slots=True)
class EniConfigChanged:
    """Its groups, where there is one."""

    groups: tuple[str, ...]

    def happen(self, cluster: Cluster) -> None:
        path = f"/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/{ENI_CONFIG}"
        if cluster.kube.request("GET", path).status == 200:
            cluster.put_eni_config(ENI_CONFIG, OTHER_SUBNET, list(self.groups))
            cluster.groups_changed_at = cluster.clock.now()


@dataclass(frozen=True, slots=True)
class Configured:
    """A key of the ConfigMap has another value, or with None is not there."""

    key: str
    value: str | None

    def happen(self, cluster: Cluster) -> None:
        data = {**cluster.configured(), self.key: self.value}
        cluster.configure({key: value for key, value in data.items() if value is not None})


# --- Redis, the watcher, workers


@dataclass(frozen=True, slots=True)
class RedisEmptied:
    def happen(self, cluster: Cluster) -> None:
        cluster.lose_redis()


@dataclass(frozen=True, slots=True)
class RedisRestored:
    """It comes back from a copy that is at least so old, where there is one."""

    age: float

    def happen(self, cluster: Cluster) -> None:
        cluster.restore_redis(self.age)


@dataclass(frozen=True, slots=True)
class RedisClockSteps:
    seconds: float

    def happen(self, cluster: Cluster) -> None:
        cluster.clock.redis_offset += self.seconds


@dataclass(frozen=True, slots=True)
class WatchSilent:
    """The watch of these kinds stays open and says nothing."""

    seconds: float
    kinds: tuple[Kind, ...] = (Kind.PODS,)

    def happen(self, cluster: Cluster) -> None:
        until = cluster.clock.now() + self.seconds
        cluster.watcher.silent.update(dict.fromkeys(self.kinds, until))


@dataclass(frozen=True, slots=True)
class SaidGone:
    """An older view reaches Redis: pods, and with `nodes` the Node objects, that are there are not in it. The watcher
    writes what is true some moments later."""

    node: str
    nodes: bool = False
    seconds: float = 3.0

    def happen(self, cluster: Cluster) -> None:
        cluster.say_gone(self.node, nodes=self.nodes)
        cluster.later(self.seconds, cluster.watcher.say_all_again)


@dataclass(frozen=True, slots=True)
class WorkerOvertaken:
    """The worker stands still for longer than its lock lives; another does its work."""

    def happen(self, cluster: Cluster) -> None:
        cluster.overtaken()


@dataclass(frozen=True, slots=True)
class LeaderOvertaken:
    """The leader stands still; another leads, and the first writes all that it knows some seconds later."""

    seconds: float

    def happen(self, cluster: Cluster) -> None:
        cluster.later(self.seconds, partial(self._goes_on, cluster.lead_anew()))

    @staticmethod
    def _goes_on(old: PumpedWatcher) -> None:
        with suppress(StaleTerm):
            old.say_what_it_knows()


@dataclass(frozen=True, slots=True)
class WorkersAway:
    seconds: float

    def happen(self, cluster: Cluster) -> None:
        cluster.workers_away_until = cluster.clock.now() + self.seconds


@dataclass(frozen=True, slots=True)
class SweepComes:
    def happen(self, cluster: Cluster) -> None:
        cluster.queue.sweep()


# --- EC2


@dataclass(frozen=True, slots=True)
class Ec2Behaves:
    """Latencies, lag, limits: what `Ec2Behaviour.changed` takes."""

    name: str
    value: Any

    def happen(self, cluster: Cluster) -> None:
        cluster.ec2.behave(cluster.ec2.behaviour.changed({self.name: self.value}))


@dataclass(frozen=True, slots=True)
class Ec2Fails:
    action: str = "*"
    code: str = "InternalError"
    after: bool = False
    rate: float = 1.0
    count: int | None = None

    def happen(self, cluster: Cluster) -> None:
        when: Any = "after" if self.after else "before"
        cluster.ec2.inject(FaultRule(action=self.action, code=self.code, when=when, rate=self.rate, count=self.count))


@dataclass(frozen=True, slots=True)
class Healed:
    """EC2 is well again, and quick; watches speak, workers are there."""

    def happen(self, cluster: Cluster) -> None:
        cluster.heal()
