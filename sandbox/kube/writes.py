"""Create, update, patch and delete: admission and validation around an optimistic write, as GuaranteedUpdate does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from sandbox.kube import mutation
from sandbox.kube.admission import Admission, Attempt, User
from sandbox.kube.apply import Appliers
from sandbox.kube.history import Record
from sandbox.kube.naming import Names, check_metadata, timestamp
from sandbox.kube.resources import NAMESPACES, Object, Resource
from sandbox.kube.routing import Target
from sandbox.kube.status import ApiError, already_exists, bad_request, conflict, invalid, not_found
from sandbox.kube.store import Stale, Store

ATTEMPTS = 20
"""Attempts of an update without a resourceVersion against concurrent writers, before it is a conflict after all."""
Change = Callable[[Object], Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One writing request and its options."""

    target: Target
    user: User
    dry_run: bool = False
    strictness: str = "Warn"
    manager: str = "unknown"
    warnings: list[str] = field(default_factory=list)

    def attempt(self, operation: str, name: str, options: Object | None = None) -> Attempt:
        return Attempt(
            resource=self.target.resource, subresource=self.target.subresource, namespace=self.target.namespace,
            name=name, operation=operation, user=self.user, dry_run=self.dry_run, options=options or {},
        )  # fmt: skip


class Writer:
    """The writing half of the API."""

    def __init__(self, store: Store, admission: Admission, names: Names, clock: Callable[[], float]) -> None:
        self._store, self._admission, self._names, self._clock = store, admission, names, clock
        self.appliers = Appliers()

    def create(self, write: Write, obj: Object) -> bytes:
        """The new object's JSON. Raises 400, 403, 404 (namespace), 409, 422, and what webhooks say."""
        resource, namespace = write.target.resource, write.target.namespace
        mutation.check_kind(resource, obj)
        metadata = check_metadata(obj)
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if namespace is not None:
            if metadata.setdefault("namespace", namespace) != namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            self._check_namespace(resource, namespace, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self._names.suffix()
        write.warnings.extend(mutation.settle(resource, obj, write.strictness))
        mutation.new_object(resource, obj, now=self._clock(), uid=self._names.uid())
        if metadata.get("name"):
            attempt = write.attempt(
                "CREATE", metadata["name"], {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
            )
            obj = self._admission.mutate(attempt, obj, None, write.warnings)
            mutation.settle(resource, obj, "Ignore")
            mutation.check_new(resource, obj)
            self._admission.validate(attempt, obj, None, write.warnings)
        else:
            mutation.check_new(resource, obj)
        name = obj["metadata"]["name"]
        if write.dry_run:
            if self._store.get(resource, namespace, name):
                raise already_exists(resource, name)
            return msgspec.json.encode(obj)
        try:
            return self._store.put(resource, obj, None).raw
        except Stale as error:
            raise already_exists(resource, name) from error

    def _check_namespace(self, resource: Resource, namespace: str, metadata: Object) -> None:
        place = self._store.get(NAMESPACES, None, namespace)
        if place is None:
            raise not_found(NAMESPACES, namespace)
        if b'"Terminating"' in place.raw and place.object()["status"]["phase"] == "Terminating":
            name = metadata.get("name", "")
            message = (
                f'{resource.qualified} "{name}" is forbidden: unable to create new content in namespace '
                f"{namespace} because it is being terminated"
            )
            raise ApiError(403, "Forbidden", message, details={"name": name, "kind": resource.plural})

    def update(self, write: Write, change: Change, *, patched: bool) -> bytes:
        """Stores `change(present object)`; again on the newer object while nothing says which version was meant.

        Raises 404, 409 for a stale resourceVersion, 400 and 422 for invalid changes, and what webhooks say.
        """
        resource, namespace, name = write.target.resource, write.target.namespace, write.target.name or ""
        for _ in range(ATTEMPTS):
            current = self._store.get(resource, namespace, name)
            if current is None:
                raise not_found(resource, name)
            old, asked = current.object(), change(current.object())
            try:
                check_metadata(asked)
            except ApiError as error:
                code, reason = (422, "Invalid") if patched else (error.code, error.reason)
                raise ApiError(code, reason, error.message) from error
            versioned = self._check_version(resource, name, current, asked, patched=patched)
            mutation.check_identity(resource, name, old, asked, patched=patched)
            new = mutation.merged_update(resource, write.target.subresource, old, asked)
            warned = mutation.settle(resource, new, write.strictness)
            mutation.count_generation(resource, old, new)
            attempt = write.attempt("UPDATE", name, {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"})
            admitted = self._admission.mutate(attempt, new, old, write.warnings)
            if admitted is not new:
                new = mutation.merged_update(resource, write.target.subresource, old, admitted)
                mutation.settle(resource, new, "Ignore")
                mutation.count_generation(resource, old, new)
            mutation.check_update(resource, write.target.subresource, old, new)
            self._admission.validate(attempt, new, old, write.warnings)
            write.warnings.extend(warned)
            try:
                return self._commit(resource, current, old, new, dry_run=write.dry_run)
            except Stale:
                if versioned:
                    break
        raise conflict(resource, name)

    @staticmethod
    def _check_version(resource: Resource, name: str, current: Record, asked: Object, *, patched: bool) -> bool:
        """Whether the request names a version of the object. Raises 409 for a stale one, 422 for a needed one."""
        version = asked["metadata"].get("resourceVersion") or ""
        if version and version != str(current.version):
            raise conflict(resource, name)
        if not version and not patched and not resource.unconditional_update:
            words = "Invalid value: 0: must be specified for an update"
            cause = ("FieldValueInvalid", "metadata.resourceVersion", words)
            raise invalid(resource, name, [cause], kind=resource.plural, shown=resource.qualified)
        return bool(version) and not patched

    def _commit(self, resource: Resource, current: Record, old: Object, new: Object, *, dry_run: bool) -> bytes:
        if new == old:
            return current.raw
        metadata = new["metadata"]
        finished = (
            metadata.get("deletionTimestamp")
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
            and not (resource is NAMESPACES and new["spec"].get("finalizers"))
        )
        if dry_run:
            return msgspec.json.encode(new)
        if finished:
            return self._remove(resource, new, current).raw
        return self._store.put(resource, new, current).raw

    def _remove(self, resource: Resource, obj: Object, current: Record) -> Record:
        self.appliers.forget(current.uid)
        return self._store.remove(resource, obj, current)

    def delete(self, write: Write, options: Object) -> tuple[bytes, bool]:
        """(JSON of the object, whether it is gone). Raises 404, 409 for preconditions, and what webhooks say."""
        resource, namespace, name = write.target.resource, write.target.namespace, write.target.name or ""
        while True:
            current = self._store.get(resource, namespace, name)
            if current is None:
                raise not_found(resource, name)
            _check_preconditions(resource, current, options.get("preconditions") or {})
            old, obj = current.object(), current.object()
            given = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **options}
            self._admission.validate(write.attempt("DELETE", name, given), None, old, write.warnings)
            gone = self._mark_deleted(resource, obj, options)
            try:
                if write.dry_run or (obj == old and not gone):
                    return current.raw, gone
                if gone:
                    return self._finish(resource, obj, old, current).raw, True
                return self._store.put(resource, obj, current).raw, False
            except Stale:
                continue

    def _finish(self, resource: Resource, obj: Object, old: Object, current: Record) -> Record:
        """Removes the object. A pod is first marked, in a version of its own, as kube-apiserver does."""
        with self._store.lock:
            if resource.kind == "Pod" and obj != old:
                current = self._store.put(resource, obj, current)
                obj = current.object()
            return self._remove(resource, obj, current)

    def _mark_deleted(self, resource: Resource, obj: Object, options: Object) -> bool:
        """Marks the object as being deleted, in place; true when nothing holds it back any more."""
        metadata, asked = obj["metadata"], options.get("gracePeriodSeconds")
        begun, held = "deletionTimestamp" in metadata, metadata.get("finalizers") or ()
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else None)
        waits_for = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy or "")
        if waits_for and waits_for not in held and not begun:
            held = metadata["finalizers"] = [*held, waits_for]
        if resource is NAMESPACES:
            obj["status"]["phase"] = "Terminating"
            held = [*held, *obj["spec"].get("finalizers", ())]
        if resource.kind != "Pod" and not held:
            return True
        grace = _grace(obj, asked) if resource.kind == "Pod" else 0
        if begun and (asked is None or grace >= metadata.get("deletionGracePeriodSeconds", 0)):
            grace = metadata.get("deletionGracePeriodSeconds", 0)
        else:
            if not begun and metadata.get("generation"):
                metadata["generation"] += 1
            metadata["deletionTimestamp"] = timestamp(self._clock() + grace)
            if resource is not NAMESPACES:
                metadata["deletionGracePeriodSeconds"] = grace
        return not held and grace == 0

    def apply(self, write: Write, config: Object, *, force: bool) -> tuple[bytes, bool]:
        """Server-side apply: (JSON of the object, whether it was created)."""
        resource, name = write.target.resource, write.target.name or ""
        mutation.check_kind(resource, config)
        applied = msgspec.json.decode(msgspec.json.encode(config))
        associative = not resource.custom

        def change(live: Object) -> Object:
            return self.appliers.merge(live, applied, manager=write.manager, force=force, associative=associative)

        created = self._store.get(resource, write.target.namespace, name) is None
        if created:
            config.setdefault("metadata", {}).setdefault("name", name)
            raw = self.create(write, config)
        else:
            raw = self.update(write, change, patched=True)
        if not write.dry_run:
            self.appliers.remember(msgspec.json.decode(raw)["metadata"]["uid"], write.manager, applied)
        return raw, created

    def bind(self, write: Write, binding: Object) -> None:
        """Assigns the pod to a node, as a scheduler asks. Raises 404, and 409 for a pod that has a node or goes."""
        name, node = write.target.name or "", (binding.get("target") or {}).get("name", "")

        def change(pod: Object) -> Object:
            present = pod["spec"].get("nodeName")
            why = f"pod {name} is already assigned to node {present!r}".replace("'", '"') if present else None
            if pod["metadata"].get("deletionTimestamp"):
                why = f"pod {name} is being deleted, cannot be assigned to a host"
            if why:
                found = {"name": name, "kind": "pods/binding"}
                message = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
                raise ApiError(409, "Conflict", message, details=found)
            pod["spec"]["nodeName"] = node
            for kind in ("labels", "annotations"):
                extra = (binding.get("metadata") or {}).get(kind)
                if extra:
                    pod["metadata"][kind] = (pod["metadata"].get(kind) or {}) | extra
            now = timestamp(self._clock())
            condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
            others = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
            pod["status"]["conditions"] = [*others, condition]
            return pod

        resource = write.target.resource
        while True:
            current = self._store.get(resource, write.target.namespace, name)
            if current is None:
                raise not_found(resource, name)
            attempt = write.attempt("CREATE", name)
            self._admission.mutate(attempt, binding, None, write.warnings)
            self._admission.validate(attempt, binding, None, write.warnings)
            changed = change(current.object())
            try:
                if not write.dry_run:
                    self._store.put(resource, changed, current)
                return
            except Stale:
                continue


def _check_preconditions(resource: Resource, current: Record, wanted: Object) -> None:
    found = {"uid": current.uid, "resourceVersion": str(current.version)}
    for key, words, after in (
        ("uid", "UID", "The object might have been deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "The object might have been modified"),
    ):
        if wanted.get(key) and wanted[key] != found[key]:
            message = (
                f'Operation cannot be fulfilled on {resource.kind} "{current.name}": the {words} in the precondition '
                f"({wanted[key]}) does not match the {words} in record ({found[key]}). {after}"
            )
            raise ApiError(409, "Conflict", message, details={"name": current.name, "kind": resource.kind})


def _grace(pod: Object, asked: int | None) -> int:
    """Seconds that a pod has to end: none where no kubelet holds it or it has ended."""
    if not pod["spec"].get("nodeName") or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)
