"""AttachNetworkInterface and DetachNetworkInterface."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sandbox.ec2.actions import trunks
from sandbox.ec2.errors import Ec2Fault, not_found
from sandbox.ec2.limits import InstanceLimits, interfaces_of_card
from sandbox.ec2.records import Attachment, Instance, Interface
from sandbox.ec2.state import Ec2State, Params, Result, required

_ATTACHABLE_STATES = frozenset({"pending", "running", "stopping", "stopped"})


def attach(state: Ec2State, params: Params) -> Result:
    """AttachNetworkInterface: `attaching`, and `attached` after the behaviour's delay."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    instance = state.instance(required(params, "InstanceId"))
    index = required(params, "DeviceIndex")
    card = params.get("NetworkCardIndex") or 0
    if instance.state not in _ATTACHABLE_STATES:
        raise Ec2Fault("IncorrectState", f"Instance '{instance.id}' is {instance.state}.")
    if interface.status != "available":
        raise Ec2Fault("InvalidNetworkInterface.InUse", f"The network interface '{interface.id}' is currently in use.")
    if interface.az != instance.az or interface.vpc_id != instance.vpc_id:
        raise Ec2Fault(
            "InvalidParameterCombination",
            "You may not attach a network interface to an instance if they are not in the same availability zone.",
        )
    present = state.interfaces_of(instance.id)
    limits = state.limits_of(instance)
    check_slot(instance, present, limits, index=index, card=card)
    if interface.address_slots > limits.ipv4_per_interface:
        raise Ec2Fault("PrivateIpAddressLimitExceeded", f"Number of addresses exceeds {limits.ipv4_per_interface}.")
    if interface.interface_type == "trunk":
        _check_trunk(instance, present, limits)
        trunks.check_permitted(state, interface)
    attachment = begin(state, interface, instance, index=index, card=card, delete_on_termination=False)
    state.after(state.behaviour.attach_delay, partial(_attached, state, interface.id, attachment.id))
    return {"AttachmentId": attachment.id, "NetworkCardIndex": card}


def check_slot(instance: Instance, present: list[Interface], limits: InstanceLimits, *, index: int, card: int) -> None:
    """Raise AttachmentLimitExceeded for one too many, InvalidParameterValue for an index out of range or taken."""
    room = interfaces_of_card(limits, card)
    if room == 0:
        raise Ec2Fault("InvalidParameterValue", f"{instance.instance_type} has no network card {card}.")
    taken = [one.attachment.device_index for one in present if one.attachment and one.attachment.card_index == card]
    if len(present) >= limits.max_interfaces or len(taken) >= room:
        raise Ec2Fault(
            "AttachmentLimitExceeded",
            f"Interface count {len(present) + 1} exceeds the limit for {instance.instance_type}",
        )
    if index in taken:
        raise Ec2Fault(
            "InvalidParameterValue",
            f"Instance '{instance.id}' already has an interface attached at device index '{index}'.",
        )
    if not 0 <= index < room:
        raise Ec2Fault("InvalidParameterValue", f"Invalid device index '{index}' for {instance.instance_type}.")


def _check_trunk(instance: Instance, present: list[Interface], limits: InstanceLimits) -> None:
    if limits.max_branch_interfaces == 0:
        raise Ec2Fault("UnsupportedOperation", f"{instance.instance_type} does not support trunk interfaces.")
    if any(one.interface_type == "trunk" for one in present):
        raise Ec2Fault("AttachmentLimitExceeded", f"Instance '{instance.id}' has a trunk interface already.")


def begin(
    state: Ec2State, interface: Interface, instance: Instance, *, index: int, card: int, delete_on_termination: bool
) -> Attachment:
    """Hang the interface on the instance as `attaching`."""
    attachment = Attachment(
        id=state.ids.new("eni-attach"),
        instance_id=instance.id,
        device_index=index,
        card_index=card,
        attach_time=state.now,
        status="attaching",
        delete_on_termination=delete_on_termination,
    )
    state.interfaces.put(replace(interface, attachment=attachment), state.now)
    state.journal.step(interface.id, state.now, "attaching", f"{instance.id}/{index}")
    return attachment


def _attached(state: Ec2State, interface_id: str, attachment_id: str) -> None:
    interface = state.interfaces.get(interface_id)
    if interface is None or interface.attachment is None or interface.attachment.id != attachment_id:
        return
    if interface.attachment.status == "attaching":
        attached = replace(interface.attachment, status="attached")
        state.interfaces.put(replace(interface, attachment=attached), state.now)
        state.journal.step(interface_id, state.now, "attached")


def attach_at_once(state: Ec2State, interface: Interface, instance: Instance, *, index: int) -> None:
    """Attach without a delay: interfaces that an instance is launched with, which go when it goes."""
    attachment = begin(state, interface, instance, index=index, card=0, delete_on_termination=True)
    _attached(state, interface.id, attachment.id)


def detach(state: Ec2State, params: Params) -> Result:
    """DetachNetworkInterface: `detaching`, and `available` after the behaviour's delay."""
    identifier = required(params, "AttachmentId")
    found = state.interfaces.indexed(("attachment", identifier))
    if not found or found[0].attachment is None:
        raise not_found("attachment", identifier, "InvalidAttachmentID.NotFound")
    interface, attachment = found[0], found[0].attachment
    if attachment.device_index == 0 and attachment.card_index == 0:
        raise Ec2Fault("OperationNotPermitted", "The network interface at device index 0 cannot be detached.")
    if attachment.status == "detaching":
        raise Ec2Fault("IncorrectState", f"Attachment '{identifier}' is detaching.")
    state.interfaces.put(replace(interface, attachment=replace(attachment, status="detaching")), state.now)
    state.journal.step(interface.id, state.now, "detaching")
    state.after(state.behaviour.detach_delay, partial(_detached, state, interface.id, identifier))
    return {}


def _detached(state: Ec2State, interface_id: str, attachment_id: str) -> None:
    interface = state.interfaces.get(interface_id)
    if interface is not None and interface.attachment is not None and interface.attachment.id == attachment_id:
        state.interfaces.put(replace(interface, attachment=None), state.now)
        state.journal.step(interface_id, state.now, "detached")
