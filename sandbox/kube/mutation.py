"""What an API server makes of what somebody writes: pure functions from old and new object to the stored one."""

from __future__ import annotations

import copy

from sandbox.kube import defaults, schema
from sandbox.kube.naming import check_metadata, check_name, check_references, timestamp
from sandbox.kube.resources import DEFINITIONS, Object, Resource, of_definition
from sandbox.kube.schema import Cause
from sandbox.kube.status import ApiError, bad_request, invalid

SERVER_OWNED = ("uid", "creationTimestamp", "namespace", "name", "generateName", "deletionTimestamp",
                "deletionGracePeriodSeconds", "generation", "selfLink")  # fmt: skip
"""Metadata that an update cannot change."""


def check_kind(resource: Resource, obj: Object) -> None:
    """Raises 400 for an object of another kind; missing kind and version are filled in."""
    kind, version = obj.setdefault("kind", resource.kind), obj.setdefault("apiVersion", resource.group_version)
    if (kind, version) != (resource.kind, resource.group_version):
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f'no kind "{kind}" is registered for version "{version}"'
        )


def settle(resource: Resource, obj: Object, strictness: str) -> list[str]:
    """Defaults and pruning, in place. Returns warnings; raises 400 for unknown fields where validation is Strict."""
    check_metadata(obj)
    if not resource.custom:
        defaults.fill(resource.kind, obj)
        return []
    if resource.schema is None:
        return []
    unknown = [f'unknown field "{path}"' for path in schema.prune(obj, resource.schema)]
    if unknown and strictness == "Strict":
        message = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        raise bad_request(message + "strict decoding error: " + ", ".join(unknown))
    return unknown if strictness != "Ignore" else []


