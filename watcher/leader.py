"""The leader's loop: writes what is pending, ticks, shows numbers. A standby's loop only says that it is there."""

import threading
from collections.abc import Callable, Mapping

from common import metrics
from common.clock import Clock
from common.kube.lease import NOBODY, Holder
from common.logging import get_logger
from common.model.errors import StaleTerm, StoreUnavailable
from common.model.notice import Notice
from common.store.store import Store
from watcher import gauges
from watcher.cluster_cache import ClusterCache
from watcher.ticker import Ticker
from watcher.writer import Writer

BEAT_SECONDS = 5.0
ROLE = "watcher"
PODS_A_TICK = 2000
"""Looked at for missing security groups, in some milliseconds."""

_log = get_logger(__name__)


class Leader:
    """One process' loop. Leads from `lead()` on, until another leader has begun to write.

    Two that both believe to lead do no harm: each write carries its leader's term, and the earlier one is refused."""

    def __init__(
        self,
        cache: ClusterCache,
        store: Store,
        writer: Writer,
        ticker: Ticker,
        *,
        clock: Clock,
        identity: str,
        held: Callable[[], bool],
        tick_seconds: float,
        emit: Callable[[Notice], None],
        on_deposed: Callable[[], None],
        ask_time: Callable[[], str | None] = lambda: None,
        holder: Callable[[], Holder] = lambda: NOBODY,
    ) -> None:
        """`held`: whether the lease is ours now. `emit` is given what people should know of pods. `on_deposed` is
        called once, when another leads. `ask_time` is called at each heartbeat and says what is wrong
        with the time of this machine, if anything; it raises StoreUnavailable. `holder`:
        which other process holds the lease."""
        self._cache, self._store, self._writer, self._ticker = cache, store, writer, ticker
        self._clock, self._identity, self._held, self._tick_seconds = clock, identity, held, tick_seconds
        self._emit, self._on_deposed, self._ask_time, self._holder = emit, on_deposed, ask_time, holder
        self._started = f"{clock.now():.0f}"
        self._called = threading.Event()
        self._wake = threading.Event()
        self._leading = self._deposed = False
        self.trouble: str | None = None
        """Why Redis does not take what we write."""
        self._beat_at = self._tick_at = float("-inf")
        self.turned_at = clock.monotonic()
        """Monotonic seconds at which the loop last came round."""

    @property
    def leading(self) -> bool:
        return self._leading

    def lead(self) -> None:
        """Take over at the next turn. From any thread."""
        self._called.set()
        self._wake.set()

    def wake(self) -> None:
        """Something changed: do not wait for the next tick. From any thread."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Turn until `stop`."""
        metrics.LEADER.set(0)
        while not stop.is_set():
            if not self.turn():
                self._wake.wait(self._tick_seconds)
            self._wake.clear()
        gauges.hide()

    def turn(self) -> bool:
        """One round. Whether there is more to do at once."""
        try:
            more = self._turn()
        except StaleTerm as error:
            more = False
            self._depose(str(error))
        self.turned_at = self._clock.monotonic()
        return more

    def _turn(self) -> bool:
        """Raises StaleTerm."""
        if self._called.is_set() and not self._leading and not self._deposed:
            self._take_over()
        now = self._clock.monotonic()
        leads = self._leading and self._held()
        if leads:
            self._writer.flush()
            # A busy cluster wakes the loop far more often than the ticker needs to look at Redis.
            if now >= self._tick_at:
                self._tick_at = now + self._tick_seconds
                self._ticker.tick()
                notices: list[Notice] = [*self._cache.policy_faults(), *self._cache.uncovered(PODS_A_TICK)]
                for notice in notices:
                    self._emit(notice)
        if now >= self._beat_at:
            self._beat_at = now + BEAT_SECONDS
            self._beat()
        return leads and self._writer.behind

    def _take_over(self) -> None:
        """Where Redis is away it is tried again at the next turn."""
        try:
            self._store.term.begin()
        except StoreUnavailable as error:
            _log.warning("cannot take over", error=str(error))
            self.trouble = f"redis: {error}"
            return
        # The caller looks at `held` after this: a lease that was lost meanwhile is somebody else's.
        self._leading = True
        metrics.LEADER.set(1)
        self._writer.take_over()
        self._ticker.start()

    def _beat(self) -> None:
        try:
            wrong = self._ask_time()
            self._store.members.beat(ROLE, self._identity, self._about(), 3 * BEAT_SECONDS)
            if self._leading:
                if wrong is not None:
                    self._depose(wrong)
                    return
                gauges.show(self._cache, self._store)
                if self._held() and not self._cache.complete and self.another_is_synced():
                    self._depose("the lists are not complete, and those of another watcher are")
            self.trouble = self._writer.trouble
        except StoreUnavailable as error:
            self.trouble = f"redis: {error}"
            _log.warning("heartbeat not written", error=str(error))

    def _depose(self, why: str) -> None:
        _log.error("this watcher leads no more", why=why)
        self._leading, self._deposed = False, True
        gauges.hide()
        self._on_deposed()

    def another_is_synced(self) -> bool:
        """Whether another watcher that lives knows the whole cluster. Raises StoreUnavailable."""
        others = self._store.members.alive(ROLE)
        others.pop(self._identity, None)
        synced = [each for each, about in others.items() if about.get("synced") == "true"]
        return any(not self._store.heartbeats.is_dead(each, self._identity) for each in synced)

    def _about(self) -> Mapping[str, str]:
        holder = self._holder()
        return {
            "leader": "true" if self._leading and self._held() else "false",
            "synced": "true" if self._cache.complete else "false",
            "started": self._started,
            "holder": holder.name,
            "holder_since": holder.since,
        }
