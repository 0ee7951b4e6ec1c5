"""A watch: reads the log of one resource at its own pace. Nothing is pushed and no thread is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import RLock

import msgspec

from sandbox.kube.history import Log, Record, Scope, error_line, event_line, seen_as
from sandbox.kube.resources import Object, Resource
from sandbox.kube.status import ApiError, expired

Represent = Callable[[bytes], bytes]
"""Turns an object's JSON into what the client asked for (a table, metadata only)."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch:
    """Events of one resource within a scope, in order. `closed` after an ERROR event or `close()`."""

    def __init__(
        self,
        *,
        resource: Resource,
        log: Log,
        lock: RLock,
        version: Callable[[], int],
        scope: Scope,
        initial: list[Record],
        position: int,
        bookmarks: bool,
        marks_initial_end: bool,
        represent: Represent | None = None,
    ) -> None:
        self._resource, self._log, self._lock, self._version = resource, log, lock, version
        self._scope, self._position, self._represent = scope, position, represent
        self._initial = deque(initial)
        self._marks_initial_end = marks_initial_end
        self._initial_version = version()
        self.bookmarks = bookmarks
        self.closed = False
        self._error: ApiError | None = None
        self._listener: Callable[[], None] | None = None

    def next_line(self) -> bytes | None:
        """The next event as a line of JSON; none when there is nothing yet or the watch is closed."""
        with self._lock:
            if self.closed:
                return None
            if self._error is not None:
                return self._fail(self._error)
            if self._initial:
                return event_line("ADDED", self._shown(self._initial.popleft().raw))
            if self._marks_initial_end:
                self._marks_initial_end = False
                return self.bookmark({INITIAL_EVENTS_END: "true"}, self._initial_version)
            try:
                while (change := self._log.at(self._position)) is not None:
                    self._position += 1
                    kind = seen_as(change, self._scope)
                    if kind is not None:
                        if kind == "DELETED" and not change.deleted:
                            return event_line(kind, self._shown(change.departed()))
                        if self._represent is None:
                            return change.line(kind)
                        return event_line(kind, self._represent(change.after.raw))
            except ApiError as error:
                return self._fail(error)
            return None

    def next_event(self) -> Object | None:
        """The next event, decoded: `type` and `object`."""
        line = self.next_line()
        if line is None:
            return None
        event: Object = msgspec.json.decode(line)
        return event

    def pending(self) -> bool:
        """Whether there may be something to read: changes outside the scope count until they are skipped."""
        with self._lock:
            return not self.closed and bool(
                self._initial or self._marks_initial_end or self._error or self._position < self._log.end
            )

    def bookmark(self, annotations: Object | None = None, version: int | None = None) -> bytes:
        """A BOOKMARK event of the present version (only meaningful when nothing is pending)."""
        metadata: Object = {"resourceVersion": str(self._version() if version is None else version)}
        if annotations:
            metadata["annotations"] = annotations
        metadata["creationTimestamp"] = None
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.group_version, "metadata": metadata}
        return event_line("BOOKMARK", self._shown(msgspec.json.encode(obj)))

    def expire(self) -> None:
        """The next event will be the ERROR of a version too old, the last one."""
        self._error = expired("The resourceVersion for the provided watch is too old.")
        if self._listener:
            self._listener()

    def fail(self, error: ApiError) -> None:
        self._error = error

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` (quick, from any thread) whenever the resource changes, until `close()`."""
        self._listener = listener
        self._log.listeners.add(listener)

    def close(self) -> None:
        self.closed = True
        if self._listener is not None:
            self._log.listeners.discard(self._listener)

    def _fail(self, error: ApiError) -> bytes:
        self.close()
        return error_line(error)

    def _shown(self, raw: bytes) -> bytes:
        return raw if self._represent is None else self._represent(raw)
