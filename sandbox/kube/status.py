"""Errors as an API server answers them: a `Status` object with code, reason and details."""

from __future__ import annotations

from sandbox.kube.resources import Object, Resource


class ApiError(Exception):
    """A request that fails. `status()` is the body of the answer, `code` its HTTP status."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Object | None = None, metadata: Object | None = None
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message
        self.details, self.metadata = details, metadata or {}

    def status(self) -> Object:
        body: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure",
            "message": self.message, "reason": self.reason,
        }  # fmt: skip
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def details(resource: Resource, name: str | None, *, kind: str | None = None) -> Object:
    found: Object = {"name": name} if name else {}
    if resource.group:
        found["group"] = resource.group
    found["kind"] = kind or resource.plural
    return found


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', details=details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=details(resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=details(resource, name))


def invalid(
    resource: Resource,
    name: str,
    causes: list[tuple[str, str, str]],
    *,
    kind: str | None = None,
    shown: str | None = None,
) -> ApiError:
    """422 with causes of (reason, field, words), as field.ErrorList of apimachinery prints them."""
    found = details(resource, name, kind=kind or resource.kind) | {"causes": _listed(causes)}
    message = f'{shown or resource.qualified_kind} "{name}" is invalid: {_joined(causes)}'
    return ApiError(422, "Invalid", message, details=found)


def invalid_options(kind: str, reason: str, field: str, words: str) -> ApiError:
    """422 for the parameters of a request (`ListOptions`, `PatchOptions`)."""
    causes = [(reason, field, words)]
    message = f'{kind}.meta.k8s.io "" is invalid: {_joined(causes)}'
    found = {"group": "meta.k8s.io", "kind": kind, "causes": _listed(causes)}
    return ApiError(422, "Invalid", message, details=found)


def _listed(causes: list[tuple[str, str, str]]) -> list[Object]:
    return [{"reason": reason, "message": text, "field": field} for reason, field, text in causes]


def _joined(causes: list[tuple[str, str, str]]) -> str:
    words = [f"{field}: {text}" for _, field, text in causes]
    return words[0] if len(words) == 1 else "[" + ", ".join(words) + "]"


def expired(message: str, *, continue_token: str | None = None) -> ApiError:
    return ApiError(410, "Expired", message, metadata={"continue": continue_token} if continue_token else None)


def too_large_version(asked: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details={"causes": [cause], "retryAfterSeconds": 1})


def success(resource: Resource, name: str, uid: str) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details(resource, name) | {"uid": uid},
    }  # fmt: skip
