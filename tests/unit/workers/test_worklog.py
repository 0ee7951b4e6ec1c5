"""What is logged of the work: one line for each thing changed, with what it is about."""

from collections.abc import Callable, Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from common.ec2.client import measured
from common.model import actions as act
from common.model.errors import Conflict, Denied
from common.model.ids import (
    AssociationId,
    BranchKey,
    ClientToken,
    EniId,
    InstanceId,
    NodeName,
    PodUid,
    SubnetId,
    VlanId,
)
from common.model.ledger import Branch, BranchState, Ledger
from common.model.outcome import Done, Failed, Outcome, Waits
from common.reach import Reach
from tests.unit.ec2.scripted import fault
from workers.executor import ThreadExecutor, performed
from workers.rooms import Rooms
from workers.worklog import context_of

NODE = NodeName("n1")
KEY = BranchKey("uid.0.0")
ASSOCIATE = act.AssociateBranch(
    subject=f"branch/{KEY}",
    key=KEY,
    eni_id=EniId("eni-1"),
    trunk_id=EniId("eni-t"),
    vlan=VlanId(7),
    token=ClientToken("t"),
)
ANNOTATE = act.Annotate(
    subject="annotate/uid", pod_uid=PodUid("uid"), namespace="shop", name="p", annotation="a", value="v"
)
LEDGER = Ledger(
    node=NODE,
    branches={
        KEY: Branch(
            key=KEY,
            state=BranchState.CREATED,
            instance_id=InstanceId("i-1"),
            trunk_id=EniId("eni-t"),
            pod_uid=PodUid("uid"),
            pod_namespace="shop",
            pod_name="p",
            vlan=VlanId(7),
            subnet_id=SubnetId("subnet-1"),
            groups=(),
        )
    },
)


@pytest.fixture
def lines() -> LogCapture:
    return LogCapture()


@pytest.fixture(autouse=True)
def _captured(lines: LogCapture) -> Iterator[None]:
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, lines], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


def on_a_thread(action: act.Action, perform: Callable[[act.Action], Outcome]) -> Outcome:
    """As a run starts its actions."""
    executor = ThreadExecutor(Rooms(4), perform)
    assert executor.admit(action)
    with structlog.contextvars.bound_contextvars(**context_of(NODE, LEDGER, action)):
        executor.start(action)
    ((_, outcome),) = executor.wait(10)
    return outcome


def test_a_change_is_one_line_with_node_pod_action_ids_and_seconds(lines: LogCapture) -> None:
    on_a_thread(ASSOCIATE, lambda _: Done(value=AssociationId("trunk-assoc-1")))
    (line,) = lines.entries
    assert (line["event"], line["log_level"]) == ("action_done", "info")
    assert (line["node"], line["pod"], line["action"]) == ("n1", "shop/p", "AssociateBranch")
    assert (line["eni_id"], line["trunk_id"], line["vlan"]) == ("eni-1", "eni-t", 7)
    assert line["association_id"] == "trunk-assoc-1"
    assert 0 <= line["seconds"] < 10
    assert "token" not in line


@pytest.mark.parametrize(
    "action",
    [
        act.AwaitTrunk(subject="trunk", eni_id=EniId("eni-t"), instance_id=InstanceId("i-1")),
        act.ConfirmNodeGone(subject="node", node=NODE),
        act.RequestSnapshot(subject="adoption", node=NODE, instance_id=InstanceId("i-1")),
    ],
    ids=lambda action: type(action).__name__,
)
def test_a_look_is_no_line(action: act.Action, lines: LogCapture) -> None:
    performed(action, lambda _: Done(value=True))
    assert lines.entries == []


def test_a_turn_that_is_waited_for_is_no_line(lines: LogCapture) -> None:
    performed(ASSOCIATE, lambda _: Waits(until=1.0))
    assert lines.entries == []


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        pytest.param(Failed(error=Denied("Forbidden", "no")), "warning", id="it may not"),
        pytest.param(Failed(error=Conflict("PodReplaced", "p")), "info", id="the pod is another one"),
    ],
)
def test_what_the_api_server_refuses_is_one_line(outcome: Failed, level: str, lines: LogCapture) -> None:
    on_a_thread(ANNOTATE, lambda _: outcome)
    (line,) = lines.entries
    assert (line["event"], line["log_level"], line["code"]) == ("action_failed", level, outcome.error.code)
    assert (line["node"], line["pod"]) == ("n1", "shop/p")


def test_what_ec2_refuses_is_one_line_that_says_what_it_was_for(lines: LogCapture) -> None:
    error = fault("UnauthorizedOperation")
    error.response["ResponseMetadata"]["RequestId"] = "b1c2-request"

    def refuse(_action: str, _params: dict[str, object]) -> dict[str, object]:
        raise error

    def perform(_action: act.Action) -> Outcome:
        with pytest.raises(type(error)):
            measured(refuse, Reach("EC2"))("AssociateTrunkInterface", {})
        return Failed(error=Denied("UnauthorizedOperation", "You are not authorized"))

    on_a_thread(ASSOCIATE, perform)
    (line,) = lines.entries
    assert (line["event"], line["log_level"]) == ("ec2_refused", "warning")
    assert (line["operation"], line["code"]) == ("AssociateTrunkInterface", "UnauthorizedOperation")
    assert line["request_id"] == "b1c2-request"
    assert (line["node"], line["pod"], line["action"]) == ("n1", "shop/p", "AssociateBranch")
