"""Whether a ledger read from the store can be one of ours.

The store can be written by others, and by faults of ours. What a ledger says leads to calls that take interfaces and
addresses away, so one that names the wrong things is not worked with: it is made again from EC2.
"""

import ipaddress
import math
import re
from collections.abc import Iterator

from common.model.ids import FIRST_VLAN, LAST_VLAN, UNKNOWN_VLAN, NodeName
from common.model.ledger import Branch, InstanceFacts, Ledger, Pool, Trunk

_KINDS = "eni|eni-attach|i|sg|subnet|trunk-assoc|vpc"
_ID = re.compile(rf"({_KINDS})-([0-9A-Za-z]+)")
"""EC2's are hexadecimal; models of EC2 need not be. What counts is that a thing is of the right kind."""
PREFIX_LENGTH = 28


def ledger_problem(ledger: Ledger, node: NodeName) -> str:
    """The first thing that cannot be in this node's ledger; "" where there is none."""
    return next(_problems(ledger, node), "")


def _problems(ledger: Ledger, node: NodeName) -> Iterator[str]:
    if ledger.node != node:
        yield f"it is of node {ledger.node!r}"
    if ledger.instance is not None:
        yield from _instance(ledger.instance)
    yield from _trunk(ledger.trunk)
    taken = {ledger.trunk.eni_id, ledger.instance.primary_eni if ledger.instance else None} - {None}
    for key, branch in ledger.branches.items():
        if key != branch.key:
            yield f"branch {key!r} calls itself {branch.key!r}"
        if branch.eni_id is not None and branch.eni_id in taken:
            yield f"{branch.eni_id!r} is named twice"
        taken.add(branch.eni_id)
        yield from _branch(branch)
    for uid, claim in ledger.claims.items():
        if uid != claim.pod_uid:
            yield f"claim {uid!r} is of pod {claim.pod_uid!r}"
        yield from _ids("sg", *claim.groups)
        yield from _ids("subnet", claim.subnet_id)
    if ledger.pool is not None:
        yield from _pool(ledger.pool)
    yield from _ids("eni", *ledger.suspects)
    times = [ledger.audit_at, ledger.audit_interval, ledger.gone_since, ledger.snapshot_after]
    if not all(math.isfinite(time) for time in [*times, *(p.not_before for p in ledger.backoffs.values())] if time):
        yield "a time is not finite"


def _instance(instance: InstanceFacts) -> Iterator[str]:
    yield from _ids("i", instance.instance_id)
    yield from _ids("vpc", instance.vpc_id)
    yield from _ids("subnet", instance.subnet.subnet_id)
    yield from _ids("eni", instance.primary_eni)
    yield from _ids("sg", *instance.groups)


def _trunk(trunk: Trunk) -> Iterator[str]:
    yield from _ids("eni", trunk.eni_id)
    yield from _ids("eni-attach", trunk.attachment_id)
    yield from _ids("subnet", trunk.subnet_id)
    yield from _ids("sg", *trunk.groups)


def _branch(branch: Branch) -> Iterator[str]:
    if branch.vlan != UNKNOWN_VLAN and not FIRST_VLAN <= branch.vlan <= LAST_VLAN:
        yield f"VLAN {branch.vlan}"
    if not math.isfinite(branch.since):
        yield "a time is not finite"
    yield from _ids("i", branch.instance_id)
    yield from _ids("eni", branch.trunk_id, branch.eni_id)
    yield from _ids("trunk-assoc", branch.association)
    yield from _ids("subnet", branch.subnet_id)
    yield from _ids("sg", *branch.groups)


def _pool(pool: Pool) -> Iterator[str]:
    for ip, address in pool.addresses.items():
        if ip != address.ip:
            yield f"address {ip!r} calls itself {address.ip!r}"
        if not _is_address(ip):
            yield f"{ip!r} is no IPv4 address"
    for prefix in (*pool.prefixes, *pool.releasing_prefixes):
        if not _is_prefix(prefix):
            yield f"{prefix!r} is no IPv4 prefix of EC2's"


def _ids(kind: str, *ids: str | None) -> Iterator[str]:
    """Of those that are there, the ones that are of another kind."""
    for one in ids:
        if one:
            found = _ID.fullmatch(one)
            if found is None or found[1] != kind:
                yield f"{one!r} is no {kind}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_prefix(text: str) -> bool:
    try:
        return ipaddress.IPv4Network(text).prefixlen == PREFIX_LENGTH
    except ValueError:
        return False
