"""The leader's term: a number that grows with each leader, so that writes of one that was deposed are refused.

A watcher may believe that it leads when it does not: it slept, a call of its took long, or somebody deleted the lease.
So each of its writes carries its term, and Redis compares (lua/fenced.lua): none takes effect once a later leader has
begun. The first one that is refused tells it so (StaleTerm).
"""

from collections.abc import Sequence
from typing import Any

from common.store import keys
from common.store.link import Link, Script, Value


class Term:
    """The term of one process. Not begun, as in workers, it fences nothing."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._key = keys.term(prefix)
        self._number: int | None = None

    def begin(self) -> None:
        """We lead from now on: whoever led before is refused. Make sure *after* this call that the lease is still ours:
        one that was lost meanwhile deposes the leader that has it. Raises StoreUnavailable."""
        self._number = int(self._link.script("begin_term", [self._key]))

    def script(self, name: str, spots: Sequence[str], args: Sequence[Value] = (), *, after: str = "") -> Any:
        """Run lua/<name>.lua, in a leader unless it was deposed. `after`: as in Link.script. Raises StaleTerm
        and StoreUnavailable."""
        if self._number is None:
            return self._link.script(name, spots, args, after=after)
        return self._link.fenced(name, spots, args, self._key, self._number, after=after)

    def scripts(self, scripts: Sequence[Script]) -> None:
        """As `script`, several in this order with one round trip in a leader. Where it raises, the first of them may
        have been run."""
        if self._number is not None:
            self._link.fenced_all(scripts, self._key, self._number)
            return
        for name, spots, args in scripts:
            self._link.script(name, spots, args)
