"""What the last search for leaked interfaces saw: what two passes running saw `available` is deleted."""

from collections.abc import Set as AbstractSet
from datetime import timedelta

from common.model.ids import EniId
from common.store import keys
from common.store.link import Link, text

SEEN_SECONDS = int(timedelta(days=2).total_seconds())
"""Longer than any sensible interval of passes: older than that it is no previous pass any more."""


class SweepMemory:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._key = keys.seen_available(prefix)

    def read(self) -> set[EniId]:
        """Empty: the last pass saw none, or is not known (then nothing is deleted in this one)."""
        return {EniId(text(raw)) for raw in self._link.command("SMEMBERS", self._key)}

    def write(self, interfaces: AbstractSet[EniId]) -> None:
        """Replace it."""
        commands: list[tuple[str | int, ...]] = [("DEL", self._key)]
        if interfaces:
            commands += [("SADD", self._key, *sorted(interfaces)), ("EXPIRE", self._key, SEEN_SECONDS)]
        self._link.transaction(commands)
