"""Pods, nodes and policies that change at awkward moments, and clusters that cannot give what is asked: the outcome is
right, and an event says what is wrong, once."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from common.model.names import BRANCH_DESCRIPTION, POD_UID_TAG, TRUNK_DESCRIPTION
from tests.integration.rig import GROUP, Rig, running
from tests.integration.standing import annotation, branches, repeated_events, shared, unserved

POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
SMALL_SUBNET = "subnet-00000000000000aa"
RELEASE_SECONDS = 6
MYSTERY = "x9.mystery"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("life")
    with running(
        folder, ec2=("--limits", str(_more_types(folder))), VPC_RC_NODE_RELEASE_SECONDS=str(RELEASE_SECONDS)
    ) as (found, _):
        found.ec2("POST", "seed", {"subnets": [{"cidr": "10.1.0.0/28", "id": SMALL_SUBNET, "az": "us-west-2a"}]})
        found.add_node("n0", "m5.xlarge")
        found.add_node("n1", "m5.xlarge")
        found.wait("nodes", lambda: found.capacity("n0") == found.capacity("n1") == "18")
        yield found
        assert found.faults_logged() == []
        assert found.restarts == []
        assert repeated_events(found) == []


def _more_types(folder: Path) -> Path:
    """EC2 knows a type that the product does not."""
    path = folder / "types.csv"
    path.write_text(f"type,interfaces,ipv4,branches,card_interfaces,cards,kind\n{MYSTERY},4,15,9,4,1,nitro\n")
    return path


@pytest.fixture(autouse=True)
def _nothing_shared(rig: Rig) -> Iterator[None]:
    yield
    rig.ec2("DELETE", "faults")
    assert shared(rig) == []


def made_for(rig: Rig, uid: str) -> list[dict[str, Any]]:
    return [i for i in rig.interfaces(BRANCH_DESCRIPTION) if i["tags"].get(POD_UID_TAG) == uid]


def uid_of(rig: Rig, pod: str) -> str:
    return str(rig.pod(pod)["metadata"]["uid"])


def reported(rig: Rig, about: str, reason: str, words: str = "") -> bool:
    return any(re.search(words, event["message"]) for event in rig.events(about, reason))


def slow(rig: Rig, action: str) -> None:
    """The next call of this kind takes effect at once and is answered late."""
    rig.ec2("POST", "faults", [{"action": action, "code": "none", "when": "after", "delay": 2.5, "count": 1}])


STEPS: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "created and the answer is on its way": ("CreateNetworkInterface", lambda interface: True),
    "permitted": ("CreateNetworkInterfacePermission", lambda interface: True),
    "associated and the answer is on its way": (
        "AssociateTrunkInterface",
        lambda interface: interface["association_id"] is not None,
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_pod_deleted_while_its_interface_is(rig: Rig, step: str) -> None:
    """An interface that no pod ever used need not rest: it goes at once."""
    action, reached = STEPS[step]
    slow(rig, action)
    rig.add_pod("brief", "n0")
    uid = uid_of(rig, "brief")
    rig.wait("the interface", lambda: any(reached(i) for i in made_for(rig, uid)))
    rig.remove_pod("brief")
    rig.wait("the interface is gone", lambda: not made_for(rig, uid), 25)


@pytest.mark.parametrize("step", STEPS)
def test_a_pod_replaced_by_one_of_the_same_name_while_its_interface_is(rig: Rig, step: str) -> None:
    action, reached = STEPS[step]
    slow(rig, action)
    rig.add_pod("twin", "n0")
    old = uid_of(rig, "twin")
    rig.wait("the interface", lambda: any(reached(i) for i in made_for(rig, old)))
    rig.remove_pod("twin")
    rig.add_pod("twin", "n0")
    new = uid_of(rig, "twin")
    rig.wait_for_none("unserved", lambda: unserved(rig), 25)
    assert [entry["eniId"] for entry in annotation(rig.pod("twin"))] == [i["id"] for i in made_for(rig, new)]
    rig.wait("the first one's interface is gone", lambda: not made_for(rig, old), 25)
    rig.remove_pod("twin")


def test_a_served_pod_replaced_by_one_of_the_same_name(rig: Rig) -> None:
    """Its interface rests; the successor gets another one on another VLAN."""
    rig.add_pod("named", "n0")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    (first,) = annotation(rig.pod("named"))
    rig.remove_pod("named")
    rig.add_pod("named", "n0")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    (second,) = annotation(rig.pod("named"))
    assert first["eniId"] != second["eniId"]
    assert first["vlanId"] != second["vlanId"]
    assert first["eniId"] in branches(rig)


def test_a_node_that_comes_back_in_time_keeps_everything(rig: Rig) -> None:
    instance = rig.add_node("again", "m5.large")
    rig.wait("the node", lambda: rig.capacity("again") == "9")
    rig.add_pod("stays-1", "again")
    rig.add_pod("stays-2", "again", count=2)
    rig.wait_for_none("unserved", lambda: unserved(rig))
    had = branches(rig)
    (trunk,) = [i["id"] for i in rig.interfaces(TRUNK_DESCRIPTION) if i["attachment"]["instance_id"] == instance]
    rig.kube("DELETE", "/api/v1/nodes/again")
    left = time.monotonic()
    rig.wait("a moment without the node", lambda: time.monotonic() - left > RELEASE_SECONDS / 3)
    rig.register(
        "again",
        f"aws:///us-west-2a/{instance}",
        **{"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "true"},
    )
    rig.wait("the capacity is advertised again", lambda: rig.capacity("again") == "9")
    rig.add_pod("new", "again")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    rig.holds("everything is kept", lambda: had <= branches(rig), RELEASE_SECONDS + 1)
    trunks = [i["id"] for i in rig.interfaces(TRUNK_DESCRIPTION) if i["attachment"]["instance_id"] == instance]
    assert trunks == [trunk]


def test_a_node_that_stays_away_gives_its_branches_back_and_keeps_its_trunk(rig: Rig) -> None:
    instance = rig.add_node("leaves", "m5.large")
    rig.wait("the node", lambda: rig.capacity("leaves") == "9")
    rig.add_pod("goes", "leaves")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    (entry,) = annotation(rig.pod("goes"))
    rig.kube("DELETE", "/api/v1/nodes/leaves")
    rig.remove_pod("goes")
    seconds = rig.wait("its branch is released", lambda: entry["eniId"] not in branches(rig), 60)
    assert seconds > RELEASE_SECONDS - 1
    (trunk,) = [i for i in rig.interfaces(TRUNK_DESCRIPTION) if i["attachment"]["instance_id"] == instance]
    assert trunk["attachment"]["status"] == "attached"


def policy(rig: Rig, name: str, groups: dict[str, Any], role: str) -> None:
    spec = {"podSelector": {"matchLabels": {"role": role}}, "securityGroups": groups}
    body = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy", "metadata": {"name": name}}
    rig.kube("POST", POLICIES, {**body, "spec": spec})


def test_a_policy_without_groups_counts_as_none_and_the_pod_is_reported(rig: Rig) -> None:
    policy(rig, "empty", {}, "empty")
    rig.add_pod("node-groups", "n1", role="empty")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    (interface,) = made_for(rig, uid_of(rig, "node-groups"))
    assert tuple(interface["groups"]) == (GROUP,)
    rig.wait("the event", lambda: reported(rig, "node-groups", "SecurityGroupRequested", "didn't match any"))
    (event,) = rig.events("node-groups", "SecurityGroupRequested")
    assert event["type"] == "Warning"


def test_a_policy_with_a_group_that_does_not_exist_is_reported_and_can_be_put_right(rig: Rig) -> None:
    policy(rig, "wrong", {"groupIds": ["sg-0123456789abcdef0"]}, "wrong")
    rig.add_pod("no-group", "n1", role="wrong")
    rig.wait("the event", lambda: reported(rig, "no-group", "BranchAllocationFailed", r"Invalid\w+\.NotFound"), 30)
    rig.kube("DELETE", f"{POLICIES}/wrong")
    policy(rig, "right", {"groupIds": [GROUP]}, "wrong")
    rig.wait_for_none("unserved", lambda: unserved(rig))


@pytest.mark.parametrize(
    ("node", "instance_type", "words"),
    [("mystery", MYSTERY, f"{MYSTERY} is not supported yet"), ("small", "t3.medium", "t3.medium is not supported for")],
)
def test_an_instance_type_without_trunk_has_events_at_node_and_pod(
    rig: Rig, node: str, instance_type: str, words: str
) -> None:
    rig.add_node(node, instance_type)
    rig.add_pod(f"on-{node}", node)
    rig.wait("the node's event", lambda: reported(rig, node, "Unsupported", words))
    rig.wait("the pod's event", lambda: reported(rig, f"on-{node}", "WaitingForNode", instance_type))
    assert rig.capacity(node) is None
    rig.remove_pod(f"on-{node}")


def test_a_subnet_without_free_addresses_is_reported_and_pods_are_served_when_there_are_some(rig: Rig) -> None:
    """11 addresses: the instance's, the trunk's, three of somebody else's, and 6 branches of 18."""
    ec2 = boto3.client(
        "ec2",
        region_name="us-west-2",
        endpoint_url=rig.ec2_url,
        aws_access_key_id="own",
        aws_secret_access_key="own",
    )
    rig.add_node("full", "m5.xlarge", subnet=SMALL_SUBNET)
    rig.wait("the node", lambda: rig.capacity("full") == "18")
    others = [ec2.create_network_interface(SubnetId=SMALL_SUBNET)["NetworkInterface"] for _ in range(3)]
    for number in range(6):
        rig.add_pod(f"fits-{number}", "full")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    rig.add_pod("waits", "full")
    words = "InsufficientFreeAddressesInSubnet"
    rig.wait("the event", lambda: reported(rig, "waits", "BranchAllocationFailed", words), 30)
    assert unserved(rig) == ["waits"]
    for other in others:
        ec2.delete_network_interface(NetworkInterfaceId=other["NetworkInterfaceId"])
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)
