"""One run on one node: plan, record the intents, start what may start, wait, apply what ended, plan again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from common.clock import Clock
from common.metrics import ACTIONS, LEDGERS_SET_ASIDE, POD_SECONDS, RECONCILE_SECONDS, RECONCILES
from common.model.actions import Action, Annotate
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.errors import LedgerNewer, LedgerUnreadable, StaleToken, StoreUnavailable
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.notice import NodeNotice, Notice
from common.model.outcome import Done, Outcome
from common.node.planner import Applied, Plan, apply, plan, turned_away
from common.node.set_aside import run_failed, set_aside
from common.node.state import Options
from common.rules.managed import WINDOWS
from common.store.publisher import Publisher
from common.store.store import Store
from workers.dirty_check import DirtyCheck
from workers.executor import ActionExecutor, Ended
from workers.faults import Faults
from workers.guarded import GuardedExecutor
from workers.lost_runs import LostRuns
from workers.outages import KnownOutages
from workers.worklog import context_of

POLL_SECONDS = 0.05
"""How often a run with calls under way looks whether its node has become dirty: what a new pod waits at most."""
CONFIRM_SECONDS = 5.0
"""How often a run that only waits looks whether the node is still its own. Its writes are refused at once."""
LINGER_SECONDS = 0.5
"""A run whose next moment is nearer than this waits for it; a later one is parked."""
STUCK_SECONDS = 2.0
"""Calls under way of which none ended for so long hang: the run need not hold a place among those that get on."""
FINISH_SECONDS = 30.0
"""How long the end of a run waits for its calls: one lasts 20 s at most, before it a turn of 3 s."""
LEFT_SECONDS = 2.0
"""A node whose ledger is of a newer version is looked at again after this, perhaps by a worker that knows it."""
PLACE_SECONDS = 20.0
"""A node that was turned away for want of a thread is woken when there is one; where that is lost (this process ended),
or other workers have threads, it comes again after this."""

ASSIGN = "AssignPrivateIpAddresses"
LOGGED_CHARACTERS = 10_000
"""Of a ledger that is set aside."""

_log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """How a run ended."""

    SETTLED = "settled"
    """Nothing to do before the parked time, if any."""
    SLICED = "sliced"
    """Its time is over; published again."""
    BUSY = "busy"
    """Another run has the node and will see that it is dirty, or the message was spent."""
    LOST = "lost"
    """The lock went to somebody else, or Redis away, in the middle; nothing more was written."""
    LEFT = "left"
    """The ledger is of a newer version: another worker will look."""
    FAILED = "failed"
    """It raised what nobody foresaw: reported, and looked at again after a growing pause."""
    ABANDONED = "abandoned"
    """A step does not return: its outcome is not waited for, and the lock expires by itself."""


class _Abandoned(Exception):
    """Steps are under way whose outcome nobody waits for any more."""


@dataclass(slots=True)
class _Run:
    """What one run knows."""

    node: NodeName
    owner: str
    token: int
    executor: ActionExecutor
    ledger: Ledger
    saved: Ledger | None
    began: float
    confirmed: float
    """When the lock was last known to be ours."""
    looked: float
    """When the dirty mark was last looked at."""
    desired: Desired = field(default_factory=Desired)
    snapshot: InstanceSnapshot | None = None
    busy: set[str] = field(default_factory=set)
    held: dict[str, Action] = field(default_factory=dict)
    """By subject: actions that were turned away for want of a thread, and still would be."""
    moved: float = 0.0
    """When an action last began or ended (monotonic)."""
    on_stuck: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Shared by all runs of a process. Times in seconds."""

    store: Store
    publisher: Publisher
    outages: KnownOutages
    lost: LostRuns
    executor: Callable[[], ActionExecutor]
    tell: Callable[[Notice], None]
    options: Options
    clock: Clock
    rng: random.Random
    owner: str
    """The process' incarnation."""
    lock_seconds: float
    """By how much a lock outlives the longest run."""
    slice_seconds: float
    dirty_check: DirtyCheck = field(default_factory=DirtyCheck)
    faults: Faults = field(default_factory=Faults)
    stopping: Callable[[], bool] = lambda: False
    """Whether the process ends: nothing more is begun then."""

    def run(self, node: NodeName, message: str = "", *, on_stuck: Callable[[], None] = lambda: None) -> Ending:
        """Look at the node until nothing is left to do now, or the time slice is over. `message`: id of the one that
        led here, if any. `on_stuck` is called when its calls begin to hang. Never raises for trouble of Redis: what is
        lost then is found again by the next run."""
        began = self.clock.monotonic()
        owner = f"{self.owner}/{self.rng.getrandbits(48):012x}"
        self.lost.begins(owner)
        try:
            longest = self.slice_seconds + FINISH_SECONDS + self.lock_seconds
            token = self.store.acquire(node, owner, longest, message)
            if token is None:
                self.lost.ended(owner)
                RECONCILES.labels(Ending.BUSY).inc()
                return Ending.BUSY
            ending = self._hold(node, owner, token, on_stuck)
        except (StaleToken, StoreUnavailable) as error:
            _log.warning("run_lost", node=node, error=str(error) or type(error).__name__)
            ending = Ending.LOST
        except _Abandoned:
            _log.warning("run_abandoned", node=node, seconds=round(self.clock.monotonic() - began))
            ending = Ending.ABANDONED
        if ending is not Ending.ABANDONED:
            self.lost.ended(owner)
        RECONCILES.labels(ending).inc()
        RECONCILE_SECONDS.observe(self.clock.monotonic() - began)
        return ending

    def _hold(self, node: NodeName, owner: str, token: int, on_stuck: Callable[[], None]) -> Ending:
        """With the node's lock. Raises as `_work`."""
        now, run = self.clock.monotonic(), None
        try:
            ledger, fresh = self._load(node)
            run = _Run(
                node=node,
                owner=owner,
                token=token,
                executor=GuardedExecutor(self.executor(), self.outages, node, self.tell, self.clock),
                ledger=ledger or fresh,
                saved=ledger,
                began=now,
                confirmed=now,
                looked=now,
                moved=now,
                on_stuck=on_stuck,
            )
            self.dirty_check.begin(node)
            try:
                ending = self._work(run)
            finally:
                self.dirty_check.end(node)
            self._leave(run, ending)
        except (StaleToken, StoreUnavailable, _Abandoned):
            raise
        except LedgerNewer as newer:
            _log.warning("node_left_to_newer_worker", node=node, why=str(newer))
            self._put_back(node, owner, token, LEFT_SECONDS)
            return Ending.LEFT
        except Exception as fault:  # noqa: BLE001 - whatever one node raises, the others are served
            pause = self.faults.pause_after(node)
            _log.exception("run_failed", node=node, again_in=pause)
            self.tell(run_failed(node, fault))
            if run is not None:
                self._drain(run)
            self._put_back(node, owner, token, pause)
            return Ending.FAILED
        self.faults.ended(node)
        return ending

    def _put_back(self, node: NodeName, owner: str, token: int, seconds: float) -> None:
        """Have it looked at after so long, or when it changes; everything is read then."""
        self.store.clear_dirty(node)
        self.store.park(node, self.clock.now() + seconds)
        if self.store.release(node, owner, token):
            self.publisher.reconcile(node, "again")

    def _drain(self, run: _Run) -> None:
        """Wait for what is under way. Its outcomes are not recorded: its intents are. Raises _Abandoned."""
        until = self.clock.monotonic() + FINISH_SECONDS
        while run.busy:
            if self.clock.monotonic() > until:
                raise _Abandoned
            ended = run.executor.wait(1.0)
            run.busy -= {action.subject for action, _ in ended}
            self._note_movement(run, ended)
            self._confirm(run)

    def _leave(self, run: _Run, ending: Ending) -> None:
        if ending is Ending.SLICED:
            self.store.mark_dirty([run.node], self.clock.now())
        if self.store.release(run.node, run.owner, run.token):
            self.publisher.reconcile(run.node, "again")

    def _work(self, run: _Run) -> Ending:
        changed, planned_once = True, False
        while True:
            if changed:
                self._read(run)
            # However short its slice, a run gets something done.
            if self.stopping() or (planned_once and self._is_over(run)):
                self._finish(run)
                return Ending.SLICED
            run.held = {subject: action for subject, action in run.held.items() if not run.executor.has_place(action)}
            planned, planned_once = self._plan(run), True
            look_again = min(planned.look_again, self.clock.now() + PLACE_SECONDS if run.held else float("inf"))
            if run.busy:
                changed = self._await(run, look_again)
                continue
            changed = False
            if planned.actions:
                continue  # All were turned away; others are not.
            wait = look_again - self.clock.now()
            if wait > LINGER_SECONDS:
                if look_again != float("inf"):
                    self.store.park(run.node, look_again)
                run.executor.wake(run.node, run.held.values())
                return Ending.SETTLED
            changed = self._linger(run, look_again)

    def _is_over(self, run: _Run) -> bool:
        return self.clock.monotonic() - run.began > self.slice_seconds

    def _await(self, run: _Run, look_again: float) -> bool:
        """With actions under way: until one ends, the node becomes dirty (True), or it is time to look again or to end
        the slice. To plan before would give the same plan."""
        while True:
            ended = run.executor.wait(min(POLL_SECONDS, look_again - self.clock.now()))
            self._apply(run, ended)
            self._confirm(run)
            if self._is_dirty(run):
                return True
            if ended or self.clock.now() >= look_again or self._is_over(run) or self.stopping():
                return False
            if any(map(run.executor.has_place, run.held.values())):
                return False

    def _linger(self, run: _Run, until: float) -> bool:
        """With nothing under way: until the node becomes dirty (True), or it is time to look again or to end the slice.
        To plan before would give the same plan."""
        while (wait := until - self.clock.now()) > 0 and not self._is_over(run) and not self.stopping():
            self.clock.sleep(min(wait, POLL_SECONDS))
            self._confirm(run)
            if self._is_dirty(run):
                return True
        return False

    def _is_dirty(self, run: _Run) -> bool:
        """Looked at no more often than `POLL_SECONDS`, however many actions end meanwhile."""
        now = self.clock.monotonic()
        if now - run.looked < POLL_SECONDS:
            return False
        run.looked = now
        return self.dirty_check.on(run.node, self.store, now)

    def _read(self, run: _Run) -> None:
        run.desired = self.store.look(run.node, run.ledger)
        self.dirty_check.forget(run.node)
        facts = run.desired.view.node
        if facts is not None and facts.os == WINDOWS:
            run.desired = msgspec.structs.replace(run.desired, epoch=self.store.epoch())
        wanted = facts is not None and facts.instance_id is not None and run.ledger.snapshot_after is not None
        run.snapshot = self.store.snapshot(facts.instance_id) if wanted and facts and facts.instance_id else None

    def _plan(self, run: _Run) -> Plan:
        """Plan, save with the intents, and only then start."""
        try:
            planned = self._planned(run, run.ledger)
        except Exception as fault:  # noqa: BLE001 - whatever a ledger holds, its node is served again
            fresh, told = set_aside(run.ledger, run.node, repr(fault), self.clock.now())
            # Raises again where the ledger is not what cannot be understood: it is kept then.
            planned = self._planned(run, fresh)
            self._report(told, run.ledger)
        moot = _turns(run.ledger) - _turns(planned.ledger) - {action.subject for action in planned.actions}
        admitted, ledger = self._admitted(run, planned)
        run.ledger = ledger or Ledger(node=run.node)
        try:
            self._save(run, ledger)
            if places := {place_of(subject) for subject in moot} - {""}:
                self.store.give_back(places)
        except BaseException:
            run.executor.dismiss(admitted)
            raise
        for notice in planned.notices:
            self.tell(notice)
        for action in admitted:
            run.busy.add(action.subject)
            run.moved = self.clock.monotonic()
            with bound_contextvars(**context_of(run.node, run.ledger, action)):
                run.executor.start(action)
        return planned

    def _admitted(self, run: _Run, planned: Plan) -> tuple[list[Action], Ledger | None]:
        """Actions that have a thread; and the ledger with the intents of these alone."""
        admitted, ledger = [], planned.ledger
        for action in planned.actions:
            if run.executor.admit(action):
                admitted.append(action)
                continue
            run.held[action.subject] = action
            ACTIONS.labels(type(action).__name__, "turned_away").inc()
            if ledger is not None:
                ledger = turned_away(ledger, action, now=self.clock.now())
        return admitted, ledger

    def _planned(self, run: _Run, ledger: Ledger) -> Plan:
        return plan(
            ledger,
            run.desired,
            snapshot=run.snapshot,
            now=self.clock.now(),
            jitter=self.rng.random(),
            busy=frozenset(run.busy),
            options=self.options,
            burst_left=self._burst_left(run),
            held=frozenset(run.held),
            unavailable=self.outages.holding((b.scope for b in ledger.backoffs.values() if b.scope), run.node),
        )

    def _load(self, node: NodeName) -> tuple[Ledger | None, Ledger]:
        """The node's ledger, and the one to begin with where there is none or none that can be read."""
        try:
            return self.store.load_ledger(node), Ledger(node=node)
        except LedgerNewer:
            raise
        except LedgerUnreadable as fault:
            fresh, notice = set_aside(None, node, str(fault), self.clock.now())
            self._report(notice, None)
            return None, fresh

    def _report(self, notice: NodeNotice, ledger: Ledger | None) -> None:
        """A ledger is set aside. Called while its fault is handled."""
        LEDGERS_SET_ASIDE.inc()
        _log.exception("ledger_set_aside", node=notice.node, ledger=repr(ledger)[:LOGGED_CHARACTERS])
        self.tell(notice)

    def _applied(self, run: _Run, action: Action, outcome: Outcome) -> Applied:
        now = self.clock.now()
        try:
            return apply(run.ledger, action, outcome, now=now, jitter=self.rng.random())
        except Exception as fault:  # noqa: BLE001 - whatever a ledger holds, its node is served again
            fresh, notice = set_aside(run.ledger, run.node, repr(fault), now)
            self._report(notice, run.ledger)
            return Applied(ledger=fresh)

    def _burst_left(self, run: _Run) -> float:
        facts = run.desired.view.node
        return self.store.rate_left(ASSIGN) if facts is not None and facts.os == WINDOWS else 1.0

    def _apply(self, run: _Run, ended: list[Ended]) -> None:
        self._note_movement(run, ended)
        for action, outcome in ended:
            run.busy.discard(action.subject)
            result = self._applied(run, action, outcome)
            run.ledger = result.ledger
            if result.moved_on:
                _log.info("outcome_dropped", node=run.node, action=type(action).__name__, subject=action.subject)
            for notice in result.notices:
                self.tell(notice)
            if isinstance(action, Annotate) and isinstance(outcome, Done) and outcome.value == action.value:
                pod = run.desired.pods.get(action.pod_uid)
                if pod is not None:
                    POD_SECONDS.labels(action.annotation).observe(max(0.0, self.clock.now() - pod.scheduled_at))

    def _note_movement(self, run: _Run, ended: list[Ended]) -> None:
        now = self.clock.monotonic()
        if ended:
            run.moved = now
        elif now - run.moved > STUCK_SECONDS:
            run.on_stuck()

    def _finish(self, run: _Run) -> None:
        """No new actions; those under way end, and their outcomes are recorded, as are those that ended before. Raises
        _Abandoned where that takes too long."""
        self._save(run, run.ledger)
        until = self.clock.monotonic() + FINISH_SECONDS
        while run.busy:
            if self.clock.monotonic() > until:
                raise _Abandoned
            self._apply(run, run.executor.wait(1.0))
            self._save(run, run.ledger)
            self._confirm(run)

    def _save(self, run: _Run, ledger: Ledger | None) -> None:
        if ledger != run.saved:
            self.store.save_ledger(run.node, ledger, run.owner, run.token)
            run.saved = ledger

    def _confirm(self, run: _Run) -> None:
        """Also a run that waits learns in time that the node is another's. Raises StaleToken."""
        now = self.clock.monotonic()
        if now - run.confirmed > CONFIRM_SECONDS:
            if not self.store.holds(run.node, run.owner, run.token):
                raise StaleToken(run.node)
            run.confirmed = now


def place_of(subject: str) -> str:
    """Under which name a subject has its place in the rate limiter; empty where the subject is not unique in the
    cluster: its place cannot be given back."""
    return subject if "/" in subject else ""


def _turns(ledger: Ledger | None) -> set[str]:
    """Subjects that have a place in the rate limiter's line."""
    return (
        {subject for subject, backoff in ledger.backoffs.items() if backoff.reserved} if ledger is not None else set()
    )
