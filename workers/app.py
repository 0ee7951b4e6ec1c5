"""The workers' Celery application."""

from collections.abc import Callable
from typing import Any

from celery import Celery, signals

from common.model.errors import StoreUnavailable
from common.settings import Settings
from common.store.broker import MAINTENANCE, NODES, celery_app
from common.store.transport import LOST
from workers import celery_logging
from workers.progress import Progress


def make_app(settings: Settings, incarnation: str = "") -> Celery:
    """The application on the settings' broker, without tasks. Messages that it takes are noted under the process'
    incarnation."""
    app = celery_app(settings.redis_url.get_secret_value(), incarnation)
    app.conf.update(worker_concurrency=settings.worker_threads)
    return app


def keep_logging() -> None:
    """Have Celery leave the process' logging as it is."""
    celery_logging.lower_levels()
    signals.setup_logging.connect(_leave_logging, weak=False)


def track(progress: Progress) -> None:
    """Tell `progress` of every task that begins or ends in this process, and of the broker connection."""

    def moved(**_: Any) -> None:
        progress.moved()

    def ready(**_: Any) -> None:
        progress.connected()

    signals.task_received.connect(moved, weak=False)
    signals.task_prerun.connect(moved, weak=False)
    signals.task_postrun.connect(moved, weak=False)
    signals.worker_ready.connect(ready, weak=False)


def on_shutdown(call: Callable[[], None]) -> None:
    """Have `call` called, in a signal's handler, when this process' worker begins to end."""

    def ending(**_: Any) -> None:
        call()

    signals.worker_shutting_down.connect(ending, weak=False)


def take_messages(app: Celery, worker: str, *, yes: bool) -> None:
    """Have the worker of this name begin or cease to take messages off the queues. Raises StoreUnavailable."""
    act = app.control.add_consumer if yes else app.control.cancel_consumer
    try:
        for queue in (NODES, MAINTENANCE):
            act(queue, destination=[worker])
    except LOST as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _leave_logging(**_: Any) -> None:
    celery_logging.lower_levels()
