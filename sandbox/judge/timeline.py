"""What happened to each object, in order: printed where something went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, and to whom: ids of pods, interfaces, nodes and instances, or addresses."""

    time: float
    about: tuple[str, ...]
    text: str


class Timeline:
    """Everything that was seen to happen."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, time: float, text: str, *about: str) -> None:
        self.entries.append(Entry(time=time, about=about, text=text))

    def story(self, about: Iterable[str], since: float = 0.0, before: float = float("inf")) -> list[str]:
        """A line for each thing that happened to one of `about`, and for what happened to everybody (about nobody)."""
        wanted = set(about)
        return [
            f"{entry.time - since:9.2f}  {entry.text}"
            for entry in self.entries
            if entry.time <= before and (not entry.about or wanted.intersection(entry.about))
        ]
