"""Events of tasks are sent while somebody looks at them."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from common.store.broker import celery_app
from common.store.task_events import OPTION, Audience
from sandbox.redis import RedisServer

SECONDS = 30.0


@pytest.fixture
def app() -> Iterator[Celery]:
    with RedisServer() as server, celery_app(server.url) as app:
        yield app


def audience(app: Celery) -> Audience:
    found = app.conf.broker_transport_options[OPTION]
    assert isinstance(found, Audience)
    return found


def test_whoever_looks_sees_tasks_after_the_next_heartbeat(app: Celery) -> None:
    seen: list[str] = []
    receivers: list[Any] = []

    def look() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            receivers.append(receiver)
            receiver.capture(limit=None, timeout=SECONDS, wakeup=False)

    looking = threading.Thread(target=look, daemon=True)
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname="worker")
        dispatcher.send("worker-heartbeat")
        assert not audience(app).listens
        looking.start()
        end = time.monotonic() + SECONDS
        while not audience(app).listens and time.monotonic() < end:
            dispatcher.send("worker-heartbeat")
            time.sleep(0.05)
        while "task-started" not in seen and time.monotonic() < end:
            dispatcher.send("task-started", uuid="1")
            time.sleep(0.05)
        receivers[0].should_stop = True
        looking.join(SECONDS)
    assert "task-started" in seen


def test_while_nobody_looks_none_is_sent(app: Celery) -> None:
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname="worker")
        audience(app).listens = True
        dispatcher.send("worker-heartbeat")
        assert not audience(app).listens
        channel: Any = connection.default_channel
        redis = channel.client
        before = redis.info("commandstats")["cmdstat_publish"]["calls"]
        dispatcher.send("task-received")
        assert redis.info("commandstats")["cmdstat_publish"]["calls"] == before
