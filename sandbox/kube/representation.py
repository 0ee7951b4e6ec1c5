"""What a client gets to see of an object, by its Accept header: the object, only its metadata, or a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from sandbox.kube.naming import seconds_of
from sandbox.kube.resources import Object, Resource
from sandbox.kube.status import ApiError

Represent = Callable[[bytes], bytes]
Cells = Callable[[Object], list[Any]]


def wanted_form(accept: str) -> str:
    """`object`, `metadata` or `table`: the first acceptable one. Raises 406 where there is none."""
    for clause in (accept or "*/*").split(","):
        media, *parameters = (p.strip() for p in clause.split(";"))
        if media not in ("application/json", "*/*", "application/*"):
            continue
        given = {p.partition("=")[0]: p.partition("=")[2] for p in parameters}
        form = given.get("as")
        if form is None:
            return "object"
        if given.get("g") == "meta.k8s.io" and given.get("v") == "v1":
            if form == "Table":
                return "table"
            if form in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return "metadata"
    message = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", message)


def representation(resource: Resource, form: str, now: float, include: str = "Metadata") -> Represent | None:
    """How to turn one object's JSON into that form; none where it stays as it is."""
    match form:
        case "metadata":
            return lambda raw: msgspec.json.encode(_metadata_only(msgspec.json.decode(raw)))
        case "table":
            return lambda raw: msgspec.json.encode(table(resource, [msgspec.json.decode(raw)], now, include))
    return None


def list_body(resource: Resource, metadata: Object, raws: list[bytes], represent: Represent | None) -> bytes:
    """A list's JSON. Items of built-in kinds have no kind and version, as from a real API server."""
    kind, version = resource.list_kind, resource.group_version
    if represent is not None:
        raws = [represent(raw) for raw in raws]
        kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    elif not resource.custom:
        skipped = len(f'{{"kind":"{resource.kind}","apiVersion":"{resource.group_version}",')
        raws = [b"{" + raw[skipped:] for raw in raws]
    head = msgspec.json.encode({"kind": kind, "apiVersion": version, "metadata": metadata})
    return head[:-1] + b',"items":[' + b",".join(raws) + b"]}"


def _metadata_only(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def table(
    resource: Resource, objects: list[Object], now: float, include: str, metadata: Object | None = None
) -> Object:
    """A meta.k8s.io/v1 Table, as kubectl prints it."""
    columns, cells = _columns(resource, now)

    def shown(o: Object) -> Object | None:
        if include == "None":
            return None
        return o if include == "Object" else _metadata_only(o)

    rows = [{"cells": cells(o), "object": shown(o)} for o in objects]
    if metadata is None:
        metadata = {"resourceVersion": objects[0]["metadata"].get("resourceVersion", "")} if objects else {}
    head: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return head | {"columnDefinitions": columns, "rows": rows}


def _column(name: str, wide: bool = False, kind: str = "string", form: str = "") -> Object:
    return {"name": name, "type": kind, "format": form, "description": name, "priority": 1 if wide else 0}


def _columns(resource: Resource, now: float) -> tuple[list[Object], Cells]:
    def age(o: Object) -> str:
        return duration(now - seconds_of(o["metadata"]["creationTimestamp"]))

    name = _column("Name", form="name")
    match resource.kind:
        case "Pod":
            more = [_column("Ready"), _column("Status"), _column("Restarts"), _column("Age"), _column("IP", True),
                    _column("Node", True)]  # fmt: skip
            return [name, *more], lambda o: [o["metadata"]["name"], *_pod_cells(o, age(o))]
        case "Node":
            return [name, _column("Status"), _column("Roles"), _column("Age"), _column("Version")], lambda o: [
                o["metadata"]["name"], _ready(o), "<none>", age(o),
                o.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""),
            ]  # fmt: skip
        case "Namespace":
            return [name, _column("Status"), _column("Age")], lambda o: [
                o["metadata"]["name"], o["status"]["phase"], age(o)
            ]  # fmt: skip
        case "Deployment":
            more = [_column("Ready"), _column("Up-to-date", kind="integer"), _column("Available", kind="integer"),
                    _column("Age")]  # fmt: skip
            return [name, *more], lambda o: [
                o["metadata"]["name"], f"{o['status'].get('readyReplicas', 0)}/{o['spec']['replicas']}",
                o["status"].get("updatedReplicas", 0), o["status"].get("availableReplicas", 0), age(o),
            ]  # fmt: skip
        case "Event":
            columns = [_column("Last Seen"), _column("Type"), _column("Reason"), _column("Object"), _column("Message")]
            return columns, lambda o: [_last_seen(o, now), o.get("type", ""), o.get("reason", ""), _involved(o),
                                       o.get("message", "").strip()]  # fmt: skip
    extra = [c for c in resource.columns if c["name"] != "Age"]
    shown = [_column(c["name"], bool(c.get("priority")), c.get("type", "string")) for c in extra]
    ages = not resource.columns or len(extra) != len(resource.columns)
    return [name, *shown, *([_column("Age")] if ages else [])], lambda o: [
        o["metadata"]["name"], *(_at_path(o, c["jsonPath"]) for c in extra), *([age(o)] if ages else [])
    ]  # fmt: skip


def _pod_cells(pod: Object, age: str) -> list[Any]:
    status, spec = pod.get("status", {}), pod["spec"]
    statuses = status.get("containerStatuses") or []
    ready = sum(bool(s.get("ready")) for s in statuses)
    phase = "Terminating" if pod["metadata"].get("deletionTimestamp") else status.get("phase", "Unknown")
    restarts = sum(s.get("restartCount", 0) for s in statuses)
    return [f"{ready}/{len(spec['containers'])}", phase, str(restarts), age, status.get("podIP") or "<none>",
            spec.get("nodeName") or "<none>"]  # fmt: skip


def _ready(node: Object) -> str:
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or ()}
    words = {"True": "Ready", "False": "NotReady"}.get(conditions.get("Ready", ""), "Unknown")
    return words + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def _last_seen(event: Object, now: float) -> str:
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return duration(now - seconds_of(stamp))


def _involved(event: Object) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _at_path(obj: Object, path: str) -> Any:
    """A simple JSON path: names, `[*]` and indexes."""
    found: list[Any] = [obj]
    many = False
    for step in re.findall(r"\.([^.\[\]]+)|\[(\*|\d+)\]", path):
        name, index = step
        following: list[Any] = []
        for value in found:
            if name and isinstance(value, dict) and name in value:
                following.append(value[name])
            elif index == "*" and isinstance(value, list):
                many = True
                following += value
            elif index.isdigit() and isinstance(value, list) and int(index) < len(value):
                following.append(value[int(index)])
        found = following
    if many:
        return ",".join(str(v) for v in found)
    if not found:
        return None
    value = found[0]
    return msgspec.json.encode(value).decode() if isinstance(value, (dict, list)) else value


def duration(seconds: float) -> str:
    """As kubectl's short ages: 45s, 12m, 5h, 3d."""
    s = max(0, int(seconds))
    if s < 120:
        return f"{s}s"
    if s < 7200:
        return f"{s // 60}m"
    return f"{s // 3600}h" if s < 172800 else f"{s // 86400}d"
