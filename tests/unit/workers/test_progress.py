"""When a worker is to be restarted: it is ready, messages wait, and none is taken."""

import pytest

from common.model.errors import StoreUnavailable
from workers.health import health
from workers.progress import STALL_SECONDS, START_SECONDS, Progress


class StillClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Queue:
    waiting = 0
    reachable = True

    def __call__(self) -> int:
        if not self.reachable:
            raise StoreUnavailable("down")
        return self.waiting


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def progress(clock: StillClock, queue: Queue) -> Progress:
    made = Progress(queue, clock)
    made.connected()
    return made


def test_an_idle_worker_is_healthy_for_ever(progress: Progress, clock: StillClock, queue: Queue) -> None:
    clock.sleep(1e6)
    assert progress.problem() is None
    queue.waiting = 5
    clock.sleep(STALL_SECONDS - 1)
    assert progress.problem() is None, "the messages have only come"


def test_messages_that_nobody_takes_are_a_problem(progress: Progress, clock: StillClock, queue: Queue) -> None:
    queue.waiting = 5
    clock.sleep(STALL_SECONDS + 1)
    assert "5 messages wait" in str(progress.problem())
    assert health(progress)("/healthz").status == 503
    progress.moved()
    assert health(progress)("/healthz").status == 200


def test_redis_out_of_reach_is_no_reason_to_restart(progress: Progress, clock: StillClock, queue: Queue) -> None:
    queue.waiting, queue.reachable = 5, False
    clock.sleep(STALL_SECONDS * 10)
    assert progress.problem() is None
    queue.reachable = True
    assert progress.problem() is None, "it has had no time yet"
    clock.sleep(STALL_SECONDS + 1)
    assert progress.problem() is not None


def test_a_consumer_that_never_gets_ready_is_a_problem(clock: StillClock, queue: Queue) -> None:
    progress = Progress(queue, clock)
    assert health(progress)("/readyz").status == 503
    clock.sleep(START_SECONDS + 1)
    assert progress.problem() is not None
    progress.connected()
    assert progress.problem() is None
    assert health(progress)("/readyz").status == 200
