"""What the filters of each Describe action look at (API reference, "Filter.N" of each)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.ec2.filters import Property, flag
from sandbox.ec2.limits import InstanceLimits
from sandbox.ec2.records import Association, Instance, Interface, Permission, SecurityGroup, Subnet, Vpc


def _attachment(read: Callable[[Any], Iterable[str]]) -> Property[Interface]:
    return lambda record: () if record.attachment is None else read(record.attachment)


def _association(record: Association) -> Iterable[str]:
    return (record.id,)


INTERFACE_FILTERS: Mapping[str, Property[Interface]] = {
    "attachment.attachment-id": _attachment(lambda one: (one.id,)),
    "attachment.delete-on-termination": _attachment(lambda one: flag(one.delete_on_termination)),
    "attachment.device-index": _attachment(lambda one: (str(one.device_index),)),
    "attachment.instance-id": _attachment(lambda one: (one.instance_id,)),
    "attachment.network-card-index": _attachment(lambda one: (str(one.card_index),)),
    "attachment.status": _attachment(lambda one: (one.status,)),
    "addresses.private-ip-address": lambda one: (one.primary_ip, *one.secondary_ips),
    "addresses.primary": lambda one: ("true", "false") if one.secondary_ips else ("true",),
    "availability-zone": lambda one: (one.az,),
    "description": lambda one: (one.description,),
    "group-id": lambda one: one.groups,
    "interface-type": lambda one: (one.shown_type,),
    "ipv6-addresses.ipv6-address": lambda one: one.ipv6,
    "mac-address": lambda one: (one.mac,),
    "network-interface-id": lambda one: (one.id,),
    "private-ip-address": lambda one: (one.primary_ip,),
    "requester-id": lambda one: (one.requester,),
    "source-dest-check": lambda one: flag(one.source_dest_check),
    "status": lambda one: (one.status,),
    "subnet-id": lambda one: (one.subnet_id,),
    "vpc-id": lambda one: (one.vpc_id,),
}
INSTANCE_FILTERS: Mapping[str, Property[Instance]] = {
    "availability-zone": lambda one: (one.az,),
    "instance-id": lambda one: (one.id,),
    "instance-state-name": lambda one: (one.state,),
    "instance-type": lambda one: (one.instance_type,),
    "private-ip-address": lambda one: (one.private_ip,),
    "subnet-id": lambda one: (one.subnet_id,),
    "vpc-id": lambda one: (one.vpc_id,),
}
SUBNET_FILTERS: Mapping[str, Property[Subnet]] = {
    "availability-zone": lambda one: (one.az,),
    "cidr-block": lambda one: (one.cidr,),
    "state": lambda one: ("available",),
    "subnet-id": lambda one: (one.id,),
    "vpc-id": lambda one: (one.vpc_id,),
}
VPC_FILTERS: Mapping[str, Property[Vpc]] = {
    "cidr": lambda one: (one.cidr,),
    "vpc-id": lambda one: (one.id,),
}
GROUP_FILTERS: Mapping[str, Property[SecurityGroup]] = {
    "group-id": lambda one: (one.id,),
    "group-name": lambda one: (one.name,),
    "vpc-id": lambda one: (one.vpc_id,),
}
PERMISSION_FILTERS: Mapping[str, Property[Permission]] = {
    "network-interface-permission.network-interface-id": lambda one: (one.interface_id,),
    "network-interface-permission.aws-account-id": lambda one: (one.account,),
    "network-interface-permission.permission": lambda one: (one.permission,),
}
ASSOCIATION_FILTERS: Mapping[str, Property[Association]] = {
    "association-id": _association,
    "gre-key": lambda one: (),
    "interface-protocol": lambda one: ("VLAN",),
}
TYPE_FILTERS: Mapping[str, Property[InstanceLimits]] = {
    "bare-metal": lambda one: flag(one.bare_metal),
    "hypervisor": lambda one: () if one.bare_metal else ("nitro" if one.nitro else "xen",),
    "instance-type": lambda one: (one.instance_type,),
}
