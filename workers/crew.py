"""Who carries out a run's actions: threads in production, the scheduler's turn in simulation."""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Protocol

import structlog

from common.metrics import ACTIONS, ACTIONS_IN_FLIGHT
from common.model.actions import Action
from common.model.errors import Invalid
from common.model.outcome import Done, Failed, Outcome
from workers import worklog

_log = structlog.get_logger(__name__)

Ended = tuple[Action, Outcome]
Perform = Callable[[Action], Outcome]


class Crew(Protocol):
    """The actions of one run."""

    def start(self, action: Action) -> None:
        """Carry it out concurrently."""
        ...

    def wait(self, seconds: float) -> list[Ended]:
        """The actions that ended since the last call; waits up to so long for the first."""
        ...


class ThreadCrew:
    """Actions of one run on a pool of threads that all runs of a process share."""

    def __init__(self, pool: Executor, perform: Perform) -> None:
        self._pool = pool
        self._perform = perform
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def start(self, action: Action) -> None:
        # With the caller's context: what it bound to the log stays in every line of the action.
        self._pool.submit(copy_context().run, self._go, action)

    def wait(self, seconds: float) -> list[Ended]:
        ended = []
        try:
            ended.append(self._ended.get(timeout=max(0.0, seconds)))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            return ended

    def _go(self, action: Action) -> None:
        self._ended.put((action, performed(action, self._perform)))


def performed(action: Action, perform: Perform) -> Outcome:
    """The action's outcome, counted and logged. A fault of ours in one step fails that step and is logged; other steps
    and the run go on."""
    kind, began = type(action).__name__, time.monotonic()
    with ACTIONS_IN_FLIGHT.labels(kind).track_inprogress():
        try:
            outcome = perform(action)
        except Exception as error:  # noqa: BLE001 - one step's fault must not end the run with the others in flight
            _log.exception("step_fault", action=kind, subject=action.subject)
            outcome = Failed(error=Invalid("InternalFault", repr(error)))
    ACTIONS.labels(kind, _name(outcome)).inc()
    worklog.report(action, outcome, time.monotonic() - began)
    return outcome


def _name(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "done"
        case Failed():
            return "failed"
        case _:
            return "waits"
