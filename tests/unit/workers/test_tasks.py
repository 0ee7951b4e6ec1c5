"""What tasks make of trouble before Celery sees it."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.model.errors import Denied, StoreUnavailable, Unsure
from common.store.broker import LOAD_INSTANCES, RECONCILE_NODE, SWEEP_LEAKS
from workers.tasks import _alone, _may_end_early


def test_celerys_own_commands_find_the_application_with_its_tasks() -> None:
    code = "from celery.app.utils import find_app; print(*find_app('workers').tasks)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {RECONCILE_NODE, LOAD_INSTANCES, SWEEP_LEAKS} <= set(found)


@pytest.mark.parametrize(
    "trouble",
    [
        StoreUnavailable("ConnectionError: refused"),
        Unsure("InternalError", "An internal error has occurred"),
        Denied("UnauthorizedOperation", "You are not authorized"),
    ],
)
def test_a_task_ends_quietly_where_what_it_needs_fails_in_the_middle(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @_may_end_early
    def loading() -> int:
        raise trouble

    assert loading() == 0
    assert all(record.exc_info is None for record in caplog.records)


def test_any_other_error_is_celerys_matter() -> None:
    @_may_end_early
    def loading() -> int:
        raise KeyError("node")

    with pytest.raises(KeyError):
        loading()


def test_the_result_is_the_tasks_own() -> None:
    assert _may_end_early(lambda: 7)() == 7


def test_a_task_that_hangs_takes_one_thread_however_often_it_is_asked_for() -> None:
    begun, go_on = threading.Event(), threading.Event()

    @_alone
    def loading() -> int:
        begun.set()
        assert go_on.wait(10)
        return 7

    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(loading)
        assert begun.wait(10)
        assert [loading() for _ in range(3)] == [0, 0, 0]
        go_on.set()
        assert hanging.result(10) == 7
    assert loading() == 7
