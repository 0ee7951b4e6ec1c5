"""What `vpc-rc status` says of a node."""

import msgspec
import pytest

from cli.status.summary import IN_QUEUE, node_status, why_waiting
from common.model.desired import Desired
from common.model.ec2 import Subnet
from common.model.ids import (
    BranchKey,
    EniId,
    InstanceId,
    NodeName,
    PodUid,
    SubnetId,
    VlanId,
)
from common.model.ledger import Backoff, Branch, BranchState, InstanceFacts, Ledger, Trunk, TrunkState
from common.model.limits import load_limits
from common.model.pod import PodRequest

NODE = NodeName("n")
SUBNET = Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/24")
INSTANCE = InstanceFacts(
    instance_id=InstanceId("i-00000001"),
    instance_type="m5.large",  # 9 branches
    vpc_id="vpc-1",
    subnet=SUBNET,
    primary_eni=EniId("eni-1"),
    groups=(),
)


def branch(number: int, state: BranchState, uid: str = "") -> Branch:
    return Branch(
        key=BranchKey(f"{uid or number}.0.0"),
        state=state,
        instance_id=INSTANCE.instance_id,
        trunk_id=EniId("eni-t"),
        pod_uid=PodUid(uid or str(number)),
        vlan=VlanId(number),
        subnet_id=SUBNET.subnet_id,
        groups=(),
    )


def ledger(trunk: TrunkState = TrunkState.READY, *branches: Branch, **backoffs: Backoff) -> Ledger:
    return Ledger(
        node=NODE,
        instance=INSTANCE,
        trunk=Trunk(state=trunk, eni_id=EniId("eni-t")),
        branches={one.key: one for one in branches},
        backoffs=dict(backoffs),
    )


def pod(uid: str, **more: object) -> PodRequest:
    return PodRequest(uid=PodUid(uid), namespace="d", name=f"pod-{uid}", branches=1, **more)  # type: ignore[arg-type]


def test_states_of_branches_and_what_is_left_add_up_to_the_type_s_limit() -> None:
    found = node_status(
        ledger(TrunkState.READY, *(branch(n, state) for n, state in enumerate(BranchState, 1))),
        Desired(),
        NODE,
        load_limits(),
    )
    assert (found.making, found.used, found.cooling, found.free) == (6, 2, 2, 0)


def test_without_a_trunk_nothing_is_free() -> None:
    assert node_status(ledger(TrunkState.ATTACHING), Desired(), NODE, load_limits()).free == 0


def test_a_node_without_a_ledger_shows_its_waiting_pods() -> None:
    found = node_status(None, Desired(pods={PodUid("a"): pod("a", scheduled_at=5.0)}), NODE, load_limits())
    assert [(one.pod, one.since, one.why) for one in found.waiting] == [("d/pod-a", 5.0, "the trunk is absent")]


def test_pods_that_were_served_finished_or_are_going_do_not_wait() -> None:
    pods = [pod("a", eni_annotation="[]"), pod("b", finished=True), pod("c", deleting=True)]
    desired = Desired(pods={one.uid: one for one in pods})
    found = node_status(ledger(), desired, NODE, load_limits())
    assert found.waiting == ()
    assert found.pods == 3


@pytest.mark.parametrize(
    ("known", "why"),
    [
        pytest.param(ledger(TrunkState.CREATING), "the trunk is creating", id="trunk on its way"),
        pytest.param(ledger(), "is being served", id="nothing wrong"),
        pytest.param(
            ledger(TrunkState.READY, **{"claim/a": Backoff(code="InsufficientFreeAddressesInSubnet", attempts=3)}),
            "InsufficientFreeAddressesInSubnet, 3 times",
            id="its last failure",
        ),
        pytest.param(
            ledger(TrunkState.READY, branch(1, BranchState.PLANNED, "a"), **{"branch/a.0.0": Backoff(reserved=True)}),
            IN_QUEUE,
            id="its turn comes",
        ),
        pytest.param(
            ledger(TrunkState.READY, branch(1, BranchState.PLANNED, "b"), **{"branch/b.0.0": Backoff(code="X")}),
            "is being served",
            id="another pod's failure is not its own",
        ),
    ],
)
def test_why_a_pod_waits(known: Ledger, why: str) -> None:
    assert why_waiting(known, pod("a")) == why


def test_a_failure_of_the_node_itself_is_its_problem() -> None:
    backoffs = {"trunk": Backoff(code="UnauthorizedOperation", attempts=1), "claim/a": Backoff(code="X")}
    known = msgspec.structs.replace(ledger(TrunkState.ABSENT), backoffs=backoffs)
    assert node_status(known, Desired(), NODE, load_limits()).problem == "trunk: UnauthorizedOperation"
