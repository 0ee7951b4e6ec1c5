"""The spans of a run: whose trace they are in, and when they begin and end."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from common.model import actions as act
from common.model.desired import Desired
from common.model.ec2 import Subnet
from common.model.errors import NotFound
from common.model.ids import BranchKey, EniId, InstanceId, Ipv4, NodeName, PodUid, SubnetId, VlanId
from common.model.ledger import Address, AddressState, Branch, BranchState, Claim, Ledger, Pool
from common.model.node import NodeFacts, NodeView
from common.model.outcome import Done, Failed, Outcome, Waits
from common.model.pod import PodRequest
from common.model.warrant import Ground, Warrant
from common.spans import below, span
from common.trace_ids import node_trace, pod_root
from tests.kit.clock import START, VirtualClock
from tests.kit.recorded import Recorded, recording
from workers.executor import performed
from workers.run_trace import POD, QUEUE, RUN, RunTrace, waiting

NODE = NodeName("n")
UID, OTHER = PodUid("00000000-0000-4000-8000-000000000001"), PodUid("00000000-0000-4000-8000-000000000002")
KEY = BranchKey(f"{UID}.0.0")


def request(uid: PodUid = UID, **fields: Any) -> PodRequest:
    given = {"branches": 1, "scheduled_at": START - 2.5, "seen_at": START - 2.0, **fields}
    return PodRequest(uid=uid, namespace="default", name="p", **given)


def desired(*pods: PodRequest) -> Desired:
    facts = NodeFacts(name=NODE, uid="u", instance_id=InstanceId("i-1"))
    return Desired(view=NodeView(node=facts), pods={pod.uid: pod for pod in pods})


def branch(uid: PodUid) -> Branch:
    return Branch(
        key=KEY,
        state=BranchState.CREATED,
        instance_id=InstanceId("i-1"),
        trunk_id=EniId("eni-t"),
        pod_uid=uid,
        vlan=VlanId(1),
        subnet_id=SubnetId("subnet-1"),
    )


PERMIT = act.PermitBranch(subject=f"branch/{KEY}", key=KEY, eni_id=EniId("eni-1"))
RESOLVE = act.ResolvePod(
    subject="claim/x",
    pod=request(),
    instance_groups=(),
    instance_subnet=Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/16"),
    eni_config=None,
)
AWAIT = act.AwaitTrunk(subject="trunk", eni_id=EniId("eni-t"), instance_id=InstanceId("i-1"))
CONFIRM = act.ConfirmGone(subject="pod/x", pod_uid=UID, namespace="default", name="p")
DELETE = act.DeleteBranch(
    subject=f"branch/{KEY}",
    key=KEY,
    eni_id=EniId("eni-1"),
    warrant=Warrant(eni_id=EniId("eni-1"), ground=Ground.ENDED),
)
LEDGER = Ledger(node=NODE, branches={KEY: branch(UID)})


@dataclass
class Run:
    """One whose message was published a second before."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    sent: float | None = START - 1.0

    def __post_init__(self) -> None:
        self.trace = RunTrace(node=NODE, run="w/1", clock=self.clock, sent=self.sent)

    def carry_out(self, action: act.Action, ledger: Ledger = LEDGER, seconds: float = 1.0) -> None:
        with below(self.trace.scope(action, ledger)), span(type(action).__name__):
            self.clock.sleep(seconds)


def only(recorded: Recorded, name: str) -> Any:
    (found,) = recorded.named(name)
    return found


