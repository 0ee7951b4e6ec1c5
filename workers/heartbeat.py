"""The thread of a worker process that says that it is alive, asks Redis for the time, and looks whether it gets on."""

import os
import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from common.model.errors import StoreUnavailable
from common.store import Store
from common.store.shared_time import SharedTime
from workers.progress import Progress

BEAT_SECONDS = 2.0
ALIVE_SECONDS = 30.0
"""Silent for longer, it counts as dead."""
STALLED = 70
"""Exit status of a process that gave itself up (EX_SOFTWARE)."""

_log = structlog.get_logger(__name__)


class Takes(Protocol):
    def __call__(self, *, yes: bool) -> None:
        """Have the process take messages or not, from any thread."""
        ...


def _nobody(*, yes: bool) -> None:
    """There is no consumer yet."""


class Heartbeat:
    """A process that does not get on gives itself up, so that it is started again also where nobody probes it; its
    runs' locks expire and other workers take over. One whose clock is wrong takes no messages until it is right."""

    def __init__(self, store: Store, progress: Progress, shared_time: SharedTime, name: str) -> None:
        self._store, self._progress, self._time = store, progress, shared_time
        self._name = name
        self.takes: Takes = _nobody
        self._took = True
        self.when_heard: Callable[[], None] = lambda: None
        """Called at each heartbeat that Redis heard; may raise StoreUnavailable."""

    def run(self, ended: threading.Event) -> None:
        while True:
            self.beat()
            if ended.wait(BEAT_SECONDS):
                return
            if problem := self._progress.problem():
                _log.error("worker_stalled", worker=self._name, problem=problem)
                os._exit(STALLED)

    def beat(self) -> None:
        try:
            self._time.look()
            started = f"{self._time.started:.0f}"
            self._store.members.beat("worker", self._name, {"started": started, "pid": str(os.getpid())}, ALIVE_SECONDS)
            self._progress.heard(sum(self._store.queues.depths().values()))
            self.when_heard()
            if self._progress.begun:
                self._keep_time()
        except StoreUnavailable as error:
            self._progress.unheard(f"redis: {error}")
            _log.warning("heartbeat_not_written", error=str(error))

    def _keep_time(self) -> None:
        """Repeated while the clock is wrong: a consumer that connects anew takes messages again."""
        takes = self._time.problem is None
        if not takes or not self._took:
            self.takes(yes=takes)
            self._took = takes
            self._progress.awaits(self._time.problem)
