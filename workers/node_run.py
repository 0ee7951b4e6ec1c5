"""One run on one node: plan, record the intents, start what may start, wait, apply what ended, plan again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from common.clock import Clock
from common.metrics import ACTIONS, LEDGERS_SET_ASIDE, POD_SECONDS
from common.model.actions import Action, Annotate
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.errors import StaleToken, StoreUnavailable
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.notice import NodeNotice, Notice
from common.model.outcome import Done, Outcome
from common.node.branch import ahead
from common.node.branch.believing import asks_epoch
from common.node.planner import Applied, Plan, apply, plan, turned_away
from common.node.set_aside import set_aside
from common.node.state import Options
from common.rules.managed import WINDOWS
from common.spans import below
from common.store.store import Store
from workers.dirty_check import DirtyCheck
from workers.executor import ActionExecutor, Ended
from workers.outages import KnownOutages
from workers.run_trace import RunTrace
from workers.worklog import context_of

POLL_SECONDS = 0.05
"""How often a run that waits for a place, or for a moment that is near, looks whether it may go on."""
CONFIRM_SECONDS = 5.0
"""How often a run that only waits looks whether the node is still its own. Its writes are refused at once."""
LINGER_SECONDS = 0.5
"""A run whose next moment is nearer than this waits for it; a later one is parked."""
STUCK_SECONDS = 2.0
"""Calls under way of which none ended for so long hang: the run need not hold a place among those that get on."""
FINISH_SECONDS = 30.0
"""How long the end of a run waits for its calls: one lasts 20 s at most, before it a turn of 3 s."""
PLACE_SECONDS = 20.0
"""A node that was turned away for want of a thread is woken when there is one; where that is lost (this process ended),
or other workers have threads, it comes again after this."""

ASSIGN = "AssignPrivateIpAddresses"
LOGGED_CHARACTERS = 10_000
"""Characters of a ledger that are logged when it is set aside."""

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


class Abandoned(Exception):
    """Steps are under way whose outcome nobody waits for any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all runs of a process share. Times in seconds."""

    store: Store
    outages: KnownOutages
    emit: Callable[[Notice], None]
    options: Options
    clock: Clock
    rng: random.Random
    slice_seconds: float
    dirty_check: DirtyCheck = field(default_factory=DirtyCheck)
    stopping: Callable[[], bool] = lambda: False
    """Whether the process ends: nothing more is begun then."""


@dataclass(slots=True, kw_only=True)
class NodeRun:
    """With the node's lock in hand. Used by one thread."""

    shared: Shared
    node: NodeName
    owner: str
    token: int
    executor: ActionExecutor
    trace: RunTrace
    ledger: Ledger
    saved: Ledger | None
    began: float
    confirmed: float
    """When the lock was last known to be ours."""
    desired: Desired = field(default_factory=Desired)
    snapshot: InstanceSnapshot | None = None
    busy: set[str] = field(default_factory=set)
    held: dict[str, Action] = field(default_factory=dict)
    """By subject: actions that were turned away for want of a thread, and still would be."""
    moved: float = 0.0
    """When an action last began or ended (monotonic)."""
    on_stuck: Callable[[], None] = lambda: None

    def work(self) -> Ending:
        """Until nothing is left to do now, or the slice is over. Raises StaleToken and StoreUnavailable where the node
        is lost, and Abandoned."""
        changed, planned_once = True, False
        while True:
            if changed:
                self._read()
            # However short its slice, a run gets something done.
            if self.shared.stopping() or (planned_once and self._is_over()):
                self._finish()
                return Ending.SLICED
            self.held = {
                subject: action for subject, action in self.held.items() if not self.executor.has_place(action)
            }
            planned, planned_once = self._plan(), True
            look_again = min(planned.look_again, self.shared.clock.now() + PLACE_SECONDS if self.held else float("inf"))
            if self.busy:
                changed = self._await(look_again)
                continue
            changed = False
            if planned.actions:
                continue  # All were turned away; others are not.
            wait = look_again - self.shared.clock.now()
            if wait > LINGER_SECONDS:
                if look_again != float("inf"):
                    self.shared.store.wakeups.park(self.node, look_again)
                self.executor.wake(self.node, self.held.values())
                return Ending.SETTLED
            changed = self._linger(look_again)

    def _is_over(self) -> bool:
        return self.shared.clock.monotonic() - self.began > self.shared.slice_seconds

    def _await(self, look_again: float) -> bool:
        """With actions under way: until one ends, the node becomes dirty (True), or it is time to look again or to end
        the slice. To plan before would give the same plan."""
        while True:
            clock = self.shared.clock
            pause = POLL_SECONDS if self.held else self.shared.dirty_check.interval(clock.monotonic())
            ended = self.executor.wait(min(pause, look_again - clock.now()))
            self._apply(ended)
            self._confirm()
            if self._is_dirty():
                return True
            if ended or self.shared.clock.now() >= look_again or self._is_over() or self.shared.stopping():
                return False
            if any(map(self.executor.has_place, self.held.values())):
                return False

    def _linger(self, until: float) -> bool:
        """With nothing under way: until the node becomes dirty (True), or it is time to look again or to end the slice.
        To plan before would give the same plan."""
        while (wait := until - self.shared.clock.now()) > 0 and not self._is_over() and not self.shared.stopping():
            self.shared.clock.sleep(min(wait, POLL_SECONDS))
            self._confirm()
            if self._is_dirty():
                return True
        return False

    def _is_dirty(self) -> bool:
        return self.shared.dirty_check.on(self.node, self.shared.store.wakeups, self.shared.clock.monotonic())

    def _read(self) -> None:
        self.desired = self.shared.store.desired.look(self.node, self.ledger)
        self.shared.dirty_check.forget(self.node)
        self.trace.read(self.desired, self.ledger)
        facts = self.desired.view.node
        if (facts is not None and facts.os == WINDOWS) or asks_epoch(self.ledger, self.desired):
            self.desired = msgspec.structs.replace(self.desired, epoch=self.shared.store.desired.epoch())
        wanted = facts is not None and facts.instance_id is not None and self.ledger.snapshot_after is not None
        self.snapshot = (
            self.shared.store.snapshots.read(facts.instance_id) if wanted and facts and facts.instance_id else None
        )

    def _plan(self) -> Plan:
        """Plan, save with the intents, and only then start."""
        try:
            planned = self._planned(self.ledger)
        except StoreUnavailable:
            raise  # It says nothing about the ledger.
        except Exception as fault:  # noqa: BLE001 - whatever a ledger holds, its node is served again
            fresh, reported = set_aside(self.ledger, self.node, repr(fault), self.shared.clock.now())
            # Raises again where the ledger is not what cannot be understood: it is kept then.
            planned = self._planned(fresh)
            set_aside_reported(self.shared.emit, reported, self.ledger)
        withdrawn = _reserved(self.ledger) - _reserved(planned.ledger) - {action.subject for action in planned.actions}
        admitted, ledger = self._admitted(planned)
        self.ledger = ledger or Ledger(node=self.node)
        try:
            self._save(ledger)
            if places := {place_of(subject) for subject in withdrawn} - {""}:
                self.shared.store.limiter.give_back(places)
        except BaseException:
            self.executor.dismiss(admitted)
            raise
        for notice in planned.notices:
            self.shared.emit(notice)
        for action in admitted:
            self.busy.add(action.subject)
            self.moved = self.shared.clock.monotonic()
            scope = self.trace.scope(action, self.ledger)
            with bound_contextvars(**context_of(self.node, self.ledger, action)), below(scope):
                self.executor.start(action)
        return planned

    def _admitted(self, planned: Plan) -> tuple[list[Action], Ledger | None]:
        """Actions that have a thread; and the ledger with the intents of these alone."""
        admitted, ledger = [], planned.ledger
        for action in planned.actions:
            if self.executor.admit(action):
                admitted.append(action)
                continue
            self.held[action.subject] = action
            ACTIONS.labels(type(action).__name__, "turned_away").inc()
            if ledger is not None:
                ledger = turned_away(ledger, action, now=self.shared.clock.now())
        return admitted, ledger

    def _planned(self, ledger: Ledger) -> Plan:
        return plan(
            ledger,
            self.desired,
            snapshot=self.snapshot,
            now=self.shared.clock.now(),
            jitter=self.shared.rng.random(),
            busy=frozenset(self.busy),
            options=self.shared.options,
            burst_left=self._burst_left(),
            held=frozenset(self.held),
            unavailable=self.shared.outages.holding((b.scope for b in ledger.backoffs.values() if b.scope), self.node),
        )

    def _applied(self, action: Action, outcome: Outcome) -> Applied:
        now = self.shared.clock.now()
        try:
            return apply(self.ledger, action, outcome, now=now, jitter=self.shared.rng.random())
        except Exception as fault:  # noqa: BLE001 - whatever a ledger holds, its node is served again
            fresh, reported = set_aside(self.ledger, self.node, repr(fault), now)
            set_aside_reported(self.shared.emit, reported, self.ledger)
            return Applied(ledger=fresh)

    def _burst_left(self) -> float:
        facts = self.desired.view.node
        if facts is not None and facts.os == WINDOWS:
            return self.shared.store.limiter.left(ASSIGN)
        if ahead.wanted(self.ledger, facts, self.desired.config):
            return min(map(self.shared.store.limiter.left, ahead.OPERATIONS))
        return 1.0

    def _apply(self, ended: list[Ended]) -> None:
        self._note_movement(ended)
        for action, outcome in ended:
            self.busy.discard(action.subject)
            result = self._applied(action, outcome)
            self.ledger = result.ledger
            if result.moved_on:
                _log.info("outcome_dropped", node=self.node, action=type(action).__name__, subject=action.subject)
            for notice in result.notices:
                self.shared.emit(notice)
            if isinstance(action, Annotate) and isinstance(outcome, Done) and outcome.value == action.value:
                pod = self.desired.pods.get(action.pod_uid)
                if pod is not None:
                    POD_SECONDS.labels(action.annotation).observe(max(0.0, self.shared.clock.now() - pod.scheduled_at))
                    self.trace.annotated(pod)

    def _note_movement(self, ended: list[Ended]) -> None:
        now = self.shared.clock.monotonic()
        if ended:
            self.moved = now
        elif now - self.moved > STUCK_SECONDS:
            self.on_stuck()

    def _finish(self) -> None:
        """No new actions; those under way end, and their outcomes are recorded, as are those that ended before. Raises
        Abandoned where that takes too long."""
        self._save(self.ledger)
        until = self.shared.clock.monotonic() + FINISH_SECONDS
        while self.busy:
            if self.shared.clock.monotonic() > until:
                raise Abandoned
            self._apply(self.executor.wait(1.0))
            self._save(self.ledger)
            self._confirm()

    def _save(self, ledger: Ledger | None) -> None:
        if ledger != self.saved:
            self.shared.store.ledgers.save(self.node, ledger, self.owner, self.token)
            self.saved = ledger

    def _confirm(self) -> None:
        """Also a run that waits learns in time that the node is another's. Raises StaleToken."""
        now = self.shared.clock.monotonic()
        if now - self.confirmed > CONFIRM_SECONDS:
            if not self.shared.store.lock.holds(self.node, self.owner, self.token):
                raise StaleToken(self.node)
            self.confirmed = now

    def drain(self) -> None:
        """Wait for what is under way. Its outcomes are not recorded: its intents are. Raises Abandoned."""
        until = self.shared.clock.monotonic() + FINISH_SECONDS
        while self.busy:
            if self.shared.clock.monotonic() > until:
                raise Abandoned
            ended = self.executor.wait(1.0)
            self.busy -= {action.subject for action, _ in ended}
            self._note_movement(ended)
            self._confirm()


def set_aside_reported(emit: Callable[[Notice], None], notice: NodeNotice, ledger: Ledger | None) -> None:
    """A ledger is set aside. Called while its fault is handled."""
    LEDGERS_SET_ASIDE.inc()
    _log.exception("ledger_set_aside", node=notice.node, ledger=repr(ledger)[:LOGGED_CHARACTERS])
    emit(notice)


def place_of(subject: str) -> str:
    """Under which name a subject has its place in the rate limiter; empty where the subject is not unique in the
    cluster: its place cannot be given back."""
    return subject if "/" in subject else ""


def _reserved(ledger: Ledger | None) -> set[str]:
    """Subjects that have a place in the rate limiter's line."""
    return (
        {subject for subject, backoff in ledger.backoffs.items() if backoff.reserved} if ledger is not None else set()
    )
