"""EC2's actions: functions from state and parameters to a result, each raising EC2's errors before it changes
anything. No latency, request limits or injected faults here: those are the world's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sandbox.ec2.actions import assignments, attachments, describe, instances, interfaces, tags, trunks
from sandbox.ec2.state import Ec2State, Params, Result

Action = Callable[[Ec2State, Params], Result]

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "AssignPrivateIpAddresses": assignments.assign,
        "AssociateTrunkInterface": trunks.associate,
        "AttachNetworkInterface": attachments.attach,
        "CreateNetworkInterface": interfaces.create,
        "CreateNetworkInterfacePermission": trunks.create_permission,
        "CreateTags": tags.create,
        "DeleteNetworkInterface": interfaces.delete,
        "DeleteTags": tags.delete,
        "DescribeInstances": describe.instances,
        "DescribeInstanceTypes": describe.instance_types,
        "DescribeNetworkInterfacePermissions": describe.permissions,
        "DescribeNetworkInterfaces": describe.network_interfaces,
        "DescribeSecurityGroups": describe.security_groups,
        "DescribeSubnets": describe.subnets,
        "DescribeTrunkInterfaceAssociations": describe.associations,
        "DescribeVpcs": describe.vpcs,
        "DetachNetworkInterface": attachments.detach,
        "DisassociateTrunkInterface": trunks.disassociate,
        "ModifyNetworkInterfaceAttribute": interfaces.modify,
        "RunInstances": instances.run,
        "TerminateInstances": instances.terminate,
        "UnassignPrivateIpAddresses": assignments.unassign,
    }
)
