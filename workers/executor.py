"""What carries out a run's actions: threads in production, the scheduler's turn in simulation."""

import queue
import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Protocol

import structlog

from common import threads
from common.metrics import ACTIONS, ACTIONS_IN_FLIGHT
from common.model.actions import Action
from common.model.errors import Invalid, Unsure
from common.model.ids import NodeName
from common.model.outcome import Done, Failed, Outcome, Waits
from common.spans import CODE, Off, span
from workers import worklog
from workers.rooms import Rooms, Share

_log = structlog.get_logger(__name__)

Ended = tuple[Action, Outcome]
Perform = Callable[[Action], Outcome]


class ActionExecutor(Protocol):
    """The actions of one run."""

    def admit(self, action: Action) -> bool:
        """Take a place for it, which its end gives back. False: there is none now."""
        ...

    def dismiss(self, admitted: Iterable[Action]) -> None:
        """They are not going to be started."""
        ...

    def start(self, action: Action) -> None:
        """Carry out what was admitted, concurrently."""
        ...

    def wait(self, seconds: float) -> list[Ended]:
        """The actions that ended since the last call; waits up to so long for the first."""
        ...

    def interrupt(self) -> None:
        """Have `wait` return now. Called by other threads than the run's."""
        ...

    def has_place(self, action: Action) -> bool:
        """Whether it would be admitted now."""
        ...

    def wake(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        """Have the node looked at when there is a place for one of these."""
        ...


class ThreadExecutor:
    """Actions of one run, each on a thread of its own; all runs of a process share the places.

    The threads are daemons: a call that never returns does not keep the process from ending.
    """

    def __init__(self, rooms: Rooms, perform: Perform) -> None:
        self._rooms = Share(rooms)
        self._perform = perform
        self._ended: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()
        """None: somebody interrupts."""

    def admit(self, action: Action) -> bool:
        return self._rooms.enter(action)

    def dismiss(self, admitted: Iterable[Action]) -> None:
        for action in admitted:
            self._rooms.leave(action)

    def start(self, action: Action) -> None:
        # With the caller's context: what it bound to the log stays in every line of the action.
        target = copy_context().run
        try:
            threads.start("step", partial(target, self._go, action))
        except RuntimeError as error:  # The system gives no more threads.
            self._end(action, Failed(error=Unsure("NoThread", str(error))))

    def wait(self, seconds: float) -> list[Ended]:
        ended = []
        try:
            ended.append(self._ended.get(timeout=max(0.0, seconds)))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            return [one for one in ended if one is not None]

    def interrupt(self) -> None:
        self._ended.put(None)

    def has_place(self, action: Action) -> bool:
        return self._rooms.has_place(action)

    def wake(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        self._rooms.wait_for(node, turned_away)

    def _go(self, action: Action) -> None:
        self._end(action, performed(action, self._perform))

    def _end(self, action: Action, outcome: Outcome) -> None:
        self._ended.put((action, outcome))
        self._rooms.leave(action)


def performed(action: Action, perform: Perform) -> Outcome:
    """The action's outcome, counted and logged. A fault of ours in one step fails that step and is logged; other steps
    and the run go on."""
    kind, began = type(action).__name__, time.monotonic()
    with ACTIONS_IN_FLIGHT.labels(kind).track_inprogress(), span(kind) as traced:
        try:
            outcome = perform(action)
        except Exception as error:  # noqa: BLE001 - one step's fault must not end the run with the others in flight
            _log.exception("step_fault", action=kind, subject=action.subject)
            outcome = Failed(error=Invalid("InternalFault", repr(error)))
        _note(traced, action, outcome)
    ACTIONS.labels(kind, _name(outcome)).inc()
    worklog.report(action, outcome, time.monotonic() - began)
    return outcome


def _note(traced: Off, action: Action, outcome: Outcome) -> None:
    """How it ended, in its span."""
    traced.note({"vpc_rc.outcome": _name(outcome)})
    if eni_id := getattr(action, "eni_id", None):
        traced.note({"vpc_rc.eni_id": str(eni_id)})
    match outcome:
        case Failed(error=error):
            traced.note({CODE: error.code})
            traced.failed(error.code)
        case Waits(until=until):
            traced.note({"vpc_rc.until": until})
        case _:
            pass


def _name(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "done"
        case Failed():
            return "failed"
        case _:
            return "waits"