def new_object(resource: Resource, obj: Object, *, now: float, uid: str) -> None:
    """Gives a new object what the server owns, in place."""
    metadata = obj["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "generation"):
        metadata.pop(field, None)
    metadata["uid"], metadata["creationTimestamp"] = uid, timestamp(now)
    if resource.counts_generation:
        metadata["generation"] = 1
    if not resource.namespaced:
        metadata.pop("namespace", None)
    if resource.kind == "Pod":
        obj["status"] = {"phase": "Pending", "qosClass": obj["status"]["qosClass"]}
    elif resource is DEFINITIONS:
        obj["status"] = _established(obj, now)
    elif resource.custom and resource.has_status:
        obj.pop("status", None)


def _established(definition: Object, now: float) -> Object:
    spec, at = definition["spec"], timestamp(now)
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    reasons = (("NamesAccepted", "NoConflicts", "no conflicts found"),
               ("Established", "InitialNamesAccepted", "the initial names have been accepted"))  # fmt: skip
    return {
        "conditions": [
            {"type": t, "status": "True", "lastTransitionTime": at, "reason": r, "message": m} for t, r, m in reasons
        ],
        "acceptedNames": copy.deepcopy(names),
        "storedVersions": [v["name"] for v in spec["versions"] if v.get("storage")],
    }


def check_new(resource: Resource, obj: Object) -> None:
    """Raises 422 for an invalid new object."""
    check_name(resource, obj["metadata"])
    _refuse(resource, obj, _violations(resource, obj))


def _violations(resource: Resource, obj: Object) -> list[Cause]:
    if resource.custom:
        return schema.check(obj, resource.schema) if resource.schema else []
    if resource is DEFINITIONS:
        return _check_definition(obj)
    return defaults.check(resource.kind, obj)


def _check_definition(obj: Object) -> list[Cause]:
    try:
        served = of_definition(obj)
    except (KeyError, TypeError) as error:
        return [("FieldValueRequired", f"spec.{error.args[0]}", "Required value")]
    wanted = f"{obj['spec']['names']['plural']}.{obj['spec']['group']}"
    if obj["metadata"]["name"] != wanted:
        words = f'Invalid value: "{obj["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
        return [("FieldValueInvalid", "metadata.name", words)]
    if not served:
        return [("FieldValueInvalid", "spec.versions", "Invalid value: must have exactly one version as storage")]
    return []


def _refuse(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid(resource, obj["metadata"].get("name", ""), causes)


def merged_update(resource: Resource, subresource: str | None, old: Object, new: Object) -> Object:
    """The object to store when `new` is put at the object or one of its subresources."""
    metadata = {k: v for k, v in new["metadata"].items() if k not in SERVER_OWNED and k != "managedFields"}
    metadata |= {k: old["metadata"][k] for k in SERVER_OWNED if k in old["metadata"]}
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    if subresource == "status":
        result = dict(old)
        if "status" in new:
            result["status"] = new["status"]
        else:
            result.pop("status", None)
        result["metadata"] = _status_metadata(resource, old["metadata"], metadata)
    elif subresource == "finalize":
        finalizers = (new.get("spec") or {}).get("finalizers") or []
        result = old | {"spec": (old.get("spec") or {}) | {"finalizers": finalizers}}
    else:
        result = new | {"metadata": metadata}
        if resource.has_status:
            if "status" in old:
                result["status"] = old["status"]
            else:
                result.pop("status", None)
    return result


def _status_metadata(resource: Resource, old: Object, new: Object) -> Object:
    """Which metadata a write to /status may change: it depends on the kind (their registries' status strategies)."""
    match resource.kind:
        case "Node":
            return new
        case "Pod":
            kept = {"ownerReferences": old["ownerReferences"]} if "ownerReferences" in old else {}
            return {k: v for k, v in new.items() if k != "ownerReferences"} | kept
        case "Deployment":
            kept = {"labels": old["labels"]} if "labels" in old else {}
            return {k: v for k, v in new.items() if k != "labels"} | kept
    return old


def count_generation(resource: Resource, old: Object, new: Object) -> None:
    """Raises the generation in place where the desired state has changed."""
    if not resource.counts_generation:
        return
    apart = {"metadata", "kind", "apiVersion"} | ({"status"} if resource.has_status else set())
    before, after = ({k: v for k, v in o.items() if k not in apart} for o in (old, new))
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def check_update(resource: Resource, subresource: str | None, old: Object, new: Object) -> None:
    """Raises 422 for an invalid change."""
    causes: list[Cause] = []
    if old["metadata"].get("deletionTimestamp"):
        held = old["metadata"].get("finalizers") or ()
        fresh = [f for f in new["metadata"].get("finalizers") or () if f not in held]
        if fresh:
            listed = ", ".join(f'"{f}"' for f in fresh)
            words = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            causes.append(("FieldValueForbidden", "metadata.finalizers", words))
    causes += check_references(new["metadata"])
    if resource.custom:
        causes += _violations(resource, new)
        causes += schema.check_changes(old, new, resource.schema or {})
    elif resource.kind == "Pod" and subresource is None:
        causes += defaults.check_pod_update(new, old)
    elif resource.kind == "Node":
        causes += defaults.check_node_update(new, old)
    elif resource.kind in ("Deployment", "CustomResourceDefinition") and subresource is None:
        causes += _violations(resource, new)
    _refuse(resource, new, causes)


def check_identity(resource: Resource, name: str, old: Object, new: Object, *, patched: bool) -> None:
    """Raises for another name (400) or uid: 422 in a patch, 409 in a PUT, as kube-apiserver 1.35 answers."""
    metadata = new["metadata"]
    if metadata.get("name", name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    uid = metadata.get("uid")
    if not uid or uid == old["metadata"]["uid"]:
        return
    if patched:
        cause = ("FieldValueInvalid", "metadata.uid", f'Invalid value: "{uid}": field is immutable')
        raise invalid(resource, name, [cause])
    raise ApiError(
        409, "Conflict",
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": Precondition failed: UID in precondition: '
        f"{uid}, UID in object meta: {old['metadata']['uid']}",
        details={"name": name, "kind": resource.plural} | ({"group": resource.group} if resource.group else {}),
    )  # fmt: skip
