"""CreateNetworkInterface, ModifyNetworkInterfaceAttribute and DeleteNetworkInterface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sandbox.ec2 import render, tagging
from sandbox.ec2.actions import trunks
from sandbox.ec2.addresses import AddressBook
from sandbox.ec2.errors import Ec2Fault, not_found
from sandbox.ec2.records import Interface, Subnet
from sandbox.ec2.state import Ec2State, Params, Result, required

#: The most addresses an interface can have on any instance type; what an unattached interface is held to.
MAX_ADDRESS_SLOTS = 50
_TYPES = frozenset({"interface", "trunk", "branch", "efa", "efa-only"})
_ADDRESSING = ("SecondaryPrivateIpAddressCount", "Ipv4PrefixCount", "Ipv4Prefixes")


def create(state: Ec2State, params: Params) -> Result:
    """CreateNetworkInterface: available at once, with addresses out of the subnet."""
    subnet = state.subnet(required(params, "SubnetId"))
    interface_type = params.get("InterfaceType") or "interface"
    if interface_type not in _TYPES:
        raise Ec2Fault("InvalidParameterValue", f"Invalid value '{interface_type}' for InterfaceType.")
    if len(set(params.get("Groups") or ())) > state.behaviour.groups_per_interface:
        raise Ec2Fault("InvalidParameterValue", "Too many security groups for a network interface.")
    groups = checked_groups(state, subnet.vpc_id, params.get("Groups") or ())
    tags = tagging.from_specifications(params.get("TagSpecifications") or (), "network-interface")
    if len(state.interfaces) >= state.behaviour.interfaces_per_region:
        raise Ec2Fault("NetworkInterfaceLimitExceeded", "The maximum number of network interfaces has been reached.")
    primary, secondary, prefixes = _take_addresses(state.books[subnet.id], params)
    try:
        ipv6 = state.books[subnet.id].take_ipv6(params.get("Ipv6AddressCount") or int(subnet.assign_ipv6))
    except Ec2Fault:
        give_back(state, subnet.id, (primary, *secondary), prefixes)
        raise
    made = add(
        state, subnet, interface_type=interface_type, groups=groups, tags=tags, primary=primary, secondary=secondary,
        prefixes=prefixes, ipv6=ipv6, description=params.get("Description") or "",
    )  # fmt: skip
    result: Result = {"NetworkInterface": render.interface(state, made)}
    if params.get("ClientToken"):
        result["ClientToken"] = params["ClientToken"]
    return result


def add(
    state: Ec2State,
    subnet: Subnet,
    *,
    groups: tuple[str, ...],
    primary: str,
    interface_type: str = "interface",
    description: str = "",
    secondary: tuple[str, ...] = (),
    prefixes: tuple[str, ...] = (),
    ipv6: tuple[str, ...] = (),
    tags: dict[str, str] | None = None,
) -> Interface:
    """Put an interface whose addresses are already taken into the world."""
    made = Interface(
        id=state.ids.new("eni"),
        serial=state.ids.serial(),
        subnet_id=subnet.id,
        vpc_id=subnet.vpc_id,
        az=subnet.az,
        interface_type=interface_type,
        description=description,
        groups=groups,
        mac=state.ids.mac(),
        primary_ip=primary,
        requester=state.identity,
        created=state.now,
        secondary_ips=secondary,
        prefixes=prefixes,
        ipv6=ipv6,
        tags=tags or {},
    )
    state.interfaces.put(made, state.now)
    state.journal.step(made.id, state.now, "created")
    return made


def checked_groups(state: Ec2State, vpc_id: str, groups: Sequence[str]) -> tuple[str, ...]:
    """Groups for an interface, the VPC's default where none is named; each once.

    Raises InvalidSecurityGroupID.NotFound, InvalidParameterValue (another VPC's) and
    SecurityGroupsPerInterfaceLimitExceeded.
    """
    wanted = tuple(dict.fromkeys(groups))
    if not wanted:
        vpc = state.vpcs.get(vpc_id)
        return (vpc.default_group,) if vpc is not None else ()
    for identifier in wanted:
        group = state.group(identifier)
        if group.vpc_id != vpc_id:
            raise Ec2Fault("InvalidParameterValue", "You have specified two resources that belong to different VPCs.")
    if len(wanted) > state.behaviour.groups_per_interface:
        raise Ec2Fault(
            "SecurityGroupsPerInterfaceLimitExceeded",
            f"The maximum number of security groups per interface ({state.behaviour.groups_per_interface}) is reached.",
        )
    return wanted


def _take_addresses(book: AddressBook, params: Params) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Primary address, secondary addresses and prefixes of a new interface: all of them, or a fault and none."""
    if sum(bool(params.get(name)) for name in _ADDRESSING) > 1:
        raise Ec2Fault("InvalidParameterCombination", f"Only one of {', '.join(_ADDRESSING)} can be given.")
    listed = params.get("PrivateIpAddresses") or []
    given = [entry["PrivateIpAddress"] for entry in sorted(listed, key=lambda entry: not entry.get("Primary"))]
    if params.get("PrivateIpAddress"):
        given.insert(0, params["PrivateIpAddress"])
    count = params.get("SecondaryPrivateIpAddressCount") or 0
    wanted_prefixes = params.get("Ipv4Prefixes") or []
    prefix_count = params.get("Ipv4PrefixCount") or 0
    if max(len(given), 1) + count + prefix_count + len(wanted_prefixes) > MAX_ADDRESS_SLOTS:
        raise Ec2Fault("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")
    addresses: list[str] = []
    prefixes: list[str] = []
    try:
        for address in given:
            book.take_given(address)
            addresses.append(address)
        addresses.extend(book.take(count + (not given)))
        for wanted in wanted_prefixes:
            book.take_given_prefix(wanted["Ipv4Prefix"] if isinstance(wanted, dict) else wanted)
            prefixes.append(wanted["Ipv4Prefix"] if isinstance(wanted, dict) else wanted)
        prefixes.extend(book.take_prefixes(prefix_count))
    except Ec2Fault:
        for address in addresses:
            book.give_back(address)
        for prefix in prefixes:
            book.give_back_prefix(prefix)
        raise
    return addresses[0], tuple(addresses[1:]), tuple(prefixes)


def give_back(state: Ec2State, subnet_id: str, addresses: Sequence[str], prefixes: Sequence[str]) -> None:
    """Free addresses and prefixes of a subnet."""
    for address in addresses:
        state.books[subnet_id].give_back(address)
    for prefix in prefixes:
        state.books[subnet_id].give_back_prefix(prefix)


def modify(state: Ec2State, params: Params) -> Result:
    """ModifyNetworkInterfaceAttribute: one of Attachment, Groups, Description, SourceDestCheck."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    attributes = [n for n in ("Attachment", "Groups", "Description", "SourceDestCheck") if params.get(n) is not None]
    if len(attributes) != 1:
        raise Ec2Fault("InvalidParameterCombination", "Exactly one attribute must be given.")
    changed = replace(interface, **_changes(state, interface, attributes[0], params[attributes[0]]))
    state.interfaces.put(changed, state.now)
    state.journal.step(interface.id, state.now, "modified", attributes[0])
    return {}


def _changes(state: Ec2State, interface: Interface, attribute: str, value: Any) -> dict[str, Any]:
    match attribute:
        case "Groups":
            return {"groups": checked_groups(state, interface.vpc_id, value)}
        case "Description":
            return {"description": value.get("Value", "")}
        case "SourceDestCheck":
            return {"source_dest_check": bool(value.get("Value"))}
        case _:
            attachment_id = required(value, "AttachmentId")
            if interface.attachment is None or interface.attachment.id != attachment_id:
                raise not_found("attachment", attachment_id, "InvalidAttachmentID.NotFound")
            delete = bool(required(value, "DeleteOnTermination"))
            return {"attachment": replace(interface.attachment, delete_on_termination=delete)}


def delete(state: Ec2State, params: Params) -> Result:
    """DeleteNetworkInterface: refused while attached; an associated branch is disassociated on the way."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    if interface.attachment is not None:
        raise Ec2Fault("InvalidNetworkInterface.InUse", f"The network interface '{interface.id}' is currently in use.")
    drop(state, interface)
    return {}


def drop(state: Ec2State, interface: Interface) -> None:
    """Take an interface out of the world with its permissions, associations and addresses."""
    for association in state.associations.indexed(("branch", interface.id)):
        trunks.end_association(state, association, "implicitly disassociated")
    free_branches(state, interface)
    for permission in state.permissions.indexed(("interface", interface.id)):
        state.permissions.remove(permission.id, state.now)
    give_back(state, interface.subnet_id, (interface.primary_ip, *interface.secondary_ips), interface.prefixes)
    state.interfaces.remove(interface.id, state.now)
    state.journal.step(interface.id, state.now, "deleted")


def free_branches(state: Ec2State, trunk: Interface) -> None:
    """End all associations of a trunk that is no more, or is no longer on its instance: branches are `available`."""
    for association in state.associations.indexed(("trunk", trunk.id)):
        trunks.end_association(state, association, "lost its trunk")
