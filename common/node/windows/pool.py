"""The addresses of a Windows node: how many to hold, which to give to a pod, which to give back.

A node's primary interface has `slots` places beside its primary address; each holds one secondary address or one
prefix (/28, sixteen addresses). `reserved` are addresses that a pod's annotation names: whatever the ledger says of
them, they are neither given to another pod nor given back. What a look at EC2 did not show is neither, and counts as
nothing but a place. What no look has shown yet is given to a pod where there is nothing else.
"""

from collections.abc import Set as AbstractSet
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

import msgspec

from common.model.config import ClusterConfig
from common.model.ids import Ipv4, Prefix
from common.model.ledger import Address, AddressState, Pool

ADDRESSES_PER_PREFIX = 16
REST_SECONDS = 30.0
"""Between a pod's end and the next use of its address: connections to the dead pod must not reach another."""

_DEFAULT_WARM = 3
_DEFAULT_MINIMUM = 3
_DEFAULT_WARM_IN_PREFIX_MODE = 1
_NONE: frozenset[Ipv4] = frozenset()


class PoolMode(StrEnum):
    SECONDARY = "secondary"
    PREFIX = "prefix"


class WarmTargets(msgspec.Struct, frozen=True, kw_only=True):
    """What to hold in excess of need, all rules about missing, zero and negative values applied."""

    mode: PoolMode
    warm: int
    """Addresses kept free."""
    minimum: int
    """Floor of addresses, used and free."""
    warm_prefix: int | None = None
    """Prefixes kept wholly free; where it is set it stands alone, `warm` and `minimum` do not count."""


class GiveBack(msgspec.Struct, frozen=True, kw_only=True):
    addresses: tuple[Ipv4, ...] = ()
    prefixes: tuple[Prefix, ...] = ()


def mode_for(config: ClusterConfig, *, nitro: bool) -> PoolMode:
    """Only Nitro instances can have prefixes; others stay on secondary addresses."""
    return PoolMode.PREFIX if config.prefix_delegation and nitro else PoolMode.SECONDARY


def slots_of(ipv4_per_interface: int) -> int:
    return max(0, ipv4_per_interface - 1)


def capacity(ipv4_per_interface: int, mode: PoolMode) -> int:
    """Pods that the node can have: the extended resource that is advertised."""
    return slots_of(ipv4_per_interface) * (ADDRESSES_PER_PREFIX if mode is PoolMode.PREFIX else 1)


def targets_for(config: ClusterConfig, mode: PoolMode) -> WarmTargets:
    if mode is PoolMode.PREFIX:
        return _prefix_targets(config)
    if config.warm_ip is None and config.minimum_ip is None:
        return WarmTargets(mode=mode, warm=_DEFAULT_WARM, minimum=_DEFAULT_MINIMUM)
    # A key that is there counts, zero included; one address is kept warm in any case.
    warm, minimum = config.warm_ip or 0, config.minimum_ip or 0
    return WarmTargets(
        mode=mode,
        warm=_DEFAULT_WARM if warm < 0 else max(warm, 1),
        minimum=_DEFAULT_MINIMUM if minimum < 0 else minimum,
    )


def _prefix_targets(config: ClusterConfig) -> WarmTargets:
    """Neither target set nor a number of prefixes: the defaults of both targets, which is one prefix when idle."""
    warm, minimum, prefixes = (
        value if value is not None and value > 0 else None
        for value in (config.warm_ip, config.minimum_ip, config.warm_prefix)
    )
    alone = prefixes if warm is None and minimum is None else None
    return WarmTargets(
        mode=PoolMode.PREFIX,
        warm=_DEFAULT_WARM_IN_PREFIX_MODE if warm is None else warm,
        minimum=_DEFAULT_MINIMUM if minimum is None else minimum,
        warm_prefix=alone,
    )


def deviation(
    pool: Pool, targets: WarmTargets, slots: int, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE
) -> int:
    """How many addresses (secondary mode) or prefixes (prefix mode) to assign, in one call; negative: that many are
    too many. `waiting`: pods without an address. What is being assigned counts as free. 0 while the pool is suspect:
    its contents must be compared with EC2 first."""
    if pool.suspect:
        return 0
    if targets.mode is PoolMode.SECONDARY:
        wanted = deviation_addresses(pool, targets, waiting, reserved)
    else:
        wanted = deviation_prefixes(pool, targets, waiting, reserved)
    return min(wanted, max(0, slots - slots_taken(pool)))


def slots_taken(pool: Pool) -> int:
    """Whatever EC2 counts: addresses in any state, prefixes, of either mode, and what is being assigned."""
    secondary = sum(address.prefix is None for address in pool.addresses.values())
    return secondary + len(pool.prefixes.keys() | set(pool.releasing_prefixes)) + pool.assigning


def deviation_addresses(pool: Pool, targets: WarmTargets, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE) -> int:
    """Secondary addresses that are missing (positive) or too many, the slots apart. Resting addresses count towards
    the minimum, not as warm."""
    free = len(_warm(pool, reserved)) + pool.assigning
    held = pool.assigning + sum(
        address.prefix is None and address.state is not AddressState.RELEASING and address.ip not in pool.missing
        for address in pool.addresses.values()
    )
    return max(targets.warm + waiting - free, targets.minimum - held)


