"""The Celery tasks: thin. A message says only `look`; what to do is read, planned and recorded by the run.

Each task begins by taking its message off those that wait (common.store.messages); one that is spent does nothing.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import current_task, shared_task

from common.logging import get_logger
from common.model.errors import OutsideError, StoreUnavailable
from common.model.ids import NodeName
from common.model.reservation import Urgency
from common.store.broker import LOAD_INSTANCES, RECONCILE_NODE, SWEEP_LEAKS
from common.store.transport import MESSAGE
from workers.context import context
from workers.maintenance.load import load_instances as load
from workers.maintenance.sweep import sweep_leaks as sweep

_log = get_logger(__name__)


def _may_end_early(task: Callable[[], int]) -> Callable[[], int]:
    """Where Redis, EC2 or the API server fails in the middle the task is over: what it had in hand is asked for again,
    or the next pass finds it."""

    @wraps(task)
    def guarded() -> int:
        try:
            return task()
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

    @wraps(task)
    def alone() -> int:
        if not under_way.acquire(blocking=False):
            return 0
        try:
            return task()
        finally:
            under_way.release()

    return alone


def _message() -> str:
    """Id of the message that began the current task; empty where it was put by a version that does not count them."""
    request: Any = current_task.request
    return str(request.get(MESSAGE) or "")


@shared_task(name=RECONCILE_NODE)
def reconcile_node(node: str, reason: str) -> str:
    """Bring what this node has nearer to what is wished. `reason` is for people."""
    return context().runs.run(NodeName(node), _message())


@shared_task(name=LOAD_INSTANCES)
@_may_end_early
def load_instances() -> int:
    """Read the instances that nodes have asked for, many with a few calls."""
    return _load() if context().ports.store.messages.begin_load(_message()) else 0


@_alone
def _load() -> int:
    """One that is under way comes back for what is asked for meanwhile."""
    shared = context()
    ports, known_types = shared.ports, shared.reconciler.options.limits
    ec2 = shared.maintenance_ec2(Urgency.NODE)
    return load(ports.store, ec2, ports.publisher, ports.clock, known_types, stopping=shared.stop.is_set)


@shared_task(name=SWEEP_LEAKS)
@_may_end_early
def sweep_leaks() -> int:
    """One pass over the VPC for interfaces that belong to nothing."""
    shared, settings = context(), context().settings
    if not shared.ports.store.messages.begin_sweep(_message()):
        return 0
    ended = sweep(
        shared.ports.store,
        shared.maintenance_ec2(),
        shared.ports.kube,
        shared.ports.clock,
        settings.cluster_name,
        settings.vpc_id,
        interval=settings.sweep_seconds,
    )
    return ended.deleted
