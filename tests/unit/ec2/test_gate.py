"""Turns: waited for when near, deferred when far, and never queued for twice."""

import pytest

from common.ec2.gate import Deferred, TurnGate
from tests.kit.clock import VirtualClock


class Queue:
    """A rate limiter whose next places are so many seconds off; places taken before are redeemed at once."""

    def __init__(self, *waits: float) -> None:
        self._waits = list(waits)
        self.reserved: list[str] = []
        self.redeemed: list[str] = []
        self.penalised: list[str] = []

    def reserve(self, action: str, turn: bool) -> float:
        if turn:
            self.redeemed.append(action)
            return 0.0
        self.reserved.append(action)
        return self._waits.pop(0)


def gate(queue: Queue, clock: VirtualClock, *, turn: bool = False, patient: bool = True) -> TurnGate:
    return TurnGate(queue.reserve, queue.penalised.append, clock, turn=turn, patient=patient)


def test_a_near_turn_is_waited_for() -> None:
    clock, queue = VirtualClock(1000.0), Queue(2.5)
    gate(queue, clock).enter("A")
    assert clock.time == 1002.5


def test_a_far_turn_is_deferred_at_once() -> None:
    clock, queue = VirtualClock(1000.0), Queue(3.5)
    with pytest.raises(Deferred) as deferred:
        gate(queue, clock).enter("A")
    assert (deferred.value.until, clock.time) == (1003.5, 1000.0)


def test_who_may_come_last_asks_again_until_his_turn_is_near() -> None:
    clock, queue = VirtualClock(1000.0), Queue(30.0, 20.0, 0.5)
    gate(queue, clock, patient=False).enter("A")
    assert (queue.reserved, clock.time) == (["A", "A", "A"], 1050.5)


def test_who_kept_his_turn_does_not_queue_again_but_for_the_next_call() -> None:
    clock, queue = VirtualClock(1000.0), Queue(1.0)
    kept = gate(queue, clock, turn=True)
    kept.enter("DeleteNetworkInterface")
    assert (queue.redeemed, queue.reserved, clock.time) == (["DeleteNetworkInterface"], [], 1000.0)
    kept.enter("DeleteNetworkInterface")
    assert (queue.reserved, clock.time) == (["DeleteNetworkInterface"], 1001.0)


def test_a_kept_turn_is_not_spent_on_the_look_before_the_call() -> None:
    clock, queue = VirtualClock(1000.0), Queue(30.0)
    kept = gate(queue, clock, turn=True)
    kept.enter("DescribeNetworkInterfaces")
    kept.enter("AttachNetworkInterface")
    assert (queue.reserved, clock.time) == ([], 1000.0)
    assert queue.redeemed == ["DescribeNetworkInterfaces", "AttachNetworkInterface"]
    with pytest.raises(Deferred):
        kept.enter("DescribeNetworkInterfaces")


def test_a_list_once_begun_is_finished_however_far_off_its_further_pages_are() -> None:
    """The place of a page is waited for and redeemed; another action of the step is still Deferred."""
    clock, queue = VirtualClock(1000.0), Queue(0.0, 40.0, 40.0)
    one = gate(queue, clock)
    one.enter("DescribeTrunkInterfaceAssociations")
    one.enter("DescribeTrunkInterfaceAssociations")
    assert clock.time == 1040.0
    assert queue.redeemed == ["DescribeTrunkInterfaceAssociations"]
    with pytest.raises(Deferred):
        one.enter("DisassociateTrunkInterface")


def test_throttling_slows_the_action_down_for_everyone() -> None:
    queue = Queue(0.0)
    gate(queue, VirtualClock(1000.0)).throttled("A")
    assert queue.penalised == ["A"]
