"""Records as answers of EC2 in the SDK's shapes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sandbox.ec2.limits import InstanceLimits, interfaces_of_card
from sandbox.ec2.records import Association, Attachment, Instance, Interface, Permission, SecurityGroup, Subnet, Vpc
from sandbox.ec2.state import Ec2State
from sandbox.ec2.tagging import shown

_STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@lru_cache(maxsize=4096)
def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=0)


def _dns(state: Ec2State, address: str) -> str:
    return f"ip-{address.replace('.', '-')}.{state.region}.compute.internal"


def _zone_id(az: str) -> str:
    return f"az{ord(az[-1]) - ord('a') + 1}"


def _groups(state: Ec2State, ids: Sequence[str]) -> list[dict[str, str]]:
    found = ((identifier, state.groups.get(identifier)) for identifier in ids)
    return [{"GroupId": identifier, "GroupName": group.name if group else identifier} for identifier, group in found]


def _addresses(state: Ec2State, interface: Interface) -> list[dict[str, Any]]:
    return [
        {"PrivateIpAddress": address, "Primary": at == 0, "PrivateDnsName": _dns(state, address)}
        for at, address in enumerate((interface.primary_ip, *interface.secondary_ips))
    ]


def _attachment(state: Ec2State, attachment: Attachment) -> dict[str, Any]:
    return {
        "AttachmentId": attachment.id,
        "AttachTime": _moment(attachment.attach_time),
        "DeleteOnTermination": attachment.delete_on_termination,
        "DeviceIndex": attachment.device_index,
        "NetworkCardIndex": attachment.card_index,
        "Status": attachment.status,
    }


def _common(state: Ec2State, interface: Interface) -> dict[str, Any]:
    """What both DescribeNetworkInterfaces and DescribeInstances say about an interface."""
    return {
        "NetworkInterfaceId": interface.id,
        "Description": interface.description,
        "Groups": _groups(state, interface.groups),
        "InterfaceType": interface.shown_type,
        "Ipv6Addresses": [{"Ipv6Address": address} for address in interface.ipv6],
        "Ipv4Prefixes": [{"Ipv4Prefix": prefix} for prefix in interface.prefixes],
        "MacAddress": interface.mac,
        "OwnerId": state.account,
        "PrivateDnsName": _dns(state, interface.primary_ip),
        "PrivateIpAddress": interface.primary_ip,
        "PrivateIpAddresses": _addresses(state, interface),
        "SourceDestCheck": interface.source_dest_check,
        "Status": interface.status,
        "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id,
    }


def interface(state: Ec2State, record: Interface) -> dict[str, Any]:
    """A NetworkInterface; Attachment is absent where there is none."""
    answer = _common(state, record)
    answer["AvailabilityZone"] = record.az
    answer["AvailabilityZoneId"] = _zone_id(record.az)
    answer["RequesterId"] = record.requester
    answer["RequesterManaged"] = False
    answer["TagSet"] = shown(record.tags)
    if record.attachment is not None:
        answer["Attachment"] = _attachment(state, record.attachment)
        answer["Attachment"]["InstanceId"] = record.attachment.instance_id
        answer["Attachment"]["InstanceOwnerId"] = state.account
    return answer


def instance(state: Ec2State, record: Instance, interfaces: Sequence[Interface]) -> dict[str, Any]:
    """An Instance with its interfaces by device index."""
    attached = sorted(
        ((one.attachment, one) for one in interfaces if one.attachment is not None),
        key=lambda pair: (pair[0].card_index, pair[0].device_index),
    )
    shown_interfaces = [
        _common(state, one) | {"Attachment": _attachment(state, attachment)} for attachment, one in attached
    ]
    if record.state == "shutting-down" and state.behaviour.dying_without_ids:
        for one in shown_interfaces:
            del one["NetworkInterfaceId"]
    answer: dict[str, Any] = {
        "InstanceId": record.id,
        "ImageId": "ami-00000000000000001",
        "InstanceType": record.instance_type,
        "Architecture": "x86_64",
        "Hypervisor": "xen",  # EC2 says so of Nitro instances, too
        "LaunchTime": _moment(record.launch_time),
        "AmiLaunchIndex": 0,
        "State": {"Code": _STATE_CODES[record.state], "Name": record.state},
        "Placement": {"AvailabilityZone": record.az, "Tenancy": "default"},
        "PlatformDetails": "Windows" if record.platform else "Linux/UNIX",
        "Tags": shown(record.tags),
        "NetworkInterfaces": shown_interfaces,
        "SecurityGroups": [],
    }
    if record.platform:
        answer["Platform"] = record.platform
    if record.state != "terminated":
        primary = attached[0][1] if attached else None
        answer |= {
            "SubnetId": record.subnet_id,
            "VpcId": record.vpc_id,
            "PrivateIpAddress": record.private_ip,
            "PrivateDnsName": _dns(state, record.private_ip),
            "SecurityGroups": _groups(state, primary.groups if primary else record.groups),
        }
    return answer


def instance_state(record: Instance) -> dict[str, Any]:
    """An InstanceState."""
    return {"Code": _STATE_CODES[record.state], "Name": record.state}


def subnet(state: Ec2State, record: Subnet) -> dict[str, Any]:
    """A Subnet with the number of addresses still free."""
    ipv6 = []
    if record.ipv6_cidr is not None:
        ipv6.append(
            {
                "AssociationId": f"subnet-cidr-assoc-{record.id.removeprefix('subnet-')}",
                "Ipv6CidrBlock": record.ipv6_cidr,
                "Ipv6CidrBlockState": {"State": "associated"},
            }
        )
    return {
        "SubnetId": record.id,
        "SubnetArn": f"arn:aws:ec2:{state.region}:{state.account}:subnet/{record.id}",
        "VpcId": record.vpc_id,
        "CidrBlock": record.cidr,
        "AvailabilityZone": record.az,
        "AvailabilityZoneId": _zone_id(record.az),
        "AvailableIpAddressCount": state.books[record.id].free,
        "AssignIpv6AddressOnCreation": record.assign_ipv6,
        "Ipv6CidrBlockAssociationSet": ipv6,
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": False,
        "State": "available",
        "OwnerId": state.account,
        "Tags": shown(record.tags),
    }


def vpc(state: Ec2State, record: Vpc) -> dict[str, Any]:
    """A Vpc."""
    return {
        "VpcId": record.id,
        "CidrBlock": record.cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": f"vpc-cidr-assoc-{record.id.removeprefix('vpc-')}",
                "CidrBlock": record.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "State": "available",
        "IsDefault": False,
        "InstanceTenancy": "default",
        "OwnerId": state.account,
        "Tags": shown(record.tags),
    }


def security_group(state: Ec2State, record: SecurityGroup) -> dict[str, Any]:
    """A SecurityGroup; rules are not modelled."""
    return {
        "GroupId": record.id,
        "GroupName": record.name,
        "Description": record.description,
        "VpcId": record.vpc_id,
        "OwnerId": state.account,
        "IpPermissions": [],
        "IpPermissionsEgress": [],
        "Tags": shown(record.tags),
    }


def association(record: Association) -> dict[str, Any]:
    """A TrunkInterfaceAssociation."""
    return {
        "AssociationId": record.id,
        "BranchInterfaceId": record.branch_id,
        "TrunkInterfaceId": record.trunk_id,
        "InterfaceProtocol": "VLAN",
        "VlanId": record.vlan_id,
        "Tags": shown(record.tags),
    }


def permission(record: Permission) -> dict[str, Any]:
    """A NetworkInterfacePermission."""
    return {
        "NetworkInterfacePermissionId": record.id,
        "NetworkInterfaceId": record.interface_id,
        "AwsAccountId": record.account,
        "Permission": record.permission,
        "PermissionState": {"State": "granted"},
    }


def instance_type(name: str, limits: InstanceLimits) -> dict[str, Any]:
    """An InstanceTypeInfo, as far as networking goes. EC2 does not show the number of branch interfaces."""
    answer: dict[str, Any] = {
        "InstanceType": name,
        "CurrentGeneration": limits.nitro,
        "BareMetal": limits.bare_metal,
        "NetworkInfo": {
            "MaximumNetworkInterfaces": limits.max_interfaces,
            "MaximumNetworkCards": limits.network_cards,
            "DefaultNetworkCardIndex": 0,
            "NetworkCards": [
                {"NetworkCardIndex": card, "MaximumNetworkInterfaces": interfaces_of_card(limits, card)}
                for card in range(limits.network_cards)
            ],
            "Ipv4AddressesPerInterface": limits.ipv4_per_interface,
            "Ipv6AddressesPerInterface": limits.ipv4_per_interface,
            "Ipv6Supported": True,
            "EnaSupport": "required" if limits.nitro else "unsupported",
        },
    }
    if not limits.bare_metal:
        answer["Hypervisor"] = "nitro" if limits.nitro else "xen"
    return answer
