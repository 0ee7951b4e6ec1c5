"""What Flower's page of tasks shows without anybody's choosing."""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from celery import Celery
from redis import Redis

from tests.integration.redis_server import RedisServer, free_port
from tests.kit.waiting import until
from workers.flower import credentials_of

ROOT = Path(__file__).parents[2]


@contextmanager
def flower(**variables: str) -> Iterator[str]:
    """Its address."""
    port = free_port()
    with RedisServer() as redis:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VPC_RC_", "FLOWER_"))}
        url = f"redis://127.0.0.1:{redis.port}/0"
        with subprocess.Popen(
            [sys.executable, "-m", "cli.main", "flower", "--port", str(port)],
            cwd=ROOT,
            env={**inherited, "VPC_RC_REDIS_URL": url, "VPC_RC_LISTEN_ADDRESS": "127.0.0.1", **variables},
        ) as process:
            try:
                _read(f"http://127.0.0.1:{port}/healthcheck", 60)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(20)


@pytest.fixture
def page() -> Iterator[str]:
    """Its `/tasks`."""
    with flower() as url:
        yield _read(f"{url}/tasks", 60)


def _read(url: str, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_the_page_of_tasks_shows_node_and_reason(page: str) -> None:
    """They are the arguments of a run."""
    columns = [column.strip() for column in re.findall(r"<th[^>]*>([^<]*)</th>", page)]
    assert columns[:2] == ["Name", "args"]
    assert {"State", "Received", "Runtime", "Worker"} <= set(columns)


def test_the_reason_of_a_run_stands_before_its_nodes_name() -> None:
    """The column cuts what is long."""
    wanted = {
        "draw": "1", "start": "0", "length": "10", "search[value]": "",
        "order[0][column]": "0", "order[0][dir]": "asc", "columns[0][data]": "name",
    }  # fmt: skip
    with RedisServer() as redis, flower(VPC_RC_REDIS_URL=redis.url) as url:
        app = Celery(broker=redis.url, set_as_current=False)

        def shown() -> list[str]:
            with app.connection() as connection, app.events.Dispatcher(connection, hostname="w@h") as events:
                events.send("task-received", uuid="1", name="run", args="('n1', 'due')", kwargs="{}")
            with urllib.request.urlopen(f"{url}/tasks/datatable", urlencode(wanted).encode(), timeout=10) as answer:
                return [row["args"] for row in json.loads(answer.read())["data"]]

        assert until(shown, 20) == ["due: n1"]


def _post(url: str, user: str = "") -> int:
    credentials = base64.b64encode(user.encode()).decode()
    request = urllib.request.Request(url, data=b"", headers={"Authorization": f"Basic {credentials}"} if user else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path", ["worker/shutdown/any", "worker/queue/cancel-consumer/any?queue=nodes", "task/send-task/workers.tasks.any"]
)
def test_nothing_is_steered_unless_it_was_asked_for(path: str) -> None:
    with flower(FLOWER_BASIC_AUTH="me:secret") as url:
        assert _post(f"{url}/api/{path}") == 401
        assert _post(f"{url}/api/{path}", "me:secret") == 403


PAGES = (
    "/", "/workers", "/worker/w@h", "/tasks", "/tasks/datatable?draw=1", "/task/1", "/broker", "/metrics",
    "/api/workers", "/api/tasks", "/api/task/types", "/api/queues/length", "/api/task/info/1",
)  # fmt: skip
ANSWERED = (200, 400, 404)
"""Let in: what the page then says of a worker or task that does not exist, or of a parameter that is missing, does not
matter."""


def _get(url: str, user: str = "") -> int:
    credentials = base64.b64encode(user.encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"} if user else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_every_page_asks_for_the_password_and_the_probe_does_not() -> None:
    with flower(FLOWER_BASIC_AUTH="me:secret") as url:
        assert {path: _get(url + path) for path in PAGES} == dict.fromkeys(PAGES, 401)
        assert {path: _get(url + path, "me:wrong") for path in PAGES} == dict.fromkeys(PAGES, 401)
        let_in = {path: _get(url + path, "me:secret") for path in PAGES}
        assert {path for path, status in let_in.items() if status not in ANSWERED} == set()
        assert [let_in[path] for path in ("/", "/tasks", "/broker", "/metrics", "/api/tasks")] == [200] * 5
        # The kubelet has no password; the page says "OK" and nothing else.
        assert _read(f"{url}/healthcheck", 10) == "OK"


def test_without_a_password_of_its_own_it_asks_for_that_of_its_redis_user() -> None:
    with RedisServer() as redis:
        Redis(port=redis.port).acl_setuser(
            "vpc-rc-flower", enabled=True, passwords=["+a/b:c"], keys=["*"], channels=["*"], categories=["+@all"]
        )
        with flower(VPC_RC_REDIS_URL=f"redis://vpc-rc-flower:a%2Fb%3Ac@127.0.0.1:{redis.port}/0") as url:
            for path in ("/", "/tasks", "/metrics", "/api/tasks"):
                assert (_get(url + path), _get(url + path, "vpc-rc-flower:a/b:c")) == (401, 200), path


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://redis:6379/0", []),
        ("redis://:secret@redis:6379/0", ["default:secret"]),
        ("rediss://me:a%40b@redis:6379/0", ["me:a@b"]),
        ("sentinel://me:secret@a:1,b:2/0?master=m", ["me:secret"]),
    ],
)
def test_the_password_in_a_url(url: str, wanted: list[str]) -> None:
    assert credentials_of(url) == wanted
