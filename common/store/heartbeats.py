"""Who is alive: one heartbeat for each process, named by its incarnation: unlike that of any other process, also of
earlier ones.

A heartbeat that is gone makes void what its process held: the locks of its runs (lock.py), a watcher's lease. That is a
guess, and may be wrong about a process that stood still or was cut off. So it only decides who may go on; what protects
against the one that comes back are fencing tokens and the leader's term. All times are Redis' own.
"""

from common.store import keys
from common.store.link import Link, Value
from common.store.milliseconds import milliseconds

BEAT_SECONDS = 0.5
"""Interval of a process' heartbeats."""
GONE_SECONDS = 2.0
"""Silent for longer, a process counts as dead: three heartbeats may be lost or late."""
FORGET_SECONDS = 86_400.0
"""So long it is known of a dead process that it was one of ours."""


class Heartbeats:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._spots = [keys.heartbeats(prefix), keys.heard(prefix)]

    def beat(self, incarnation: str) -> None:
        """This process is alive."""
        args: list[Value] = [incarnation, milliseconds(GONE_SECONDS), milliseconds(FORGET_SECONDS)]
        self._link.script("beat", self._spots, args, after="life")

    def is_dead(self, incarnation: str, seen_by: str) -> bool:
        """Whether it was one of ours and has ceased to beat, while the heartbeats of `seen_by` get through. False
        where that is not known: of strangers, and until heartbeats were heard for GONE_SECONDS (Redis was away)."""
        args: list[Value] = [incarnation, seen_by, milliseconds(GONE_SECONDS)]
        return bool(self._link.script("is_dead", self._spots, args, after="life"))
