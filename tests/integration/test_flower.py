"""What Flower's page of tasks shows without anybody's choosing."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page() -> Iterator[str]:
    """Its `/tasks`."""
    port = free_port()
    with RedisServer() as redis:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VPC_RC_", "FLOWER_"))}
        url = f"redis://127.0.0.1:{redis.port}/0"
        with subprocess.Popen(
            [sys.executable, "-m", "cli.main", "flower", "--port", str(port)],
            cwd=ROOT,
            env={**inherited, "VPC_RC_REDIS_URL": url, "VPC_RC_LISTEN_ADDRESS": "127.0.0.1"},
        ) as process:
            try:
                yield _read(f"http://127.0.0.1:{port}/tasks", 60)
            finally:
                process.terminate()
                process.wait(20)


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
