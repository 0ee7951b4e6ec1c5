"""AssignPrivateIpAddresses and UnassignPrivateIpAddresses: secondary addresses and /28 prefixes."""

from __future__ import annotations

from dataclasses import replace

from sandbox.ec2.actions.interfaces import MAX_ADDRESS_SLOTS
from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.records import Interface
from sandbox.ec2.state import Ec2State, Params, Result, required

_WAYS = ("PrivateIpAddresses", "SecondaryPrivateIpAddressCount", "Ipv4Prefixes", "Ipv4PrefixCount")


def assign(state: Ec2State, params: Params) -> Result:
    """AssignPrivateIpAddresses: in one of four ways, all or nothing."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    ways = [way for way in _WAYS if params.get(way)]
    if not ways:
        raise Ec2Fault("MissingParameter", f"The request must contain one of {', '.join(_WAYS)}.")
    if len(ways) > 1:
        raise Ec2Fault("InvalidParameterCombination", f"Only one of {', '.join(_WAYS)} can be given.")
    value = params[ways[0]]
    _check_room(state, interface, value if isinstance(value, int) else len(value), prefixes="Prefix" in ways[0])
    addresses: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    book = state.books[interface.subnet_id]
    match ways[0]:
        case "SecondaryPrivateIpAddressCount":
            addresses = book.take(value)
        case "Ipv4PrefixCount":
            prefixes = book.take_prefixes(value)
        case "PrivateIpAddresses":
            addresses = _take_given(state, interface, tuple(value), bool(params.get("AllowReassignment")))
        case _:
            prefixes = _take_given_prefixes(state, interface, tuple(value))
    changed = replace(
        interface,
        secondary_ips=interface.secondary_ips + addresses,
        prefixes=interface.prefixes + prefixes,
    )
    state.interfaces.put(changed, state.now)
    state.journal.step(interface.id, state.now, "assigned", " ".join(addresses + prefixes))
    return {
        "NetworkInterfaceId": interface.id,
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": address} for address in addresses],
        "AssignedIpv4Prefixes": [{"Ipv4Prefix": prefix} for prefix in prefixes],
    }


def _check_room(state: Ec2State, interface: Interface, count: int, *, prefixes: bool) -> None:
    most = MAX_ADDRESS_SLOTS
    if count <= 0:
        raise Ec2Fault("InvalidParameterValue", "The number to assign must be positive.")
    if interface.attachment is not None:
        limits = state.limits_of(state.instance(interface.attachment.instance_id))
        most = limits.ipv4_per_interface
        if prefixes and not limits.nitro:
            raise Ec2Fault("UnsupportedOperation", "The instance type does not support prefixes.")
    if interface.address_slots + count > most:
        raise Ec2Fault("PrivateIpAddressLimitExceeded", f"Number of private addresses will exceed limit of {most}.")


def _take_given(state: Ec2State, interface: Interface, wanted: tuple[str, ...], reassign: bool) -> tuple[str, ...]:
    book = state.books[interface.subnet_id]
    holders = {
        address: other
        for other in state.interfaces
        if reassign and other.subnet_id == interface.subnet_id and other.id != interface.id
        for address in other.secondary_ips
        if address in wanted
    }
    if len(set(wanted)) < len(wanted):
        raise Ec2Fault("InvalidParameterValue", "An address is given twice.")
    for address in wanted:
        if address not in holders:
            book.check_free(address)
    for address in wanted:
        if address not in holders:
            book.take_given(address)
            continue
        holder = state.interface(holders[address].id)
        rest = tuple(one for one in holder.secondary_ips if one != address)
        state.interfaces.put(replace(holder, secondary_ips=rest), state.now)
        state.journal.step(holder.id, state.now, "reassigned away", address)
    return wanted


def _take_given_prefixes(state: Ec2State, interface: Interface, wanted: tuple[str, ...]) -> tuple[str, ...]:
    book = state.books[interface.subnet_id]
    taken: list[str] = []
    try:
        for prefix in wanted:
            book.take_given_prefix(prefix)
            taken.append(prefix)
    except Ec2Fault:
        for prefix in taken:
            book.give_back_prefix(prefix)
        raise
    return wanted


def unassign(state: Ec2State, params: Params) -> Result:
    """UnassignPrivateIpAddresses: secondary addresses and prefixes, all or nothing."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    addresses = tuple(dict.fromkeys(params.get("PrivateIpAddresses") or ()))
    prefixes = tuple(dict.fromkeys(params.get("Ipv4Prefixes") or ()))
    if not addresses and not prefixes:
        raise Ec2Fault("MissingParameter", "The request must contain PrivateIpAddresses or Ipv4Prefixes.")
    if not set(addresses) <= set(interface.secondary_ips) or not set(prefixes) <= set(interface.prefixes):
        raise Ec2Fault(
            "InvalidParameterValue", f"Some of the specified addresses are not assigned to interface {interface.id}"
        )
    book = state.books[interface.subnet_id]
    for address in addresses:
        book.give_back(address)
    for prefix in prefixes:
        book.give_back_prefix(prefix)
    changed = replace(
        interface,
        secondary_ips=tuple(one for one in interface.secondary_ips if one not in addresses),
        prefixes=tuple(one for one in interface.prefixes if one not in prefixes),
    )
    state.interfaces.put(changed, state.now)
    state.journal.step(interface.id, state.now, "unassigned", " ".join(addresses + prefixes))
    return {}
