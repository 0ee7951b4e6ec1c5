"""Which nodes must be looked at: dirty marks, messages under way, and times to look again.

No wake-up is lost. A wake-up is a write to desired state (or a time that has come) that some run must still read.

Steps, each atomic in Redis:
- W1 the watcher writes desired state; W2 `mark_dirty` sets the mark and says whether to publish: with neither a
  message waiting (`waiting`) nor a run (`lock`); W3 the message is put into the queue and `waiting` names it, at once.
- T1 a task begins: `acquire` takes its message off `waiting` and the lock, or fails because another run has it.
- H1 the holder clears the mark; H2 it reads desired state and plans; again as often as it finds the mark; H3 `release`
  gives up the lock and says whether the mark is set and no message waits: then the holder publishes.

The mark is only ever removed by H1, and H1 comes before H2 in the same run. So a mark that is gone means a read after
W1, and a mark that is there has one of these ahead of it:
1. a lock that counts: H3 sees the mark; or the lock expires, or its holder dies, and `due` finds an abandoned run
   (`running` without such a lock), marks the node dirty (its mark may have been cleared by H1) and hands it out; where
   a dead holder's lock is still there it stays in `running`, so that one that comes back and dies is found, too;
2. no lock and `waiting`: its message leads, by T1, to a run (no lock) or to 1 (a lock taken meanwhile); or it is lost,
   which is seen (messages.py), and then 3. That T1 takes the message off *before or in the same step as* it tries the
   lock is essential: after a failed try an H3 in between would trust a message that is already spent;
3. no lock and nothing `waiting`: nobody got this far, but between W2's or H3's answer and W3. `overdue` hands it out.

Nothing here counts on an answer that may be lost: `mark_dirty` and `release` say the same when they are repeated, and
W3 puts a message once. A run that lost its lock while it lives on is refused at its next ledger write (StaleToken).
"""

from collections.abc import Iterable, Mapping, Sequence

from common.model.ids import NodeName
from common.store import keys
from common.store.broker import NODES
from common.store.heartbeats import GONE_SECONDS
from common.store.link import Link, Value, text
from common.store.milliseconds import milliseconds
from common.store.term import Term

MARKED_A_CALL = 500
"""So that one script stays well under a millisecond or two of Redis' single thread."""
WOKEN_SECONDS = 60.0
"""For so long a process that stands still finds which of its nodes became dirty."""
NODES_A_TIME = 1000
"""Nodes handed out at once: what a queue takes in within a tick."""


class WakeUps:
    """Thread-safe. Times are epoch seconds of the caller's clock. Every method raises StoreUnavailable, and a leader's
    StaleTerm where it writes."""

    def __init__(self, link: Link, term: Term, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._term = term
        self._prefix = prefix

    def mark_dirty(self, names: Iterable[NodeName], now: float) -> list[NodeName]:
        """Something about these nodes changed (and is written). Answers those for which to publish a message now."""
        p, listed = self._prefix, list(names)
        publish: list[NodeName] = []
        for start in range(0, len(listed), MARKED_A_CALL):
            args: list[Value] = [now, keys.lock(p, NodeName("")), milliseconds(GONE_SECONDS)]
            args += [keys.woken(p, ""), milliseconds(WOKEN_SECONDS)]
            args += listed[start : start + MARKED_A_CALL]
            publish += _names(self._term.script("mark_dirty", self._marks(), args, after="life"))
        return publish

    def clear_dirty(self, name: NodeName) -> bool:
        """Before desired state is read, lock in hand. Whether the node was dirty."""
        return bool(self._link.command(*self.clearing(name)))

    def clearing(self, name: NodeName) -> Sequence[Value]:
        """The command of `clear_dirty`, to be carried out in one step with what reads after it."""
        return ("ZREM", keys.dirty(self._prefix), name)

    def is_dirty(self, name: NodeName) -> bool:
        return self._link.command("ZSCORE", keys.dirty(self._prefix), name) is not None

    def next_woken(self, incarnation: str, seconds: float) -> NodeName | None:
        """A node that became dirty during a run of this process; waits for one, for so long. Only a hint that comes
        early: the mark counts."""
        found = self._link.command("BZPOPMIN", keys.woken(self._prefix, incarnation), seconds)
        return None if found is None else NodeName(text(found[1]))

    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]:
        """Those of these nodes that are dirty, with one command."""
        asked = list(names)
        if not asked:
            return frozenset()
        scores = self._link.command("ZMSCORE", keys.dirty(self._prefix), *asked)
        return frozenset(name for name, score in zip(asked, scores, strict=True) if score is not None)

    def overdue(self, now: float, older_than: float) -> list[NodeName]:
        """Nodes dirty for `older_than` seconds with neither a run nor a message: publish one for each. A node
        is handed out again only after another `older_than` seconds."""
        p = self._prefix
        args: list[Value] = [
            now,
            now - older_than,
            NODES_A_TIME,
            keys.lock(p, NodeName("")),
            milliseconds(GONE_SECONDS),
        ]
        return _names(self._term.script("overdue", self._marks(), args, after="life"))

    def _marks(self) -> list[str]:
        p = self._prefix
        return [keys.dirty(p), keys.waiting(), keys.heartbeats(p), keys.heard(p)]

    def park(self, name: NodeName, at: float) -> None:
        """Look at the node again at that time. An earlier time that is already set stays."""
        self.park_all({name: at})

    def park_all(self, times: Mapping[NodeName, float]) -> None:
        """As `park`."""
        pairs: list[Value] = [part for name, at in times.items() for part in (at, name)]
        for start in range(0, len(pairs), 2 * MARKED_A_CALL):
            self._term.script("park", [keys.parked(self._prefix)], pairs[start : start + 2 * MARKED_A_CALL])

    def due(self, now: float, limit: int, least: int = 1) -> list[NodeName]:
        """Nodes whose time has come, so many that at most `limit` messages wait (`least` of them in any case), and
        nodes whose run was abandoned. They are marked dirty in the same step; publish a message for each."""
        p = self._prefix
        spots = [keys.parked(p), keys.dirty(p), keys.running(p), keys.waiting()]
        spots += [keys.heartbeats(p), keys.heard(p), NODES]
        args: list[Value] = [now, limit, keys.lock(p, NodeName("")), milliseconds(GONE_SECONDS), least]
        args += [keys.woken(p, ""), milliseconds(WOKEN_SECONDS)]
        return _names(self._term.script("due", spots, args, after="life"))


def _names(raw: Sequence[bytes]) -> list[NodeName]:
    return [NodeName(text(name)) for name in raw]
