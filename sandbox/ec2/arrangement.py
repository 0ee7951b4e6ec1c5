"""Building the world that a test or a demo starts with, beside the calls that EC2 offers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sandbox.ec2.actions import ACTIONS, instances, interfaces
from sandbox.ec2.addresses import AddressBook
from sandbox.ec2.behaviour import Ec2Behaviour
from sandbox.ec2.records import SecurityGroup, Subnet, Vpc
from sandbox.ec2.seed import Seed
from sandbox.ec2.state import Ec2State, Params, Result


class Arrangement:
    """The state of a world with its lock and clock, and what puts VPCs, subnets, groups and instances into it."""

    def __init__(self, state: Ec2State, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.RLock()

    def arrange(self, action: str, params: Params, *, identity: str = "arranged") -> Result:
        """Carry out an action without limits, latency, delays, faults or journal entry of the call."""
        with self._lock:
            state, behaviour = self._state, self._state.behaviour
            state.settle(self._clock())
            state.identity = identity
            state.behaviour = Ec2Behaviour.instant(
                permission_required=False, terminated_visible=behaviour.terminated_visible
            )
            try:
                return ACTIONS[action](state, params)
            finally:
                state.behaviour = behaviour

    def add_vpc(self, *, cidr: str = "10.0.0.0/16", vpc_id: str | None = None) -> str:
        """A VPC with its default security group; returns its id."""
        with self._lock:
            state = self._state
            state.settle(self._clock())
            identifier, group = vpc_id or state.ids.new("vpc"), state.ids.new("sg")
            state.vpcs.put(Vpc(id=identifier, serial=state.ids.serial(), cidr=cidr, default_group=group), state.now)
            state.groups.put(
                SecurityGroup(
                    id=group, serial=state.ids.serial(), vpc_id=identifier, name="default", created=state.now
                ),
                state.now,
            )
            return identifier

    def add_subnet(
        self,
        *,
        vpc_id: str,
        cidr: str,
        az: str = "us-west-2a",
        ipv6_cidr: str | None = None,
        assign_ipv6: bool = False,
        subnet_id: str | None = None,
    ) -> str:
        """A subnet; returns its id. Raises Ec2Fault for a CIDR that EC2 would not take."""
        with self._lock:
            state = self._state
            state.settle(self._clock())
            subnet = Subnet(
                id=subnet_id or state.ids.new("subnet"), serial=state.ids.serial(), vpc_id=vpc_id, cidr=cidr, az=az,
                ipv6_cidr=ipv6_cidr, assign_ipv6=assign_ipv6 and ipv6_cidr is not None,
            )  # fmt: skip
            state.books[subnet.id] = AddressBook(cidr, ipv6_cidr)
            state.subnets.put(subnet, state.now)
            return subnet.id

    def add_security_group(self, *, vpc_id: str, name: str, group_id: str | None = None) -> str:
        """A security group; returns its id."""
        with self._lock:
            state = self._state
            state.settle(self._clock())
            group = SecurityGroup(
                id=group_id or state.ids.new("sg"), serial=state.ids.serial(), vpc_id=vpc_id, name=name,
                created=state.now,
            )  # fmt: skip
            state.groups.put(group, state.now)
            return group.id

    def add_instance(
        self,
        *,
        subnet_id: str,
        instance_type: str = "m5.large",
        groups: Sequence[str] = (),
        private_ip: str | None = None,
        instance_id: str | None = None,
        platform: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """A running instance with its primary interface at device index 0; returns its id. Raises Ec2Fault."""
        with self._lock:
            state = self._state
            state.settle(self._clock())
            state.identity = "arranged"
            subnet = state.subnet(subnet_id)
            return instances.launch(
                state, subnet, instance_type=instance_type, private_ip=private_ip, instance_id=instance_id,
                groups=interfaces.checked_groups(state, subnet.vpc_id, groups), platform=platform,
                tags=dict(tags or {}),
            ).id  # fmt: skip

    def terminate_instance(self, instance_id: str) -> None:
        """Terminate an instance without a call in the journal. Raises Ec2Fault for an unknown one."""
        self.arrange("TerminateInstances", {"InstanceIds": [instance_id]})

    def change_instance_type(self, instance_id: str, instance_type: str) -> None:
        """As stopping an instance, changing its type and starting it again: it keeps its interfaces."""
        with self._lock:
            state = self._state
            state.settle(self._clock())
            instance = state.instance(instance_id)
            state.instances.put(replace(instance, instance_type=instance_type), state.now)

    def load(self, seed: Seed) -> list[str]:
        """Add what the seed names to the first VPC, making one if there is none; returns the instances' ids."""
        with self._lock:
            state = self._state
            present = next(iter(state.vpcs), None)
            vpc_id = present.id if present else self.add_vpc(cidr=seed.vpc_cidr, vpc_id=seed.vpc_id)
            for subnet in seed.subnets:
                self.add_subnet(
                    vpc_id=vpc_id, cidr=subnet.cidr, az=subnet.az, ipv6_cidr=subnet.ipv6_cidr,
                    assign_ipv6=subnet.assign_ipv6, subnet_id=subnet.id,
                )  # fmt: skip
            for group in seed.groups:
                self.add_security_group(vpc_id=vpc_id, name=group.name, group_id=group.id)
            first = next(iter(state.subnets), None)
            return [
                self.add_instance(
                    subnet_id=node.subnet or (first.id if first else ""), instance_type=node.instance_type,
                    groups=node.groups, private_ip=node.private_ip, instance_id=node.instance_id,
                    platform=node.platform, tags=node.tags,
                )
                for node in seed.nodes
            ]  # fmt: skip
