"""Runs on nodes, one at a time for each: the node's lock, what a run begins with, what becomes of the node after."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from common.metrics import RECONCILE_SECONDS, RECONCILES
from common.model.errors import LedgerNewer, LedgerUnreadable, StaleToken, StoreUnavailable
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.node.set_aside import run_failed, set_aside
from common.store.publisher import Publisher
from workers.executor import ActionExecutor
from workers.faults import Faults
from workers.guarded import GuardedExecutor
from workers.lost_runs import LostRuns
from workers.node_run import FINISH_SECONDS, Abandoned, Ending, NodeRun, Shared, set_aside_reported
from workers.run_trace import RunTrace

LEFT_SECONDS = 2.0
"""A node whose ledger is of a newer version is looked at again after this, perhaps by a worker that knows it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler(Shared):
    """Runs of a process. Times in seconds."""

    publisher: Publisher
    lost: LostRuns
    executor: Callable[[], ActionExecutor]
    owner: str
    """The process' incarnation."""
    lock_seconds: float
    """By how much a lock outlives the longest run."""
    faults: Faults = field(default_factory=Faults)

    def run(
        self,
        node: NodeName,
        message: str = "",
        sent: float | None = None,
        *,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> Ending:
        """Look at the node until nothing is left to do now, or the time slice is over. `message`: id of the one that
        led here, if any; `sent`: when it was published (epoch seconds), where it says so. `on_stuck` is called when
        its calls begin to hang. Never raises for trouble of Redis: what is lost then is found again by the next
        run."""
        began = self.clock.monotonic()
        owner = f"{self.owner}/{self.rng.getrandbits(48):012x}"
        trace = RunTrace(node=node, run=owner, clock=self.clock, sent=sent)
        self.lost.begins(owner)
        try:
            longest = self.slice_seconds + FINISH_SECONDS + self.lock_seconds
            token = self.store.lock.acquire(node, owner, longest, message)
            if token is None:
                self.lost.ended(owner)
                RECONCILES.labels(Ending.BUSY).inc()
                return Ending.BUSY
            ending = self._hold(node, owner, token, trace, on_stuck)
        except (StaleToken, StoreUnavailable) as error:
            _log.warning("run_lost", node=node, error=str(error) or type(error).__name__)
            ending = Ending.LOST
        except Abandoned:
            _log.warning("run_abandoned", node=node, seconds=round(self.clock.monotonic() - began))
            ending = Ending.ABANDONED
        if ending is not Ending.ABANDONED:
            self.lost.ended(owner)
        trace.ended(ending)
        RECONCILES.labels(ending).inc()
        RECONCILE_SECONDS.observe(self.clock.monotonic() - began)
        return ending

    def _hold(self, node: NodeName, owner: str, token: int, trace: RunTrace, on_stuck: Callable[[], None]) -> Ending:
        """With the node's lock. Raises as `NodeRun.work`."""
        now, run = self.clock.monotonic(), None
        try:
            ledger, fresh = self._load(node)
            run = NodeRun(
                shared=self,
                node=node,
                owner=owner,
                token=token,
                executor=GuardedExecutor(self.executor(), self.outages, node, self.emit, self.clock),
                trace=trace,
                ledger=ledger or fresh,
                saved=ledger,
                began=now,
                confirmed=now,
                moved=now,
                on_stuck=on_stuck,
            )
            self.dirty_check.begin(node, run.executor.interrupt)
            try:
                ending = run.work()
            finally:
                self.dirty_check.end(node)
            self._leave(run, ending)
        except (StaleToken, StoreUnavailable, Abandoned):
            raise
        except LedgerNewer as newer:
            _log.warning("node_left_to_newer_worker", node=node, why=str(newer))
            self._put_back(node, owner, token, LEFT_SECONDS)
            return Ending.LEFT
        except Exception as fault:  # noqa: BLE001 - whatever one node raises, the others are served
            pause = self.faults.pause_after(node)
            _log.exception("run_failed", node=node, again_in=pause)
            self.emit(run_failed(node, fault))
            if run is not None:
                run.drain()
            self._put_back(node, owner, token, pause)
            return Ending.FAILED
        self.faults.ended(node)
        return ending

    def _put_back(self, node: NodeName, owner: str, token: int, seconds: float) -> None:
        """Have it looked at after so long, or when it changes; everything is read then."""
        self.store.wakeups.clear_dirty(node)
        self.store.wakeups.park(node, self.clock.now() + seconds)
        if self.store.lock.release(node, owner, token):
            self.publisher.reconcile(node, "again")

    def _leave(self, run: NodeRun, ending: Ending) -> None:
        if ending is Ending.SLICED:
            self.store.wakeups.mark_dirty([run.node], self.clock.now())
        if self.store.lock.release(run.node, run.owner, run.token):
            self.publisher.reconcile(run.node, "again")

    def _load(self, node: NodeName) -> tuple[Ledger | None, Ledger]:
        """The node's ledger, and the one to begin with where there is none or none that can be read."""
        try:
            return self.store.ledgers.load(node), Ledger(node=node)
        except LedgerNewer:
            raise
        except LedgerUnreadable as fault:
            fresh, notice = set_aside(None, node, str(fault), self.clock.now())
            set_aside_reported(self.emit, notice, None)
            return None, fresh
