"""Admission webhooks: which ones a request meets, the reviews they get, and what becomes of their answers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from sandbox.kube.naming import Names
from sandbox.kube.patches import json_patch
from sandbox.kube.resources import MUTATING, NAMESPACES, VALIDATING, Object, Resource
from sandbox.kube.selectors import Matches, structured_selector
from sandbox.kube.status import ApiError
from sandbox.kube.store import Store


class WebhookUnreachable(Exception):
    """The webhook could not be called, or did not answer with a review."""


CallWebhook = Callable[[Object, Object, float], Object]
"""(clientConfig, AdmissionReview, seconds to wait) to the review answered. Raises WebhookUnreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks: the administrator unless said otherwise."""

    name: str = "system:admin"
    groups: tuple[str, ...] = ("system:masters", "system:authenticated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A write about to happen."""

    resource: Resource
    subresource: str | None
    namespace: str | None
    name: str
    operation: str
    user: User
    dry_run: bool
    options: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hook:
    name: str
    config: Object
    namespaces: Matches
    objects: Matches


class Admission:
    """Calls the webhooks of the configurations stored."""

    def __init__(self, store: Store, names: Names, call: CallWebhook | None) -> None:
        self._store, self._names, self.call = store, names, call
        self._compiled: dict[str, tuple[int, list[_Hook]]] = {}

    def concerns(self, resource: Resource, subresource: str | None, operation: str) -> bool:
        """Whether any webhook's rules hold such writes (its selectors may still let them pass)."""
        hooks = [*self._hooks(MUTATING), *self._hooks(VALIDATING)]
        return any(self._rules_hold(hook.config, resource, subresource, operation) for hook in hooks)

    def mutate(self, attempt: Attempt, obj: Object, old: Object | None, warnings: list[str]) -> Object:
        """The object after all mutating webhooks, in the order of their configurations' names."""
        for hook in self._matching(MUTATING, attempt, obj, old):
            answer = self._ask(hook, attempt, obj, old, warnings)
            if answer and answer.get("patch"):
                patch = msgspec.json.decode(base64.b64decode(answer["patch"]))
                obj = json_patch(msgspec.json.decode(msgspec.json.encode(obj)), patch)
        return obj

    def validate(self, attempt: Attempt, obj: Object | None, old: Object | None, warnings: list[str]) -> None:
        """Raises what the first webhook that refuses says."""
        for hook in self._matching(VALIDATING, attempt, obj, old):
            self._ask(hook, attempt, obj, old, warnings)

    def _hooks(self, resource: Resource) -> list[_Hook]:
        table = self._store.table(resource)
        cached = self._compiled.get(resource.plural)
        if cached is None or cached[0] != table.log.end:
            with self._store.lock:
                records = sorted(table.records.values(), key=lambda r: r.key)
            configs = [c for r in records for c in r.object().get("webhooks") or ()]
            hooks = [_compile(config) for config in configs]
            cached = self._compiled[resource.plural] = (table.log.end, hooks)
        return cached[1]

    def _matching(self, kind: Resource, attempt: Attempt, obj: Object | None, old: Object | None) -> Iterator[_Hook]:
        if attempt.resource in (MUTATING, VALIDATING):
            return
        for hook in self._hooks(kind):
            if not self._rules_hold(hook.config, attempt.resource, attempt.subresource, attempt.operation):
                continue
            if attempt.namespace is not None or attempt.resource is NAMESPACES:
                place = self._store.get(NAMESPACES, None, attempt.namespace or attempt.name)
                if not hook.namespaces(place.labels if place else {}):
                    continue
            if any(hook.objects((o.get("metadata") or {}).get("labels") or {}) for o in (obj, old) if o is not None):
                yield hook

    @staticmethod
    def _rules_hold(config: Object, resource: Resource, subresource: str | None, operation: str) -> bool:
        named = {resource.plural, "*"} if subresource is None else set()
        whole = f"{resource.plural}/{subresource}" if subresource else resource.plural
        named |= {whole, f"{resource.plural}/*", "*/*", *({f"*/{subresource}"} if subresource else ())}
        for rule in config.get("rules") or ():
            scope = rule.get("scope", "*")
            if (
                {operation, "*"} & set(rule.get("operations", ()))
                and {resource.group, "*"} & set(rule.get("apiGroups", ()))
                and {resource.version, "*"} & set(rule.get("apiVersions", ()))
                and named & set(rule.get("resources", ()))
                and scope in ("*", "Namespaced" if resource.namespaced else "Cluster")
            ):
                return True
        return False

    def _ask(
        self, hook: _Hook, attempt: Attempt, obj: Object | None, old: Object | None, warnings: list[str]
    ) -> Object | None:
        config = hook.config
        if attempt.dry_run and config.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise ApiError(400, "BadRequest", f'admission webhook "{hook.name}" does not support dry run')
        review = self._review(attempt, obj, old)
        try:
            if self.call is None:
                raise WebhookUnreachable("this world has no way to call webhooks")
            answered = self.call(config["clientConfig"], review, float(config.get("timeoutSeconds", 10)))
            response = answered.get("response")
            if not isinstance(response, dict) or response.get("uid") != review["request"]["uid"]:
                raise WebhookUnreachable("expected response.uid of the request")
        except WebhookUnreachable as error:
            if config.get("failurePolicy", "Fail") == "Ignore":
                return None
            message = f'Internal error occurred: failed calling webhook "{hook.name}": {error}'
            raise ApiError(
                500, "InternalError", message, details={"causes": [{"message": message.partition(": ")[2]}]}
            ) from error
        warnings += response.get("warnings") or ()
        if not response.get("allowed"):
            raise _refusal(hook.name, response.get("status") or {})
        return response

    def _review(self, attempt: Attempt, obj: Object | None, old: Object | None) -> Object:
        resource = attempt.resource
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        place = {"group": resource.group, "version": resource.version, "resource": resource.plural}
        request: Object = {
            "uid": self._names.uid(), "kind": kind, "resource": place, "requestKind": kind, "requestResource": place,
            "name": attempt.name, "operation": attempt.operation,
            "userInfo": {"username": attempt.user.name, "groups": list(attempt.user.groups)},
            "object": obj, "oldObject": old, "dryRun": attempt.dry_run, "options": attempt.options,
        }  # fmt: skip
        if attempt.subresource:
            request |= {"subResource": attempt.subresource, "requestSubResource": attempt.subresource}
        if attempt.namespace is not None:
            request["namespace"] = attempt.namespace
        return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def _compile(config: Object) -> _Hook:
    return _Hook(
        name=config["name"],
        config=config,
        namespaces=structured_selector(config.get("namespaceSelector")),
        objects=structured_selector(config.get("objectSelector")),
    )


def _refusal(name: str, status: Object) -> ApiError:
    code, said = int(status.get("code") or 403), status.get("message") or status.get("reason")
    message = f'admission webhook "{name}" denied the request' + (f": {said}" if said else " without explanation")
    reasons = {400: "BadRequest", 403: "Forbidden", 409: "Conflict", 422: "Invalid", 500: "InternalError"}
    return ApiError(code, status.get("reason") or reasons.get(code, ""), message, details=status.get("details"))
