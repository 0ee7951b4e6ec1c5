"""The Celery tasks: thin. A message says only `look`; what to do is read, planned and recorded by the run.

Each task begins by taking its message off those that wait (common.store.messages); one that is spent does nothing.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import Celery

from common.logging import get_logger
from common.model.errors import OutsideError, StoreUnavailable
from common.model.ids import NodeName
from common.store.broker import LOAD_INSTANCES, RECONCILE_NODE, SWEEP_LEAKS
from common.store.transport import MESSAGE, SENT
from workers.build import Worker

_log = get_logger(__name__)


def add_tasks(app: Celery, worker: Callable[[], Worker]) -> None:
    """Have the application carry out its messages with this process' worker."""

    @app.task(name=RECONCILE_NODE, bind=True)
    def reconcile_node(task: Any, node: str, reason: str) -> str:
        """Bring what this node has nearer to what is desired. `reason` is for people."""
        return worker().runs.run(NodeName(node), _message(task), _sent(task))

    load = _alone(lambda: worker().load_instances())

    @app.task(name=LOAD_INSTANCES, bind=True)
    @_may_end_early
    def load_instances(task: Any) -> int:
        """Read the instances that nodes have asked for, many with a few calls. One that is under way comes back for
        what is asked for meanwhile."""
        return load() if worker().ports.store.messages.begin_load(_message(task)) else 0

    @app.task(name=SWEEP_LEAKS, bind=True)
    @_may_end_early
    def sweep_leaks(task: Any) -> int:
        """One pass over the VPC for interfaces that belong to nothing."""
        return worker().sweep_leaks().deleted if worker().ports.store.messages.begin_sweep(_message(task)) else 0


def _may_end_early(task: Callable[..., int]) -> Callable[..., int]:
    """Where Redis, EC2 or the API server fails in the middle the task is over: what it had in hand is asked for again,
    or the next pass finds it."""

    @wraps(task)
    def guarded(*args: Any) -> int:
        try:
            return task(*args)
        except StoreUnavailable as error:
            _log.warning("task_ended_early", task=task.__name__, code="StoreUnavailable", error=str(error))
        except OutsideError as error:
            _log.warning("task_ended_early", task=task.__name__, code=error.code, error=error.message)
        return 0

    return guarded


def _alone(task: Callable[[], int]) -> Callable[[], int]:
    """One at a time in this process; 0 where one is under way. Where EC2 is silent each would hold one of the threads
    that runs need."""
    under_way = threading.Lock()

    def alone() -> int:
        if not under_way.acquire(blocking=False):
            return 0
        try:
            return task()
        finally:
            under_way.release()

    return alone


def _message(task: Any) -> str:
    """Id of the message that began the task; empty where it was put by a version that does not count them."""
    return str(task.request.get(MESSAGE) or "")


def _sent(task: Any) -> float | None:
    """When the message was published, in epoch seconds; None where it does not say."""
    sent = task.request.get(SENT)
    return sent if isinstance(sent, float) else None
