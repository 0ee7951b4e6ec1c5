"""KubeWorld: the whole API in one object, synchronous and deterministic, for the server and for simulations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sandbox.kube import patches, routing
from sandbox.kube.admission import Admission, CallWebhook, User
from sandbox.kube.bodies import PATCH_TYPES, Body, decoded, delete_options, encoded, patch_function
from sandbox.kube.discovery import discovered
from sandbox.kube.history import Change
from sandbox.kube.naming import Names
from sandbox.kube.reads import Reader
from sandbox.kube.representation import list_body, representation, table, wanted_form
from sandbox.kube.resources import DEFINITIONS, NAMESPACES, Object, Registry, Resource, of_definition
from sandbox.kube.scale import scale_of, scaled
from sandbox.kube.status import ApiError, bad_request, invalid_options, no_such_path, success
from sandbox.kube.store import HISTORY_LIMIT, Stale, Store
from sandbox.kube.watch import Watch
from sandbox.kube.writes import Write, Writer

ADMIN = User()
NAMESPACES_AT_START = ("default", "kube-node-lease", "kube-public", "kube-system")
_OPERATIONS = {
    "create": ("CREATE",), "update": ("UPDATE",), "patch": ("UPDATE", "CREATE"), "delete": ("DELETE",),
    "deletecollection": ("DELETE",),
}  # fmt: skip
"""Operations of admission by verb; an apply-patch may create."""

__all__ = ["ADMIN", "KubeWorld", "RequestInfo", "Response", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer: HTTP status, body (JSON unless `content_type` says otherwise) and warnings to the client."""

    status: int
    body: bytes
    content_type: str = "application/json"
    warnings: list[str] = field(default_factory=list)

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """What a request is about, in the words of RBAC; empty texts where something is not named."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class KubeWorld:
    """A cluster's API. `request` answers everything but watches, `watch` opens those.

    `clock` gives seconds since the epoch; `seed` decides uids and generated names. `call_webhook` makes the calls
    of admission webhooks; without it every webhook counts as unreachable. Safe to call from any thread, and needs
    none; the store's lock is not held while a webhook is called.
    """

    def __init__(
        self, *, clock: Callable[[], float], seed: int = 0, call_webhook: CallWebhook | None = None,
        history_limit: int = HISTORY_LIMIT,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.store = Store(history_limit)
        self.registry = Registry()
        names = Names(seed)
        self.admission = Admission(self.store, names, call_webhook)
        self._reader = Reader(self.store)
        self._writer = Writer(self.store, self.admission, names, clock)
        self.store.on_write(self._follow_definitions)
        for name in NAMESPACES_AT_START:
            self._writer.create(
                Write(target=routing.Target(resource=NAMESPACES), user=ADMIN), {"metadata": {"name": name}}
            )

    def info(self, method: str, path: str, query: Mapping[str, str] | None = None) -> RequestInfo:
        """What the request is about; verb is the method in lower case where no resource is named."""
        try:
            target = routing.find_target(path, self.registry)
            if target is None:
                return RequestInfo(verb=method.lower())
            verb = routing.verb_of(method, target, query or {})
        except ApiError:
            return RequestInfo(verb=method.lower())
        return RequestInfo(
            verb=verb, group=target.resource.group, resource=target.resource.plural,
            subresource=target.subresource or "", namespace=target.namespace or "", name=target.name or "",
        )  # fmt: skip

    def meets_webhooks(self, method: str, path: str) -> bool:
        """Whether the request may call a webhook, so that it should not run on an event loop."""
        info = self.info(method, path)
        target = routing.find_target(path, self.registry) if info.resource else None
        operations = _OPERATIONS.get(info.verb, ())
        return target is not None and any(
            self.admission.concerns(target.resource, target.subresource, operation) for operation in operations
        )

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body = None,
        content_type: str = "application/json",
        user: User = ADMIN,
        accept: str = "application/json",
    ) -> Response:
        """Answers one request (any but a watch); errors are answers with a Status."""
        query, warnings = query or {}, list[str]()
        try:
            return self._answer(
                method, path, query, body, content_type.partition(";")[0].strip(), user, accept, warnings
            )
        except ApiError as error:
            return Response(status=error.code, body=msgspec.json.encode(error.status()), warnings=warnings)

    def watch(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> Watch:
        """Opens a watch of a collection (or of one object by its path). Raises ApiError."""
        query = query or {}
        target = routing.find_target(path, self.registry)
        if target is None:
            raise no_such_path()
        form = wanted_form(accept)
        return self._reader.watch(
            target, query, representation(target.resource, form, self.clock(), query.get("includeObject", "Metadata"))
        )

    def compact(self, version: int | None = None) -> None:
        """Makes versions before `version` (default: the present one) too old for watches and pages."""
        self.store.compact(version)

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], body: Body,
        content_type: str, user: User, accept: str, warnings: list[str],
    ) -> Response:  # fmt: skip
        target = routing.find_target(path, self.registry)
        if target is None:
            return self._document(path)
        verb, form = routing.verb_of(method, target, query), wanted_form(accept)
        write = Write(
            target=target, user=user, dry_run=query.get("dryRun") == "All",
            strictness=query.get("fieldValidation") or "Warn", manager=query.get("fieldManager") or "unknown",
            warnings=warnings,
        )  # fmt: skip
        shown = representation(target.resource, form, self.clock(), query.get("includeObject", "Metadata"))
        status = 200
        if verb == "watch":
            raise bad_request("a watch is opened by watch()")
        if verb == "list":
            raw = self._list(target, query, form)
            return Response(status=200, body=raw, warnings=warnings)
        if target.subresource == "scale":
            return Response(status=200, body=self._scale(write, verb, body, content_type), warnings=warnings)
        match verb:
            case "get":
                raw = self._reader.get(target)
            case "create" if target.subresource:
                return self._act_on_pod(write, decoded(body, content_type))
            case "create":
                raw, status = self._writer.create(write, decoded(body, content_type)), 201
            case "update":
                document = encoded(body, content_type)
                raw = self._writer.update(write, lambda _: self._put(write, document), patched=False)
            case "patch":
                raw, status = self._patch(write, body, content_type, query)
            case "delete":
                return self._delete(write, delete_options(query, body, content_type))
            case _:
                return self._delete_collection(write, query, delete_options(query, body, content_type))
        return Response(status=status, body=shown(raw) if shown else raw, warnings=warnings)

    def _document(self, path: str) -> Response:
        if path.strip("/").split("/")[0] in ("healthz", "readyz", "livez"):
            return Response(status=200, body=b"ok", content_type="text/plain")
        document = discovered(path, self.registry)
        if document is None:
            return Response(status=404, body=b"404 page not found\n", content_type="text/plain")
        return Response(status=200, body=msgspec.json.encode(document))

    def _list(self, target: routing.Target, query: Mapping[str, str], form: str) -> bytes:
        if form != "table":
            return self._reader.list(target, query, representation(target.resource, form, self.clock()))
        whole = msgspec.json.decode(self._reader.list(target, query, None))
        include = query.get("includeObject", "Metadata")
        for item in whole["items"]:
            item["kind"], item["apiVersion"] = target.resource.kind, target.resource.group_version
        return msgspec.json.encode(table(target.resource, whole["items"], self.clock(), include, whole["metadata"]))

    @staticmethod
    def _put(write: Write, document: bytes) -> Object:
        obj: Object = msgspec.json.decode(document)
        from_kind = write.target.resource
        obj.setdefault("kind", from_kind.kind)
        obj.setdefault("apiVersion", from_kind.group_version)
        if (obj["kind"], obj["apiVersion"]) != (from_kind.kind, from_kind.group_version):
            raise bad_request(f"the object provided is unrecognized (must be of type {from_kind.kind})")
        return obj

    def _patch(self, write: Write, body: Body, content_type: str, query: Mapping[str, str]) -> tuple[bytes, int]:
        allowed = [t for t in PATCH_TYPES if not (t == patches.STRATEGIC_PATCH and write.target.resource.custom)]
        if content_type not in allowed:
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise ApiError(415, "UnsupportedMediaType", message + ", ".join(allowed))
        document = encoded(body, content_type)
        if content_type == patches.APPLY_PATCH:
            if not query.get("fieldManager"):
                words = "Required value: is required for apply patch"
                raise invalid_options("PatchOptions", "FieldValueRequired", "fieldManager", words)
            raw, created = self._writer.apply(
                write, msgspec.json.decode(document), force=routing.truthy(query.get("force", "false"))
            )
            return raw, 201 if created else 200
        apply = patch_function(content_type)
        # Decoded anew for each attempt: a patch function may keep parts of the patch in the object.
        return self._writer.update(write, lambda o: apply(o, msgspec.json.decode(document)), patched=True), 200

    def _delete(self, write: Write, options: Object) -> Response:
        raw, gone = self._writer.delete(write, options)
        if gone and not write.target.resource.returns_deleted:
            obj = msgspec.json.decode(raw)
            done = success(write.target.resource, obj["metadata"]["name"], obj["metadata"]["uid"])
            raw = msgspec.json.encode(done)
        return Response(status=200, body=raw, warnings=write.warnings)

    def _delete_collection(self, write: Write, query: Mapping[str, str], options: Object) -> Response:
        resource, deleted = write.target.resource, list[bytes]()
        for record in self._reader.select(write.target, query):
            target = routing.Target(resource=resource, namespace=record.namespace or None, name=record.name)
            one = Write(target=target, user=write.user, dry_run=write.dry_run, warnings=write.warnings)
            try:
                self._writer.delete(one, options)
                deleted.append(record.raw)
            except ApiError as error:
                if error.code != 404:
                    raise
        body = list_body(resource, {"resourceVersion": str(self.store.version)}, deleted, None)
        return Response(status=200, body=body, warnings=write.warnings)

    def _act_on_pod(self, write: Write, obj: Object) -> Response:
        if write.target.subresource == "binding":
            self._writer.bind(write, obj)
        else:
            target = routing.Target(
                resource=write.target.resource, namespace=write.target.namespace, name=write.target.name
            )
            self._writer.delete(Write(target=target, user=write.user), obj.get("deleteOptions") or {})
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return Response(status=201, body=msgspec.json.encode(done), warnings=write.warnings)

    def _scale(self, write: Write, verb: str, body: Body, content_type: str) -> bytes:
        whole = routing.Target(resource=write.target.resource, namespace=write.target.namespace, name=write.target.name)
        if verb == "get":
            return msgspec.json.encode(scale_of(msgspec.json.decode(self._reader.get(whole))))
        document = encoded(body, content_type)
        change = patch_function(content_type) if verb == "patch" else lambda _, asked: asked
        inner = Write(target=whole, user=write.user, dry_run=write.dry_run, warnings=write.warnings)
        raw = self._writer.update(
            inner, lambda o: scaled(o, change(scale_of(o), msgspec.json.decode(document))), patched=True
        )
        return msgspec.json.encode(scale_of(msgspec.json.decode(raw)))

    def _follow_definitions(self, resource: Resource, change: Change) -> None:
        """A CustomResourceDefinition's resource is served as long as the definition is there."""
        if resource is not DEFINITIONS:
            return
        if change.before is not None:
            self.registry.withdraw(of_definition(change.before.object()))
        served = of_definition(change.after.object())
        if not change.deleted:
            self.registry.serve(served)
            return
        for custom in served:
            for record in list(self.store.table(custom).records.values()):
                try:
                    self.store.remove(custom, record.object(), record)
                except Stale:
                    continue
