"""The patch types: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge patch.

All take a fresh document and may change it in place; they return the patched one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.kube.resources import Object
from sandbox.kube.status import ApiError

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "env": "name", "volumes": "name",
    "imagePullSecrets": "name", "secrets": "name", "webhooks": "name", "conditions": "type", "addresses": "type",
    "ownerReferences": "uid", "volumeMounts": "mountPath", "ports": "containerPort", "hostAliases": "ip",
    "podIPs": "ip", "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
"""Lists of objects merged by a key (`patchMergeKey` in the Go types of k8s.io/api). All others are replaced:
tolerations and taints, too."""
MERGED_SETS = {"finalizers", "podCIDRs"}
"""Lists of plain values to which a strategic merge patch adds."""


class _Absent(Exception):
    """A JSON pointer that leads nowhere."""


def _unprocessable() -> ApiError:
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", message, details={})


def json_patch(document: Any, operations: list[Object]) -> Any:
    """RFC 6902. Raises 422 where an operation does not apply, a failed `test` included, as kube-apiserver does."""
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (_Absent, KeyError, ValueError, IndexError, TypeError) as error:
            raise _unprocessable() from error
    return document


def _steps(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise _Absent(pointer)
    return [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]


def _get(document: Any, steps: list[str]) -> Any:
    for step in steps:
        document = document[_index(step, len(document) - 1)] if isinstance(document, list) else document[step]
    return document


def _index(step: str, last: int) -> int:
    if not (step == "0" or (step.isdigit() and step[0] != "0")) or int(step) > last:
        raise _Absent(step)
    return int(step)


def _operate(document: Any, operation: Object) -> Any:
    steps = _steps(operation["path"])
    match operation["op"]:
        case "test":
            if _get(document, steps) != operation.get("value"):
                raise _Absent("test failed")
            return document
        case "add":
            return _add(document, steps, operation["value"])
        case "remove":
            return _remove(document, steps)
        case "replace":
            _get(document, steps)
            return _add(_remove(document, steps), steps, operation["value"]) if steps else operation["value"]
        case "move":
            source = _steps(operation["from"])
            value = _get(document, source)
            return _add(_remove(document, source), steps, value)
        case "copy":
            return _add(document, steps, _get(document, _steps(operation["from"])))
        case unknown:
            raise _Absent(unknown)


def _add(document: Any, steps: list[str], value: Any) -> Any:
    if not steps:
        return value
    parent, last = _get(document, steps[:-1]), steps[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, steps: list[str]) -> Any:
    parent, last = _get(document, steps[:-1]), steps[-1]
    if isinstance(parent, list):
        del parent[_index(last, len(parent) - 1)]
    else:
        del parent[last]
    return document


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged: Object = document if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge(document: Any, patch: Any) -> Any:
    """Kubernetes' patch for built-in types: as a merge patch, but some lists merge by key, with `$` directives."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    merged: Object = document if isinstance(document, dict) else {}
    if "$retainKeys" in patch:
        merged = {k: v for k, v in merged.items() if k in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [v for v in merged.get(name, ()) if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _merge_list(key, merged.get(key) or [], value)
        else:
            merged[key] = strategic_merge(merged.get(key), value)
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            name = key.partition("/")[2]
            if isinstance(merged.get(name), list):
                merged[name] = _ordered(name, merged[name], order)
    return merged


def _merge_list(name: str, present: list[Any], patch: list[Any]) -> list[Any]:
    if name in MERGED_SETS:
        return _interleaved(present, [*present, *(v for v in patch if v not in present)], patch, lambda v: v)
    key = MERGE_KEYS.get(name)
    if key is None or not all(isinstance(e, dict) for e in patch):
        return patch
    if any(e.get("$patch") == "replace" for e in patch):
        return [e for e in patch if "$patch" not in e]
    merged = list(present)
    for entry in patch:
        at = next((i for i, e in enumerate(merged) if key in entry and e.get(key) == entry[key]), None)
        if entry.get("$patch") == "delete":
            merged = [e for e in merged if e.get(key) != entry.get(key)]
        elif at is None:
            merged.append(strategic_merge({}, entry))
        else:
            merged[at] = strategic_merge(merged[at], entry)
    return _interleaved(present, merged, patch, lambda e: e.get(key))


def _interleaved(present: list[Any], merged: list[Any], patch: list[Any], key: Callable[[Any], Any]) -> list[Any]:
    """The order of a merged list: the patch's entries in its order, new ones before those it does not name.

    As mergeSortedSlice of apimachinery's strategicpatch.
    """
    asked, place = [key(e) for e in patch], {key(e): i for i, e in enumerate(present)}
    named = sorted((e for e in merged if key(e) in asked), key=lambda e: asked.index(key(e)))
    others = [e for e in merged if key(e) not in asked]
    ordered: list[Any] = []
    while named and others:
        ours, theirs = key(named[0]), key(others[0])
        before = ours in place and theirs in place and place[theirs] < place[ours]
        ordered.append(others.pop(0) if before else named.pop(0))
    return ordered + named + others


def _ordered(name: str, items: list[Any], order: list[Any]) -> list[Any]:
    key = MERGE_KEYS.get(name)
    wanted = [o.get(key) if isinstance(o, dict) else o for o in order]
    place = {value: i for i, value in enumerate(wanted)}
    return sorted(items, key=lambda e: place.get(e.get(key) if isinstance(e, dict) else e, len(place)))
