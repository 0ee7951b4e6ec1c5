"""A failing life is made short, and the short one fails by itself, without the generator."""

import time
from typing import Any

import pytest

from tests.simulation import happenings as it
from tests.simulation.explore import explore, relive
from tests.simulation.shrink import Step, as_test, shrink, sort_of
from watcher.kinds import Kind


@pytest.fixture(autouse=True)
def _real_time_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)


COMES, GOES, SWEEP = Step(it.PodComes("a", "n1"), 1.0), Step(it.PodGoes("a"), 1.0), Step(it.SweepComes(), 1.0)


def test_only_the_steps_that_matter_are_left() -> None:
    steps = [SWEEP] * 9 + [COMES] + [SWEEP] * 8 + [GOES] + [SWEEP] * 5
    assert shrink(steps, lambda some: COMES in some and GOES in some) == [COMES, GOES]


def test_a_step_loses_the_moment_and_the_crash_that_do_not_matter() -> None:
    step = Step(it.PodGoes("a"), 1.0, within=7, cut=9)
    assert shrink([step], lambda some: any(one.cut == 9 for one in some)) == [Step(it.PodGoes("a"), 1.0, cut=9)]


def test_a_life_lived_again_from_its_steps_is_the_same_life() -> None:
    first, wrong, steps = explore(3)
    again, wrong_again = relive(3, steps)
    assert wrong == wrong_again
    assert [call.action for call in first.ec2.journal.calls] == [call.action for call in again.ec2.journal.calls]


def test_the_printed_test_makes_the_same_steps() -> None:
    steps = [COMES, Step(it.WatchSilent(5.0, (Kind.PODS,)), 3.0, within=2, cut=1)]
    seen: list[list[Step]] = []

    def keep(_: int, some: list[Step]) -> tuple[None, None]:
        seen.append(some)
        return None, None

    names: dict[str, Any] = {"it": it, "Kind": Kind, "Step": Step, "relive": keep}
    exec(as_test(7, steps), names)
    names["test_seed_7"]()
    assert seen == [steps]


def test_the_sort_of_a_failure_has_no_names() -> None:
    assert sort_of("p12 shares eni-0a1 with p77") == sort_of("p3 shares eni-0b2 with p9")
