"""JSON Patches (RFC 6902) of exactly what changes: whatever else an object has, known to us or not, survives."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webhook.objects import Container, Metadata

Patch = tuple[Mapping[str, Any], ...]

ONE = "1"
_ZERO = re.compile(r"[+-]?(?:0+\.?0*|\.0+)(?:[eE][+-]?[0-9]+|[a-zA-Z]{0,2})", re.ASCII)


def ask_for_one(containers: Sequence[Container], resource: str) -> Patch:
    """A limit and a request of one on the first container. Nothing where there is no container, or where any of them
    already asks; a quantity of zero asks for nothing."""
    if not containers or any(_asks(container, resource) for container in containers):
        return ()
    path, wanted = "/spec/containers/0/resources", {resource: ONE}
    resources = containers[0].resources
    if resources is None:
        return (_add(path, {"limits": wanted, "requests": wanted}),)
    return (
        _entry(f"{path}/limits", resources.limits, resource, ONE),
        _entry(f"{path}/requests", resources.requests, resource, ONE),
    )


def annotate(metadata: Metadata, key: str, value: str) -> Patch:
    """Set an annotation; nothing where it is already so."""
    annotations = metadata.annotations
    if annotations is not None and annotations.get(key) == value:
        return ()
    return (_entry("/metadata/annotations", annotations, key, value),)


def drop_annotation(metadata: Metadata, key: str) -> Patch:
    """Remove an annotation; nothing where it is not there."""
    if key not in (metadata.annotations or {}):
        return ()
    return ({"op": "remove", "path": f"/metadata/annotations/{_escaped(key)}"},)


def _asks(container: Container, resource: str) -> bool:
    resources = container.resources
    if resources is None:
        return False
    amounts = ((resources.limits or {}).get(resource), (resources.requests or {}).get(resource))
    return any(amount is not None and not _ZERO.fullmatch(str(amount)) for amount in amounts)


def _entry(path: str, present: Mapping[str, Any] | None, key: str, value: str) -> Mapping[str, Any]:
    """`add` replaces what is there, an entry as well as a null."""
    return _add(path, {key: value}) if present is None else _add(f"{path}/{_escaped(key)}", value)


def _add(path: str, value: Any) -> Mapping[str, Any]:
    return {"op": "add", "path": path, "value": value}


def _escaped(key: str) -> str:
    """As part of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
