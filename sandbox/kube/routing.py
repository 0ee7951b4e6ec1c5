"""From method, path and query to what is asked: verb, resource, namespace, name, subresource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from sandbox.kube.resources import Registry, Resource
from sandbox.kube.status import ApiError, no_such_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path of the API names."""

    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None


def find_target(path: str, registry: Registry) -> Target | None:
    """The target of an API path; none where no API group serves it. Raises 404."""
    parts = [unquote(p) for p in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    own = not group and len(rest) == 3 and rest[2] in ("status", "finalize")
    if rest[0] == "namespaces" and len(rest) >= 3 and not own:
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None and not registry.built_in(group, version):
        return None
    if resource is None or len(rest) > 3:
        raise no_such_path()
    target = Target(
        resource=resource, namespace=namespace, name=rest[1] if len(rest) > 1 else None,
        subresource=rest[2] if len(rest) > 2 else None,
    )  # fmt: skip
    if target.subresource is not None and target.subresource not in resource.subresources:
        raise no_such_path()
    if (namespace is not None) != resource.namespaced and (namespace is not None or target.name is not None):
        raise no_such_path()
    return target


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The verb in RBAC's sense. Raises 405."""
    whole = target.name is None
    match method:
        case "GET" | "HEAD" if whole:
            return "watch" if truthy(query.get("watch")) else "list"
        case "GET" | "HEAD":
            return "get"
        case "POST" if whole and target.resource.namespaced and target.namespace is None:
            pass
        case "POST" if whole or target.subresource in ("binding", "eviction"):
            return "create"
        case "PUT" if not whole:
            return "update"
        case "PATCH" if not whole:
            return "patch"
        case "DELETE":
            return "deletecollection" if whole else "delete"
    raise ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def truthy(text: str | None) -> bool:
    return text in ("1", "true", "True", "t", "")
