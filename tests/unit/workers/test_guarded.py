"""Actions that are known to fail for all are not started; what others learn by an outcome reaches them."""

from collections.abc import Iterable

import fakeredis
import pytest

from common.model import actions as act
from common.model.errors import Denied, NotFound, OutsideError, StoreUnavailable, Throttled, Unavailable, Unsure
from common.model.ids import BranchKey, ClientToken, EniId, GroupId, InstanceId, NodeName, PodUid, SubnetId, VlanId
from common.model.notice import Notice
from common.model.outcome import Done, Failed, Outcome, Waits
from common.spans import Scope, below
from common.store import Store, keys
from common.trace_ids import pod_root
from tests.kit.clock import VirtualClock
from tests.kit.recorded import recording
from workers.executor import Ended
from workers.guarded import GuardedExecutor
from workers.outages import FRESH_SECONDS, KnownOutages

CREATE = "CreateNetworkInterface"


def create(pod: str) -> act.CreateBranch:
    return act.CreateBranch(
        subject=f"branch/{pod}.0.0",
        key=BranchKey(f"{pod}.0.0"),
        subnet_id=SubnetId("subnet-1"),
        groups=(GroupId("sg-1"),),
        token=ClientToken(pod),
        vlan=VlanId(1),
        trunk_id=EniId("eni-t"),
        instance_id=InstanceId("i-1"),
        pod_uid=PodUid(pod),
        extra_tags={},
    )


def broken(kind: type[OutsideError] = Unsure, code: str = "InternalError") -> Failed:
    error = kind(code)
    error.operation = CREATE
    return Failed(error=error)


class ScriptedExecutor:
    """Ends what is started with the outcome that comes next."""

    def __init__(self) -> None:
        self.started: list[act.Action] = []
        self.dismissed: list[act.Action] = []
        self.outcomes: list[Outcome] = []
        self._ended: list[Ended] = []

    def admit(self, action: act.Action) -> bool:
        return True

    def dismiss(self, admitted: Iterable[act.Action]) -> None:
        self.dismissed += admitted

    def start(self, action: act.Action) -> None:
        self.started.append(action)
        self._ended.append((action, self.outcomes.pop(0)))

    def wait(self, seconds: float) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def interrupt(self) -> None:
        raise AssertionError("nothing here waits")

    def has_place(self, action: act.Action) -> bool:
        return True

    def wake(self, node: NodeName, turned_away: Iterable[act.Action]) -> None:
        raise AssertionError("nothing is turned away here")


class Node:
    """A run on a node of its own, in a process of its own."""

    def __init__(self, name: str, store: Store, clock: VirtualClock) -> None:
        self.scripted = ScriptedExecutor()
        self.said: list[Notice] = []
        self.known = KnownOutages(store.outages, clock)
        self.executor = GuardedExecutor(self.scripted, self.known, NodeName(name), self.said.append, clock)

    def carry_out(self, action: act.Action, outcome: Outcome) -> Outcome:
        self.scripted.outcomes = [outcome]
        self.executor.start(action)
        ((_, found),) = self.executor.wait(0.0)
        return found

    @property
    def reasons(self) -> list[str]:
        return [notice.reason for notice in self.said]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store() -> Store:
    return Store.on(fakeredis.FakeRedis(), keys.prefix("c"))


@pytest.fixture
def nodes(store: Store, clock: VirtualClock) -> tuple[Node, Node, Node]:
    return Node("n1", store, clock), Node("n2", store, clock), Node("n3", store, clock)


def outage(nodes: tuple[Node, Node, Node], clock: VirtualClock) -> None:
    for number, node in enumerate(nodes[:2]):
        node.carry_out(create(f"p{number}"), broken())
    clock.sleep(FRESH_SECONDS + 0.1)


