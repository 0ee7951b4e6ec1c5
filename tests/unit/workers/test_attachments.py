"""Nodes that wait for their trunks share looks at EC2."""

from typing import Any, cast

from common.model.actions import AwaitTrunk
from common.model.errors import NotFound, Unsure
from common.model.ids import EniId, InstanceId
from common.model.outcome import Done, Failed
from tests.kit.clock import VirtualClock
from tests.unit.ec2.scripted import Script, fault
from workers.lookups import LookupCache
from workers.steps import Ports, carry_out

POLL_SECONDS = 0.4
ATTACHING_SECONDS = 1.5


class Joining:
    """Trunks `eni-<n>` of instances `i-<n>`, each attached some time after it was begun."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.begun: dict[str, float] = {}
        self.fault: Exception | None = None
        self.script = Script(DescribeNetworkInterfaces=self._describe)
        none: Any = cast(Any, None)
        self.ports = Ports(
            ec2=self.script.ec2(), kube=none, store=none, publisher=none, lookups=LookupCache(none, self.clock),
            clock=self.clock, cluster="c", account="1",
        )  # fmt: skip

    def begin(self, number: int) -> None:
        self.begun[f"eni-{number}"] = self.clock.time

    def ask(self, number: int) -> Done | Failed:
        action = AwaitTrunk(subject="trunk", eni_id=EniId(f"eni-{number}"), instance_id=InstanceId(f"i-{number}"))
        return cast(Done | Failed, carry_out(action, self.ports))

    @property
    def calls(self) -> int:
        return len(self.script.calls)

    def _describe(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        ids = params.get("NetworkInterfaceIds") or params["Filters"][0]["Values"]
        if "NetworkInterfaceIds" in params and not self.begun.keys() >= set(ids):
            raise fault("InvalidNetworkInterfaceID.NotFound")
        return {"NetworkInterfaces": [self._shown(eni) for eni in ids if eni in self.begun]}

    def _shown(self, eni: str) -> dict[str, Any]:
        attached = self.clock.time >= self.begun[eni] + ATTACHING_SECONDS
        return {
            "NetworkInterfaceId": eni,
            "SubnetId": "subnet-1",
            "Attachment": {
                "AttachmentId": "eni-attach-1",
                "InstanceId": eni.replace("eni", "i"),
                "Status": "attached" if attached else "attaching",
            },
        }


def waits(joining: Joining, times: list[float]) -> list[float]:
    """Nodes begin at these times and ask every POLL_SECONDS; how long each waits for the answer."""
    start, reported, due = joining.clock.time, {}, sorted((at, number) for number, at in enumerate(times))
    begun: dict[int, float] = {}
    while due:
        at, number = due.pop(0)
        joining.clock.time = start + at
        if number not in begun:
            begun[number] = at
            joining.begin(number)
        elif (outcome := joining.ask(number)) == Done(value=True):
            reported[number] = at - begun[number]
            continue
        else:
            assert outcome == Done(value=False)
        due.append((at + POLL_SECONDS, number))
        due.sort()
    return [reported[number] for number in range(len(times))]


def test_a_thousand_nodes_in_twenty_seconds_cost_a_look_for_fifty() -> None:
    joining = Joining()
    waited = waits(joining, [number / 50 for number in range(1000)])
    assert joining.calls <= 1000 / 50
    assert max(waited) <= ATTACHING_SECONDS + 2.0 + 2 * POLL_SECONDS


def test_a_thousand_nodes_at_once_cost_a_few_looks() -> None:
    joining = Joining()
    waits(joining, [number / 10000 for number in range(1000)])
    assert joining.calls <= 1000 / 50


def test_a_node_alone_gets_the_answer_as_soon_as_ec2_shows_it() -> None:
    joining = Joining()
    (waited,) = waits(joining, [0.0])
    assert waited <= ATTACHING_SECONDS + 2 * POLL_SECONDS


def test_what_a_look_showed_is_given_once() -> None:
    joining = Joining()
    joining.begin(1)
    assert joining.ask(1) == Done(value=False)
    joining.clock.time += ATTACHING_SECONDS
    assert joining.ask(1) == Done(value=True)
    del joining.begun["eni-1"]
    joining.clock.time += 2.0
    outcome = joining.ask(1)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, NotFound)


def test_a_trunk_that_is_not_shown_fails_its_own_node_only() -> None:
    joining = Joining()
    joining.begin(1)
    joining.begin(3)
    joining.ask(1)
    assert [joining.ask(2), joining.ask(3)] == [Done(value=False)] * 2
    joining.clock.time += 2.0
    joining.ask(1)
    assert joining.ask(3) == Done(value=True)
    assert isinstance(joining.ask(2), Failed)


def test_a_look_that_fails_is_repeated_for_the_others() -> None:
    joining = Joining()
    joining.begin(1)
    joining.begin(2)
    joining.fault = fault("InternalError")
    failed = joining.ask(1)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Unsure)
    assert joining.ask(2) == Done(value=False)
    joining.fault = None
    joining.clock.time += 2.0
    assert joining.ask(2) == Done(value=True)
