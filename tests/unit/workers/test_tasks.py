"""What tasks make of trouble before Celery sees it."""

import pytest

from common.model.errors import StoreUnavailable
from workers.tasks import _ends_with_redis


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
