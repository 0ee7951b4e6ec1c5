"""The object store: tables of records under one version counter, as etcd and the watch cache are to an API server."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from sandbox.kube.history import Change, Log, Record, Scope, record_of
from sandbox.kube.resources import Object, Resource
from sandbox.kube.status import expired

HISTORY_LIMIT = 50_000
"""Changes kept per resource: some minutes of the busiest benchmark (etcd keeps five minutes)."""
SNAPSHOTS_KEPT = 8
"""Sorted snapshots kept for lists that are being paged."""


class Stale(Exception):
    """The record is not the one that the write was based on."""


class Table:
    """The objects of one resource."""

    def __init__(self, history_limit: int) -> None:
        self.records: dict[str, Record] = {}
        self.log = Log(history_limit)
        self._snapshots: dict[int, list[Record]] = {}

    def present(self, scope: Scope) -> list[Record]:
        """The objects of a scope as they are now, in the order of their keys."""
        return sorted((r for r in self.records.values() if scope.holds(r)), key=lambda r: r.key)

    def drop_snapshots(self) -> None:
        self._snapshots.clear()

    def snapshot(self, version: int, current: int) -> list[Record]:
        """All records as of `version`, in the order of their keys. Raises 410 where history is forgotten."""
        if version < self.log.floor:
            raise expired(f"The provided resource version is too old: {version} ({self.log.floor})")
        found = self._snapshots.get(version)
        if found is None:
            state = dict(self.records)
            for change in reversed(self.log.since(version)) if version < current else ():
                if change.before is None:
                    del state[change.after.key]
                else:
                    state[change.before.key] = change.before
            found = [state[key] for key in sorted(state)]
            self._snapshots[version] = found
            while len(self._snapshots) > SNAPSHOTS_KEPT:
                del self._snapshots[next(iter(self._snapshots))]
        return found


class Store:
    """Everything stored. All methods are safe to call from any thread; `lock` joins several into one step."""

    def __init__(self, history_limit: int = HISTORY_LIMIT) -> None:
        self.lock = RLock()
        self.version = 1
        self._tables: dict[tuple[str, str], Table] = {}
        self._history_limit = history_limit
        self._hooks: list[Callable[[Resource, Change], None]] = []

    def table(self, resource: Resource) -> Table:
        with self.lock:
            key = (resource.group, resource.plural)
            found = self._tables.get(key)
            if found is None:
                found = self._tables[key] = Table(self._history_limit)
            return found

    def on_write(self, hook: Callable[[Resource, Change], None]) -> None:
        """Calls `hook` with every change, under the lock, after it took effect."""
        self._hooks.append(hook)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Record | None:
        return self.table(resource).records.get(f"{namespace or ''}/{name}")

    def put(self, resource: Resource, obj: Object, based_on: Record | None) -> Record:
        """Writes the next version of `obj`. Raises Stale where the present record is not `based_on`."""
        with self.lock:
            table = self.table(resource)
            record = record_of(resource, obj, self.version + 1)
            if table.records.get(record.key) is not based_on:
                raise Stale
            self.version += 1
            table.records[record.key] = record
            self._log(resource, table, Change(version=self.version, before=based_on, after=record, deleted=False))
            return record

    def remove(self, resource: Resource, obj: Object, based_on: Record) -> Record:
        """Removes the object; watches see `obj`, its last state, with a new version. Raises Stale."""
        with self.lock:
            table = self.table(resource)
            if table.records.get(based_on.key) is not based_on:
                raise Stale
            self.version += 1
            record = record_of(resource, obj, self.version)
            del table.records[based_on.key]
            self._log(resource, table, Change(version=self.version, before=based_on, after=record, deleted=True))
            return record

    def compact(self, version: int | None = None) -> None:
        """Forgets the changes up to `version` (default: all)."""
        with self.lock:
            for table in self._tables.values():
                table.log.forget(self.version if version is None else version)
                table.drop_snapshots()

    def _log(self, resource: Resource, table: Table, change: Change) -> None:
        table.log.append(change)
        for hook in self._hooks:
            hook(resource, change)
