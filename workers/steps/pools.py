"""Steps about a Windows node's addresses. None has a client token: after an unknown outcome the pool is inspected."""

from common.model.actions import AssignAddresses, AssignPrefixes, InspectPool, UnassignAddresses, UnassignPrefixes
from common.model.ec2 import Interface
from common.model.errors import NotFound
from common.model.ids import Ipv4, Prefix
from workers.steps.ports import Ports
from workers.steps.table import step


@step(InspectPool)
def inspect_pool(action: InspectPool, ports: Ports) -> Interface:
    found = next(iter(ports.ec2.describe_interfaces(ids=[action.eni_id])), None)
    if found is None:
        raise NotFound("InvalidNetworkInterfaceID.NotFound", f"The interface {action.eni_id} is not shown")
    return found


@step(AssignAddresses)
def assign_addresses(action: AssignAddresses, ports: Ports) -> tuple[Ipv4, ...]:
    return ports.ec2.assign_private_ip_addresses(action.eni_id, action.count)


@step(AssignPrefixes)
def assign_prefixes(action: AssignPrefixes, ports: Ports) -> tuple[Prefix, ...]:
    return ports.ec2.assign_ipv4_prefixes(action.eni_id, action.count)


@step(UnassignAddresses)
def unassign_addresses(action: UnassignAddresses, ports: Ports) -> None:
    ports.ec2.unassign_private_ip_addresses(action.warrant)


@step(UnassignPrefixes)
def unassign_prefixes(action: UnassignPrefixes, ports: Ports) -> None:
    ports.ec2.unassign_ipv4_prefixes(action.warrant)
