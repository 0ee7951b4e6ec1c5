"""EC2's answers, as boto3 gives them, in our shapes. A field that EC2 always sends and that is missing is an answer cut
short: KeyError, which the caller reports as Unsure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.model.ec2 import Instance, Interface, Subnet
from common.model.ids import AttachmentId, EniId, GroupId, InstanceId, Ipv4, Prefix, SubnetId
from common.model.limits import InstanceLimits

Answer = Mapping[str, Any]


def _of_attachment(attachment: Answer, instance_id: str | None) -> dict[str, Any]:
    if not attachment:
        return {}
    return {
        "instance_id": InstanceId(instance_id) if instance_id else None,
        "attachment_id": AttachmentId(attachment["AttachmentId"]) if attachment.get("AttachmentId") else None,
        "attachment_status": attachment.get("Status"),
        "device_index": attachment.get("DeviceIndex"),
        "network_card": attachment.get("NetworkCardIndex") or 0,
        "delete_on_termination": bool(attachment.get("DeleteOnTermination", False)),
    }


def interface(raw: Answer, instance_id: str | None = None) -> Interface:
    """Of DescribeNetworkInterfaces and CreateNetworkInterface, or of an instance's list of interfaces, which names
    neither the instance nor the tags."""
    addresses = raw.get("PrivateIpAddresses") or ()
    primary = raw.get("PrivateIpAddress") or next((a["PrivateIpAddress"] for a in addresses if a.get("Primary")), "")
    v6 = [address["Ipv6Address"] for address in raw.get("Ipv6Addresses") or ()]
    attachment: Answer = raw.get("Attachment") or {}
    return Interface(
        eni_id=EniId(raw["NetworkInterfaceId"]),
        subnet_id=SubnetId(raw["SubnetId"]),
        vpc_id=raw.get("VpcId", ""),
        status=raw.get("Status", ""),
        type=raw.get("InterfaceType") or "interface",
        description=raw.get("Description", ""),
        mac=raw.get("MacAddress", ""),
        primary_ip=Ipv4(primary),
        secondary_ips=tuple(
            Ipv4(a["PrivateIpAddress"]) for a in addresses if not a.get("Primary") and a["PrivateIpAddress"] != primary
        ),
        prefixes=tuple(Prefix(prefix["Ipv4Prefix"]) for prefix in raw.get("Ipv4Prefixes") or ()),
        ipv6=v6[0] if v6 else raw.get("Ipv6Address", ""),
        groups=tuple(GroupId(group["GroupId"]) for group in raw.get("Groups") or ()),
        tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("TagSet") or ()},
        **_of_attachment(attachment, attachment.get("InstanceId") or instance_id),
    )


def instance(raw: Answer) -> Instance:
    instance_id = raw["InstanceId"]
    items = raw.get("NetworkInterfaces") or ()
    named = [one for one in items if one.get("NetworkInterfaceId")]
    return Instance(
        instance_id=InstanceId(instance_id),
        instance_type=raw["InstanceType"],
        state=raw["State"]["Name"],
        subnet_id=SubnetId(raw.get("SubnetId", "")),
        vpc_id=raw.get("VpcId", ""),
        interfaces=tuple(interface(one, instance_id) for one in named),
        whole=len(named) == len(items),
    )


def subnet(raw: Answer) -> Subnet:
    v6 = (
        block["Ipv6CidrBlock"]
        for block in raw.get("Ipv6CidrBlockAssociationSet") or ()
        if block.get("Ipv6CidrBlockState", {}).get("State", "associated") == "associated"
    )
    return Subnet(
        subnet_id=SubnetId(raw["SubnetId"]), vpc_id=raw["VpcId"], cidr=raw["CidrBlock"], ipv6_cidr=next(v6, "")
    )


def instance_limits(raw: Answer) -> InstanceLimits:
    """The limits of a type, as far as EC2 gives them: how many branch interfaces it takes is not among it, so it gets
    none. Bare metal has no hypervisor to name, and is Nitro."""
    network = raw["NetworkInfo"]
    cards = network.get("NetworkCards") or ()
    default = network.get("DefaultNetworkCardIndex", 0)
    most = network["MaximumNetworkInterfaces"]
    bare_metal = bool(raw.get("BareMetal", False))
    return InstanceLimits(
        instance_type=raw["InstanceType"],
        max_interfaces=most,
        ipv4_per_interface=network["Ipv4AddressesPerInterface"],
        max_branch_interfaces=0,
        default_card_interfaces=next(
            (card["MaximumNetworkInterfaces"] for card in cards if card.get("NetworkCardIndex", 0) == default), most
        ),
        network_cards=network.get("MaximumNetworkCards", len(cards) or 1),
        nitro=bare_metal or raw.get("Hypervisor") == "nitro",
        bare_metal=bare_metal,
    )


def filters(wanted: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, values in wanted.items()]


def tags(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in wanted.items()]


def chunks(values: Iterable[str], size: int) -> list[list[str]]:
    """The distinct values, in order, in lists of at most `size`."""
    distinct = list(dict.fromkeys(values))
    return [distinct[start : start + size] for start in range(0, len(distinct), size)]
