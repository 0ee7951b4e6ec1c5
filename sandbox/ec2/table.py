"""A table of records by id that remembers its recent past, so that readers can be shown an older state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

#: How long changes are remembered; no reader can be shown anything older.
MEMORY_SECONDS = 120.0


class Record(Protocol):
    """What a table can hold."""

    @property
    def id(self) -> str:
        """The key of the record."""

    @property
    def serial(self) -> int:
        """Its place in the order of answers."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


R = TypeVar("R", bound=Record)
IndexKey = tuple[str, str]
"""Name of a filter, and a value that the record has for it."""


class Table(Generic[R]):
    """Records by id, an index over some of their properties, and the changes of the last two minutes."""

    def __init__(self, index: Callable[[R], Iterable[IndexKey]] = lambda record: ()) -> None:
        self._index_of = index
        self._records: dict[str, R] = {}
        self._index: dict[IndexKey, set[str]] = {}
        self._changes: deque[tuple[float, str, R | None]] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[R]:
        return iter(self._records.values())

    def get(self, identifier: str) -> R | None:
        """The record as it is now."""
        return self._records.get(identifier)

    def put(self, record: R, now: float) -> None:
        """Add the record or replace the one of its id."""
        self._change(record.id, record, now)

    def remove(self, identifier: str, now: float) -> None:
        """Drop the record; dropping what is not there changes nothing."""
        self._change(identifier, None, now)

    def indexed(self, key: IndexKey) -> list[R]:
        """The present records under an index key, oldest first."""
        return sorted((self._records[i] for i in self._index.get(key, ())), key=lambda record: record.serial)

    def as_of(self, moment: float) -> View[R]:
        """The table as it was at `moment`."""
        overlay: dict[str, R | None] = {}
        for when, identifier, previous in reversed(self._changes):
            if when <= moment:
                break
            overlay[identifier] = previous
        return View(self._records, self._index, overlay)

    def _change(self, identifier: str, record: R | None, now: float) -> None:
        previous = self._records.get(identifier)
        self._changes.append((now, identifier, previous))
        while self._changes and self._changes[0][0] < now - MEMORY_SECONDS:
            self._changes.popleft()
        before = set(self._index_of(previous)) if previous is not None else set()
        after = set(self._index_of(record)) if record is not None else set()
        for key in before - after:
            self._index[key].discard(identifier)
            if not self._index[key]:
                del self._index[key]
        for key in after - before:
            self._index.setdefault(key, set()).add(identifier)
        if record is not None:
            self._records[identifier] = record
        elif previous is not None:
            del self._records[identifier]


class View(Generic[R]):
    """A table at a moment, for reading."""

    def __init__(
        self, records: Mapping[str, R], index: Mapping[IndexKey, set[str]], overlay: Mapping[str, R | None]
    ) -> None:
        self._records = records
        self._index = index
        self._overlay = overlay

    def get(self, identifier: str) -> R | None:
        """The record as it was."""
        if identifier in self._overlay:
            return self._overlay[identifier]
        return self._records.get(identifier)

    def all(self) -> list[R]:
        """Every record, oldest first."""
        if not self._overlay:
            return list(self._records.values())
        return self._sorted(self._records.keys() | self._overlay.keys())

    def candidates(self, keys: Iterable[IndexKey]) -> list[R]:
        """Records that may have one of the index keys (and a few that do not, where the past differs)."""
        found: set[str] = set(self._overlay)
        for key in keys:
            found |= self._index.get(key, set())
        return self._sorted(found)

    def _sorted(self, identifiers: Iterable[str]) -> list[R]:
        records = [record for record in map(self.get, identifiers) if record is not None]
        records.sort(key=lambda record: record.serial)
        return records
