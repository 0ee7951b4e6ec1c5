"""Every thread of the product is started here: one that an exception ends is logged with its name, counted, and makes
the process unhealthy, so that the process is started again.

What may fail in the work of a thread is caught there. An exception that comes as far as this is a fault of our own, and
nobody can say what the process lacks without the thread.
"""

import threading
from collections.abc import Callable

from common.logging import get_logger
from common.metrics import THREADS_DIED

_died: dict[str, str] = {}
"""By name, what ended the first thread of that name."""

_log = get_logger(__name__)


def start(name: str, run: Callable[[], object]) -> threading.Thread:
    """Run in a thread that does not keep the process from ending. Raises RuntimeError where the system gives no more
    threads."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the thread is over
            _died.setdefault(name, f"{type(error).__name__}: {error}")
            THREADS_DIED.inc()
            _log.exception("thread_died", thread=name)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def died() -> str | None:
    """Which threads of this process have died, and of what; None: none has."""
    return "; ".join(f"thread {name} died: {why}" for name, why in list(_died.items())) or None
