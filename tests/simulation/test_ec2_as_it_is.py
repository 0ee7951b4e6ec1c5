"""What EC2 does beside its reference: a disrupted zone, an index that gets free, long lists; and the product in it,
under virtual time."""

from collections.abc import Callable
from typing import Any

import pytest

from common.model.ids import NodeName
from common.model.names import (
    BRANCH_DESCRIPTION,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    TRUNK_DESCRIPTION,
    TRUNK_TAG,
    VLAN_TAG,
    cluster_tag,
)
from tests.simulation.cluster import ACCOUNT, CLUSTER, GROUP, SUBNET, VPC, Cluster

Simulate = Callable[..., Cluster]


def made(cluster: Cluster, **params: Any) -> str:
    answer = cluster.ec2.arrange("CreateNetworkInterface", {"SubnetId": SUBNET, "Groups": [GROUP], **params})
    identifier: str = answer["NetworkInterface"]["NetworkInterfaceId"]
    return identifier


@pytest.mark.parametrize(("waited", "soon"), [(120.0, 10.0), (3600.0, 30.0)], ids=["minutes", "an hour"])
def test_a_device_index_that_gets_free_is_used_soon(waited: float, soon: float, simulate: Simulate) -> None:
    """One that has been missing for long is looked for more seldom."""
    cluster = simulate()
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    attached = [
        cluster.ec2.arrange(
            "AttachNetworkInterface",
            {"NetworkInterfaceId": made(cluster), "InstanceId": instance, "DeviceIndex": index},
        )["AttachmentId"]
        for index in (1, 2)
    ]
    cluster.put_node("n1", instance)
    cluster.run(waited)
    assert any(getattr(notice, "reason", "") == "NoFreeDeviceIndex" for notice in cluster.notices)
    looks = len(cluster.ec2.journal.of("DescribeInstances"))
    cluster.run(600.0)
    now = len(cluster.ec2.journal.of("DescribeInstances"))
    assert now - looks <= {10.0: 100, 30.0: 40}[soon]
    # The worst moment: right after a look.
    cluster.run(120.0, lambda: len(cluster.ec2.journal.of("DescribeInstances")) > now)
    cluster.ec2.arrange("DetachNetworkInterface", {"AttachmentId": attached[0]})
    assert cluster.run(soon, lambda: bool(cluster.ours(TRUNK_DESCRIPTION)))


@pytest.mark.parametrize("reported", ["us-west-2b", "us-west-2a"], ids=["zones-known", "zones-given-wrongly"])
def test_in_a_disrupted_zone_the_nodes_of_the_others_start(reported: str, simulate: Simulate) -> None:
    cluster = simulate()
    elsewhere = cluster.ec2.add_subnet(vpc_id=VPC, cidr="10.0.128.0/20", az="us-west-2b")
    cluster.ec2.behave(cluster.behaviour.changed({"zones_down": ["us-west-2b"]}))
    for number in range(5):
        cluster.put_node(f"down{number}", cluster.ec2.add_instance(subnet_id=elsewhere, groups=[GROUP]), zone=reported)
        cluster.add_node(f"up{number}")
    up = [f"up{number}" for number in range(5)]
    assert cluster.run(60.0, lambda: all(cluster.capacity(name) == "9" for name in up))
    cluster.ec2.behave(cluster.behaviour)
    assert cluster.run(60.0, lambda: all(cluster.capacity(f"down{number}") == "9" for number in range(5)))


def test_releases_after_a_loss_of_redis_end_in_an_account_with_pages_of_associations(simulate: Simulate) -> None:
    """No pod's: their associations are in no record and no annotation, only in a list of two pages."""
    cluster = simulate(count_redis=False)
    nodes = {f"n{number}": cluster.add_node(f"n{number}", "c5.18xlarge") for number in range(3)}
    assert cluster.run(60.0, lambda: all(cluster.capacity(name) == "107" for name in nodes))
    for trunk in cluster.ours(TRUNK_DESCRIPTION):
        instance = trunk["Attachment"]["InstanceId"]
        for vlan in range(1, 101):
            tags = {OWNER_TAG: OWNER_OURS, cluster_tag(CLUSTER): "owned", INSTANCE_TAG: instance}
            tags |= {VLAN_TAG: str(vlan), TRUNK_TAG: trunk["NetworkInterfaceId"]}
            specification = {
                "ResourceType": "network-interface",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
            branch = made(cluster, Description=BRANCH_DESCRIPTION, TagSpecifications=[specification])
            permission = {"NetworkInterfaceId": branch, "AwsAccountId": ACCOUNT, "Permission": "INSTANCE-ATTACH"}
            cluster.ec2.arrange("CreateNetworkInterfacePermission", permission)
            cluster.ec2.arrange(
                "AssociateTrunkInterface",
                {"BranchInterfaceId": branch, "TrunkInterfaceId": trunk["NetworkInterfaceId"], "VlanId": vlan},
            )
    cluster.lose_redis()
    assert cluster.run(240.0, lambda: not cluster.ours(BRANCH_DESCRIPTION)), len(cluster.ours(BRANCH_DESCRIPTION))
    steps = [step.step for steps in cluster.ec2.journal.history().values() for step in steps]
    assert steps.count("disassociated") == 300
    assert len(cluster.ec2.journal.of("DescribeTrunkInterfaceAssociations")) <= 10
    assert all(cluster.plain.ledgers.load(NodeName(name)) for name in nodes)