def test_the_second_failure_is_an_event_and_the_third_caller_is_held(
    nodes: tuple[Node, Node, Node], clock: VirtualClock
) -> None:
    first, second, third = nodes
    failure = broken()
    assert first.carry_out(create("p0"), failure) == Failed(error=failure.error, scope=CREATE)
    second.carry_out(create("p1"), broken())
    assert (first.reasons, second.reasons) == ([], ["Unavailable"])
    clock.sleep(FRESH_SECONDS + 0.1)
    assert isinstance(third.carry_out(create("new"), broken()), Failed)
    found = third.carry_out(create("newer"), Done())
    assert isinstance(found, Failed)
    assert isinstance(found.error, Unavailable)
    assert (found.error.code, found.scope) == ("InternalError", CREATE)
    assert third.scripted.dismissed == [create("newer")], "its thread is given back"


def test_a_held_action_is_an_error_in_the_trace_of_its_pod(nodes: tuple[Node, Node, Node], clock: VirtualClock) -> None:
    outage(nodes, clock)
    nodes[2].carry_out(create("new"), broken())
    root = pod_root("newer")
    with recording() as recorded, below(Scope(root=root, place=root, began=clock.now(), clock=clock)):
        nodes[2].carry_out(create("newer"), Done())
    (found,) = recorded.spans
    assert (found.name, found.parent, found.code) == ("CreateBranch", root.span, "InternalError")
    assert found.attributes["vpc_rc.outcome"] == "held"


def test_a_success_ends_it_with_an_event(nodes: tuple[Node, Node, Node], clock: VirtualClock, store: Store) -> None:
    outage(nodes, clock)
    third = nodes[2]
    assert third.carry_out(create("new"), Done()) == Done()
    assert third.reasons == ["AvailableAgain"]
    assert store.outages.read() == ()
    assert third.carry_out(create("newer"), Done()) == Done()


def test_a_success_that_began_before_ends_nothing(
    nodes: tuple[Node, Node, Node], clock: VirtualClock, store: Store
) -> None:
    third = nodes[2]
    third.scripted.outcomes = [Done()]
    third.executor.start(create("early"))
    clock.sleep(0.2)
    outage(nodes, clock)
    third.known.tend()
    third.executor.wait(0.0)
    assert [one.scope for one in store.outages.read()] == [CREATE]


REFUSALS: list[tuple[type[OutsideError], str]] = [
    (NotFound, "InvalidGroup.NotFound"),
    (Denied, "UnauthorizedOperation"),
]


@pytest.mark.parametrize(("kind", "code"), REFUSALS)
def test_a_refusal_for_another_reason_ends_it_as_well(
    nodes: tuple[Node, Node, Node], clock: VirtualClock, store: Store, kind: type[OutsideError], code: str
) -> None:
    outage(nodes, clock)
    nodes[2].carry_out(create("new"), broken(kind, code))
    assert CREATE not in [one.scope for one in store.outages.read()]


@pytest.mark.parametrize("throttled", [False, True], ids=["its turn comes later", "throttled"])
def test_an_asker_that_gets_no_answer_gives_it_back(
    nodes: tuple[Node, Node, Node], clock: VirtualClock, store: Store, throttled: bool
) -> None:
    outage(nodes, clock)
    outcome = broken(Throttled, "RequestLimitExceeded") if throttled else Waits(until=clock.now() + 4.0)
    assert nodes[2].carry_out(create("new"), outcome) == outcome
    (one,) = store.outages.read()
    assert not one.asking
    assert one.ask_at <= clock.now() + 4.1


def test_without_redis_nothing_is_held_and_every_failure_is_its_own(
    nodes: tuple[Node, Node, Node], clock: VirtualClock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage(nodes, clock)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.outages, "_link", type("Away", (), {"script": away, "command": away})())
    clock.sleep(FRESH_SECONDS + 0.1)
    failure = broken()
    assert nodes[2].carry_out(create("new"), failure) == failure
    assert nodes[2].carry_out(create("newer"), Done()) == Done()
