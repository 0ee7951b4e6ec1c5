"""Get, list with pages and consistent snapshots, and the opening of watches."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Mapping

import msgspec

from sandbox.kube import selectors
from sandbox.kube.history import Record, Scope
from sandbox.kube.representation import Represent, list_body
from sandbox.kube.resources import Object
from sandbox.kube.routing import Target, truthy
from sandbox.kube.status import ApiError, bad_request, expired, invalid_options, not_found, too_large_version
from sandbox.kube.store import Store
from sandbox.kube.watch import Watch

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_LATEST = -1
"""In a continue token: go on with whatever is there now."""


class Reader:
    """The reading half of the API."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, target: Target) -> bytes:
        """The object's JSON. Raises 404."""
        record = self._store.get(target.resource, target.namespace, target.name or "")
        if record is None:
            raise not_found(target.resource, target.name or "")
        return record.raw

    def select(self, target: Target, query: Mapping[str, str]) -> list[Record]:
        """The present objects that a list or deletecollection with this query means, in order of their keys."""
        scope, _ = _scope(target, query)
        with self._store.lock:
            return self._store.table(target.resource).present(scope)

    def list(self, target: Target, query: Mapping[str, str], represent: Represent | None) -> bytes:
        """A list's JSON. Raises 400 for bad parameters, 410 for a page too old, 504 for a version to come."""
        scope, selective = _scope(target, query)
        limit, token = _number(query, "limit"), query.get("continue")
        _check_list_options(query)
        with self._store.lock:
            current = self._store.version
            version, start, limit = _where(query, limit, current)
            try:
                table = self._store.table(target.resource)
                whole = version == current and not limit and not start
                found = table.present(scope) if whole else table.snapshot(version, current)
            except ApiError as error:
                if token:
                    raise expired(_EXPIRED, continue_token=_encode(_LATEST, start)) from error
                raise
        at = bisect_right(found, start, key=lambda r: r.key) if start else 0
        page: list[Record] = []
        while at < len(found) and (not limit or len(page) < limit):
            if scope.holds(found[at]):
                page.append(found[at])
            at += 1
        rest = [r for r in found[at:] if scope.holds(r)]
        metadata: Object = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = _encode(version, page[-1].key)
            if not selective:
                metadata["remainingItemCount"] = len(rest)
        return list_body(target.resource, metadata, [r.raw for r in page], represent)

    def watch(self, target: Target, query: Mapping[str, str], represent: Represent | None) -> Watch:
        """Opens a watch. Raises 400 and 422 for bad parameters; a version too old is the watch's first event."""
        if target.name is not None:
            query = {**query, "fieldSelector": f"metadata.name={target.name}"}
        scope, _ = _scope(target, query)
        asked, match = query.get("resourceVersion") or "", query.get("resourceVersionMatch")
        initial_events = "sendInitialEvents" in query and truthy(query["sendInitialEvents"])
        if "sendInitialEvents" in query and match != "NotOlderThan":
            raise _invalid_options(
                "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        if match and "sendInitialEvents" not in query:
            raise _invalid_options(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        bookmarks = "allowWatchBookmarks" in query and truthy(query["allowWatchBookmarks"])
        number = _version(asked) if asked else 0
        table = self._store.table(target.resource)
        with self._store.lock:
            current, failure, position = self._store.version, None, table.log.end
            if initial_events or (number == 0 and "sendInitialEvents" not in query):
                if number > current:
                    raise too_large_version(number, current)
                initial = table.present(scope)
            else:
                initial = []
                try:
                    position = table.log.position(number) if number else position
                except ApiError as error:
                    failure = error
            watch = Watch(
                resource=target.resource, log=table.log, lock=self._store.lock, version=lambda: self._store.version,
                scope=scope, initial=initial, position=position, bookmarks=bookmarks,
                marks_initial_end=initial_events and bookmarks, represent=represent,
            )  # fmt: skip
            if failure is not None:
                watch.fail(failure)
            return watch


def _scope(target: Target, query: Mapping[str, str]) -> tuple[Scope, bool]:
    """What is asked for, and whether anything but the namespace narrows it."""
    labels, fields = query.get("labelSelector") or "", query.get("fieldSelector") or ""
    terms = selectors.field_terms(fields, target.resource.fields)
    scope = Scope(
        namespace=target.namespace,
        labels=selectors.label_selector(labels) if labels else selectors.everything,
        fields=selectors.field_selector(terms),
    )
    return scope, bool(labels or terms)


def _check_list_options(query: Mapping[str, str]) -> None:
    match, asked, token = (query.get(k) for k in ("resourceVersionMatch", "resourceVersion", "continue"))
    if truthy(query.get("sendInitialEvents", "false")):
        raise _invalid_options("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if match and (not asked or token):
        why = "for continue" if token else "unless resourceVersion is provided"
        raise _invalid_options("resourceVersionMatch", f"resourceVersionMatch is forbidden {why}")
    if match not in (None, "", "Exact", "NotOlderThan"):
        words = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        raise invalid_options("ListOptions", "FieldValueNotSupported", "resourceVersionMatch", words)


def _where(query: Mapping[str, str], limit: int, current: int) -> tuple[int, str, int]:
    """The version to list, the key after which to begin, and the page's limit (none for version 0: from the cache)."""
    token, asked, match = query.get("continue"), query.get("resourceVersion") or "", query.get("resourceVersionMatch")
    if token:
        version, start = _decode(token)
        return (current if version == _LATEST else version), start, limit
    number = _version(asked) if asked else 0
    if number > current:
        raise too_large_version(number, current)
    if number and (match == "Exact" or (limit and not match)):
        return number, "", limit
    return current, "", 0 if asked and number == 0 else limit


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _version(text: str) -> int:
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def _invalid_options(field: str, words: str) -> ApiError:
    return invalid_options("ListOptions", "FieldValueForbidden", field, f"Forbidden: {words}")


def _encode(version: int, start: str) -> str:
    token = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": version, "start": f"/{start}\0"})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode(token: str) -> tuple[int, str]:
    try:
        decoded = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(decoded["rv"]), str(decoded["start"])[1:].rstrip("\0")
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
