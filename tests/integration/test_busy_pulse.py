"""Heartbeats of a process whose threads are all busy with Python."""

import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import redis

from common.store import keys
from common.store.heartbeats import BEAT_SECONDS, GONE_SECONDS
from common.store.pulse import Pulse
from tests.integration.redis_server import RedisServer

P = keys.prefix("c")
THREADS = 24


@pytest.fixture(autouse=True)
def _switches_as_before() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.timeout(60)
def test_a_process_whose_threads_are_all_busy_counts_as_alive() -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        pulse = Pulse(server.url, P, "busy@host")
        pulse.start()
        until = time.monotonic() + 8

        def count() -> None:
            number = 0
            while time.monotonic() < until:
                number += sum(range(1000))

        threads = [threading.Thread(target=count) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        seen: list[float] = []
        while time.monotonic() < until:
            at = client.zscore(keys.heartbeats(P), "busy@host")
            if at is not None and at not in seen:
                seen.append(at)
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        pulse.stop()
        longest = max(after - before for before, after in pairwise(seen)) / 1000
        print(f"{len(seen)} heartbeats, {longest:.2f} s apart at most")
        assert longest < GONE_SECONDS - BEAT_SECONDS, "not even one may be lost"
