"""A toy deployment controller: keeps as many pods as a Deployment asks for (no ReplicaSets, no rolling updates)."""

from __future__ import annotations

from sandbox.kube.patches import MERGE_PATCH
from sandbox.kube.resources import Object
from sandbox.kube.selectors import structured_selector
from sandbox.kube.world import KubeWorld, User

CONTROLLER = User(name="system:kube-controller-manager", groups=("system:authenticated",))


class DeploymentController:
    """Follows Deployments and their pods by watches; `step` creates and deletes what is missing or too much."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self._watch = world.watch("/apis/apps/v1/deployments")
        self._pods = world.watch("/api/v1/pods")
        self.watches = (self._watch, self._pods)
        self._deployments: dict[str, Object] = {}
        self._owned: dict[str, dict[str, Object]] = {}
        self._dirty: set[str] = set()

    def pending(self) -> bool:
        return self._watch.pending() or self._pods.pending()

    def step(self) -> None:
        """Makes the pods of every changed Deployment as many as it asks for."""
        while (event := self._watch.next_event()) is not None:
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                self._deployments.pop(uid, None)
            else:
                self._deployments[uid] = event["object"]
                self._dirty.add(uid)
        while (event := self._pods.next_event()) is not None:
            self._see_pod(event["type"], event["object"])
        for uid in sorted(self._dirty & self._deployments.keys()):
            self._reconcile(self._deployments[uid], self._owned.setdefault(uid, {}))
        self._dirty.clear()

    def _see_pod(self, kind: str, pod: Object) -> None:
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner.get("controller") and owner["kind"] == "Deployment":
                owned = self._owned.setdefault(owner["uid"], {})
                ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
                if kind == "DELETED" or pod["metadata"].get("deletionTimestamp") or ended:
                    owned.pop(pod["metadata"]["uid"], None)
                else:
                    owned[pod["metadata"]["uid"]] = pod
                self._dirty.add(owner["uid"])

    def _reconcile(self, deployment: Object, owned: dict[str, Object]) -> None:
        if deployment["metadata"].get("deletionTimestamp"):
            return
        wanted, namespace = deployment["spec"]["replicas"], deployment["metadata"]["namespace"]
        base = f"/api/v1/namespaces/{namespace}/pods"
        for _ in range(wanted - len(owned)):
            response = self._world.request("POST", base, body=_pod_of(deployment), user=CONTROLLER)
            if response.status != 201:
                break
            pod = response.json()
            owned[pod["metadata"]["uid"]] = pod
        # Pods without a node go first, then the youngest, as the real controller chooses.
        order = sorted(owned.values(), key=lambda p: (bool(p["spec"].get("nodeName")), -_number(p)))
        for pod in order[: max(0, len(owned) - wanted)]:
            options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
            self._world.request("DELETE", f"{base}/{pod['metadata']['name']}", body=options, user=CONTROLLER)
            del owned[pod["metadata"]["uid"]]
        ready = sum(p.get("status", {}).get("phase") == "Running" for p in owned.values())
        counted = {"replicas": len(owned), "updatedReplicas": len(owned), "readyReplicas": ready,
                   "availableReplicas": ready, "observedGeneration": deployment["metadata"]["generation"],
                   "unavailableReplicas": max(0, wanted - ready)}  # fmt: skip
        present = deployment.get("status") or {}
        if any(present.get(k) != v for k, v in counted.items()):
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment['metadata']['name']}/status"
            available = {
                "type": "Available",
                "status": "True" if ready >= wanted else "False",
                "reason": "",
                "message": "",
            }
            body = {"status": counted | {"conditions": [available]}}
            self._world.request("PATCH", path, body=body, content_type=MERGE_PATCH, user=CONTROLLER)


def _number(pod: Object) -> int:
    return int(pod["metadata"]["resourceVersion"])


def _pod_of(deployment: Object) -> Object:
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    assert structured_selector(deployment["spec"]["selector"])(labels)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"],
             "controller": True, "blockOwnerDeletion": True}  # fmt: skip
    own: Object = {"generateName": f"{metadata['name']}-", "labels": labels, "ownerReferences": [owner]}
    annotations = (template.get("metadata") or {}).get("annotations")
    if annotations:
        own["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": template["spec"]}
