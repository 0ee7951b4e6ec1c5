"""Writes the pending changes of desired state to Redis, then announces the nodes.

After a takeover, a restart (ours or Redis'), or any trouble with Redis everything is pending: what is written there may
be older than what we know (a crashed Redis loses its last second), or another leader's.
"""

import random
from collections.abc import Mapping
from enum import Enum

import msgspec

from common.clock import Clock
from common.logging import get_logger
from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.model.node import NodeView
from common.store.desired import NodeWrite
from common.store.store import Store
from watcher.announcer import Announcer
from watcher.cluster_cache import ClusterCache
from watcher.pending import Batch, NodeChange

NODES_A_BATCH = 25
BATCHES = 4
TURN_SECONDS = 0.25
"""So many nodes are written and announced, or as many as this time allows, before the leader looks again whether it
still leads, has to end, or has something more urgent to do."""
TOGETHER_SECONDS = 1.0
"""Pods of a node that were served or ended, and nobody waits there: looked at once, so long after the first. What
follows such a look (a rest of a minute, mostly) has time; a run for each would be every second run."""
CALM_REASONS = frozenset({"takeover", "resync"})
"""Reasons to look at every node that lose nothing by a moment's delay: Redis was there all the time."""
CALM_SECONDS = 60.0
"""Nodes of which nothing changed and where nobody waits are looked at within so long, spread out: a thousand at once
would hold up the pods that come meanwhile."""
AHEAD_SECONDS = 10.0
"""Nodes that are due are handed out as workers take them, those first that are due for longest. Where pods wait for a
change that many nodes have in common the node counts as due for so long."""
LOOKS_A_SECOND = 250
"""Nodes that feel a change of the settings are due one after the other: what becomes due meanwhile, mostly for pods
that wait for their turn at EC2, must not wait for all of them."""
LISTED_NODES_A_SECOND = 50
"""After Redis lost its state every node is looked at, those where nobody waits at this rate: about what two workers
adopt on two cores, so that nodes of new pods find a short queue."""
FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.2, 5.0

_log = get_logger(__name__)


