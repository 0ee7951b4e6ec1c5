"""What others see of a worker, and what a worker sees of the time."""

import threading
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from common.clock import SharedClock, SystemClock
from common.store import Store, keys
from common.store.shared_time import SharedTime
from tests.kit.clock import WrongClock
from tests.kit.fake_redis import FakeRedis
from workers.heartbeat import Heartbeat
from workers.progress import Progress


@dataclass
class Process:
    own: WrongClock = field(default_factory=WrongClock)
    taken: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SharedClock(self.own)
        self.store = Store.on(FakeRedis(), keys.prefix("c"))
        self.progress = Progress(self.clock)
        self.time = SharedTime(self.store.server, self.clock)
        self.heartbeat = Heartbeat(self.store, self.progress, self.time, "w")
        self.heartbeat.takes = self.takes

    def takes(self, *, yes: bool) -> None:
        self.taken.append(yes)


@pytest.fixture
def process() -> Process:
    return Process()


def test_a_worker_counts_from_its_start(process: Process) -> None:
    ended = threading.Event()
    ended.set()
    process.heartbeat.run(ended)
    assert list(process.store.members.alive("worker")) == ["w"]


@pytest.mark.parametrize("error", [-600.0, 600.0])
def test_times_are_redis_times_whatever_the_own_clock_says(process: Process, error: float) -> None:
    process.own.error = error
    process.heartbeat.beat()
    assert process.clock.now() == pytest.approx(SystemClock().now(), abs=0.5)
    process.own.error = -error
    assert process.clock.now() == pytest.approx(SystemClock().now(), abs=0.5), "nor is it moved by a step of it"


def test_a_process_whose_clock_is_wrong_takes_no_work_until_it_agrees(process: Process) -> None:
    assert process.time.problem is not None, "before Redis gave the time"
    process.progress.connected()
    process.heartbeat.beat()
    assert process.progress.unready() is None
    assert process.taken == []
    process.own.error = 3.0
    process.heartbeat.beat()
    process.heartbeat.beat()
    assert process.taken == [False, False]
    assert "+3.0 s off" in str(process.progress.unready())
    assert process.progress.problem() is None, "a restart would not set its clock"
    process.own.error = 1.0
    process.heartbeat.beat()
    process.heartbeat.beat()
    assert process.taken == [False, False, True]
    assert process.progress.unready() is None


def test_a_clock_that_is_wrong_from_the_start_is_logged(process: Process) -> None:
    process.own.error = 600.0
    with capture_logs() as logs:
        process.heartbeat.beat()
        process.heartbeat.beat()
    assert [(line["event"], line["seconds"]) for line in logs] == [("clock_wrong", 600.0)]
    assert process.time.wrong is not None


def test_half_of_the_round_trip_is_taken_off(process: Process) -> None:
    asked_at = process.clock.monotonic()
    process.clock.follow(1000.0, asked_at - 2.0, asked_at)
    assert process.clock.now() == pytest.approx(1001.0, abs=0.2)
