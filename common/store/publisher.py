"""Tells workers to look: publishes tasks."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import redis
from celery import Celery
from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined]  # of kombu 5.7

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.broker import LOAD_INSTANCES, MAINTENANCE, NODES, RECONCILE_NODE, SWEEP_LEAKS
from common.store.transport import SENT, SUBJECT

TRIES = 2
"""A pooled connection may have broken since: once more on a fresh one."""
_RETRY = {"max_retries": TRIES - 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
AWAY = (OperationalError, redis.exceptions.RedisError, OSError)


class Publisher(Protocol):
    """Where a message for the same subject (the node, the loading, the sweep) waits already, no other is put beside it.
    Each method raises StoreUnavailable where the broker did not take the message, or may not have; it may be called
    again."""

    def reconcile(self, node: NodeName, reason: str) -> None: ...

    def reconcile_all(self, reasons: Mapping[NodeName, str]) -> None:
        """As `reconcile`, of each node with its reason. Where it raises, some may have been put."""

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

    def reconcile_all(self, reasons: Mapping[NodeName, str]) -> None:
        """The same of many, with few round trips."""
        for attempt in range(TRIES):
            try:
                with self._app.producer_or_acquire() as producer, producer.batch():
                    for node, reason in reasons.items():
                        self._put(RECONCILE_NODE, NODES, node, node, reason, producer=producer, retry=False)
            except (BatchPublishError, *AWAY) as error:
                if attempt == TRIES - 1:
                    raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
            else:
                return

    def load_instances(self) -> None:
        """Have a worker load the instances that were asked for."""
        self._send(LOAD_INSTANCES, MAINTENANCE, LOAD_INSTANCES)

    def sweep(self) -> None:
        """Have a worker look for leaked interfaces."""
        self._send(SWEEP_LEAKS, MAINTENANCE, SWEEP_LEAKS)

    def _send(self, task: str, queue: str, subject: str, *args: str) -> None:
        try:
            self._put(task, queue, subject, *args, retry=True, retry_policy=_RETRY)
        except AWAY as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    def _put(self, task: str, queue: str, subject: str, *args: str, **more: Any) -> None:
        headers = {SUBJECT: subject, **({} if self._now is None else {SENT: self._now()})}
        self._app.send_task(task, args=args, queue=queue, headers=headers, ignore_result=True, **more)
