"""Celery's events of tasks, sent while somebody looks at them.

An event costs a worker about as much as the message of its task, and Redis drops what nobody has subscribed to. Workers
send a heartbeat event every two seconds in any case: how many it reached says whether somebody (Flower, `celery
events`) looks, so that a client that begins to look sees tasks two seconds later.
"""

from typing import Any

from celery import Celery
from celery.events.dispatcher import EventDispatcher

OPTION = "vpc_rc_audience"
"""Transport option that holds the process' Audience."""
EXCHANGE = "celeryev"
_TASK = "task-"


class Audience:
    """Whether anybody has subscribed to events, as the last one that was sent found out. Thread-safe."""

    def __init__(self) -> None:
        self.listens = False

    def heard(self, receivers: int) -> None:
        """An event reached so many."""
        self.listens = receivers > 0

    def __json__(self) -> bool:
        """Workers tell Flower their configuration, and so their transport options."""
        return self.listens


def send_to(app: Celery, audience: Audience) -> None:
    """Have the app's workers send events of tasks to this audience alone."""

    class Dispatcher(EventDispatcher):
        def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002 - celery's name
            if type.startswith(_TASK) and not audience.listens:
                return None
            return super().send(type, *args, **fields)

    app.events.dispatcher_cls = Dispatcher  # type: ignore[assignment]  # a name or a class
