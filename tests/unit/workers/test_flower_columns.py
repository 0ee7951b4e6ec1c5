"""What Flower shows of a run's arguments."""

import pytest
from celery.events.state import Task

from workers.flower import reason_first

LONG = "ip-10-0-128-4.us-west-2.compute.internal"


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        pytest.param(f"('{LONG}', 'instance read')", f"instance read: {LONG}", id="a run on a node"),
        pytest.param("()", "()", id="a task without arguments"),
        pytest.param(None, None, id="a task whose begin was not seen"),
        pytest.param("('n1', 'it's odd')", "('n1', 'it's odd')", id="arguments that are not understood stay"),
    ],
)
def test_the_reason_of_a_run_comes_before_the_name_that_is_cut(args: str | None, shown: str | None) -> None:
    assert reason_first(Task(uuid="1", args=args)).args == shown
