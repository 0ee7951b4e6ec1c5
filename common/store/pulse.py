"""The thread that sends a process' heartbeats, and does nothing else, so that nothing delays them."""

import sys
import threading

import structlog

from common import threads
from common.model.errors import StoreUnavailable
from common.reach import Reach
from common.store.connect import connect
from common.store.heartbeats import BEAT_SECONDS
from common.store.store import Store

ANSWER_SECONDS = 1.0
"""Longest wait for Redis: after a lost answer there is time for another heartbeat."""
SWITCH_SECONDS = 0.001
"""How long a busy thread keeps the others of its process from going on (Python's own: 5 ms). With 24 threads that parse
answers of 1,000 interfaces, heartbeats were up to 2.3 s apart with 5 ms, 0.9 s with this, at the same rate of work."""

_log = structlog.get_logger(__name__)


class Pulse:
    """The heartbeats of one process, on a connection of its own."""

    def __init__(self, redis_url: str, prefix: str, incarnation: str) -> None:
        self._store = Store.on(connect(redis_url, ANSWER_SECONDS), prefix)
        self._incarnation = incarnation
        self._ended = threading.Event()
        self.reach = Reach("redis")
        """What comes of the heartbeats."""

    def start(self) -> None:
        """The first heartbeat is sent here: what the process does next may name it. From now on the threads of this
        process take turns each SWITCH_SECONDS."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._beat()
        threads.start("pulse", self._run)

    def is_dead(self, incarnation: str) -> bool:
        """As Heartbeats.is_dead, seen by this process; False where Redis cannot be asked."""
        try:
            return self._store.heartbeats.is_dead(incarnation, self._incarnation)
        except StoreUnavailable:
            return False

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        self.reach.asked()
        try:
            self._store.heartbeats.beat(self._incarnation)
            self.reach.answered()
        except StoreUnavailable as error:
            self.reach.failed(str(error))
            _log.debug("pulse_not_sent", error=str(error))
