"""What is in a Windows node's pool, by EC2's word, the pods' annotations and our own record."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

import msgspec

from common.decide.warm_pool import addresses_of
from common.model.ec2 import Interface
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, Pool
from common.model.pod import PodWish

LOOK_AGAIN_SECONDS = 20.0
"""Less than an address rests, more than EC2's Describe calls lag."""


def address_named(pod: PodWish) -> Ipv4 | None:
    """The address in a pod's annotation (`10.0.3.17/19`), None where there is none that can be read."""
    text = (pod.ip_annotation or "").split("/", 1)[0]
    try:
        return Ipv4(str(IPv4Address(text)))
    except ValueError:
        return None


def reserved(pods: Mapping[PodUid, PodWish]) -> dict[Ipv4, PodWish]:
    """Addresses that living pods' annotations name."""
    named = ((address_named(pod), pod) for pod in pods.values() if not pod.finished)
    return {ip: pod for ip, pod in named if ip is not None}


def prefix_of(ip: Ipv4, prefixes: Mapping[Prefix, float]) -> Prefix | None:
    return next((prefix for prefix in prefixes if ip in addresses_of(prefix)), None)


def adopted_pool(primary: Interface, pods: Mapping[PodUid, PodWish], now: float) -> Pool:
    """A pool without a record: what a living pod's annotation names is that pod's; a secondary address that nobody
    names may have been a pod's a moment ago, and rests; so does every address of a prefix."""
    named = reserved(pods)
    prefixes = dict.fromkeys(primary.prefixes, now)
    addresses: dict[Ipv4, Address] = {}
    for ip in primary.secondary_ips:
        addresses[ip] = _taken(ip, None, named.get(ip), now)
    for prefix in prefixes:
        for ip in addresses_of(prefix):
            addresses[ip] = _taken(ip, prefix, named.get(ip), now)
    return Pool(addresses=addresses, prefixes=prefixes, suspect=False)


def _taken(ip: Ipv4, prefix: Prefix | None, pod: PodWish | None, now: float) -> Address:
    if pod is None:
        return Address(ip=ip, prefix=prefix, state=AddressState.COOLING, since=now)
    return Address(
        ip=ip,
        prefix=prefix,
        state=AddressState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        annotated=True,
        since=now,
    )


def compared(pool: Pool, primary: Interface, now: float) -> tuple[Pool, bool]:
    """The pool after a look at EC2, and whether something was found that is not in the record (then the look is
    repeated before that has rested: EC2's answers can be older than our last call).

    What is not in the record rests first, even where a call of ours with unknown outcome may have brought it: it may
    as well be what we gave back a moment ago. What is gone is dropped, except what a pod has; a pod's annotation that
    names something found is seen at the next plan.
    What is being given back and still shown is given back again.
    """
    shown_ips, shown_prefixes = set(primary.secondary_ips), set(primary.prefixes)
    addresses: dict[Ipv4, Address] = {}
    prefixes = {p: since for p, since in pool.prefixes.items() if p in shown_prefixes}
    new_prefixes = shown_prefixes - set(pool.prefixes) - set(pool.releasing_prefixes)
    prefixes |= dict.fromkeys(sorted(new_prefixes, key=IPv4Network), now)
    for ip, address in pool.addresses.items():
        there = ip in shown_ips if address.prefix is None else address.prefix in shown_prefixes
        if there or address.state is AddressState.ASSIGNED:
            addresses[ip] = address
    unknown = [ip for ip in primary.secondary_ips if ip not in addresses]
    for ip in unknown:
        addresses[ip] = Address(ip=ip, state=AddressState.COOLING, since=now)
    for prefix in new_prefixes:
        for ip in addresses_of(prefix):
            addresses[ip] = Address(ip=ip, prefix=prefix, state=AddressState.COOLING, since=now)
    changed = msgspec.structs.replace(
        pool,
        addresses=addresses,
        prefixes=prefixes,
        assigning=0,
        suspect=False,
        releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p in shown_prefixes),
    )
    return changed, bool(unknown or new_prefixes)


def missing(pool: Pool, primary: Interface) -> list[Address]:
    """Addresses that pods have and EC2 does not show."""
    return [
        a
        for a in pool.addresses.values()
        if a.state is AddressState.ASSIGNED
        and a.ip not in primary.secondary_ips
        and (a.prefix is None or a.prefix not in primary.prefixes)
    ]
