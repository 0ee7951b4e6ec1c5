"""What tasks make of trouble before Celery sees it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.model.errors import StoreUnavailable
from workers.tasks import _alone, _ends_with_redis


def test_a_task_ends_quietly_where_redis_goes_away_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    @_ends_with_redis
    def loading() -> int:
        raise StoreUnavailable("ConnectionError: refused")

    assert loading() == 0
    assert all(record.exc_info is None for record in caplog.records)


def test_any_other_error_is_celerys_matter() -> None:
    @_ends_with_redis
    def loading() -> int:
        raise KeyError("node")

    with pytest.raises(KeyError):
        loading()


def test_the_result_is_the_tasks_own() -> None:
    assert _ends_with_redis(lambda: 7)() == 7


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
