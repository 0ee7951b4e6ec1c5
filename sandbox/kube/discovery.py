"""Discovery: what kubectl and client libraries ask before they know what is served."""

from __future__ import annotations

from sandbox.kube.resources import Object, Registry, Resource

VERSION: Object = {
    "major": "1", "minor": "35", "gitVersion": "v1.35.0-sandbox", "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
}  # fmt: skip
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def discovered(path: str, registry: Registry) -> Object | None:
    """The document at a discovery path; none where the path is none."""
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = sorted({r.group for r in registry.all() if r.group})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g, registry) for g in groups]}
        case ["api", version]:
            return _resources("", version, registry)
        case ["apis", group] if any(r.group == group for r in registry.all()):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, registry)}
        case ["apis", group, version]:
            return _resources(group, version, registry)
        case ["openapi", "v3"]:
            return {"paths": {_path(r): {"serverRelativeURL": f"/openapi/v3/{_path(r)}"} for r in registry.all()}}
        case ["openapi", "v3", *rest]:
            return _openapi("/".join(rest), registry)
    return None


def _path(resource: Resource) -> str:
    return f"apis/{resource.group_version}" if resource.group else f"api/{resource.version}"


def _group(group: str, registry: Registry) -> Object:
    versions = [
        {"groupVersion": f"{group}/{v}", "version": v}
        for v in sorted({r.version for r in registry.all() if r.group == group})
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[-1]}


def _resources(group: str, version: str, registry: Registry) -> Object | None:
    served = [r for r in registry.all() if (r.group, r.version) == (group, version)]
    if not served:
        return None
    found: list[Object] = []
    for r in sorted(served, key=lambda r: r.plural):
        entry = {"name": r.plural, "singularName": r.singular or r.kind.lower(), "namespaced": r.namespaced,
                 "kind": r.kind, "verbs": VERBS}  # fmt: skip
        found.append(entry | ({"shortNames": list(r.short_names)} if r.short_names else {}))
        for sub in r.subresources:
            named = {"name": f"{r.plural}/{sub}", "singularName": "", "namespaced": r.namespaced, "kind": r.kind}
            verbs = ["create"] if sub in ("binding", "eviction") else ["get", "patch", "update"]
            found.append(named | (_SCALE if sub == "scale" else {}) | {"verbs": verbs})
    return {
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}" if group else version,
        "resources": found,
    }  # fmt: skip


def _openapi(path: str, registry: Registry) -> Object | None:
    """As much as kubectl reads to learn that the server validates fields and can do dry runs."""
    served = [r for r in registry.all() if _path(r) == path]
    if not served:
        return None
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    paths: Object = {}
    for r in served:
        prefix = f"/{path}/namespaces/{{namespace}}" if r.namespaced else f"/{path}"
        kind = {"group": r.group, "version": r.version, "kind": r.kind}
        for where, method, action in ((r.plural, "post", "post"), (f"{r.plural}/{{name}}", "patch", "patch")):
            operation = {
                "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind, "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
            }  # fmt: skip
            paths.setdefault(f"{prefix}/{where}", {})[method] = operation
    info = {"title": "Kubernetes sandbox", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