def deviation_prefixes(pool: Pool, targets: WarmTargets, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE) -> int:
    """Prefixes that are missing (positive) or too many, the slots apart. Resting addresses count as used."""
    held = _prefixes_held(pool)
    occupied = {prefix: len(_occupied(pool, prefix, reserved)) for prefix in held}
    if targets.warm_prefix is None:
        addresses = max(sum(occupied.values()) + waiting + targets.warm, targets.minimum)
        return _whole_prefixes(addresses) - len(held) - pool.assigning
    spare = sum(ADDRESSES_PER_PREFIX - used for used in occupied.values() if used)
    wanted = targets.warm_prefix + _whole_prefixes(max(0, waiting - spare))
    return wanted - sum(used == 0 for used in occupied.values()) - pool.assigning


def releasable(
    pool: Pool, targets: WarmTargets, slots: int, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE
) -> GiveBack:
    """What to give back now: of the present mode what is above the targets, the newest first, and of the other mode
    everything that is free and rested. Prefixes only when all their addresses are."""
    if pool.suspect:
        return GiveBack()
    excess = max(0, -deviation(pool, targets, slots, waiting, reserved))
    addresses = tuple(address.ip for address in reversed(_warm(pool, reserved)))
    prefixes = tuple(p for p in reversed(_prefixes_held(pool)) if not _occupied(pool, p, reserved))
    if targets.mode is PoolMode.SECONDARY:
        return GiveBack(addresses=addresses[:excess], prefixes=prefixes)
    return GiveBack(addresses=addresses, prefixes=prefixes[:excess])


def pick_address(pool: Pool, mode: PoolMode, reserved: AbstractSet[Ipv4] = _NONE) -> Address | None:
    """A free address for a pod, as a warm entry without a pod; None where there is none. Secondary: the one that has
    been free longest. Prefix: out of the prefix with the fewest free addresses left, so that others empty. Before
    either: one that a look has shown."""
    if mode is PoolMode.SECONDARY:
        warm = _warm(pool, reserved)
        return min(warm, key=lambda address: address.ip in pool.fresh, default=None)
    room = [(p, o) for p in _prefixes_held(pool) if len(o := _occupied(pool, p, reserved)) < ADDRESSES_PER_PREFIX]
    if not room:
        return None
    prefix, occupied = min(room, key=lambda one: (one[0] in pool.fresh, -len(one[1])))
    ip = next(ip for ip in addresses_of(prefix) if ip not in occupied)
    return Address(ip=ip, prefix=prefix, since=pool.prefixes[prefix])


def rested(pool: Pool, now: float) -> Pool:
    """The pool with every address whose rest is over free again."""
    done = {
        ip: address
        for ip, address in pool.addresses.items()
        if address.state is AddressState.COOLING and address.since + REST_SECONDS <= now and not address.unasked
    }
    if not done:
        return pool
    addresses: dict[Ipv4, Address] = {}
    for ip, address in pool.addresses.items():
        if ip not in done:
            addresses[ip] = address
        elif address.prefix is None:
            addresses[ip] = Address(ip=ip, state=AddressState.WARM, since=now)
    return msgspec.structs.replace(pool, addresses=addresses)


def next_rested_at(pool: Pool) -> float | None:
    """Epoch seconds at which the next resting address is free again."""
    resting = [
        a.since + REST_SECONDS for a in pool.addresses.values() if a.state is AddressState.COOLING and not a.unasked
    ]
    return min(resting, default=None)


def next_to_ask_at(pool: Pool) -> float | None:
    """Epoch seconds at which the next address found in EC2 has rested, and its owner is to be asked for."""
    unasked = [a.since + REST_SECONDS for a in pool.addresses.values() if a.unasked and a.state is AddressState.COOLING]
    return min(unasked, default=None)


@lru_cache(maxsize=4096)
def addresses_of(prefix: Prefix) -> tuple[Ipv4, ...]:
    """All sixteen: the first and the last of a prefix are as good as the others."""
    return tuple(Ipv4(str(address)) for address in IPv4Network(prefix, strict=False))


def _whole_prefixes(addresses: int) -> int:
    return -(-addresses // ADDRESSES_PER_PREFIX)


def _warm(pool: Pool, reserved: AbstractSet[Ipv4]) -> list[Address]:
    """Free secondary addresses, the one that has been free longest first."""
    free = [
        address
        for address in pool.addresses.values()
        if address.prefix is None
        and address.state is AddressState.WARM
        and address.ip not in reserved
        and address.ip not in pool.missing
    ]
    return sorted(free, key=lambda address: (address.since, IPv4Address(address.ip)))


def _prefixes_held(pool: Pool) -> list[Prefix]:
    """Usable prefixes, oldest first."""
    held = (p for p in pool.prefixes if p not in pool.releasing_prefixes and p not in pool.missing)
    return sorted(held, key=lambda prefix: (pool.prefixes[prefix], IPv4Network(prefix, strict=False)))


def _occupied(pool: Pool, prefix: Prefix, reserved: AbstractSet[Ipv4]) -> set[Ipv4]:
    return {ip for ip in addresses_of(prefix) if ip in pool.addresses or ip in reserved}
