"""Steps about a Windows node's addresses. None has a client token: after an unknown outcome the pool is inspected."""

from common.model.actions import AssignAddresses, AssignPrefixes, InspectPool, UnassignAddresses, UnassignPrefixes
from common.model.ec2 import Interface
from common.model.errors import NotFound
from common.model.ids import Ipv4, Prefix
from workers.steps.ports import Ports


def inspect_pool(action: InspectPool, ports: Ports) -> Interface:
    found = next(iter(ports.ec2.describe_interfaces(ids=[action.eni_id])), None)
    if found is None:
        raise NotFound("InvalidNetworkInterfaceID.NotFound", f"The interface {action.eni_id} is not shown")
    return found


def assign_addresses(action: AssignAddresses, ports: Ports) -> tuple[Ipv4, ...]:
    return ports.ec2.assign_private_ip_addresses(action.eni_id, action.count)


def assign_prefixes(action: AssignPrefixes, ports: Ports) -> tuple[Prefix, ...]:
    return ports.ec2.assign_ipv4_prefixes(action.eni_id, action.count)


def unassign_addresses(action: UnassignAddresses, ports: Ports) -> None:
    ports.ec2.unassign_private_ip_addresses(action.warrant)


def unassign_prefixes(action: UnassignPrefixes, ports: Ports) -> None:
    ports.ec2.unassign_ipv4_prefixes(action.warrant)
