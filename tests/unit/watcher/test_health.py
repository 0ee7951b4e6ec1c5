"""What probes are answered."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from common.probes import Server
from watcher.health import health

PROBLEMS: dict[str, str | None] = {}


@pytest.fixture
def server() -> Iterator[Server]:
    PROBLEMS.clear()
    respond = health(unhealthy=lambda: PROBLEMS.get("health"), unready=lambda: PROBLEMS.get("ready"))
    found = Server("127.0.0.1", 0, respond)
    yield found
    found.close()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_all_is_well(server: Server) -> None:
    assert get(server, "/healthz?verbose") == (200, "ok\n")
    assert get(server, "/readyz") == (200, "ok\n")
    assert "vpc_rc_leader" in get(server, "/metrics")[1]
    assert get(server, "/other")[0] == 404


def test_each_problem_is_shown_where_it_belongs(server: Server) -> None:
    PROBLEMS["ready"] = "lists are not complete"
    assert get(server, "/readyz") == (503, "lists are not complete\n")
    assert get(server, "/healthz")[0] == 200
    PROBLEMS["health"] = "hangs"
    assert get(server, "/healthz") == (503, "hangs\n")
