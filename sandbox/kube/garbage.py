"""A toy garbage collector: objects whose owners are gone are deleted, and namespaces that end are emptied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from sandbox.kube.patches import MERGE_PATCH
from sandbox.kube.resources import NAMESPACES, Object, Resource
from sandbox.kube.watch import Watch
from sandbox.kube.world import KubeWorld, User

COLLECTOR = User(name="system:serviceaccount:kube-system:generic-garbage-collector", groups=("system:authenticated",))
_HELD_BACK = ("foregroundDeletion", "orphan")


class GarbageCollector:
    """Follows every resource by a watch. Deletion is by uid, so that a successor of the same name is safe."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self._watches: dict[Resource, Watch] = {}
        self._alive: dict[str, tuple[Resource, Object]] = {}
        self._owners: dict[str, list[str]] = {}
        self._dependents: dict[str, set[str]] = defaultdict(set)
        self._suspects: set[str] = set()
        self._ending: dict[str, str] = {}
        self._listener: Callable[[], None] | None = None
        self._follow()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever anything changes, resources still to be defined included."""
        self._listener = listener
        for watch in self._watches.values():
            watch.on_change(listener)

    def pending(self) -> bool:
        return any(w.pending() for w in self._watches.values())

    def step(self) -> None:
        """Deletes what has lost its last owner, and finishes deletions that waited for dependents."""
        self._follow()
        for resource, watch in self._watches.items():
            while (event := watch.next_event()) is not None:
                self._see(resource, event["type"], event["object"]["metadata"])
        suspects, self._suspects = self._suspects, set()
        for uid in sorted(suspects):
            if uid in self._alive:
                self._judge(uid)

    def _follow(self) -> None:
        served = {r for r in self._world.registry.all() if r.plural != "events"}
        for resource in served - self._watches.keys():
            base = f"/apis/{resource.group_version}" if resource.group else f"/api/{resource.group_version}"
            self._watches[resource] = self._world.watch(
                f"{base}/{resource.plural}", accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            )
            if self._listener is not None:
                self._watches[resource].on_change(self._listener)
        for resource in self._watches.keys() - served:
            self._watches.pop(resource).close()

    def _see(self, resource: Resource, kind: str, metadata: Object) -> None:
        uid, owners = metadata["uid"], [o["uid"] for o in metadata.get("ownerReferences") or ()]
        for owner in self._owners.pop(uid, ()):
            self._dependents[owner].discard(uid)
        if kind == "DELETED":
            self._alive.pop(uid, None)
            self._suspects |= self._dependents.pop(uid, set())
            self._suspects |= set(owners)
        else:
            self._alive[uid] = (resource, metadata)
            self._owners[uid] = owners
            for owner in owners:
                self._dependents[owner].add(uid)
            if owners or metadata.get("deletionTimestamp"):
                self._suspects.add(uid)
        if resource is NAMESPACES and metadata.get("deletionTimestamp"):
            self._ending[metadata["name"]] = uid
            if kind == "DELETED":
                del self._ending[metadata["name"]]
        if metadata.get("namespace") in self._ending:
            self._suspects.add(self._ending[metadata["namespace"]])

    def _judge(self, uid: str) -> None:
        resource, metadata = self._alive[uid]
        owners = self._owners.get(uid) or []
        if owners and not any(o in self._alive for o in owners) and not metadata.get("deletionTimestamp"):
            options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
            self._world.request("DELETE", _path(resource, metadata), body=options, user=COLLECTOR)
        if not metadata.get("deletionTimestamp"):
            return
        if resource is NAMESPACES:
            self._empty(metadata)
        held = metadata.get("finalizers") or ()
        dependents = [d for d in self._dependents.get(uid, ()) if d in self._alive]
        if "foregroundDeletion" in held:
            for dependent in sorted(dependents):
                kind, of = self._alive[dependent]
                if not of.get("deletionTimestamp"):
                    options = {"preconditions": {"uid": dependent}}
                    self._world.request("DELETE", _path(kind, of), body=options, user=COLLECTOR)
        if "orphan" in held:
            for dependent in sorted(dependents):
                kind, of = self._alive[dependent]
                kept = [o for o in of["ownerReferences"] if o["uid"] != uid]
                self._change(kind, of, {"ownerReferences": kept or None})
        if any(f in held for f in _HELD_BACK) and ("orphan" in held or not dependents):
            self._change(resource, metadata, {"finalizers": [f for f in held if f not in _HELD_BACK] or None})

    def _empty(self, namespace: Object) -> None:
        """Deletes everything in an ending namespace; when nothing is left, the namespace itself."""
        inside = [(r, m) for r, m in self._alive.values() if m.get("namespace") == namespace["name"]]
        for resource, metadata in inside:
            if not metadata.get("deletionTimestamp"):
                self._world.request("DELETE", _path(resource, metadata), user=COLLECTOR)
        if not inside:
            body: Object = {"spec": {"finalizers": []}}
            path = f"/api/v1/namespaces/{namespace['name']}/finalize"
            self._world.request("PATCH", path, body=body, content_type=MERGE_PATCH, user=COLLECTOR)

    def _change(self, resource: Resource, metadata: Object, change: Object) -> None:
        body = {"metadata": {"uid": metadata["uid"], **change}}
        self._world.request("PATCH", _path(resource, metadata), body=body, content_type=MERGE_PATCH, user=COLLECTOR)


def _path(resource: Resource, metadata: Object) -> str:
    base = f"/apis/{resource.group_version}" if resource.group else f"/api/{resource.group_version}"
    place = f"/namespaces/{metadata['namespace']}" if resource.namespaced else ""
    return f"{base}{place}/{resource.plural}/{metadata['name']}"
