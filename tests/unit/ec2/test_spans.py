"""Spans of calls to EC2, and of the wait for their turn."""

from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from common.ec2.client import measured
from common.ec2.gate import Deferred, ReservingGate
from common.model.reservation import Reservation
from common.reach import Reach
from common.spans import Scope, below, span
from common.trace_ids import Place, pod_root
from tests.kit.clock import START, VirtualClock
from tests.kit.recorded import Recorded, recording

ROOT = pod_root("a3f2c9bf-9c63-46b9-90f2-44556f25e2a2")


def scope(clock: VirtualClock) -> Scope:
    return Scope(root=ROOT, place=Place(trace=ROOT.trace, span=7), began=clock.now(), clock=clock)


def refused(code: str, request_id: str) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "a text"}, "ResponseMetadata": {"RequestId": request_id}}
    return ClientError(answer, "CreateTags")


def called(recorded: Recorded, answer: Any) -> Any:
    """The span of a call with this answer, or error."""

    def invoke(_operation: str, _params: dict[str, Any]) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    with below(scope(VirtualClock())), suppress(ClientError, ZeroDivisionError):
        measured(invoke, Reach("EC2"))("CreateTags", {"Resources": ["eni-1"]})
    (found,) = recorded.spans
    return found


@pytest.mark.parametrize(
    ("answer", "code", "request_id", "error"),
    [
        ({"ResponseMetadata": {"RequestId": "r-1"}}, "OK", "r-1", ""),
        ({"Return": True}, "OK", "", ""),
        (refused("RequestLimitExceeded", "r-2"), "RequestLimitExceeded", "r-2", "RequestLimitExceeded"),
        (ZeroDivisionError(), "ZeroDivisionError", "", "ZeroDivisionError"),
    ],
    ids=["taken", "without an id", "refused", "a fault of ours"],
)
def test_the_span_of_a_call_has_its_code_and_the_id_of_its_request(
    answer: Any, code: str, request_id: str, error: str
) -> None:
    with recording() as recorded:
        found = called(recorded, answer)
    assert (found.name, found.parent, found.client, found.code) == ("EC2.CreateTags", 7, True, error)
    assert found.attributes == {
        "rpc.service": "EC2",
        "rpc.method": "CreateTags",
        "vpc_rc.code": code,
        "aws.request_id": request_id,
    }


class Line:
    """A rate limiter that grants a call after two seconds, of one that waited for so long before."""

    def __init__(self, clock: VirtualClock, before: float) -> None:
        self._clock, self._since = clock, clock.now() - before

    def reserve(self, _operation: str) -> Reservation:
        wait = max(0.0, START + 2 - self._clock.now())
        return Reservation(granted=wait == 0, wait=wait, waited=self._clock.now() - self._since, at=0.0)


@pytest.mark.parametrize(
    ("before", "below_the_action"),
    [pytest.param(0.0, True, id="in this action"), pytest.param(30.0, False, id="since an earlier action")],
)
def test_a_wait_for_a_turn_is_a_span_that_begins_with_the_place_in_the_line(
    before: float, below_the_action: bool
) -> None:
    clock = VirtualClock()
    line = Line(clock, before)
    gate = ReservingGate(line.reserve, lambda _operation, _at: None, clock)
    with recording() as recorded, below(scope(clock)), span("CreateBranch"):
        gate.enter("CreateNetworkInterface")
    wait, action = recorded.spans
    assert (wait.name, wait.began, wait.ended) == ("wait for EC2's limits", START - before, START + 2)
    assert wait.parent == (action.place.span if below_the_action else ROOT.span)
    assert wait.attributes == {"rpc.method": "CreateNetworkInterface"}


def test_a_call_that_is_granted_at_once_or_deferred_has_no_span_of_a_wait() -> None:
    clock = VirtualClock()
    granted = Reservation(granted=True, wait=0.0, at=0.0)
    far = Reservation(granted=False, wait=60.0, waited=5.0, at=0.0)
    with recording() as recorded, below(scope(clock)):
        ReservingGate(lambda _: granted, lambda _operation, _at: None, clock).enter("CreateTags")
        with pytest.raises(Deferred):
            ReservingGate(lambda _: far, lambda _operation, _at: None, clock).enter("CreateTags")
    assert recorded.spans == []
