"""What people and Kubernetes do to a cluster: pods come, go, finish and are replaced; nodes join, leave, come back."""

import random
import time
import urllib.error
from dataclasses import dataclass, field
from typing import Any

from benchmarks.stand import LINUX, WINDOWS, Stand, pod_body
from common.model.names import POD_ENI, PRIVATE_IPV4
from tests.integration.rig import GROUP, MERGE, SUBNET
from tests.integration.webhook_cluster import POLICIES

LINUX_TYPE, WINDOWS_TYPE = "m5.4xlarge", "m5.large"
MOST_PODS = {POD_ENI: 10, PRIVATE_IPV4: 5}
"""On a node: fewer than it has places, as those of ended pods rest."""
MOST_NODES = 8
CONFIGS: tuple[dict[str, str], ...] = (
    {"branch_eni_cooldown": "30", "enable_windows_ipam": "true"},
    {"branch_eni_cooldown": "45", "enable_windows_ipam": "true"},
    {"branch_eni_cooldown": "30", "enable_windows_ipam": "true", "enable_windows_prefix_delegation": "true"},
    {"branch_eni_cooldown": "30", "enable_windows_ipam": "true", "warm_ip_target": "5"},
)
AWAY_SECONDS = 2.0


@dataclass(slots=True)
class Life:
    """Used by one thread. Each step is drawn by `rng`."""

    stand: Stand
    rng: random.Random
    nodes: dict[str, str] = field(default_factory=dict)
    """Instance by name."""
    windows: set[str] = field(default_factory=set)
    pods: dict[str, str] = field(default_factory=dict)
    """Node by name, of pods that were not removed."""
    asked: dict[str, float] = field(default_factory=dict)
    """When each pod came (monotonic), whether it is there still or not."""
    removed: dict[str, float] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    """How often each step was taken."""
    _number: int = 0

    def begin(self) -> None:
        self.stand.rig.set_config(**CONFIGS[0])
        for windows in (False, False, False, True, True):
            self._join(windows=windows)

    # --- pods

    def move_pods(self) -> None:
        """One step."""
        steps = ((6, self._comes), (3, self._goes), (1, self._finishes), (1, self._comes_again))
        self._take(self.rng.choices([step for _, step in steps], [weight for weight, _ in steps])[0])

    def _comes(self) -> None:
        if not self.nodes:
            return
        node = self.rng.choice(sorted(self.nodes))
        resource = PRIVATE_IPV4 if node in self.windows else POD_ENI
        if list(self.pods.values()).count(node) < MOST_PODS[resource]:
            self._add_pod(self._new("p"), node, resource)

    def _add_pod(self, name: str, node: str, resource: str) -> None:
        self.asked[name] = time.monotonic()
        self.pods[name] = node
        body = pod_body(name, node, resource)
        body["metadata"]["labels"] = {"app": self.rng.choice(("web", "db"))}
        self.stand.rig.kube("POST", "/api/v1/namespaces/default/pods", body)

    def _goes(self) -> None:
        if self.pods:
            self._remove_pod(self.rng.choice(sorted(self.pods)))

    def _finishes(self) -> None:
        """It stays as an object, and asks for nothing any more."""
        if self.pods:
            name = self.rng.choice(sorted(self.pods))
            path = f"/api/v1/namespaces/default/pods/{name}/status"
            self.stand.rig.kube("PATCH", path, {"status": {"phase": "Succeeded"}}, MERGE)
            del self.pods[name]
            self.removed[name] = time.monotonic()

    def _comes_again(self) -> None:
        """As a StatefulSet's: another pod of the same name at once."""
        if self.pods:
            name = self.rng.choice(sorted(self.pods))
            node = self.pods[name]
            self._remove_pod(name)
            self._add_pod(name, node, PRIVATE_IPV4 if node in self.windows else POD_ENI)
            del self.asked[name]  # Its wait cannot be separated from that of the one before.

    def _remove_pod(self, name: str) -> None:
        self.stand.rig.remove_pod(name)
        self.pods.pop(name, None)
        self.removed[name] = time.monotonic()

    # --- nodes, policies, settings

    def move_cluster(self) -> None:
        """One step."""
        self._take(
            self.rng.choice(
                (self._joins, self._leaves, self._replaced, self._away, self._configured, self._policy, self._policy)
            )
        )

    def _joins(self) -> None:
        if len(self.nodes) < MOST_NODES:
            self._join(windows=self.rng.random() < 0.4)

    def _join(self, *, windows: bool) -> None:
        name = self._new("w" if windows else "n")
        if windows:
            self.windows.add(name)
        self._instance_of(name)
        self._register(name)

    def _leaves(self) -> None:
        if len(self.nodes) > 2:
            self._leave(self.rng.choice(sorted(self.nodes)))

    def _leave(self, name: str) -> None:
        for pod in [pod for pod, node in self.pods.items() if node == name]:
            self._remove_pod(pod)
        self._unregister(name)
        self.stand.rig.ec2("POST", "terminate", {"instance_ids": [self.nodes.pop(name)]})
        self.windows.discard(name)

    def _replaced(self) -> None:
        """Another instance comes back under the same name; what ran on the one before is gone."""
        if self.nodes:
            name = self.rng.choice(sorted(self.nodes))
            windows = name in self.windows
            self._leave(name)
            if windows:
                self.windows.add(name)
            self._instance_of(name)
            self._register(name)

    def _away(self) -> None:
        """Its kubelet makes the Node object again, with its pods running all the time."""
        if self.nodes:
            name = self.rng.choice(sorted(self.nodes))
            self._unregister(name)
            time.sleep(AWAY_SECONDS)
            self._register(name)

    def _configured(self) -> None:
        self.stand.rig.set_config(**self.rng.choice(CONFIGS))

    def _policy(self) -> None:
        """Made, or deleted."""
        name, path = self.rng.choice(("one", "two")), POLICIES.format("default")
        spec = {"podSelector": {"matchLabels": {"app": "web"}}, "securityGroups": {"groupIds": [GROUP]}}
        kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
        try:
            self.stand.rig.kube("POST", path, {**kind, "metadata": {"name": name}, "spec": spec})
        except urllib.error.HTTPError:
            self.stand.rig.kube("DELETE", f"{path}/{name}")

    def _instance_of(self, name: str) -> None:
        windows = name in self.windows
        node: dict[str, Any] = {
            "instance_type": WINDOWS_TYPE if windows else LINUX_TYPE,
            "subnet": SUBNET,
            "groups": [GROUP],
        }
        if windows:
            node["platform"] = "windows"
        self.nodes[name] = self.stand.rig.ec2("POST", "seed", {"nodes": [node]})["instance_ids"][0]

    def _register(self, name: str) -> None:
        labels = WINDOWS if name in self.windows else LINUX
        self.stand.rig.register(name, f"aws:///us-west-2a/{self.nodes[name]}", **labels)

    def _unregister(self, name: str) -> None:
        """As the garbage collector does it: what the Node owns goes with it."""
        self.stand.rig.kube("DELETE", f"/api/v1/nodes/{name}")
        try:
            self.stand.rig.kube("DELETE", f"/apis/vpcresources.k8s.aws/v1alpha1/cninodes/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    # --- the end

    def end(self) -> None:
        """All pods go, then all nodes."""
        for name in list(self.pods):
            self._remove_pod(name)
        for name in list(self.nodes):
            self._leave(name)

    def _take(self, step: Any) -> None:
        what = step.__name__.strip("_")
        self.done[what] = self.done.get(what, 0) + 1
        step()

    def _new(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number:05}"
