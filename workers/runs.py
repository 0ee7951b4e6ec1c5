"""The runs of a worker process: each on a thread of its own, which outlives the task that began it where calls hang.

A task holds one of Celery's threads. A run whose calls hang lets go of it, so that runs that get on have all of them,
whatever hangs. How many hang is bounded by the places of actions (workers.rooms): each holds at least one.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Protocol

from common import threads
from common.logging import get_logger
from common.metrics import RECONCILES
from common.model.ids import NodeName
from workers.node_run import Ending

CONTINUES = "continues"

_log = get_logger(__name__)


class Run(Protocol):
    def __call__(
        self, node: NodeName, message: str = "", sent: float | None = None, *, on_stuck: Callable[[], None]
    ) -> Ending: ...


class Runs:
    """Thread-safe."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Condition()
        self._under_way = 0

    def run(self, node: NodeName, message: str = "", sent: float | None = None) -> str:
        """How the run ended; CONTINUES where its calls hang and it goes on without the caller. `message` and `sent` as
        of `Reconciler.run`."""
        let_go, ending = threading.Event(), [CONTINUES]

        def go() -> None:
            try:
                ending[:] = [str(self._run(node, message, sent, on_stuck=let_go.set))]
            except Exception:  # noqa: BLE001  # before it had its node, or after: the watcher has it looked at again
                RECONCILES.labels(Ending.FAILED).inc()
                _log.exception("run_broke", node=node)
                ending[:] = [str(Ending.FAILED)]
            finally:
                let_go.set()
                with self._lock:
                    self._under_way -= 1
                    self._lock.notify_all()

        with self._lock:
            self._under_way += 1
        # A daemon: a call that never returns does not keep the process from ending.
        threads.start("run", partial(copy_context().run, go))
        let_go.wait()
        return ending[0]

    def wait(self, seconds: float) -> int:
        """Until every run has ended, or so long; how many have not."""
        with self._lock:
            self._lock.wait_for(lambda: self._under_way == 0, seconds)
            return self._under_way
