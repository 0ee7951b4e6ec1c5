"""Waits for a grant: on the spot when near, deferred when far, and the place is asked for again by the same name."""

import pytest

from common.ec2.gate import Deferred, ReservingGate
from common.model.reservation import Reservation
from tests.kit.clock import VirtualClock


class Line:
    """A rate limiter that answers with these waits, 0 for a grant. Its clock is 500 seconds ahead of ours."""

    def __init__(self, clock: VirtualClock, *waits: float) -> None:
        self._clock = clock
        self._waits = list(waits)
        self.asked: list[str] = []
        self.refused: list[tuple[str, float]] = []

    def reserve(self, operation: str) -> Reservation:
        self.asked.append(operation)
        wait = self._waits.pop(0)
        return Reservation(granted=wait == 0, wait=wait, at=self._clock.time + 500)

    def throttled(self, operation: str, at: float) -> None:
        self.refused.append((operation, at))


def gate(line: Line, clock: VirtualClock, *, defers: bool = True) -> ReservingGate:
    return ReservingGate(line.reserve, line.throttled, clock, defers=defers)


def test_a_near_grant_is_waited_for_as_often_as_it_is_put_off() -> None:
    clock = VirtualClock(1000.0)
    line = Line(clock, 2.5, 0.5, 0)
    gate(line, clock).enter("A")
    assert (clock.time, line.asked) == (1003.0, ["A", "A", "A"])


def test_a_far_grant_is_deferred_at_once() -> None:
    clock = VirtualClock(1000.0)
    with pytest.raises(Deferred) as deferred:
        gate(Line(clock, 3.5), clock).enter("A")
    assert (deferred.value.until, clock.time) == (1003.5, 1000.0)


def test_a_grant_that_is_put_off_too_far_while_it_is_waited_for_is_deferred() -> None:
    clock = VirtualClock(1000.0)
    with pytest.raises(Deferred) as deferred:
        gate(Line(clock, 1.0, 20.0), clock).enter("A")
    assert (deferred.value.until, clock.time) == (1021.0, 1001.0)


def test_who_cannot_come_back_waits_however_long() -> None:
    clock = VirtualClock(1000.0)
    line = Line(clock, 30.0, 20.0, 0.5, 0)
    gate(line, clock, defers=False).enter("A")
    assert clock.time == 1050.5


def test_a_list_once_begun_is_finished_however_far_off_its_further_pages_are() -> None:
    """Another operation of the step is still Deferred."""
    clock = VirtualClock(1000.0)
    one = gate(Line(clock, 0, 40.0, 0, 40.0), clock)
    one.enter("DescribeTrunkInterfaceAssociations")
    one.enter("DescribeTrunkInterfaceAssociations")
    assert clock.time == 1040.0
    with pytest.raises(Deferred):
        one.enter("DisassociateTrunkInterface")


def test_a_refusal_is_reported_with_the_time_of_the_grant_by_the_limiters_clock() -> None:
    clock = VirtualClock(1000.0)
    line = Line(clock, 1.0, 0)
    one = gate(line, clock)
    one.enter("A")
    clock.sleep(0.3)
    one.throttled("A")
    assert line.refused == [("A", 1501.0)]
