"""Every rule of EC2 that refuses a call, through a real SDK client: a sentence, a call, an error code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.ec2_fixtures import ACCOUNT, UNKNOWN_ENI, Ec2, refused, served, small_world

Call = Callable[[Ec2], Any]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    rule: str
    code: str
    call: Call
    status: int = 400


def _create(**params: Any) -> Call:
    return lambda ec2: ec2.client.create_network_interface(SubnetId=ec2.subnet, **params)


def _tags(*tags: tuple[str, str]) -> Call:
    return lambda ec2: ec2.client.create_tags(
        Resources=[ec2.subnet], Tags=[{"Key": key, "Value": value} for key, value in tags]
    )


def _associate(ec2: Ec2, **params: Any) -> Any:
    defaults = {"VlanId": 1}
    if "TrunkInterfaceId" not in params:
        defaults["TrunkInterfaceId"] = ec2.trunk()  # type: ignore[assignment]
    if "BranchInterfaceId" not in params:
        defaults["BranchInterfaceId"] = ec2.permitted()  # type: ignore[assignment]
    return ec2.client.associate_trunk_interface(**(defaults | params))


def _attach(ec2: Ec2, interface: str, *, index: int = 1, instance: str | None = None, **more: Any) -> Any:
    return ec2.client.attach_network_interface(
        NetworkInterfaceId=interface, InstanceId=instance or ec2.instance, DeviceIndex=index, **more
    )


def _instance(ec2: Ec2, instance_type: str) -> str:
    return ec2.world.add_instance(subnet_id=ec2.subnet, instance_type=instance_type)


def _fill_trunk(ec2: Ec2) -> Any:
    trunk = ec2.trunk()
    for vlan in range(1, 10):
        ec2.branch(trunk, vlan)
    return _associate(ec2, TrunkInterfaceId=trunk, VlanId=10)


def _taken_vlan(ec2: Ec2) -> Any:
    trunk = ec2.trunk()
    ec2.branch(trunk, 7)
    return _associate(ec2, TrunkInterfaceId=trunk, VlanId=7)


def _branch_twice(ec2: Ec2) -> Any:
    trunk = ec2.trunk()
    branch, _ = ec2.branch(trunk, 1)
    return _associate(ec2, TrunkInterfaceId=trunk, BranchInterfaceId=branch, VlanId=2)


def _too_many_interfaces(ec2: Ec2) -> Any:
    for index in (1, 2):
        ec2.attach(ec2.create(), index=index)
    return _attach(ec2, ec2.create(), index=3)


def _taken_index(ec2: Ec2) -> Any:
    ec2.attach(ec2.create(), index=1)
    return _attach(ec2, ec2.create(), index=1)


def _attach_twice(ec2: Ec2) -> Any:
    interface = ec2.create()
    ec2.attach(interface)
    return _attach(ec2, interface, index=2)


def _attach_elsewhere(ec2: Ec2) -> Any:
    other = ec2.world.add_subnet(vpc_id=ec2.vpc, cidr="10.0.9.0/24", az="us-west-2b")
    return _attach(ec2, ec2.create(SubnetId=other))


def _second_trunk(ec2: Ec2) -> Any:
    ec2.trunk()
    return _attach(ec2, ec2.permitted(InterfaceType="trunk"), index=1)


def _attach_terminated(ec2: Ec2) -> Any:
    ec2.world.terminate_instance(ec2.instance)
    return _attach(ec2, ec2.create())


def _delete_attached(ec2: Ec2) -> Any:
    interface = ec2.create()
    ec2.attach(interface)
    return ec2.client.delete_network_interface(NetworkInterfaceId=interface)


def _detach_primary(ec2: Ec2) -> Any:
    (primary,) = [one for one in ec2.world.interfaces() if one.attachment is not None]
    assert primary.attachment is not None
    return ec2.client.detach_network_interface(AttachmentId=primary.attachment.id)


def _assign(**params: Any) -> Call:
    def call(ec2: Ec2) -> Any:
        interface = ec2.create()
        ec2.attach(interface)
        return ec2.client.assign_private_ip_addresses(NetworkInterfaceId=interface, **params)

    return call


def _assign_prefix_on_xen(ec2: Ec2) -> Any:
    interface = ec2.create()
    ec2.attach(interface, instance=_instance(ec2, "m4.large"))
    return ec2.client.assign_private_ip_addresses(NetworkInterfaceId=interface, Ipv4PrefixCount=1)


def _assign_to_taken(ec2: Ec2) -> Any:
    taken = ec2.shown(ec2.create())["PrivateIpAddress"]
    return ec2.client.assign_private_ip_addresses(NetworkInterfaceId=ec2.create(), PrivateIpAddresses=[taken])


def _fragmented(ec2: Ec2) -> Any:
    small = ec2.world.add_subnet(vpc_id=ec2.vpc, cidr="10.0.9.0/27")
    ec2.create(SubnetId=small, PrivateIpAddress="10.0.9.20")
    return ec2.client.create_network_interface(SubnetId=small, Ipv4PrefixCount=1)


def _prefix_of_a_full_subnet(ec2: Ec2) -> Any:
    small = ec2.world.add_subnet(vpc_id=ec2.vpc, cidr="10.0.9.0/28")
    return ec2.client.create_network_interface(SubnetId=small, Ipv4PrefixCount=1)


def _associate_again(ec2: Ec2) -> Any:
    asked: dict[str, Any] = {
        "TrunkInterfaceId": ec2.trunk(),
        "BranchInterfaceId": ec2.permitted(),
        "VlanId": 1,
        "ClientToken": "t",
    }
    made = ec2.client.associate_trunk_interface(**asked)["InterfaceAssociation"]
    ec2.client.disassociate_trunk_interface(AssociationId=made["AssociationId"])
    return ec2.client.associate_trunk_interface(**asked)


def _exhausted(ec2: Ec2) -> Any:
    small = ec2.world.add_subnet(vpc_id=ec2.vpc, cidr="10.0.9.0/28")
    for _ in range(11):
        ec2.create(SubnetId=small)
    return ec2.client.create_network_interface(SubnetId=small)


def _other_vpcs_group(ec2: Ec2) -> Any:
    group = ec2.world.add_security_group(vpc_id=ec2.world.add_vpc(), name="foreign")
    return ec2.client.create_network_interface(SubnetId=ec2.subnet, Groups=[group])


def _permission_twice(ec2: Ec2) -> Any:
    return ec2.client.create_network_interface_permission(
        NetworkInterfaceId=ec2.permitted(), AwsAccountId=ACCOUNT, Permission="INSTANCE-ATTACH"
    )


def _modify_foreign_attachment(ec2: Ec2) -> Any:
    attachment = ec2.attach(ec2.create())
    return ec2.client.modify_network_interface_attribute(
        NetworkInterfaceId=ec2.create(), Attachment={"AttachmentId": attachment, "DeleteOnTermination": True}
    )


def _too_many_tags_in_all(ec2: Ec2) -> Any:
    _tags(*((f"a{n}", "") for n in range(50)))(ec2)
    return _tags(("one-more", ""))(ec2)


def _describe(**params: Any) -> Call:
    return lambda ec2: ec2.client.describe_network_interfaces(**params)


def _limited(call: Call, **quotas: int) -> Call:
    def limited(ec2: Ec2) -> Any:
        ec2.world.behave(ec2.world.behaviour.changed(quotas))
        return call(ec2)

    return limited


REFUSALS = [
    Refusal(
        rule="an interface needs a subnet that exists",
        code="InvalidSubnetID.NotFound",
        call=lambda ec2: ec2.client.create_network_interface(SubnetId="subnet-00000000000000000"),
    ),
    Refusal(
        rule="an interface needs groups that exist",
        code="InvalidSecurityGroupID.NotFound",
        call=_create(Groups=["sg-00000000000000000"]),
    ),
    Refusal(rule="groups are of the subnet's VPC", code="InvalidParameterValue", call=_other_vpcs_group),
    Refusal(
        rule="an interface is made with at most five groups",
        code="InvalidParameterValue",
        call=lambda ec2: ec2.client.create_network_interface(SubnetId=ec2.subnet, Groups=ec2.groups),
    ),
    Refusal(
        rule="an interface has at most five groups",
        code="SecurityGroupsPerInterfaceLimitExceeded",
        call=lambda ec2: ec2.client.modify_network_interface_attribute(
            NetworkInterfaceId=ec2.create(), Groups=ec2.groups
        ),
    ),
    Refusal(
        rule="the number of interfaces in a region is limited",
        code="NetworkInterfaceLimitExceeded",
        call=_limited(_create(), interfaces_per_region=1),
    ),
    Refusal(rule="a subnet runs out of addresses", code="InsufficientFreeAddressesInSubnet", call=_exhausted),
    Refusal(rule="a prefix needs a whole free /28", code="InsufficientCidrBlocks", call=_fragmented),
    Refusal(rule="a full subnet has no prefix", code="InvalidParameterValue", call=_prefix_of_a_full_subnet),
    Refusal(
        rule="the token of an ended association makes no other",
        code="IdempotentParameterMismatch",
        call=_associate_again,
    ),
    Refusal(
        rule="a reserved address cannot be had", code="InvalidParameterValue", call=_create(PrivateIpAddress="10.0.0.3")
    ),
    Refusal(
        rule="an address of the node cannot be had twice",
        code="InvalidIPAddress.InUse",
        call=_create(PrivateIpAddress="10.0.0.4"),
    ),
    Refusal(
        rule="addresses and prefixes are not asked for together",
        code="InvalidParameterCombination",
        call=_create(SecondaryPrivateIpAddressCount=1, Ipv4PrefixCount=1),
    ),
    Refusal(rule="IPv6 needs a subnet that has it", code="InvalidParameterValue", call=_create(Ipv6AddressCount=1)),
    Refusal(
        rule="an interface's tags are for interfaces",
        code="InvalidParameterValue",
        call=_create(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]),
    ),
    Refusal(rule="tag keys may not begin with aws:", code="InvalidParameterValue", call=_tags(("aws:x", ""))),
    Refusal(rule="tag keys have at most 128 characters", code="InvalidParameterValue", call=_tags(("k" * 129, ""))),
    Refusal(rule="tag values have at most 256 characters", code="InvalidParameterValue", call=_tags(("k", "v" * 257))),
    Refusal(rule="a tag key comes once", code="InvalidParameterValue", call=_tags(("k", "1"), ("k", "2"))),
    Refusal(
        rule="at most 50 tags in one call", code="TagLimitExceeded", call=_tags(*((f"k{n}", "") for n in range(51)))
    ),
    Refusal(rule="at most 50 tags on a resource", code="TagLimitExceeded", call=_too_many_tags_in_all),
    Refusal(
        rule="only what exists can be tagged",
        code="InvalidNetworkInterfaceID.NotFound",
        call=lambda ec2: ec2.client.create_tags(Resources=[UNKNOWN_ENI], Tags=[{"Key": "a", "Value": "b"}]),
    ),
    Refusal(rule="the same permission is not given twice", code="InvalidPermission.Duplicate", call=_permission_twice),
    Refusal(
        rule="an interface to attach must exist",
        code="InvalidNetworkInterfaceID.NotFound",
        call=lambda ec2: _attach(ec2, UNKNOWN_ENI),
    ),
    Refusal(
        rule="an id must look like one",
        code="InvalidNetworkInterfaceId.Malformed",
        call=lambda ec2: _attach(ec2, "eni-x"),
    ),
    Refusal(
        rule="an instance to attach to must exist",
        code="InvalidInstanceID.NotFound",
        call=lambda ec2: _attach(ec2, ec2.create(), instance="i-00000000000000000"),
    ),
    Refusal(rule="nothing is attached to a terminated instance", code="IncorrectState", call=_attach_terminated),
    Refusal(rule="a device index holds one interface", code="InvalidParameterValue", call=_taken_index),
    Refusal(
        rule="a device index is within the type's range",
        code="InvalidParameterValue",
        call=lambda ec2: _attach(ec2, ec2.create(), index=3),
    ),
    Refusal(
        rule="a network card must exist",
        code="InvalidParameterValue",
        call=lambda ec2: _attach(ec2, ec2.create(), NetworkCardIndex=1),
    ),
    Refusal(rule="a type has a limit of interfaces", code="AttachmentLimitExceeded", call=_too_many_interfaces),
    Refusal(rule="an interface is attached once", code="InvalidNetworkInterface.InUse", call=_attach_twice),
    Refusal(rule="interface and instance share a zone", code="InvalidParameterCombination", call=_attach_elsewhere),
    Refusal(
        rule="not every type takes a trunk",
        code="UnsupportedOperation",
        call=lambda ec2: _attach(ec2, ec2.permitted(InterfaceType="trunk"), instance=_instance(ec2, "t3.medium")),
    ),
    Refusal(rule="an instance has one trunk", code="AttachmentLimitExceeded", call=_second_trunk),
    Refusal(
        rule="attaching a trunk needs the permission",
        code="AuthFailure",
        status=401,
        call=lambda ec2: _attach(ec2, ec2.create(InterfaceType="trunk")),
    ),
    Refusal(
        rule="an attachment of another interface is unknown",
        code="InvalidAttachmentID.NotFound",
        call=_modify_foreign_attachment,
    ),
    Refusal(
        rule="one attribute at a time",
        code="InvalidParameterCombination",
        call=lambda ec2: ec2.client.modify_network_interface_attribute(
            NetworkInterfaceId=ec2.create(), Groups=ec2.groups[:1], Description={"Value": "x"}
        ),
    ),
    Refusal(rule="the primary interface stays", code="OperationNotPermitted", call=_detach_primary),
    Refusal(
        rule="an attachment to end must exist",
        code="InvalidAttachmentID.NotFound",
        call=lambda ec2: ec2.client.detach_network_interface(AttachmentId="eni-attach-00000000000000000"),
    ),
    Refusal(rule="an attached interface is not deleted", code="InvalidNetworkInterface.InUse", call=_delete_attached),
    Refusal(
        rule="an interface to delete must exist",
        code="InvalidNetworkInterfaceID.NotFound",
        call=lambda ec2: ec2.client.delete_network_interface(NetworkInterfaceId=UNKNOWN_ENI),
    ),
    Refusal(rule="a VLAN id is unique on its trunk", code="InvalidParameterValue", call=_taken_vlan),
    Refusal(
        rule="a VLAN id is at most 4094", code="InvalidParameterValue", call=lambda ec2: _associate(ec2, VlanId=4095)
    ),
    Refusal(rule="a trunk has its type's limit of branches", code="AttachmentLimitExceeded", call=_fill_trunk),
    Refusal(rule="a branch is on one trunk", code="InvalidNetworkInterface.InUse", call=_branch_twice),
    Refusal(
        rule="associating a branch needs the permission",
        code="AuthFailure",
        status=401,
        call=lambda ec2: _associate(ec2, BranchInterfaceId=ec2.create()),
    ),
    Refusal(
        rule="a trunk must be of type trunk",
        code="InvalidParameterValue",
        call=lambda ec2: _associate(ec2, TrunkInterfaceId=ec2.create()),
    ),
    Refusal(
        rule="a trunk must be attached",
        code="IncorrectState",
        call=lambda ec2: _associate(ec2, TrunkInterfaceId=ec2.create(InterfaceType="trunk")),
    ),
    Refusal(
        rule="a trunk is no branch",
        code="InvalidParameterValue",
        call=lambda ec2: _associate(ec2, BranchInterfaceId=ec2.permitted(InterfaceType="trunk")),
    ),
    Refusal(
        rule="an association to end must exist",
        code="InvalidAssociationID.NotFound",
        call=lambda ec2: ec2.client.disassociate_trunk_interface(AssociationId="trunk-assoc-00000000000000000"),
    ),
    Refusal(
        rule="an interface has its type's limit of addresses",
        code="PrivateIpAddressLimitExceeded",
        call=_assign(SecondaryPrivateIpAddressCount=10),
    ),
    Refusal(rule="prefixes count as addresses", code="PrivateIpAddressLimitExceeded", call=_assign(Ipv4PrefixCount=10)),
    Refusal(rule="prefixes need Nitro", code="UnsupportedOperation", call=_assign_prefix_on_xen),
    Refusal(rule="an address in use is not assigned", code="InvalidIPAddress.InUse", call=_assign_to_taken),
    Refusal(rule="assigning says what", code="MissingParameter", call=_assign()),
    Refusal(
        rule="only assigned addresses are unassigned",
        code="InvalidParameterValue",
        call=lambda ec2: ec2.client.unassign_private_ip_addresses(
            NetworkInterfaceId=ec2.create(), PrivateIpAddresses=["10.0.0.77"]
        ),
    ),
    Refusal(
        rule="instances to describe must exist",
        code="InvalidInstanceID.NotFound",
        call=lambda ec2: ec2.client.describe_instances(InstanceIds=["i-00000000000000000"]),
    ),
    Refusal(
        rule="subnets to describe must exist",
        code="InvalidSubnetID.NotFound",
        call=lambda ec2: ec2.client.describe_subnets(SubnetIds=["subnet-00000000000000000"]),
    ),
    Refusal(
        rule="groups to describe must exist",
        code="InvalidGroup.NotFound",
        call=lambda ec2: ec2.client.describe_security_groups(GroupIds=["sg-00000000000000000"]),
    ),
    Refusal(
        rule="instance types to describe must exist",
        code="InvalidInstanceType",
        call=lambda ec2: ec2.client.describe_instance_types(InstanceTypes=["m5.gigantic"]),  # type: ignore[list-item]
    ),
    Refusal(
        rule="filters have known names",
        code="InvalidParameterValue",
        call=_describe(Filters=[{"Name": "colour", "Values": ["red"]}]),
    ),
    Refusal(
        rule="at most 200 filter values",
        code="FilterLimitExceeded",
        call=_describe(Filters=[{"Name": "tag:a", "Values": [str(n) for n in range(201)]}]),
    ),
    Refusal(rule="pages have at least 5 items", code="InvalidParameterValue", call=_describe(MaxResults=4)),
    Refusal(rule="pages have at most 1000 items", code="InvalidParameterValue", call=_describe(MaxResults=1001)),
    Refusal(
        rule="pages and ids exclude each other",
        code="InvalidParameterCombination",
        call=lambda ec2: ec2.client.describe_network_interfaces(NetworkInterfaceIds=[ec2.create()], MaxResults=5),
    ),
    Refusal(rule="a page token is one that was given", code="InvalidPaginationToken", call=_describe(NextToken="abc")),
    Refusal(rule="a dry run ends in DryRunOperation", code="DryRunOperation", status=412, call=_create(DryRun=True)),
    Refusal(
        rule="other actions are unknown",
        code="InvalidAction",
        call=lambda ec2: ec2.client.describe_volumes(),
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.rule)
def test_refuses(refusal: Refusal) -> None:
    ec2 = small_world()
    with served(ec2):
        with refused(refusal.code, refusal.status):
            refusal.call(ec2)
    last = ec2.world.journal.calls[-1]
    assert (last.outcome, last.effect) == (refusal.code, False)
