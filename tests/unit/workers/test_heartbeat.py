"""When others see a worker."""

import threading

import fakeredis

from common.clock import SystemClock
from common.store import Store, keys
from workers.progress import Progress
from workers.run import _beat


def test_a_worker_counts_from_its_start() -> None:
    store = Store(fakeredis.FakeRedis(), keys.prefix("c"))
    ended = threading.Event()
    ended.set()
    _beat(store, Progress(SystemClock()), "w", ended, SystemClock())
    assert list(store.members("worker")) == ["w"]
