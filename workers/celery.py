"""The application for Celery's own commands (`celery -A workers worker`), which look for it here: settings and logging
from the environment, the worker built at the first task. `vpc-rc worker` does not import this."""

import threading
from functools import cache
from typing import Any

from celery import signals

from common import spans, tracing
from common.clock import SystemClock
from common.logging import configure_logging
from common.settings import load_settings
from common.store import open_store
from common.store.publisher import CeleryPublisher
from workers.app import keep_logging, make_app
from workers.build import Worker
from workers.run import new_incarnation, start
from workers.tasks import add_tasks

_settings = load_settings()
app = make_app(_settings)


@cache
def _worker() -> Worker:
    store, clock = open_store(_settings), SystemClock()
    tracing.start(_settings, "worker", clock)
    publisher = CeleryPublisher(app, clock.now if spans.on() else None)
    _, worker = start(_settings, store, publisher, clock, threading.Event(), new_incarnation())
    return worker


def _set_up_logging(**_: Any) -> None:
    configure_logging(_settings.log_level, _settings.log_format)
    keep_logging()


add_tasks(app, _worker)
signals.setup_logging.connect(_set_up_logging, weak=False)