def test_a_pod_that_is_served_by_one_run_has_the_whole_way_in_its_trace() -> None:
    with recording() as recorded:
        run = Run()
        run.clock.sleep(0.1)
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.carry_out(RESOLVE)
        run.carry_out(PERMIT)
        run.trace.annotated(request())
        run.clock.sleep(5)
        run.trace.ended("settled")
    root = pod_root(UID)
    queue, mine, pod = only(recorded, QUEUE), only(recorded, RUN), only(recorded, POD)
    assert {one.place.trace for one in recorded.spans} == {root.trace}
    assert (pod.place, pod.parent, pod.began, pod.ended) == (root, 0, START - 2.0, START + 2.1)
    assert pod.attributes["vpc_rc.scheduled_before_seconds"] == 0.5
    assert (queue.parent, queue.began, queue.ended) == (root.span, START - 1.0, START)
    assert (mine.parent, mine.began, mine.ended) == (root.span, START, START + 2.1)
    assert mine.attributes["vpc_rc.ending"] == "annotated"
    for name in ("ResolvePod", "PermitBranch"):
        assert only(recorded, name).parent == mine.place.span
        assert only(recorded, name).attributes["k8s.pod.uid"] == UID


def test_a_pod_that_waits_still_has_a_span_of_each_run_and_none_of_its_whole_way() -> None:
    with recording() as recorded:
        for _ in range(2):
            run = Run()
            run.trace.read(desired(request()), Ledger(node=NODE))
            run.trace.ended("settled")
    assert len(recorded.named(RUN)) == len(recorded.named(QUEUE)) == 2
    assert len({one.place.span for one in recorded.spans}) == 4
    assert recorded.named(POD) == []


def test_a_pod_that_comes_during_a_run_is_in_it_from_then_on_and_waited_in_no_queue() -> None:
    with recording() as recorded:
        run = Run()
        run.trace.read(desired(), Ledger(node=NODE))
        run.clock.sleep(3)
        run.trace.read(desired(request(seen_at=START + 2.9)), Ledger(node=NODE))
        run.trace.ended("sliced")
    assert recorded.named(QUEUE) == []
    assert only(recorded, RUN).began == START + 3


def test_clocks_that_differ_make_no_span_that_begins_before_the_pod_was_seen_or_ends_before_it_began() -> None:
    with recording() as recorded:
        run = Run(sent=START + 0.003)
        run.trace.read(desired(request(seen_at=START + 0.002)), Ledger(node=NODE))
        run.trace.ended("settled")
        run = Run(sent=None)
        run.trace.read(desired(), Ledger(node=NODE))
        run.trace.read(desired(request(OTHER, seen_at=START + 0.002)), Ledger(node=NODE))
        run.trace.annotated(request(OTHER, seen_at=START + 0.002))
    assert {(one.began, one.ended) for one in recorded.spans} == {(START + 0.002, START + 0.002)}
    assert [one.name for one in recorded.spans] == [QUEUE, RUN, RUN, POD]


def test_a_message_of_a_version_that_does_not_say_when_it_was_sent_makes_no_span_of_a_queue() -> None:
    with recording() as recorded:
        run = Run(sent=None)
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.trace.ended("settled")
    assert [one.name for one in recorded.spans] == [RUN]


def test_what_is_done_for_the_node_is_in_its_own_trace_to_which_its_pods_link() -> None:
    with recording() as recorded:
        run = Run()
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.carry_out(AWAIT)
        run.trace.ended("settled")
    trace = node_trace(NODE, "i-1").trace
    of_pod, of_node = sorted(recorded.named(RUN), key=lambda one: one.place.trace == trace)
    assert (of_node.parent, of_node.began, of_node.ended) == (0, START, START + 1)
    assert only(recorded, "AwaitTrunk").parent == of_node.place.span
    assert of_pod.place.trace == pod_root(UID).trace
    assert of_pod.link == of_node.place


def test_a_pod_does_not_link_to_a_trace_that_is_not_sent() -> None:
    """The bits of this pod's uid that count are nearly 0."""
    with recording(ratio=1e-9) as recorded:
        run = Run()
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.carry_out(AWAIT)
        run.trace.ended("settled")
    assert {one.place.trace for one in recorded.spans} == {pod_root(UID).trace}
    assert only(recorded, RUN).link is None


