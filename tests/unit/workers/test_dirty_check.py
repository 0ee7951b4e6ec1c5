"""Runs learn that their nodes became dirty: by a hint at once, and by looking where the hint was lost."""

from collections.abc import Iterable

import pytest

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from tests.kit.clock import VirtualClock
from workers.dirty_check import HEARD_LOOK_SECONDS, LOOK_SECONDS, SILENT_SECONDS, DirtyCheck, listen

A, B = NodeName("a"), NodeName("b")


class Marks:
    """Redis' marks; counts who asks."""

    def __init__(self) -> None:
        self.dirty: set[NodeName] = set()
        self.asked = 0

    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]:
        self.asked += 1
        return frozenset(self.dirty.intersection(names))


@pytest.fixture
def check() -> DirtyCheck:
    return DirtyCheck()


def test_a_run_is_woken_by_a_hint_about_its_node_alone(check: DirtyCheck) -> None:
    woken: list[NodeName] = []
    check.begin(A, lambda: woken.append(A))
    check.begin(B, lambda: woken.append(B))
    marks = Marks()
    check.heard(A, 10.0)
    assert woken == [A]
    assert check.on(A, marks, 10.0)
    assert marks.asked == 0, "the hint says enough"
    check.forget(A)
    assert not check.on(A, marks, 10.0), "it has read what there is"


def test_a_hint_for_a_run_that_ended_wakes_nobody(check: DirtyCheck) -> None:
    woken: list[NodeName] = []
    check.begin(A, lambda: woken.append(A))
    check.end(A)
    check.heard(A, 10.0)
    assert woken == []
    check.begin(A, lambda: woken.append(A))
    assert not check.on(A, Marks(), 10.0)


def test_a_lost_hint_costs_the_interval_of_looks_at_most(check: DirtyCheck) -> None:
    check.begin(A, lambda: None)
    marks = Marks()
    check.heard(None, 10.0)
    assert not check.on(A, marks, 10.0)
    marks.dirty = {A}
    assert check.on(A, marks, 10.0 + HEARD_LOOK_SECONDS)


def test_marks_are_looked_at_often_when_nothing_is_heard(check: DirtyCheck) -> None:
    assert check.interval(10.0) == LOOK_SECONDS
    check.heard(None, 10.0)
    assert check.interval(10.0) == HEARD_LOOK_SECONDS
    assert check.interval(10.0 + SILENT_SECONDS) == LOOK_SECONDS


def test_all_runs_share_a_look(check: DirtyCheck) -> None:
    for name in "abcdefgh":
        check.begin(NodeName(name), lambda: None)
    marks = Marks()
    marks.dirty = {A}
    assert [check.on(NodeName(name), marks, 10.0) for name in "abcdefgh"] == [True, *[False] * 7]
    assert marks.asked == 1


class Ended(Exception):
    pass


def test_the_listener_goes_on_when_redis_was_away(check: DirtyCheck) -> None:
    answers: list[NodeName | Exception | None] = [StoreUnavailable("away"), None, A, Ended()]

    class Hints:
        def next_woken(self, incarnation: str, seconds: float) -> NodeName | None:
            assert (incarnation, seconds) == ("me", 1.0)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    clock = VirtualClock()
    woken: list[NodeName] = []
    check.begin(A, lambda: woken.append(A))
    with pytest.raises(Ended):
        listen(check, Hints(), "me", clock)
    assert woken == [A]
