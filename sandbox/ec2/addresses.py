"""The address book of a subnet: which IPv4 addresses and /28 prefixes are taken.

EC2 reserves the first four addresses and the last one of every subnet (VPC user guide, "Subnet CIDR blocks").
Addresses are given in rotation, so that one just freed is not given again at once.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from sandbox.ec2.errors import Ec2Fault

RESERVED_AT_START = 4
RESERVED_AT_END = 1
PREFIX_ADDRESSES = 16
_FREE, _TAKEN = 0, 1
_FREE_PREFIX = bytes(PREFIX_ADDRESSES)


class AddressBook:
    """Addresses of one subnet. Every method either does all that was asked or raises and changes nothing."""

    def __init__(self, cidr: str, ipv6_cidr: str | None = None) -> None:
        network = IPv4Network(cidr)
        if not 16 <= network.prefixlen <= 28:
            raise Ec2Fault("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
        self._first = int(network.network_address)
        self._taken = bytearray(network.num_addresses)
        self._taken[:RESERVED_AT_START] = bytes([_TAKEN]) * RESERVED_AT_START
        self._taken[-RESERVED_AT_END:] = bytes([_TAKEN]) * RESERVED_AT_END
        self._cursor = 0
        self._ipv6 = None if ipv6_cidr is None else IPv6Network(ipv6_cidr)
        self._ipv6_given = 0

    @property
    def free(self) -> int:
        """AvailableIpAddressCount of the subnet."""
        return self._taken.count(_FREE)

    def take(self, count: int) -> tuple[str, ...]:
        """`count` free addresses. Raises InsufficientFreeAddressesInSubnet."""
        if count > self.free:
            raise Ec2Fault(
                "InsufficientFreeAddressesInSubnet",
                "The specified subnet does not have enough free addresses to satisfy the request.",
            )
        return tuple(self._take_next() for _ in range(count))

    def _take_next(self) -> str:
        at = self._taken.find(_FREE, self._cursor)
        if at < 0:
            at = self._taken.find(_FREE)
        self._taken[at] = _TAKEN
        self._cursor = at + 1
        return str(IPv4Address(self._first + at))

    def check_free(self, address: str) -> None:
        """Raise unless the address is of this subnet, not reserved and not in use."""
        at = self._offset(address)
        if self._taken[at] == _TAKEN:
            raise Ec2Fault("InvalidIPAddress.InUse", f"Address {address} is in use.")

    def take_given(self, address: str) -> None:
        """Take exactly this address. Raises InvalidIPAddress.InUse or InvalidParameterValue."""
        self.check_free(address)
        self._taken[self._offset(address)] = _TAKEN

    def take_prefixes(self, count: int) -> tuple[str, ...]:
        """`count` free aligned /28 blocks, from the subnet's upper end. Raises InsufficientCidrBlocks where the free
        addresses are scattered, InvalidParameterValue where there are not enough of them (as EC2 was seen to)."""
        if count * PREFIX_ADDRESSES > self.free:
            raise Ec2Fault("InvalidParameterValue", "The subnet does not have enough free addresses.")
        starts: list[int] = []
        for at in range(len(self._taken) - PREFIX_ADDRESSES, -1, -PREFIX_ADDRESSES):
            if len(starts) == count:
                break
            if self._taken[at : at + PREFIX_ADDRESSES] == _FREE_PREFIX:
                starts.append(at)
        if len(starts) < count:
            raise Ec2Fault(
                "InsufficientCidrBlocks",
                "The specified subnet does not have enough free cidr blocks to satisfy the request.",
            )
        for at in starts:
            self._mark(at, _TAKEN)
        return tuple(f"{IPv4Address(self._first + at)}/28" for at in starts)

    def take_given_prefix(self, prefix: str) -> None:
        """Take exactly this /28. Raises InvalidParameterValue or InsufficientCidrBlocks."""
        at = self._prefix_offset(prefix)
        if self._taken[at : at + PREFIX_ADDRESSES] != _FREE_PREFIX:
            raise Ec2Fault("InsufficientCidrBlocks", f"The prefix {prefix} is not free.")
        self._mark(at, _TAKEN)

    def give_back(self, address: str) -> None:
        """Free an address that was taken."""
        self._taken[self._offset(address)] = _FREE

    def give_back_prefix(self, prefix: str) -> None:
        """Free a prefix that was taken."""
        self._mark(self._prefix_offset(prefix), _FREE)

    def take_ipv6(self, count: int) -> tuple[str, ...]:
        """`count` IPv6 addresses, never given twice. Raises InvalidParameterValue where the subnet has no IPv6."""
        if count and self._ipv6 is None:
            raise Ec2Fault("InvalidParameterValue", "The subnet has no IPv6 CIDR block.")
        first = self._ipv6_given + RESERVED_AT_START
        self._ipv6_given += count
        return tuple(str(self._ipv6[first + n]) for n in range(count)) if self._ipv6 is not None else ()

    def _mark(self, at: int, value: int) -> None:
        self._taken[at : at + PREFIX_ADDRESSES] = bytes([value]) * PREFIX_ADDRESSES

    def _offset(self, address: str) -> int:
        try:
            at = int(IPv4Address(address)) - self._first
        except ValueError as error:
            raise Ec2Fault("InvalidParameterValue", f"Invalid IPv4 address {address}") from error
        if not RESERVED_AT_START <= at < len(self._taken) - RESERVED_AT_END:
            raise Ec2Fault("InvalidParameterValue", f"Address {address} is not within the subnet's usable range.")
        return at

    def _prefix_offset(self, prefix: str) -> int:
        try:
            network = IPv4Network(prefix)
        except ValueError as error:
            raise Ec2Fault("InvalidParameterValue", f"Invalid IPv4 prefix {prefix}") from error
        at = int(network.network_address) - self._first
        if network.num_addresses != PREFIX_ADDRESSES or not 0 <= at < len(self._taken):
            raise Ec2Fault("InvalidParameterValue", f"Prefix {prefix} is not a /28 of the subnet.")
        return at
