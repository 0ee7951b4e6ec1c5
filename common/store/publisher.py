"""Tells workers to look: publishes tasks."""

from collections.abc import Callable
from typing import Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.broker import LOAD_INSTANCES, MAINTENANCE, NODES, RECONCILE_NODE, SWEEP_LEAKS
from common.store.transport import SENT, SUBJECT

_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""A pooled connection may have broken since: once more on a fresh one."""


class Publisher(Protocol):
    """Where a message for the same subject (the node, the loading, the sweep) waits already, no other is put beside it.
    Each method raises StoreUnavailable where the broker did not take the message, or may not have; it may be called
    again."""

    def reconcile(self, node: NodeName, reason: str) -> None: ...

    def load_instances(self) -> None: ...

    def sweep(self) -> None: ...


class CeleryPublisher:
    """Publishes over `common.store.broker.celery_app`. Thread-safe. Blocks for some seconds at most."""

    def __init__(self, app: Celery, now: Callable[[], float] | None = None) -> None:
        """`now`: epoch seconds that each message is to carry, for traces; None: it carries none."""
        self._app = app
        self._now = now

    def reconcile(self, node: NodeName, reason: str) -> None:
        """Have a worker look at the node; `reason` is for people (logs, Flower)."""
        self._send(RECONCILE_NODE, NODES, node, node, reason)

    def load_instances(self) -> None:
        """Have a worker load the instances that were asked for."""
        self._send(LOAD_INSTANCES, MAINTENANCE, LOAD_INSTANCES)

    def sweep(self) -> None:
        """Have a worker look for leaked interfaces."""
        self._send(SWEEP_LEAKS, MAINTENANCE, SWEEP_LEAKS)

    def _send(self, task: str, queue: str, subject: str, *args: str) -> None:
        sent = {} if self._now is None else {SENT: self._now()}
        try:
            self._app.send_task(
                task,
                args=args,
                queue=queue,
                headers={SUBJECT: subject, **sent},
                ignore_result=True,
                retry=True,
                retry_policy=_RETRY,
            )
        except (OperationalError, redis.exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
