"""Threads of the product: whatever ends one is noticed, and none is started past the place that notices."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common import threads
from common.clock import SystemClock
from common.metrics import REGISTRY
from workers.health import health
from workers.progress import Progress

ROOT = Path(__file__).parents[2]
PRODUCT = ("cli", "common", "watcher", "webhook", "workers")
STARTERS = {"Thread", "Timer", "start_new_thread", "ThreadPoolExecutor"}
POOLS = {"common/probes.py", "webhook/lookups.py"}
"""An exception in a pool's thread ends no thread: it goes to whoever waits for the answer, who is answered with it."""


class Unforeseen(BaseException):
    """What no handler in a thread catches."""


@pytest.fixture(autouse=True)
def none_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_died", {})


def fails(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize("error", [ValueError("odd"), Unforeseen("odd")], ids=["exception", "base exception"])
def test_a_thread_that_dies_is_logged_counted_and_makes_the_process_unhealthy(error: BaseException) -> None:
    before = REGISTRY.get_sample_value("vpc_rc_threads_died_total") or 0
    answer = health(Progress(SystemClock()))
    assert answer("/healthz").status == 200
    with capture_logs() as logs:
        threads.start("ticks", fails(error)).join(5)
    assert [(line["event"], line["thread"], line["log_level"]) for line in logs] == [("thread_died", "ticks", "error")]
    assert REGISTRY.get_sample_value("vpc_rc_threads_died_total") == before + 1
    found = answer("/healthz")
    assert (found.status, found.body) == (503, f"thread ticks died: {type(error).__name__}: odd\n".encode())


def test_a_thread_that_ends_is_no_death() -> None:
    threads.start("ends", lambda: None).join(5)
    assert threads.died() is None


def test_every_thread_of_the_product_is_started_where_its_death_is_noticed() -> None:
    found = {
        str(file.relative_to(ROOT)): names
        for package in PRODUCT
        for file in sorted((ROOT / package).rglob("*.py"))
        if (names := _starters(file))
    }
    assert found == {"common/threads.py": {"Thread"}, **{file: {"ThreadPoolExecutor"} for file in POOLS}}


def _starters(file: Path) -> set[str]:
    """What starts threads and is called in the file. A type is named without being called."""
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return names & STARTERS