class Writer:
    """Used by one thread, the leader's."""

    def __init__(
        self,
        cache: ClusterCache,
        store: Store,
        announcer: Announcer,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._cache, self._store, self._announcer = cache, store, announcer
        self._clock, self._rng = clock, rng
        self._rewrite: str | None = None
        """Why everything must be written and compared, None: it need not."""
        self._listing = False
        """A full list is being written, and the completeness mark comes after it."""
        self._comparing = False
        """Everything is being compared, and the note of it comes after it."""
        self._known: set[NodeName] = set()
        """Nodes of which anything was written when the comparison began. Only we write."""
        self._held: dict[NodeName, tuple[Urgency, str]] = {}
        """Nodes of that list, and why they want a look. They are announced when it is complete: a run before that has
        to leave everything as it is, and nobody would call the next one."""
        self._server: str | None = None
        """The run of Redis that everything was compared with; a later one may lack what we wrote."""
        self._failures = 0
        self._not_before = float("-inf")
        self.trouble: str | None = None
        """Why nothing can be written now."""

    def take_over(self) -> None:
        """We lead from now on."""
        self._cache.lead(True)
        self._announcer.forget()
        self._held.clear()
        self._rewrite, self._listing, self._comparing = "takeover", False, False

    def rewrite(self, reason: str) -> None:
        """Compare everything with what is written, and have every node looked at."""
        self._rewrite = self._rewrite or reason

    def check_redis(self) -> None:
        """Redis may have been emptied behind our back, or come back from a crash between two calls of ours. Raises
        StoreUnavailable."""
        if self._rewrite is not None:
            return
        if self._store.server.run_id() != self._server:
            _log.warning("redis was restarted; everything is compared anew")
            self.rewrite("redis restarted")
        elif not self._listing and not self._store.desired.is_complete():
            _log.warning("redis lost its state; everything is written anew")
            self.rewrite("redis lost")

    @property
    def settled(self) -> bool:
        """Everything that we know is written and announced."""
        return (
            self._rewrite is None and not self._listing and not self._comparing and self._cache.complete
            and self._cache.settled and self._announcer.settled
        )  # fmt: skip

    @property
    def behind(self) -> bool:
        """`flush` has something to do at once."""
        return not self._waits and self._cache.complete and (
            self._rewrite is not None or self._listing or self._comparing or self._cache.behind
            or not self._announcer.settled
        )  # fmt: skip

    @property
    def _waits(self) -> bool:
        return self._clock.monotonic() < self._not_before

    def flush(self, batches: int = BATCHES) -> None:
        """Write and announce what is pending: so many batches, or for TURN_SECONDS, one batch at least. Trouble with
        Redis or the broker is logged and tried again later, at growing intervals. Raises StaleTerm: we lead no more."""
        if self._waits or not self._cache.complete:
            return
        until = self._clock.monotonic() + TURN_SECONDS
        try:
            self._begin()
            for _ in range(batches):
                batch = self._cache.take(NODES_A_BATCH)
                if batch:
                    self._write_batch(batch)
                else:
                    self._finish()
                self._announcer.catch_up()
                if (not batch and self._announcer.settled) or self._clock.monotonic() >= until:
                    break
        except StoreUnavailable as error:
            self._failures += 1
            longest = min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 10))
            self._not_before = self._clock.monotonic() + longest * self._rng.uniform(0.5, 1.0)
            # Writes what the failed batch held, too.
            self.rewrite("redis trouble")
            self.trouble = f"redis: {error}"
            _log.warning("redis or the broker is away", error=str(error), failures=self._failures)
        else:
            self._failures, self.trouble = 0, None

    def _begin(self) -> None:
        """Raises StoreUnavailable."""
        if self._rewrite is None:
            return
        # Before anything is compared: a restart after this shows.
        self._server = self._store.server.run_id()
        if not self._store.desired.is_complete():
            self._store.desired.begin_full_list()
            self._listing = True
        self._known = self._store.desired.known_nodes()
        self._cache.write_everything(self._known, self._rewrite)
        self._rewrite, self._comparing = None, True

    def _finish(self) -> None:
        """Nothing is pending any more. Raises StoreUnavailable."""
        if self._listing:
            self._listing = self._comparing = False
            if self._store.server.run_id() != self._server:
                self.rewrite("redis restarted")
            elif self._store.desired.finish_full_list(self._server):
                _log.info("desired state is complete")
                self._look_at_all()
            else:
                self.rewrite("redis lost")
        elif self._comparing:
            # Where Redis was restarted meanwhile this is not its run, and counts for nothing.
            self._store.desired.mark_compared(self._server)
            self._comparing = False

    def _look_at_all(self) -> None:
        """Raises StoreUnavailable, and then everything is compared anew."""
        held, self._held = self._held, {}
        reasons = {name: reason for name, (_, reason) in held.items()}
        of = {urgency: sorted(name for name in held if held[name][0] is urgency) for urgency in Urgency}
        now, seconds = self._clock.now(), len(of[Urgency.CALM]) / LISTED_NODES_A_SECOND
        later = dict.fromkeys(of[Urgency.NODE], now)
        later |= {name: now + self._rng.uniform(0.0, seconds) for name in of[Urgency.CALM]}
        self._announcer.add((name, reasons[name]) for name in of[Urgency.PODS])
        self._announcer.add_later(later, reasons)

    def _write_batch(self, batch: Batch) -> None:
        """Raises StoreUnavailable, and then everything must be written again."""
        if batch.config is not None:
            self._write_config(batch.config)
        whole = [change.name for change in batch.changes if change.pending.whole and change.name in self._known]
        written = self._store.desired.read_many(whole) if whole else {}
        writes: list[NodeWrite] = []
        urgencies: dict[NodeName, Urgency] = {}
        for change in batch.changes:
            write = self._to_write(change, written)
            writes.append(write)
            news = not change.pending.whole or write != NodeWrite(name=change.name)
            urgencies[change.name] = urgency_of(change, news=news, listing=self._listing)
        self._store.desired.write_all(writes)
        for write in writes:
            self._announcer.trace.written(write.name, write.upserts, write.removals)
        reasons = {change.name: change.pending.reason for change in batch.changes}
        if self._listing:
            self._hold(urgencies, reasons)
            return
        times = {name: self._due_at(urgency) for name, urgency in urgencies.items()}
        self._announcer.add_later({name: at for name, at in times.items() if at is not None}, reasons)
        self._announcer.add((name, reasons[name]) for name, at in times.items() if at is None)

    def _hold(self, urgencies: Mapping[NodeName, "Urgency"], reasons: Mapping[NodeName, str]) -> None:
        """Until the list is complete."""
        for name, urgency in urgencies.items():
            if urgency is not Urgency.CALM or name not in self._held:
                self._held[name] = (urgency, reasons[name])

    def _due_at(self, urgency: "Urgency") -> float | None:
        """When to look at a node, in epoch seconds; None: at once, however many messages wait."""
        now = self._clock.now()
        match urgency:
            case Urgency.PODS:
                return None
            case Urgency.WAITED_FOR:
                return now - AHEAD_SECONDS
            case Urgency.NODE | Urgency.SHARED:
                return now
            case Urgency.SETTLED:
                return now + TOGETHER_SECONDS
            case Urgency.CALM:
                return now + self._rng.uniform(0.0, CALM_SECONDS)

    def _write_config(self, config: ClusterConfig) -> None:
        """Have the nodes looked at that feel the difference to what is written. Raises StoreUnavailable."""
        before = self._store.desired.config()
        if config != before and not self._listing:
            # First: whoever leads next sees a difference, or every node has its time. None is handed out in between.
            now, waiting = self._clock.now(), self._cache.nodes_waiting()
            names = self._cache.concerned(before, config)
            soon, seconds = now - AHEAD_SECONDS, len(names) / LOOKS_A_SECOND
            times = {name: soon if name in waiting else now + self._rng.uniform(0.0, seconds) for name in sorted(names)}
            self._announcer.add_later(times, dict.fromkeys(times, "configuration"))
        self._store.desired.write_config(config)

    def _to_write(self, change: NodeChange, written: Mapping[NodeName, Desired]) -> NodeWrite:
        """`written`: what Redis has of nodes that are compared."""
        if not change.pending.whole:
            return NodeWrite(
                name=change.name,
                replaces_view=change.pending.view,
                view=change.view if change.pending.view else None,
                upserts=tuple(change.pods.values()),
                removals=tuple(sorted(change.pending.pods - change.pods.keys())),
            )
        before = written.get(change.name, Desired())
        upserts = []
        for uid, request in change.pods.items():
            wanted, theirs = request, before.pods.get(uid)
            if theirs is not None and theirs.seen_at < request.seen_at:
                self._cache.seen_before(change.name, uid, theirs.seen_at)
                wanted = msgspec.structs.replace(request, seen_at=theirs.seen_at)
            if wanted != theirs:
                upserts.append(wanted)
        news = before.view != (change.view or NodeView()) or change.view is None
        return NodeWrite(
            name=change.name,
            replaces_view=news,
            view=change.view if news else None,
            upserts=tuple(upserts),
            removals=tuple(sorted((before.pods.keys() | change.pending.pods) - change.pods.keys())),
        )


class Urgency(Enum):
    """How soon a node that was written wants a look."""

    PODS = "pods"
    """Pods wait there."""
    WAITED_FOR = "waited for"
    """Many nodes have the change in common, and pods wait there."""
    NODE = "node"
    """Something of its own happened, or it waits for its capacity."""
    SHARED = "shared"
    """Many nodes have the change in common, and nobody waits there."""
    SETTLED = "settled"
    """Pods were served or ended, and nobody waits there."""
    CALM = "calm"
    """Nothing changed, and nobody waits."""


def urgency_of(change: NodeChange, *, news: bool, listing: bool) -> Urgency:
    """`news`: something was not written yet. `listing`: Redis was empty, so that everything is news."""
    node = change.view.node if change.view is not None else None
    shared = not change.pending.whole and not change.pending.urgent and not listing
    calm = change.pending.whole and (listing or (not news and change.pending.reason in CALM_REASONS))
    if change.waiting:
        return Urgency.WAITED_FOR if shared else Urgency.PODS
    if shared:
        return Urgency.SHARED
    if change.pending.pods and not (change.pending.view or change.pending.whole or listing):
        return Urgency.SETTLED
    return Urgency.CALM if calm and node is not None and node.capacity else Urgency.NODE
