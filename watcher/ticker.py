"""The leader's clockwork: nodes whose time came, nodes that were forgotten, everything once in a while, sweeps."""

import random
from collections.abc import Iterable

import msgspec

from common.clock import Clock
from common.logging import get_logger
from common.metrics import PUBLISH_FAILURES, PUBLISHED
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.broker import LOAD_INSTANCES, SWEEP_LEAKS
from common.store.messages import Absent
from common.store.publisher import Publisher
from common.store.store import Store
from watcher.announcer import Announcer
from watcher.writer import Writer

OVERDUE_SECONDS = 1.0
"""A node dirty for so long with neither a run nor a message was forgotten: the message is put milliseconds after the
mark, and where one comes after all, no second is put beside it."""
MESSAGES_SECONDS = 2.0
"""Interval of looks for lost messages. One that is off the queue begins within milliseconds."""
LOOK_SECONDS = 1.0
"""Interval of looks for forgotten nodes, for messages of dead workers, and for an emptied or restarted Redis."""
AWAY_SECONDS = 1.0
"""Pause after Redis or the broker failed."""

_log = get_logger(__name__)


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    resync: float = 1800.0
    sweep: float = 1800.0


class Ticker:
    """Used by one thread, the leader's."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        announcer: Announcer,
        writer: Writer,
        *,
        clock: Clock,
        rng: random.Random,
        intervals: Intervals,
        identity: str = "",
    ) -> None:
        """`identity`: incarnation of this process; without heartbeats of its own it takes nobody for dead."""
        self._identity = identity
        self._store, self._publisher, self._announcer, self._writer = store, publisher, announcer, writer
        self._clock, self._rng, self._intervals = clock, rng, intervals
        self._look_at = self._messages_at = self._not_before = float("-inf")
        self._absent: frozenset[Absent] = frozenset()
        """Messages that were in no queue at the last look, and had not begun."""
        self._resync_at = self._sweep_at = float("inf")

    def start(self) -> None:
        """We lead from now on."""
        now = self._clock.monotonic()
        self._look_at = self._messages_at = self._not_before = now
        self._absent = frozenset()
        self._resync_at = now + self._jittered(self._intervals.resync)
        # A leader that lives shorter than an interval must not keep sweeps from ever happening; passes too close to
        # each other are skipped by the sweep itself.
        self._sweep_at = now + self._intervals.sweep * self._rng.uniform(0.0, 0.5)

    def tick(self) -> None:
        """Do what is due now. What fails is due again at the next tick. Raises StaleTerm: we lead no more."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return
        try:
            self._announcer.hand_out()
            if now >= self._look_at:
                self._announce(self._store.wakeups.overdue(self._clock.now(), OVERDUE_SECONDS), "overdue")
                self._give_up(self._store.messages.orphaned(self._identity))
                self._writer.check_redis()
                self._look_at = now + LOOK_SECONDS
            if now >= self._messages_at:
                self._look_for_messages()
                self._messages_at = now + MESSAGES_SECONDS
            # Also where the lists are not complete, and the writer so waits.
            self._announcer.catch_up()
            if now >= self._resync_at:
                self._writer.rewrite("resync")
                self._resync_at = now + self._jittered(self._intervals.resync)
            if now >= self._sweep_at:
                self._publisher.sweep()
                PUBLISHED.labels("sweep").inc()
                self._sweep_at = now + self._jittered(self._intervals.sweep)
        except StoreUnavailable as error:
            PUBLISH_FAILURES.inc()
            self._not_before = now + AWAY_SECONDS * self._rng.uniform(0.5, 1.0)
            self._writer.rewrite("redis trouble")
            _log.warning("redis or the broker is away", error=str(error))

    def _announce(self, names: list[NodeName], reason: str) -> None:
        self._announcer.add((name, reason) for name in names)

    def _look_for_messages(self) -> None:
        """Give up messages that were absent at the last look, too."""
        absent = self._store.messages.absent()
        self._give_up(absent & self._absent)
        self._absent = absent

    def _give_up(self, lost: Iterable[Absent]) -> None:
        """Put another message for each that has not begun."""
        for one in lost:
            if not self._store.messages.forget(one):
                continue
            _log.warning("a message was lost", subject=one.subject)
            if one.subject == LOAD_INSTANCES:
                self._publisher.load_instances()
            elif one.subject == SWEEP_LEAKS:
                self._publisher.sweep()
            else:
                self._announce([NodeName(one.subject)], "lost")

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(0.9, 1.1)
