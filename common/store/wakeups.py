"""Which nodes must be looked at: dirty marks, messages under way, and times to look again.

No wake-up is lost. A wake-up is a write to desired state (or a time that has come) that some run must still read.

Steps, each atomic in Redis:
- W1 the watcher writes desired state; W2 `mark_dirty` sets the mark and, with neither a message under way (`pending`)
  nor a run (`lock`), sets `pending` and has a message published.
- T1 a task begins: `acquire` removes `pending` and takes the lock, or fails because another run has it.
- H1 the holder clears the mark; H2 it reads desired state and plans; again as often as it finds the mark; H3 `release`
  gives up the lock and says whether the mark is set and no message is under way: then the holder publishes.

The mark is only ever removed by H1, and H1 comes before H2 in the same run. So a mark that is gone means a read after
W1, and a mark that is there has one of these ahead of it:
1. a lock: H3 sees the mark, or the lock expires and `due` finds an abandoned run (`running` without `lock`), marks it
   dirty (its mark may have been cleared by H1) and hands it out;
2. no lock and `pending`: a message is under way, and its T1 leads to a run (no lock) or to 1 (a lock taken meanwhile).
   That T1 removes `pending` *before or in the same step as* it tries the lock is essential: removing it after a failed
   try would let an H3 in between trust a message that is already spent;
3. no lock and no `pending`: nobody got this far, except between H3's answer or the flag's removal (`forget_pending`)
   and the publishing, or when the message or its sender was lost (`pending` expires). `overdue` hands it out.

A doubled message meets a lock, or a run that finds nothing to do. A run whose lock expired while it lives on is refused
at its next ledger write (StaleToken).
"""

from collections.abc import Iterable, Mapping, Sequence

from common.model.ids import NodeName
from common.store import keys
from common.store.link import Link, Value

PENDING_SECONDS = 15.0
"""What a lost message costs. With a queue longer than that a node gets a second message, which finds nothing to do."""
NODES_A_TIME = 1000
"""Nodes handed out at once: what a queue takes in within a tick."""


class WakeUps:
    """Thread-safe. Times are epoch seconds of the caller's clock. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def mark_dirty(self, names: Iterable[NodeName], now: float) -> list[NodeName]:
        """Something about these nodes changed (and is written). Answers those for which to publish a message now;
        where publishing fails, `forget_pending`."""
        publish = []
        for name in names:
            p = self._prefix
            spots = [keys.dirty(p), keys.pending(p, name), keys.lock(p, name)]
            args: list[Value] = [name, now, int(PENDING_SECONDS * 1000)]
            if self._link.script("mark_dirty", spots, args):
                publish.append(name)
        return publish

    def clear_dirty(self, name: NodeName) -> bool:
        """Before desired state is read, lock in hand. Whether the node was dirty."""
        return bool(self._link.command("ZREM", keys.dirty(self._prefix), name))

    def is_dirty(self, name: NodeName) -> bool:
        return self._link.command("ZSCORE", keys.dirty(self._prefix), name) is not None

    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]:
        """Those of these nodes that are dirty, with one command."""
        asked = list(names)
        if not asked:
            return frozenset()
        scores = self._link.command("ZMSCORE", keys.dirty(self._prefix), *asked)
        return frozenset(name for name, score in zip(asked, scores, strict=True) if score is not None)

    def forget_pending(self, name: NodeName) -> None:
        """A message could not be published, or arrived. Never after `acquire` (which does it itself)."""
        self._link.command("DEL", keys.pending(self._prefix, name))

    def overdue(self, now: float, older_than: float) -> list[NodeName]:
        """Nodes dirty for `older_than` seconds with neither a run nor a message under way: publish one for each. A node
        is handed out again only after another `older_than` seconds."""
        p = self._prefix
        args: list[Value] = [
            now,
            now - older_than,
            NODES_A_TIME,
            keys.pending(p, NodeName("")),
            keys.lock(p, NodeName("")),
        ]
        return _names(self._link.script("overdue", [keys.dirty(p)], args))

    def park(self, name: NodeName, at: float) -> None:
        """Look at the node again at that time. An earlier time that is already set stays."""
        self.park_all({name: at})

    def park_all(self, times: Mapping[NodeName, float]) -> None:
        """As `park`, for at least one node."""
        pairs = [part for name, at in times.items() for part in (at, name)]
        self._link.command("ZADD", keys.parked(self._prefix), "LT", *pairs)

    def due(self, now: float, limit: int) -> list[NodeName]:
        """Nodes whose time has come, at most `limit`, and nodes whose run was abandoned. They are marked dirty in the
        same step; publish a message for each."""
        p = self._prefix
        spots = [keys.parked(p), keys.dirty(p), keys.running(p)]
        return _names(self._link.script("due", spots, [now, limit, keys.lock(p, NodeName(""))]))


def _names(raw: Sequence[bytes]) -> list[NodeName]:
    return [NodeName(name.decode()) for name in raw]
