"""A toy cluster around a world: scheduler, kubelets, deployment controller and garbage collector in one.

For demo and benchmarks. `step()` does what is due and needs no threads, so that simulations can drive it as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sandbox.kube.deployments import DeploymentController
from sandbox.kube.garbage import GarbageCollector
from sandbox.kube.naming import timestamp
from sandbox.kube.patches import STRATEGIC_PATCH
from sandbox.kube.resources import Object
from sandbox.kube.scheduler import Scheduler
from sandbox.kube.world import KubeWorld, User

REMOVAL_SECONDS = 0.2
"""From a pod's deletion until its kubelet lets it go."""
OURS = "vpc.amazonaws.com/"
KUBELET = User(name="system:node:sandbox", groups=("system:nodes", "system:authenticated"))


class ToyCluster:
    """Plays every controller and kubelet of the cluster through the API of `world`."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self._pods, self._nodes = world.watch("/api/v1/pods"), world.watch("/api/v1/nodes")
        self._scheduler = Scheduler(world)
        self._deployments = DeploymentController(world)
        self._garbage = GarbageCollector(world)
        self._removals: deque[tuple[float, str, str, str]] = deque()
        self._removing: set[str] = set()
        self._addresses = 0

    def step(self) -> float | None:
        """Does what is due. Seconds until something more is, none where that needs a change first."""
        while (event := self._nodes.next_event()) is not None:
            self._scheduler.see_node(event["type"], event["object"])
            if event["type"] != "DELETED":
                self._keep_node(event["object"])
        while (event := self._pods.next_event()) is not None:
            pod = event["object"]
            self._scheduler.see_pod(event["type"], pod)
            if event["type"] == "DELETED":
                self._removing.discard(pod["metadata"]["uid"])
            else:
                self._keep_pod(pod)
        self._deployments.step()
        self._garbage.step()
        self._scheduler.step()
        now = self._world.clock()
        while self._removals and self._removals[0][0] <= now:
            _, namespace, name, uid = self._removals.popleft()
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            self._world.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", body=options, user=KUBELET)
        if self.pending():
            return 0.0
        return max(0.0, self._removals[0][0] - now) if self._removals else None

    def pending(self) -> bool:
        """Whether there are changes that `step` has not seen, or more to do than one step does."""
        return (
            self._scheduler.pending
            or self._pods.pending()
            or self._nodes.pending()
            or self._deployments.pending()
            or self._garbage.pending()
        )

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever there may be something to do."""
        for watch in (self._pods, self._nodes, *self._deployments.watches):
            watch.on_change(listener)
        self._garbage.on_change(listener)

    def _keep_node(self, node: Object) -> None:
        """A node is ready, and its allocatable follows its capacity."""
        status = node.get("status") or {}
        capacity, conditions = status.get("capacity") or {}, status.get("conditions") or ()
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        patch: Object = {}
        if status.get("allocatable", {}) != capacity:
            gone = {name: None for name in status.get("allocatable", {}) if name not in capacity}
            patch["allocatable"] = capacity | gone
        if not ready:
            patch["conditions"] = [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the sandbox plays it",
                "lastHeartbeatTime": self._now(), "lastTransitionTime": self._now(),
            }]  # fmt: skip
        if patch and not node["metadata"].get("deletionTimestamp"):
            self._patch_status(f"/api/v1/nodes/{node['metadata']['name']}", node["metadata"]["uid"], patch)

    def _keep_pod(self, pod: Object) -> None:
        """A pod on a node runs once it has its address, and is let go some time after its deletion."""
        metadata, status = pod["metadata"], pod.get("status") or {}
        if not pod["spec"].get("nodeName"):
            return
        if metadata.get("deletionTimestamp"):
            if metadata["uid"] not in self._removing:
                self._removing.add(metadata["uid"])
                due = self._world.clock() + REMOVAL_SECONDS
                self._removals.append((due, metadata["namespace"], metadata["name"], metadata["uid"]))
            return
        if status.get("phase") != "Pending":
            return
        missing = [
            name
            for container in pod["spec"]["containers"]
            for name in container.get("resources", {}).get("limits") or {}
            if name.startswith(OURS) and name not in (metadata.get("annotations") or {})
        ]
        if missing:
            return
        now = self._now()
        conditions = [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
            for kind in ("Initialized", "ContainersReady", "Ready")
        ]
        containers = [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": True, "started": True, "restartCount": 0,
             "state": {"running": {"startedAt": now}}}
            for c in pod["spec"]["containers"]
        ]  # fmt: skip
        address = self._address()
        patch: Object = {"phase": "Running", "startTime": now, "podIP": address, "podIPs": [{"ip": address}],
                         "conditions": conditions, "containerStatuses": containers}  # fmt: skip
        self._patch_status(
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", metadata["uid"], patch
        )

    def _address(self) -> str:
        """The next address of the shared address space (RFC 6598), which no VPC has."""
        self._addresses += 1
        n = self._addresses % (1 << 22)
        return f"100.{64 + (n >> 16)}.{(n >> 8) & 255}.{n & 255}"

    def _patch_status(self, path: str, uid: str, status: Object) -> None:
        body = {"metadata": {"uid": uid}, "status": status}
        self._world.request("PATCH", f"{path}/status", body=body, content_type=STRATEGIC_PATCH, user=KUBELET)

    def _now(self) -> str:
        return timestamp(self._world.clock())
