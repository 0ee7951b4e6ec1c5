"""What EC2 does when it does not refuse, through a real SDK client over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.ec2 import Ec2Behaviour
from tests.kit.clock import START
from tests.sandbox.ec2_fixtures import ACCOUNT, Ec2, refused, served, small_world


@pytest.fixture
def ec2() -> Iterator[Ec2]:
    world = small_world()
    with served(world):
        yield world


def _steps(ec2: Ec2, interface: str) -> list[str]:
    return [step.step for step in ec2.world.journal.steps_of(interface)]


def test_an_interface_is_described_with_all_its_fields(ec2: Ec2) -> None:
    made = ec2.client.create_network_interface(
        SubnetId=ec2.subnet,
        Groups=ec2.groups[:2],
        Description="aws-k8s-branch-eni",
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "a/b", "Value": '<&">'}]}],
    )["NetworkInterface"]
    shown = ec2.shown(made["NetworkInterfaceId"])
    assert shown == made
    assert {
        "AvailabilityZone": "us-west-2a",
        "Description": "aws-k8s-branch-eni",
        "Groups": [{"GroupId": ec2.groups[n], "GroupName": f"group-{n}"} for n in (0, 1)],
        "InterfaceType": "interface",
        "Ipv4Prefixes": [],
        "Ipv6Addresses": [],
        "OwnerId": ACCOUNT,
        "PrivateIpAddress": "10.0.0.5",
        "PrivateIpAddresses": [
            {
                "Primary": True,
                "PrivateDnsName": "ip-10-0-0-5.us-west-2.compute.internal",
                "PrivateIpAddress": "10.0.0.5",
            }
        ],
        "RequesterId": "own",
        "SourceDestCheck": True,
        "Status": "available",
        "SubnetId": ec2.subnet,
        "TagSet": [{"Key": "a/b", "Value": '<&">'}],
        "VpcId": ec2.vpc,
    }.items() <= shown.items()
    assert "Attachment" not in shown


def test_without_groups_an_interface_has_the_vpcs_default_group(ec2: Ec2) -> None:
    assert [group["GroupName"] for group in ec2.shown(ec2.create())["Groups"]] == ["default"]


def test_a_trunk_is_attaching_then_attached() -> None:
    ec2 = small_world(Ec2Behaviour.instant(attach_delay=(2.0, 2.0)))
    with served(ec2):
        trunk = ec2.permitted(InterfaceType="trunk")
        attachment = ec2.client.attach_network_interface(
            NetworkInterfaceId=trunk, InstanceId=ec2.instance, DeviceIndex=2
        )["AttachmentId"]
        ec2.client.modify_network_interface_attribute(
            NetworkInterfaceId=trunk, Attachment={"AttachmentId": attachment, "DeleteOnTermination": True}
        )
        shown = ec2.shown(trunk)
        assert (shown["Status"], shown["InterfaceType"]) == ("in-use", "trunk")
        assert shown["Attachment"] == {
            "AttachmentId": attachment,
            "AttachTime": datetime.fromtimestamp(START, tz=UTC),
            "DeleteOnTermination": True,
            "DeviceIndex": 2,
            "InstanceId": ec2.instance,
            "InstanceOwnerId": ACCOUNT,
            "NetworkCardIndex": 0,
            "Status": "attaching",
        }
        ec2.clock.sleep(2.0)
        assert ec2.shown(trunk)["Attachment"]["Status"] == "attached"
        assert _steps(ec2, trunk) == ["created", "permitted", "attaching", "modified", "attached"]


def test_a_detached_interface_is_available_after_the_delay() -> None:
    ec2 = small_world(Ec2Behaviour.instant(detach_delay=(1.0, 1.0)))
    with served(ec2):
        interface = ec2.create()
        attachment = ec2.attach(interface)
        ec2.client.detach_network_interface(AttachmentId=attachment)
        assert ec2.shown(interface)["Attachment"]["Status"] == "detaching"
        ec2.clock.sleep(1.0)
        assert ec2.shown(interface)["Status"] == "available"


def test_an_associated_branch_is_in_use_without_an_attachment(ec2: Ec2) -> None:
    trunk, branch = ec2.trunk(), ec2.permitted()
    association = ec2.client.associate_trunk_interface(BranchInterfaceId=branch, TrunkInterfaceId=trunk, VlanId=17)
    answer = association["InterfaceAssociation"]
    assert (answer["BranchInterfaceId"], answer["TrunkInterfaceId"], answer["VlanId"]) == (branch, trunk, 17)
    shown = ec2.shown(branch)
    assert (shown["Status"], shown["InterfaceType"], shown.get("Attachment")) == ("in-use", "branch", None)
    found = ec2.client.describe_trunk_interface_associations(AssociationIds=[answer["AssociationId"]])
    assert found["InterfaceAssociations"] == [answer]


def test_a_disassociated_branch_is_available_and_its_vlan_free(ec2: Ec2) -> None:
    trunk = ec2.trunk()
    branch, association = ec2.branch(trunk, 1)
    assert ec2.client.disassociate_trunk_interface(AssociationId=association)["Return"]
    assert ec2.shown(branch)["Status"] == "available"
    ec2.branch(trunk, 1)


def test_deleting_an_associated_branch_disassociates_it(ec2: Ec2) -> None:
    trunk = ec2.trunk()
    branch, association = ec2.branch(trunk, 1)
    ec2.client.delete_network_interface(NetworkInterfaceId=branch)
    assert not ec2.exists(branch)
    assert _steps(ec2, branch)[-2:] == ["implicitly disassociated", "deleted"]
    with refused("InvalidAssociationID.NotFound"):
        ec2.client.disassociate_trunk_interface(AssociationId=association)


def test_termination_deletes_or_frees_interfaces_and_leaves_branches_available(ec2: Ec2) -> None:
    trunk, kept = ec2.trunk(), ec2.create()
    ec2.attach(kept, index=1)
    branch, _ = ec2.branch(trunk, 1)
    attachment = ec2.shown(trunk)["Attachment"]["AttachmentId"]
    ec2.client.modify_network_interface_attribute(
        NetworkInterfaceId=trunk, Attachment={"AttachmentId": attachment, "DeleteOnTermination": True}
    )
    (change,) = ec2.client.terminate_instances(InstanceIds=[ec2.instance])["TerminatingInstances"]
    assert change["PreviousState"]["Name"] == "running"
    assert not ec2.exists(trunk)
    assert {ec2.shown(kept)["Status"], ec2.shown(branch)["Status"]} == {"available"}
    (reservation,) = ec2.client.describe_instances(InstanceIds=[ec2.instance])["Reservations"]
    instance = reservation["Instances"][0]
    assert (instance["State"]["Name"], instance["NetworkInterfaces"]) == ("terminated", [])
    ec2.clock.sleep(3600)
    with refused("InvalidInstanceID.NotFound"):
        ec2.client.describe_instances(InstanceIds=[ec2.instance])


def test_a_trunk_that_outlives_its_instance_has_lost_its_branches(ec2: Ec2) -> None:
    trunk = ec2.trunk()
    branch, _ = ec2.branch(trunk, 1)
    ec2.client.terminate_instances(InstanceIds=[ec2.instance])
    assert {ec2.shown(trunk)["Status"], ec2.shown(branch)["Status"]} == {"available"}


def test_an_instance_is_described_with_its_interfaces(ec2: Ec2) -> None:
    trunk = ec2.trunk()
    ec2.branch(trunk, 1)
    (reservation,) = ec2.client.describe_instances(InstanceIds=[ec2.instance])["Reservations"]
    instance = reservation["Instances"][0]
    assert instance["InstanceType"] == "m5.large"
    assert (instance["SubnetId"], instance["PrivateIpAddress"]) == (ec2.subnet, "10.0.0.4")
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == ec2.groups[:1]
    interfaces = instance["NetworkInterfaces"]
    assert [(one["InterfaceType"], one["Attachment"]["DeviceIndex"]) for one in interfaces] == [
        ("interface", 0),
        ("trunk", 2),
    ]
    assert interfaces[0]["Ipv4Prefixes"] == []


def test_addresses_are_assigned_and_unassigned(ec2: Ec2) -> None:
    interface, free = ec2.create(), _free(ec2)
    answer = ec2.client.assign_private_ip_addresses(NetworkInterfaceId=interface, SecondaryPrivateIpAddressCount=3)
    given = [one["PrivateIpAddress"] for one in answer["AssignedPrivateIpAddresses"]]
    assert len(set(given)) == 3
    assert _free(ec2) == free - 3
    shown = ec2.shown(interface)["PrivateIpAddresses"]
    assert [one["PrivateIpAddress"] for one in shown if not one["Primary"]] == given
    ec2.client.unassign_private_ip_addresses(NetworkInterfaceId=interface, PrivateIpAddresses=given)
    assert len(ec2.shown(interface)["PrivateIpAddresses"]) == 1
    assert _free(ec2) == free


def test_a_given_address_moves_with_allow_reassignment(ec2: Ec2) -> None:
    first, second = ec2.create(), ec2.create()
    ec2.client.assign_private_ip_addresses(NetworkInterfaceId=first, PrivateIpAddresses=["10.0.0.99"])
    ec2.client.assign_private_ip_addresses(
        NetworkInterfaceId=second, PrivateIpAddresses=["10.0.0.99"], AllowReassignment=True
    )
    assert len(ec2.shown(first)["PrivateIpAddresses"]) == 1
    assert ec2.shown(second)["PrivateIpAddresses"][1]["PrivateIpAddress"] == "10.0.0.99"


def test_prefixes_are_assigned_and_unassigned(ec2: Ec2) -> None:
    interface, free = ec2.create(), _free(ec2)
    answer = ec2.client.assign_private_ip_addresses(NetworkInterfaceId=interface, Ipv4PrefixCount=2)
    prefixes = [one["Ipv4Prefix"] for one in answer["AssignedIpv4Prefixes"]]
    assert all(prefix.endswith("/28") for prefix in prefixes)
    assert _free(ec2) == free - 32
    assert [one["Ipv4Prefix"] for one in ec2.shown(interface)["Ipv4Prefixes"]] == prefixes
    ec2.client.unassign_private_ip_addresses(NetworkInterfaceId=interface, Ipv4Prefixes=prefixes)
    assert _free(ec2) == free


def test_a_subnet_that_assigns_ipv6_gives_an_address() -> None:
    ec2 = small_world(ipv6=True)
    with served(ec2):
        first, second = (ec2.shown(ec2.create())["Ipv6Addresses"] for _ in range(2))
        assert first != second
        assert first[0]["Ipv6Address"].startswith("2001:db8:0:1:")
        (subnet,) = ec2.client.describe_subnets(SubnetIds=[ec2.subnet])["Subnets"]
        assert subnet["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"] == "2001:db8:0:1::/64"


def _free(ec2: Ec2) -> int:
    return ec2.client.describe_subnets(SubnetIds=[ec2.subnet])["Subnets"][0]["AvailableIpAddressCount"]


def test_a_subnet_keeps_five_addresses_to_itself(ec2: Ec2) -> None:
    assert _free(ec2) == 256 - 5 - 1


def test_groups_can_be_changed(ec2: Ec2) -> None:
    interface = ec2.create(Groups=ec2.groups[:1])
    ec2.client.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=ec2.groups[1:3])
    assert [group["GroupId"] for group in ec2.shown(interface)["Groups"]] == ec2.groups[1:3]


def test_tags_are_set_replaced_and_removed(ec2: Ec2) -> None:
    interface = ec2.create()
    ec2.client.create_tags(
        Resources=[interface, ec2.instance], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )
    ec2.client.create_tags(Resources=[interface], Tags=[{"Key": "a", "Value": "3"}])
    ec2.client.delete_tags(Resources=[interface], Tags=[{"Key": "b", "Value": "other"}])
    assert ec2.shown(interface)["TagSet"] == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    ec2.client.delete_tags(Resources=[interface], Tags=[{"Key": "b"}])
    assert ec2.shown(interface)["TagSet"] == [{"Key": "a", "Value": "3"}]


def test_run_instances_launches_what_describe_then_shows(ec2: Ec2) -> None:
    answer = ec2.client.run_instances(
        ImageId="ami-1", InstanceType="c5.large", SubnetId=ec2.subnet, SecurityGroupIds=ec2.groups[:1],
        MinCount=2, MaxCount=2, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    )  # fmt: skip
    launched = {one["InstanceId"] for one in answer["Instances"]}
    found = ec2.client.describe_instances(Filters=[{"Name": "tag:a", "Values": ["b"]}])["Reservations"]
    assert {one["Instances"][0]["InstanceId"] for one in found} == launched
    assert len(launched) == 2


def test_instance_types_tell_interfaces_and_addresses_but_no_branches(ec2: Ec2) -> None:
    (found,) = ec2.client.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]
    network = found["NetworkInfo"]
    assert (network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]) == (3, 10)
    assert found["Hypervisor"] == "nitro"
    assert not any("ranch" in name for name in network)


def test_instance_types_are_found_by_filter(ec2: Ec2) -> None:
    wanted = [{"Name": "instance-type", "Values": ["m5.large", "t2.mic*", "m5.gigantic"]}]
    found = ec2.client.describe_instance_types(Filters=wanted)["InstanceTypes"]  # type: ignore[arg-type]
    assert [one["InstanceType"] for one in found] == ["m5.large", "t2.micro"]


def test_permissions_are_described(ec2: Ec2) -> None:
    interface = ec2.permitted()
    answer = ec2.client.describe_network_interface_permissions(
        Filters=[{"Name": "network-interface-permission.network-interface-id", "Values": [interface]}]
    )
    (permission,) = answer["NetworkInterfacePermissions"]
    assert (permission["AwsAccountId"], permission["Permission"]) == (ACCOUNT, "INSTANCE-ATTACH")


FILTERS: list[tuple[str, list[dict[str, Any]], set[str]]] = [
    ("by instance", [{"Name": "attachment.instance-id", "Values": ["<instance>"]}], {"primary", "trunk"}),
    ("by device index", [{"Name": "attachment.device-index", "Values": ["2"]}], {"trunk"}),
    ("by exact tag", [{"Name": "tag:role", "Values": ["branch"]}], {"branch"}),
    ("by tag with a star", [{"Name": "tag:role", "Values": ["b*h"]}], {"branch"}),
    ("by tag with a question mark", [{"Name": "tag:role", "Values": ["plai?"]}], {"plain"}),
    ("an escaped star is a star", [{"Name": "tag:role", "Values": ["b\\*h"]}], set()),
    ("by any of two values", [{"Name": "tag:role", "Values": ["branch", "plain"]}], {"branch", "plain"}),
    ("by tag key", [{"Name": "tag-key", "Values": ["role"]}], {"branch", "plain"}),
    ("by status", [{"Name": "status", "Values": ["available"]}], {"plain"}),
    ("by type", [{"Name": "interface-type", "Values": ["branch"]}], {"branch"}),
    ("by description", [{"Name": "description", "Values": ["a pl*"]}], {"plain"}),
    ("by primary address", [{"Name": "private-ip-address", "Values": ["10.0.0.4"]}], {"primary"}),
    ("by any address", [{"Name": "addresses.private-ip-address", "Values": ["10.0.0.44"]}], {"plain"}),
    ("by subnet", [{"Name": "subnet-id", "Values": ["<subnet>"]}], {"primary", "trunk", "branch", "plain"}),
    ("by VPC and group", [{"Name": "vpc-id", "Values": ["<vpc>"]}, {"Name": "group-id", "Values": ["<group>"]}],
     {"primary"}),
    ("by two that exclude each other",
     [{"Name": "tag:role", "Values": ["branch"]}, {"Name": "status", "Values": ["available"]}], set()),
    ("by id", [{"Name": "network-interface-id", "Values": ["<plain>"]}], {"plain"}),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "expected"), [row[1:] for row in FILTERS], ids=[row[0] for row in FILTERS])
def test_filters_find(ec2: Ec2, filters: list[dict[str, Any]], expected: set[str]) -> None:
    trunk = ec2.trunk()
    branch, _ = ec2.branch(trunk, 1)
    plain = ec2.create(Description="a plain one", SecondaryPrivateIpAddressCount=0)
    ec2.client.assign_private_ip_addresses(NetworkInterfaceId=plain, PrivateIpAddresses=["10.0.0.44"])
    for interface, role in ((branch, "branch"), (plain, "plain")):
        ec2.client.create_tags(Resources=[interface], Tags=[{"Key": "role", "Value": role}])
    names = {trunk: "trunk", branch: "branch", plain: "plain"}
    known = {"<instance>": ec2.instance, "<subnet>": ec2.subnet, "<vpc>": ec2.vpc, "<group>": ec2.groups[0],
             "<plain>": plain}  # fmt: skip
    asked: Any = [
        {"Name": one["Name"], "Values": [known.get(value, value) for value in one["Values"]]} for one in filters
    ]
    found = ec2.client.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    assert {names.get(one["NetworkInterfaceId"], "primary") for one in found} == expected


def test_pages_give_every_interface_once_although_some_come_and_go(ec2: Ec2) -> None:
    made = [ec2.create() for _ in range(12)]
    first = ec2.client.describe_network_interfaces(MaxResults=5)
    ec2.client.delete_network_interface(NetworkInterfaceId=made[0])
    ec2.client.delete_network_interface(NetworkInterfaceId=made[6])
    late = ec2.create()
    seen = [one["NetworkInterfaceId"] for one in first["NetworkInterfaces"]]
    token = first.get("NextToken")
    while token:
        answer = ec2.client.describe_network_interfaces(MaxResults=5, NextToken=token)
        seen += [one["NetworkInterfaceId"] for one in answer["NetworkInterfaces"]]
        token = answer.get("NextToken")
    assert len(seen) == len(set(seen))
    assert set(seen) >= {*made, late} - {made[6]}


def _create(ec2: Ec2, token: str, description: str) -> str:
    answer = ec2.client.create_network_interface(SubnetId=ec2.subnet, ClientToken=token, Description=description)
    return answer["NetworkInterface"].get("NetworkInterfaceId", "")


def _associate(ec2: Ec2, token: str, vlan: int, branch: str, trunk: str) -> str:
    answer = ec2.client.associate_trunk_interface(
        BranchInterfaceId=branch, TrunkInterfaceId=trunk, VlanId=vlan, ClientToken=token
    )
    return answer["InterfaceAssociation"].get("AssociationId", "")


def test_the_same_token_and_parameters_give_the_same_interface(ec2: Ec2) -> None:
    assert _create(ec2, "t1", "a") == _create(ec2, "t1", "a")
    assert _create(ec2, "t2", "a") != _create(ec2, "t1", "a")
    with refused("IdempotentParameterMismatch"):
        _create(ec2, "t1", "b")


def test_the_same_token_and_parameters_give_the_same_association(ec2: Ec2) -> None:
    trunk, branch = ec2.trunk(), ec2.permitted()
    association = _associate(ec2, "t1", 1, branch, trunk)
    assert _associate(ec2, "t1", 1, branch, trunk) == association
    with refused("IdempotentParameterMismatch"):
        _associate(ec2, "t1", 2, branch, trunk)
    for _ in range(2):
        assert ec2.client.disassociate_trunk_interface(AssociationId=association, ClientToken="t2")["Return"]
    with refused("InvalidAssociationID.NotFound"):
        ec2.client.disassociate_trunk_interface(AssociationId=association, ClientToken="t3")


def test_a_token_of_a_failed_call_can_be_used_again(ec2: Ec2) -> None:
    trunk, branch = ec2.trunk(), ec2.permitted()
    _, taken = ec2.branch(trunk, 1)
    with refused("InvalidParameterValue"):
        _associate(ec2, "t1", 1, branch, trunk)
    ec2.client.disassociate_trunk_interface(AssociationId=taken)
    assert _associate(ec2, "t1", 1, branch, trunk)


def test_a_raised_quota_of_groups_admits_more(ec2: Ec2) -> None:
    ec2.world.behave(ec2.world.behaviour.changed({"groups_per_interface": 6}))
    answer = ec2.client.create_network_interface(SubnetId=ec2.subnet, Groups=ec2.groups)
    assert len(answer["NetworkInterface"]["Groups"]) == 6
