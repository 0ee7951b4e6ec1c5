"""Whether EC2 answers, by the calls that are made."""

import pytest

from common.ec2 import reach
from common.ec2.reach import FORGOTTEN_SECONDS, SILENT_SECONDS, Reach
from tests.kit.clock import VirtualClock


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    made = VirtualClock()
    monkeypatch.setattr(reach, "time", made)
    return made


def test_a_call_without_an_answer_is_a_problem_until_any_is_answered(time: VirtualClock) -> None:
    one = Reach()
    assert one.problem() is None
    one.asked()
    time.sleep(SILENT_SECONDS - 1)
    one.asked()
    assert one.problem() is None
    time.sleep(2)
    assert "not answered for 9 s: no answer" in str(one.problem())
    one.failed("ReadTimeoutError")
    assert "ReadTimeoutError" in str(one.problem())
    one.answered()
    assert one.problem() is None


def test_what_failed_long_ago_says_nothing(time: VirtualClock) -> None:
    one = Reach()
    one.asked()
    time.sleep(SILENT_SECONDS + 1)
    one.failed("ConnectTimeoutError")
    assert one.problem() is not None
    time.sleep(FORGOTTEN_SECONDS + 1)
    assert one.problem() is None
