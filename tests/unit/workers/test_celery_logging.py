"""What of Celery's log is left out."""

import logging

import pytest
import redis

from workers import celery_logging


@pytest.mark.parametrize(
    ("error", "traced"),
    [
        (redis.ConnectionError("refused"), False),
        (redis.TimeoutError("slow"), False),
        (BrokenPipeError("broken"), False),
        (redis.ResponseError("OOM"), True),
        (KeyError("node"), True),
    ],
)
def test_a_broker_that_is_away_is_logged_without_a_traceback(
    error: Exception, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    celery_logging.lower_levels()
    logger = logging.getLogger("celery.worker.request")
    try:
        raise error
    except type(error):
        logger.critical("Couldn't ack, reason: %r", error, exc_info=True)
    (record,) = caplog.records
    assert repr(error) in record.message
    assert bool(record.exc_info) is traced
