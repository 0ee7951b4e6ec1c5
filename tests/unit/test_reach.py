"""Whether a dependency answers, by the calls that are made."""

from typing import Any

import pytest

from common.ec2.client import measured
from common.reach import FORGOTTEN_SECONDS, SILENT_SECONDS, Reach
from common.store.pulse import Pulse
from sandbox.ports import free_port
from tests.kit.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_a_call_without_an_answer_is_a_problem_until_any_is_answered(clock: VirtualClock) -> None:
    one = Reach("EC2", clock)
    assert one.problem() is None
    one.asked()
    clock.time += SILENT_SECONDS - 1
    one.asked()
    assert one.problem() is None
    clock.time += 2
    assert one.problem() == "EC2 has not answered for 9 s: no answer"
    one.failed("ReadTimeoutError")
    assert "ReadTimeoutError" in str(one.problem())
    one.answered()
    assert one.problem() is None


def test_a_failure_counts_from_its_own_moment_where_no_call_was_announced(clock: VirtualClock) -> None:
    one = Reach("the API server", clock)
    one.failed("ProtocolError")
    clock.time += SILENT_SECONDS + 1
    assert one.problem() == "the API server has not answered for 9 s: ProtocolError"


def test_what_failed_long_ago_says_nothing(clock: VirtualClock) -> None:
    one = Reach("EC2", clock)
    one.asked()
    clock.time += SILENT_SECONDS + 1
    one.failed("ConnectTimeoutError")
    assert one.problem() is not None
    clock.time += FORGOTTEN_SECONDS + 1
    assert one.problem() is None


@pytest.mark.parametrize(
    ("answer", "away"),
    [
        pytest.param({"Reservations": [], "ResponseMetadata": {}}, False, id="nothing found"),
        pytest.param({"ResponseMetadata": {"RequestId": "r"}}, False, id="done"),
        pytest.param({"ResponseMetadata": {}}, True, id="a page of a proxy"),
    ],
)
def test_an_answer_of_ec2_has_content_or_an_id(clock: VirtualClock, answer: dict[str, Any], away: bool) -> None:
    one = Reach("EC2", clock)
    call = measured(lambda _action, _params: answer, one)
    call("DescribeInstances", {})
    clock.time += SILENT_SECONDS + 1
    assert (one.problem() is not None) == away


def test_heartbeats_tell_whether_redis_answers() -> None:
    pulse = Pulse(f"redis://127.0.0.1:{free_port()}/0", "p", "me")
    clock = pulse.reach._clock = VirtualClock()
    pulse.start()
    pulse.stop()
    clock.time += SILENT_SECONDS + 1
    assert "redis has not answered for 9 s: ConnectionError" in str(pulse.reach.problem())
