"""The workers' Celery application."""

from collections.abc import Callable
from typing import Any

from celery import Celery, signals

from common.settings import Settings
from common.store.broker import MAINTENANCE, NODES, celery_app
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


def take_messages(worker: Any, *, yes: bool) -> None:
    """Have this process' worker (Celery's) begin or cease to take messages off the queues, soon, in its own thread. Not
    by Celery's remote control, whose orders are refused (workers.remote_control)."""
    consumer = worker.consumer

    def change() -> None:
        # Between two connections there is nothing to change; the next one begins with the queues that are selected.
        connected = consumer.task_consumer is not None
        for queue in (NODES, MAINTENANCE):
            if yes and connected:
                consumer.add_task_queue(queue)
            elif yes:
                consumer.app.amqp.queues.select_add(queue)
            elif connected:
                consumer.cancel_task_queue(queue)
            else:
                consumer.app.amqp.queues.deselect(queue)

    consumer.call_soon(change)


def _leave_logging(**_: Any) -> None:
    celery_logging.lower_levels()
