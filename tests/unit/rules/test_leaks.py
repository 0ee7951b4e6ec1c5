"""Which interfaces belong to nothing: never a user's own, another cluster's, another instance's, or one in use."""

import msgspec
import pytest

from common.model.ec2 import Interface
from common.model.ids import EniId, InstanceId, SubnetId
from common.model.names import CNINODE_CLUSTER_TAG, INSTANCE_TAG, OWNER_OURS, OWNER_TAG, OWNER_VPC_CNI, cluster_tag
from common.rules.leaks import idle_in_cluster, leaked, left_by_instance

INSTANCE = InstanceId("i-0123456789abcdef0")
OURS = {OWNER_TAG: OWNER_OURS, cluster_tag("blue"): "owned", INSTANCE_TAG: INSTANCE}
CNI = {OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: "blue", INSTANCE_TAG: INSTANCE}


def interface(tags: dict[str, str], **changes: str) -> Interface:
    base = Interface(
        eni_id=EniId("eni-1"), subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", status="available", tags=tags
    )
    return msgspec.structs.replace(base, **changes)


@pytest.mark.parametrize(
    ("one", "idle"),
    [
        (interface(OURS), True),
        (interface(CNI), True),
        (interface({key: value for key, value in OURS.items() if key != INSTANCE_TAG}), True),
        (interface(OURS, status="in-use"), False),
        (interface(OURS, status="associated"), False),
        (interface(OURS, status="detaching"), False),
        (interface(OURS, status=""), False),
        (interface(OURS, vpc_id="vpc-2"), False),
        (interface({}), False),
        (interface({cluster_tag("blue"): "owned"}), False),
        (interface({**OURS, OWNER_TAG: "someone"}), False),
        (interface({OWNER_TAG: OWNER_OURS}), False),
        (interface({OWNER_TAG: OWNER_OURS, cluster_tag("blue"): "shared"}), False),
        (interface({OWNER_TAG: OWNER_OURS, cluster_tag("green"): "owned"}), False),
        (interface({**OURS, cluster_tag("green"): "owned"}), False),
        (interface({**OURS, CNINODE_CLUSTER_TAG: "green"}), False),
        (interface({OWNER_TAG: OWNER_OURS, CNINODE_CLUSTER_TAG: "blue"}), False),
        (interface({OWNER_TAG: OWNER_VPC_CNI}), False),
        (interface({OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: "green"}), False),
        (interface({OWNER_TAG: OWNER_VPC_CNI, cluster_tag("blue"): "owned"}), False),
    ],
    ids=[
        "ours",
        "the VPC CNI's",
        "ours of no instance",
        "in use",
        "associated",
        "being detached",
        "of unknown state",
        "of another VPC",
        "a user's own",
        "a user's own, of the cluster",
        "of another owner",
        "ours, of no cluster",
        "ours, shared with the cluster",
        "ours, of another cluster",
        "ours, of two clusters",
        "ours, of another cluster by the other tag",
        "ours, by the VPC CNI's tag only",
        "the VPC CNI's, of no cluster",
        "the VPC CNI's, of another cluster",
        "the VPC CNI's, by our tag only",
    ],
)
def test_what_a_sweep_looks_at(one: Interface, idle: bool) -> None:
    assert idle_in_cluster([one], "blue", "vpc-1") == ((one,) if idle else ())


def test_leaked_is_what_two_passes_saw() -> None:
    first, second = interface(OURS), interface(OURS, eni_id="eni-2")
    assert leaked([first, second], {EniId("eni-2"), EniId("eni-3")}) == (second,)
    assert leaked([first, second], set()) == ()


@pytest.mark.parametrize(
    ("one", "left"),
    [
        (interface(OURS), True),
        (interface(CNI), True),
        (interface({OWNER_TAG: OWNER_OURS, INSTANCE_TAG: INSTANCE}), True),
        (interface({OWNER_TAG: OWNER_VPC_CNI, INSTANCE_TAG: INSTANCE}), True),
        (interface(OURS, vpc_id="vpc-2"), True),
        (interface(OURS, status="in-use"), False),
        (interface({INSTANCE_TAG: INSTANCE}), False),
        (interface({**OURS, OWNER_TAG: "someone"}), False),
        (interface({**OURS, INSTANCE_TAG: "i-0123456789abcdef1"}), False),
        (interface({key: value for key, value in OURS.items() if key != INSTANCE_TAG}), False),
        (interface({**OURS, cluster_tag("green"): "owned"}), False),
        (interface({OWNER_TAG: OWNER_OURS, INSTANCE_TAG: INSTANCE, cluster_tag("green"): "owned"}), False),
        (interface({**CNI, CNINODE_CLUSTER_TAG: "green"}), False),
    ],
    ids=[
        "ours",
        "the VPC CNI's",
        "ours, of no cluster",
        "the VPC CNI's, of no cluster",
        "in whichever VPC",
        "in use",
        "of no owner",
        "of another owner",
        "of another instance",
        "of no instance",
        "of two clusters",
        "ours, of another cluster",
        "the VPC CNI's, of another cluster",
    ],
)
def test_what_goes_with_a_node(one: Interface, left: bool) -> None:
    assert left_by_instance([one], INSTANCE, "blue") == ((one,) if left else ())
