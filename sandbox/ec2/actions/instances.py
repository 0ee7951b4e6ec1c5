"""RunInstances (simple) and TerminateInstances, and the launch that seeding uses too."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sandbox.ec2 import render, tagging
from sandbox.ec2.actions import attachments, interfaces
from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.records import Instance, Subnet
from sandbox.ec2.state import Ec2State, Params, Result, required


def launch(
    state: Ec2State,
    subnet: Subnet,
    *,
    instance_type: str,
    groups: tuple[str, ...],
    private_ip: str | None = None,
    instance_id: str | None = None,
    platform: str | None = None,
    tags: dict[str, str] | None = None,
) -> Instance:
    """A running instance with its primary interface at device index 0, which goes when the instance goes.

    Raises InvalidParameterValue for an unknown type, and what taking an address raises.
    """
    if instance_type not in state.limits:
        raise Ec2Fault("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    book = state.books[subnet.id]
    if private_ip is None:
        (private_ip,) = book.take(1)
    else:
        book.take_given(private_ip)
    instance = Instance(
        id=instance_id or state.ids.new("i"),
        serial=state.ids.serial(),
        instance_type=instance_type,
        subnet_id=subnet.id,
        vpc_id=subnet.vpc_id,
        az=subnet.az,
        groups=groups,
        private_ip=private_ip,
        launch_time=state.now,
        platform=platform,
        tags=tags or {},
    )
    state.instances.put(instance, state.now)
    ipv6 = book.take_ipv6(int(subnet.assign_ipv6))
    primary = interfaces.add(state, subnet, groups=groups, primary=private_ip, ipv6=ipv6)
    attachments.attach_at_once(state, primary, instance, index=0)
    return instance


def run(state: Ec2State, params: Params) -> Result:
    """RunInstances: MaxCount instances of one type in one subnet."""
    subnet = state.subnet(required(params, "SubnetId"))
    count = required(params, "MaxCount")
    groups = interfaces.checked_groups(state, subnet.vpc_id, params.get("SecurityGroupIds") or ())
    tags = tagging.from_specifications(params.get("TagSpecifications") or (), "instance")
    if state.books[subnet.id].free < count:
        raise Ec2Fault("InsufficientFreeAddressesInSubnet", "The subnet does not have enough free addresses.")
    launched = [
        launch(state, subnet, instance_type=required(params, "InstanceType"), groups=groups, tags=tags)
        for _ in range(count)
    ]
    return {
        "ReservationId": state.ids.new("r"),
        "OwnerId": state.account,
        "Groups": [],
        "Instances": [render.instance(state, one, state.interfaces_of(one.id)) for one in launched],
    }


def terminate(state: Ec2State, params: Params) -> Result:
    """TerminateInstances: interfaces go, or become available, as their attachments say."""
    doomed = [state.instance(identifier) for identifier in required(params, "InstanceIds")]
    changes = []
    for before in doomed:
        if before.state not in {"terminated", "shutting-down"}:
            state.instances.put(replace(before, state="shutting-down"), state.now)
            state.after(state.behaviour.terminate_delay, partial(_terminated, state, before.id))
        after = state.instance(before.id)
        changes.append(
            {
                "InstanceId": before.id,
                "PreviousState": render.instance_state(before),
                "CurrentState": render.instance_state(after),
            }
        )
    return {"TerminatingInstances": changes}


def _terminated(state: Ec2State, instance_id: str) -> None:
    instance = state.instance(instance_id)
    for interface in state.interfaces_of(instance_id):
        attachment = interface.attachment
        free = replace(interface, attachment=None)
        state.interfaces.put(free, state.now)
        if attachment is not None and attachment.delete_on_termination:
            interfaces.drop(state, free)
        else:
            state.journal.step(interface.id, state.now, "detached", "instance terminated")
            interfaces.free_branches(state, interface)
    state.instances.put(replace(instance, state="terminated"), state.now)
    visible = state.behaviour.terminated_visible
    state.after((visible, visible), lambda: state.instances.remove(instance_id, state.now))
