"""Versions of objects and the log of changes that watches read. An object is kept as its JSON, encoded once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from sandbox.kube.resources import Object, Resource
from sandbox.kube.selectors import Matches, field_value
from sandbox.kube.status import ApiError, expired

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One version of one object."""

    namespace: str
    name: str
    uid: str
    version: int
    raw: bytes
    labels: Mapping[str, str]
    fields: Mapping[str, str]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def object(self) -> Object:
        """A fresh copy: nobody can change what is stored."""
        decoded: Object = msgspec.json.decode(self.raw)
        return decoded


def record_of(resource: Resource, obj: Object, version: int) -> Record:
    """Encodes `obj` with kind and apiVersion first, so that lists of built-in kinds can cut them off."""
    metadata = obj["metadata"]
    metadata["resourceVersion"] = str(version)
    head = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": metadata}
    fields = {path: field_value(obj, path) for path in resource.fields}
    fields["metadata.name"] = metadata["name"]
    fields["metadata.namespace"] = metadata.get("namespace", "")
    return Record(
        namespace=metadata.get("namespace", ""), name=metadata["name"], uid=metadata["uid"], version=version,
        raw=msgspec.json.encode(head | {k: v for k, v in obj.items() if k not in head}),
        labels=metadata.get("labels") or NOTHING, fields=fields,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Change:
    """One write: `before` is absent for a creation, `after` carries the new version even of a deletion."""

    version: int
    before: Record | None
    after: Record
    deleted: bool
    _lines: dict[str, bytes] = field(default_factory=dict)

    def line(self, kind: str) -> bytes:
        """The watch event of this kind, encoded once for all watches."""
        found = self._lines.get(kind)
        if found is None:
            found = self._lines[kind] = event_line(kind, self.after.raw)
        return found

    def departed(self) -> bytes:
        """What a watch shows of an object that left its scope: as it was, with the version of the change."""
        assert self.before is not None
        obj = self.before.object()
        obj["metadata"]["resourceVersion"] = str(self.version)
        return msgspec.json.encode(obj)


def event_line(kind: str, raw: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


class Log:
    """The changes of one resource, oldest first. Positions count from the beginning of time."""

    def __init__(self, limit: int) -> None:
        self._changes: list[Change] = []
        self._dropped = 0
        self._limit = limit
        self.floor = 0
        """Changes up to this version are forgotten."""
        self.listeners: set[Callable[[], None]] = set()

    @property
    def end(self) -> int:
        return self._dropped + len(self._changes)

    def append(self, change: Change) -> None:
        self._changes.append(change)
        if len(self._changes) > self._limit + self._limit // 4:
            self.forget(self._changes[len(self._changes) // 5].version)
        for listener in tuple(self.listeners):
            listener()

    def forget(self, version: int) -> None:
        cut = bisect_right(self._changes, version, key=lambda c: c.version)
        del self._changes[:cut]
        self._dropped += cut
        self.floor = max(self.floor, version)

    def position(self, version: int) -> int:
        """Where a watch from `version` starts. Raises 410 where changes after it are forgotten."""
        if version < self.floor:
            raise expired(f"too old resource version: {version} ({self.floor})")
        return self._dropped + bisect_right(self._changes, version, key=lambda c: c.version)

    def at(self, position: int) -> Change | None:
        """The change at a position, none at the end. Raises 410 for a reader that was overtaken."""
        if position < self._dropped:
            raise expired("The resourceVersion for the provided watch is too old.")
        index = position - self._dropped
        return self._changes[index] if index < len(self._changes) else None

    def since(self, version: int) -> list[Change]:
        """Changes after `version`, oldest first. Raises 410."""
        return self._changes[self.position(version) - self._dropped :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which objects a list or watch asks for."""

    namespace: str | None
    labels: Matches
    fields: Matches

    def holds(self, record: Record) -> bool:
        return (
            (self.namespace is None or record.namespace == self.namespace)
            and self.labels(record.labels)
            and self.fields(record.fields)
        )


def seen_as(change: Change, scope: Scope) -> str | None:
    """The type of the event that a watch of this scope gets, if any: leaving the scope is a deletion."""
    before = change.before is not None and scope.holds(change.before)
    after = not change.deleted and scope.holds(change.after)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


def error_line(error: ApiError) -> bytes:
    return event_line("ERROR", msgspec.json.encode(error.status()))