@pytest.mark.parametrize(
    ("action", "ledger"),
    [
        pytest.param(CONFIRM, LEDGER, id="the end of a pod"),
        pytest.param(DELETE, LEDGER, id="a release"),
        pytest.param(PERMIT, Ledger(node=NODE, branches={KEY: branch(OTHER)}), id="made ahead, or for an ended pod"),
        pytest.param(PERMIT, Ledger(node=NODE), id="not on record any more"),
    ],
)
def test_what_nobody_waits_for_is_in_no_trace(action: act.Action, ledger: Ledger) -> None:
    with recording() as recorded:
        run = Run()
        run.trace.read(desired(), ledger)
        run.carry_out(action, ledger)
        run.trace.ended("settled")
    assert recorded.spans == []


@pytest.mark.parametrize("ending", ["lost", "failed", "abandoned"])
def test_a_run_that_came_to_no_good_end_is_an_error(ending: str) -> None:
    with recording() as recorded:
        run = Run()
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.trace.ended(ending)
    assert only(recorded, RUN).code == ending


def test_pods_outside_of_the_ratio_have_no_spans() -> None:
    with recording(ratio=0.0) as recorded:
        run = Run()
        run.trace.read(desired(request()), Ledger(node=NODE))
        run.carry_out(RESOLVE)
        run.trace.annotated(request())
        run.trace.ended("settled")
    assert recorded.spans == []


CLAIMED = Ledger(node=NODE, claims={UID: Claim(pod_uid=UID, namespace="default", name="p", annotated=True)})
ADDRESS = Address(ip=Ipv4("10.0.0.9"), state=AddressState.ASSIGNED, pod_uid=UID, annotated=True)
GIVEN = Ledger(node=NODE, pool=Pool(addresses={ADDRESS.ip: ADDRESS}))
WINDOWS: dict[str, Any] = {"branches": 0, "addresses": 1}


@pytest.mark.parametrize(
    ("pod", "ledger", "waits"),
    [
        pytest.param(request(), Ledger(node=NODE), True, id="asks for a branch"),
        pytest.param(request(eni_annotation="[]"), Ledger(node=NODE), False, id="is annotated"),
        pytest.param(request(), CLAIMED, False, id="was annotated by us, which the watch has not shown yet"),
        pytest.param(request(finished=True), Ledger(node=NODE), False, id="has finished"),
        pytest.param(request(**WINDOWS), Ledger(node=NODE), True, id="asks for an address"),
        pytest.param(request(**WINDOWS, ip_annotation="10.0.0.9"), Ledger(node=NODE), False, id="has its address"),
        pytest.param(request(**WINDOWS), GIVEN, False, id="was given its address a moment ago"),
    ],
)
def test_who_waits(pod: PodRequest, ledger: Ledger, waits: bool) -> None:
    assert list(waiting(desired(pod), ledger)) == ([pod] if waits else [])


@pytest.mark.parametrize(
    ("outcome", "told", "code"),
    [
        (Done(), {"vpc_rc.outcome": "done", "vpc_rc.eni_id": "eni-1"}, ""),
        (
            Failed(error=NotFound("NoSuch", "a text")),
            {"vpc_rc.outcome": "failed", "vpc_rc.eni_id": "eni-1", "vpc_rc.code": "NoSuch"},
            "NoSuch",
        ),
        (Waits(until=5.0), {"vpc_rc.outcome": "waits", "vpc_rc.eni_id": "eni-1", "vpc_rc.until": 5.0}, ""),
    ],
    ids=["done", "failed", "waits for its turn"],
)
def test_the_span_of_an_action_says_how_it_ended(outcome: Outcome, told: dict[str, Any], code: str) -> None:
    with recording() as recorded:
        run = Run()
        run.trace.read(desired(request()), LEDGER)
        with below(run.trace.scope(PERMIT, LEDGER)):
            performed(PERMIT, lambda _: outcome)
    (found,) = recorded.named("PermitBranch")
    assert {name: value for name, value in found.attributes.items() if name.startswith("vpc_rc.")} == told
    assert found.code == code
