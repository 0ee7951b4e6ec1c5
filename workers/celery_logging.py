"""What Celery and the SDK log louder than it is worth."""

import logging

from common.store.transport import LOST


def lower_levels() -> None:
    """Of every task two lines, most of which find little to do (runs log what they did); of a broker that is away, a
    hundred lines of trace."""
    # The SDK's trace of credentials that did not come: common.ec2.credentials says it in a line.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("celery.worker.request", "celery.worker.consumer.consumer"):
        logging.getLogger(name).addFilter(without_trace_of_outage)


def without_trace_of_outage(record: logging.LogRecord) -> bool:
    """A filter: a broker that cannot be reached is no fault in the program, and the text names it already."""
    if record.exc_info and isinstance(record.exc_info[1], LOST):
        record.exc_info = None
    return True
