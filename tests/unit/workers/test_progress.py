"""When a worker is to be restarted: it is ready, messages wait, and none is taken."""

import pytest

from tests.kit.clock import VirtualClock
from workers.health import health
from workers.progress import STALL_SECONDS, START_SECONDS, Progress


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def progress(clock: VirtualClock) -> Progress:
    made = Progress(clock)
    made.connected()
    return made


def pass_time(progress: Progress, clock: VirtualClock, seconds: float, *, waiting: int = 0, trouble: str = "") -> None:
    """With a heartbeat each second."""
    for _ in range(int(seconds)):
        clock.sleep(1)
        if trouble:
            progress.unheard(trouble)
        else:
            progress.heard(waiting)


def test_an_idle_worker_is_healthy_for_ever(progress: Progress, clock: VirtualClock) -> None:
    pass_time(progress, clock, 1000)
    assert progress.problem() is None
    pass_time(progress, clock, STALL_SECONDS - 1, waiting=5)
    assert progress.problem() is None, "the messages have only come"
    assert health(progress)("/readyz").status == 200


def test_messages_that_nobody_takes_are_a_problem(progress: Progress, clock: VirtualClock) -> None:
    pass_time(progress, clock, STALL_SECONDS + 1, waiting=5)
    assert "5 messages wait" in str(progress.problem())
    assert health(progress)("/healthz").status == 503
    progress.moved()
    assert health(progress)("/healthz").status == 200


def test_redis_out_of_reach_is_no_reason_to_restart_and_none_to_be_ready(
    progress: Progress, clock: VirtualClock
) -> None:
    pass_time(progress, clock, 5, waiting=5)
    pass_time(progress, clock, STALL_SECONDS * 10, trouble="redis: Refused: OOM")
    assert progress.problem() is None
    assert health(progress)("/readyz").body == b"redis: Refused: OOM\n"
    pass_time(progress, clock, 1, waiting=5)
    assert progress.problem() is None, "it has had no time yet"
    assert health(progress)("/readyz").status == 200
    pass_time(progress, clock, STALL_SECONDS + 1, waiting=5)
    assert progress.problem() is not None


def test_a_redis_that_hangs_hangs_no_probe(progress: Progress, clock: VirtualClock) -> None:
    """The heartbeat waits for its answer, and nothing is heard of it."""
    pass_time(progress, clock, 5, waiting=5)
    clock.sleep(STALL_SECONDS * 10)
    assert health(progress)("/healthz").status == 200
    assert health(progress)("/readyz").status == 503


def test_a_consumer_that_never_gets_ready_is_a_problem(clock: VirtualClock) -> None:
    progress = Progress(clock)
    assert health(progress)("/readyz").status == 503
    pass_time(progress, clock, START_SECONDS + 1)
    assert progress.problem() is not None
    progress.connected()
    assert progress.problem() is None
    assert health(progress)("/readyz").status == 200
