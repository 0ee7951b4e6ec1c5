"""What every mode of a Windows node's pool goes by: slots, prefixes' addresses, and the rest between two pods.

A node's primary interface has `slots` places beside its primary address; each holds one secondary address or one
prefix (/28, sixteen addresses). What a look at EC2 did not show is neither given to a pod nor given back, and counts as
nothing but a place. What no look has shown yet is given to a pod where there is nothing else.
"""

from functools import lru_cache
from ipaddress import IPv4Network

import msgspec

from common.model.ids import Ipv4, Prefix
from common.model.ledger import Address, AddressState, Pool

ADDRESSES_PER_PREFIX = 16
REST_SECONDS = 30.0
"""Between a pod's end and the next use of its address: connections to the dead pod must not reach another."""


def slots_of(ipv4_per_interface: int) -> int:
    return max(0, ipv4_per_interface - 1)


def slots_taken(pool: Pool) -> int:
    """Whatever EC2 counts: addresses in any state, prefixes, of either mode, and what is being assigned."""
    secondary = sum(address.prefix is None for address in pool.addresses.values())
    return secondary + len(pool.prefixes.keys() | set(pool.releasing_prefixes)) + pool.assigning


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
