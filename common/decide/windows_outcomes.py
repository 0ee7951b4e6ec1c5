"""What ended calls about addresses make of a Windows node's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from common.decide.pool_contents import LOOK_AGAIN_SECONDS, compared, missing
from common.model import actions as act
from common.model.errors import Denied, LimitExceeded, OutsideError, SubnetExhausted, Throttled, Unsure
from common.model.ids import Ipv4, PodUid
from common.model.ledger import Address, AddressState, Pool
from common.model.notice import NodeNotice, PodNotice, Severity

if TYPE_CHECKING:
    from common.decide.outcomes import Result

PoolAction = act.InspectPool | act.AssignAddresses | act.AssignPrefixes | act.UnassignAddresses | act.UnassignPrefixes


def annotated(result: Result, action: act.Annotate, stands: str, now: float) -> None:
    """`stands` is the annotation that the pod has now: ours, or the one that it had before."""
    pool = result.ledger.pool
    if pool is None:
        return
    addresses = dict(pool.addresses)
    for ip, address in pool.addresses.items():
        if address.pod_uid != action.pod_uid or address.state is not AddressState.ASSIGNED:
            continue
        if stands.split("/")[0] == ip:
            addresses[ip] = msgspec.structs.replace(address, annotated=True)
        else:
            addresses[ip] = Address(ip=ip, prefix=address.prefix, state=AddressState.COOLING, since=now)
    _set(result, pool, addresses=addresses)
    if stands == action.value:
        result.tell_pod(
            action, "ResourceAllocated", f"Allocated Resource {action.annotation}: {action.value} to the pod"
        )


def pod_ended(result: Result, uid: PodUid, now: float) -> None:
    """Its address begins to rest."""
    pool = result.ledger.pool
    if pool is not None:
        addresses = {
            ip: Address(ip=ip, prefix=a.prefix, state=AddressState.COOLING, since=now)
            if a.pod_uid == uid and a.state is AddressState.ASSIGNED
            else a
            for ip, a in pool.addresses.items()
        }
        _set(result, pool, addresses=addresses)


def done(result: Result, action: PoolAction, value: Any, now: float) -> None:
    pool = result.ledger.pool
    if pool is None:
        return
    match action:
        case act.AssignAddresses(count=count):
            fresh = {ip: Address(ip=ip, state=AddressState.WARM, since=now) for ip in value}
            _set(result, pool, addresses={**fresh, **pool.addresses}, assigning=0, suspect=len(value) < count)
        case act.AssignPrefixes(count=count):
            prefixes = {**dict.fromkeys(value, now), **pool.prefixes}
            _set(result, pool, prefixes=prefixes, assigning=0, suspect=len(value) < count)
        case act.UnassignAddresses(addresses=given_back):
            _set(result, pool, addresses=_without(pool, given_back))
        case act.UnassignPrefixes(prefixes=given_back):
            _set(result, pool, releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p not in given_back))
        case act.InspectPool():
            _compare(result, pool, value, now)


def _compare(result: Result, pool: Pool, value: Any, now: float) -> None:
    for address in missing(pool, value):
        result.notices.append(
            PodNotice(
                namespace=address.pod_namespace,
                name=address.pod_name,
                uid=address.pod_uid,
                reason="AddressMissing",
                severity=Severity.WARNING,
                message=f"The pod's address {address.ip} was taken off the node's interface by somebody else: it has "
                "no network until the pod is replaced",
            )
        )
    changed, unexpected = compared(pool, value, now)
    result.change(pool=changed)
    if unexpected:
        result.change(audit_at=now + LOOK_AGAIN_SECONDS, audit_interval=0.0)


def not_begun(result: Result) -> None:
    """The call for more waits for its turn: there is nothing that EC2 would have to be asked about."""
    if result.ledger.pool is not None:
        _set(result, result.ledger.pool, assigning=0)


def failed(result: Result, action: PoolAction, error: OutsideError, now: float) -> None:
    """What a call may have done is looked at before anything else is asked for."""
    pool = result.ledger.pool
    if pool is None or isinstance(action, act.InspectPool):
        return
    if isinstance(error, Throttled):
        if isinstance(action, act.AssignAddresses | act.AssignPrefixes):
            _set(result, pool, assigning=0)
        return
    if isinstance(action, act.UnassignAddresses | act.UnassignPrefixes):
        _set(result, pool, suspect=True)
        return
    if isinstance(error, Unsure):
        _set(result, pool, suspect=True)
        result.pace(action.subject, None)
        return
    _set(result, pool, assigning=0, suspect=isinstance(error, LimitExceeded))
    if isinstance(error, SubnetExhausted | Denied | LimitExceeded):
        reason = error.code if error.code == "InsufficientCidrBlocks" else "AddressAssignmentFailed"
        result.notices.append(
            NodeNotice(
                node=result.ledger.node,
                reason=reason,
                severity=Severity.WARNING,
                message=f"EC2 gave the node no addresses: {error.code}: {error.message}",
            )
        )


def _without(pool: Pool, given_back: tuple[Ipv4, ...]) -> dict[Ipv4, Address]:
    return {ip: a for ip, a in pool.addresses.items() if ip not in given_back or a.state is not AddressState.RELEASING}


def _set(result: Result, pool: Pool, **fields: object) -> None:
    result.change(pool=msgspec.structs.replace(pool, **fields))
