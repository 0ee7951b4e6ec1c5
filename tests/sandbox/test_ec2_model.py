"""Properties that hold whatever is done to the model: addresses, slots, VLAN ids, ids and speed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.ec2 import Ec2Behaviour, Ec2Fault, Ec2World
from tests.kit.clock import VirtualClock
from tests.sandbox.ec2_fixtures import small_world

SUBNET_ADDRESSES = 64
EXPECTED_REFUSALS = frozenset(
    {
        "InsufficientFreeAddressesInSubnet",
        "InsufficientCidrBlocks",
        "PrivateIpAddressLimitExceeded",
        "InvalidIPAddress.InUse",
        "AttachmentLimitExceeded",
        "InvalidNetworkInterface.InUse",
        "InvalidParameterValue",
    }
)


class AddressLife(RuleBasedStateMachine):
    """Interfaces, addresses and prefixes come and go in a /26, which often runs out of them."""

    def __init__(self) -> None:
        super().__init__()
        self.ec2 = small_world(cidr="10.0.0.0/26")

    def _try(self, action: str, params: dict[str, Any]) -> None:
        free = self._free()
        try:
            self.ec2.world.invoke(action, params)
        except Ec2Fault as fault:
            if fault.code not in EXPECTED_REFUSALS:
                raise
        else:
            return
        assert self._free() == free, "a refused call changed the subnet"

    def _free(self) -> int:
        ((_, free),) = self.ec2.world.subnets()
        return free

    def _pick(self, data: st.DataObject) -> Any:
        return data.draw(st.sampled_from(self.ec2.world.interfaces()))

    @rule(secondaries=st.integers(0, 4), prefixes=st.integers(0, 1))
    def create(self, secondaries: int, prefixes: int) -> None:
        extra = {"Ipv4PrefixCount": prefixes} if prefixes else {"SecondaryPrivateIpAddressCount": secondaries}
        self._try("CreateNetworkInterface", {"SubnetId": self.ec2.subnet, **extra})

    @rule(host=st.integers(0, SUBNET_ADDRESSES - 1))
    def create_with_a_given_address(self, host: int) -> None:
        self._try("CreateNetworkInterface", {"SubnetId": self.ec2.subnet, "PrivateIpAddress": f"10.0.0.{host}"})

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self._try("DeleteNetworkInterface", {"NetworkInterfaceId": self._pick(data).id})

    @rule(data=st.data(), index=st.integers(1, 3))
    def attach(self, data: st.DataObject, index: int) -> None:
        params = {
            "NetworkInterfaceId": self._pick(data).id,
            "InstanceId": self.ec2.instance,
            "DeviceIndex": index,
        }
        self._try("AttachNetworkInterface", params)

    @rule(
        data=st.data(),
        count=st.integers(1, 12),
        way=st.sampled_from(["SecondaryPrivateIpAddressCount", "Ipv4PrefixCount"]),
    )
    def assign(self, data: st.DataObject, count: int, way: str) -> None:
        self._try("AssignPrivateIpAddresses", {"NetworkInterfaceId": self._pick(data).id, way: count})

    @rule(data=st.data(), host=st.integers(0, SUBNET_ADDRESSES - 1), reassign=st.booleans())
    def assign_a_given_address(self, data: st.DataObject, host: int, reassign: bool) -> None:
        params = {
            "NetworkInterfaceId": self._pick(data).id,
            "PrivateIpAddresses": [f"10.0.0.{host}"],
            "AllowReassignment": reassign,
        }
        self._try("AssignPrivateIpAddresses", params)

    @rule(data=st.data(), blocks=st.lists(st.integers(0, 3), min_size=1, max_size=3))
    def assign_given_prefixes(self, data: st.DataObject, blocks: list[int]) -> None:
        prefixes = [f"10.0.0.{16 * block}/28" for block in blocks]
        self._try("AssignPrivateIpAddresses", {"NetworkInterfaceId": self._pick(data).id, "Ipv4Prefixes": prefixes})

    @rule(data=st.data())
    def unassign(self, data: st.DataObject) -> None:
        interface = self._pick(data)
        params: dict[str, Any] = {"NetworkInterfaceId": interface.id}
        if interface.secondary_ips:
            params["PrivateIpAddresses"] = [data.draw(st.sampled_from(interface.secondary_ips))]
        if interface.prefixes:
            params["Ipv4Prefixes"] = list(interface.prefixes)
        if len(params) > 1:
            self._try("UnassignPrivateIpAddresses", params)

    @invariant()
    def no_address_is_given_twice_and_the_subnet_counts_right(self) -> None:
        held: list[IPv4Address] = []
        for interface in self.ec2.world.interfaces():
            held += map(IPv4Address, (interface.primary_ip, *interface.secondary_ips))
            for prefix in interface.prefixes:
                held += list(IPv4Network(prefix))
        assert len(held) == len(set(held))
        reserved = {IPv4Address(f"10.0.0.{host}") for host in (0, 1, 2, 3, SUBNET_ADDRESSES - 1)}
        assert not reserved & set(held)
        assert self._free() == SUBNET_ADDRESSES - len(reserved) - len(held)

    @invariant()
    def an_attached_interface_keeps_to_its_types_limit(self) -> None:
        for interface in self.ec2.world.interfaces():
            if interface.attachment is not None:
                assert interface.address_slots <= 10


TestAddressLife = AddressLife.TestCase
TestAddressLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=50, deadline=None)
@given(calls=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y"])), max_size=20))
def test_a_token_stands_for_one_interface(calls: list[tuple[str, str]]) -> None:
    ec2 = small_world()
    made: dict[str, tuple[str, str]] = {}
    for token, description in calls:
        params = {"SubnetId": ec2.subnet, "ClientToken": token, "Description": description}
        if token in made and made[token][0] != description:
            with pytest.raises(Ec2Fault, match="IdempotentParameterMismatch"):
                ec2.world.invoke("CreateNetworkInterface", params)
            continue
        answer = ec2.world.invoke("CreateNetworkInterface", params)["NetworkInterface"]["NetworkInterfaceId"]
        assert made.setdefault(token, (description, answer)) == (description, answer)
    assert len(ec2.world.interfaces()) == 1 + len(made)


def test_answers_can_be_changed_without_changing_the_world() -> None:
    ec2 = small_world()
    params = {"SubnetId": ec2.subnet, "ClientToken": "t"}
    ec2.world.invoke("CreateNetworkInterface", params)["NetworkInterface"]["Groups"].clear()
    assert ec2.world.invoke("CreateNetworkInterface", params)["NetworkInterface"]["Groups"]


def test_threads_never_share_an_address_or_a_vlan() -> None:
    ec2 = small_world(cidr="10.0.0.0/20")
    trunk = ec2.trunk()

    def branch(attempt: int) -> None:
        try:
            ec2.branch(trunk, 1 + attempt % 9)
        except Ec2Fault as fault:
            if fault.code != "InvalidParameterValue":
                raise

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(branch, range(200)))
    associations = ec2.world.associations()
    assert sorted(one.vlan_id for one in associations) == list(range(1, 10))
    addresses = [one.primary_ip for one in ec2.world.interfaces()]
    assert len(addresses) == len(set(addresses)) == 202


def test_a_freed_address_is_not_given_again_at_once() -> None:
    ec2 = small_world()
    first = ec2.create()
    address = next(one.primary_ip for one in ec2.world.interfaces() if one.id == first)
    ec2.world.invoke("DeleteNetworkInterface", {"NetworkInterfaceId": first})
    second = ec2.create()
    assert next(one.primary_ip for one in ec2.world.interfaces() if one.id == second) != address


def test_every_time_of_the_past_two_minutes_can_be_shown() -> None:
    """A reader with a lag of L sees exactly what was there L ago."""
    ec2 = small_world()
    ec2.clock.sleep(10)
    counts: list[int] = []
    for _ in range(30):
        counts.append(len(ec2.world.interfaces()))
        ec2.clock.sleep(1)
        ec2.create()
    for lag, expected in enumerate([len(ec2.world.interfaces()), *reversed(counts)]):
        ec2.world.behave(ec2.world.behaviour.changed({"describe_lag": (lag, lag)}))
        shown = ec2.world.invoke("DescribeNetworkInterfaces", {})["NetworkInterfaces"]
        assert len(shown) == expected


def test_next_due_tells_when_an_attachment_completes() -> None:
    ec2 = small_world(Ec2Behaviour.instant(attach_delay=(1.5, 1.5)))
    interface = ec2.create()
    start = ec2.clock.now()
    assert ec2.world.next_due() is None
    ec2.world.invoke(
        "AttachNetworkInterface", {"NetworkInterfaceId": interface, "InstanceId": ec2.instance, "DeviceIndex": 1}
    )
    assert ec2.world.next_due() == start + 1.5


def test_a_world_is_made_quickly_and_describes_a_page_quickly() -> None:
    started = time.perf_counter()
    world = Ec2World(clock=VirtualClock().now, settings=Ec2Behaviour.instant())
    made = time.perf_counter() - started
    subnet = world.add_subnet(vpc_id=world.add_vpc(), cidr="10.0.0.0/16")
    for _ in range(1000):
        world.arrange("CreateNetworkInterface", {"SubnetId": subnet})
    fastest = min(_timed(world) for _ in range(5))
    assert made < 0.02
    assert fastest < 0.05


def _timed(world: Ec2World) -> float:
    started = time.perf_counter()
    assert len(world.invoke("DescribeNetworkInterfaces", {"MaxResults": 1000})["NetworkInterfaces"]) == 1000
    return time.perf_counter() - started
