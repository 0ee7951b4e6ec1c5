"""Names of things, as types: a signature of three bare strings is a bug waiting."""

import re
from typing import NewType

NodeName = NewType("NodeName", str)
InstanceId = NewType("InstanceId", str)
EniId = NewType("EniId", str)
AssociationId = NewType("AssociationId", str)
AttachmentId = NewType("AttachmentId", str)
SubnetId = NewType("SubnetId", str)
GroupId = NewType("GroupId", str)
PodUid = NewType("PodUid", str)
VlanId = NewType("VlanId", int)
ClientToken = NewType("ClientToken", str)
BranchKey = NewType("BranchKey", str)
"""`<pod uid>.<ordinal>.<generation>` of a branch made here, `<interface id>` of one that was found."""
Ipv4 = NewType("Ipv4", str)
"""An IPv4 address without prefix length."""
Prefix = NewType("Prefix", str)
"""An IPv4 /28 in CIDR form, as EC2 assigns it."""

FIRST_VLAN = VlanId(1)
LAST_VLAN = VlanId(120)
"""The VPC CNI and EC2 agree on VLAN ids 1 to 120 of a trunk."""
UNKNOWN_VLAN = VlanId(0)
"""The VLAN id of a branch that was found in EC2 and that neither tag nor annotation gives."""

_INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")


def instance_id_of(provider_id: str) -> InstanceId | None:
    """The instance id in a node's `spec.providerID` (`aws:///us-west-2c/i-0123456789abcdef0`), or None where the
    last segment is no instance id (`i-` and 8 or 17 hexadecimal digits)."""
    last = provider_id.rsplit("/", 1)[-1]
    return InstanceId(last) if _INSTANCE_ID.fullmatch(last) else None


def zone_of(provider_id: str) -> str:
    """The availability zone in a node's `spec.providerID`, or "" where it names none."""
    return provider_id.rsplit("/", 2)[-2] if provider_id.startswith("aws:///") and provider_id.count("/") > 3 else ""
