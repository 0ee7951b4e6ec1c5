"""What ended calls about addresses make of a Windows node's pool."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from common.model import actions as act
from common.model.errors import (
    Denied,
    Invalid,
    LimitExceeded,
    NotFound,
    OutsideError,
    SubnetExhausted,
    Throttled,
    Unavailable,
    Unsure,
)
from common.model.ids import PodUid
from common.model.ledger import Address, AddressState, Pool
from common.model.notice import NodeNotice, PodNotice, Severity
from common.node.made_for import Assign, PoolAction, Unassign
from common.node.state import NodeState
from common.node.windows.contents import compared, held, is_lost, kept_back
from common.rules import subjects

LOST = "AddressMissing"


def annotated(state: NodeState, action: act.Annotate, stands: str, now: float) -> None:
    """`stands` is the annotation that the pod has now: ours, or the one that it had before."""
    pool = state.ledger.pool
    if pool is None:
        return
    named = {ip for ip in pool.addresses if ip == stands.split("/")[0]}
    addresses = {
        ip: msgspec.structs.replace(a, annotated=True) if ip in named and _is_of(a, action.pod_uid) else a
        for ip, a in pool.addresses.items()
    }
    state.set_pool(_rests(msgspec.structs.replace(pool, addresses=addresses), action.pod_uid, now, but=named))
    if stands == action.value:
        state.tell_pod(
            action, "ResourceAllocated", f"Allocated Resource {action.annotation}: {action.value} to the pod"
        )


def pod_ended(state: NodeState, uid: PodUid, now: float) -> None:
    """Its address begins to rest."""
    if state.ledger.pool is not None:
        state.set_pool(_rests(state.ledger.pool, uid, now))


def _is_of(address: Address, uid: PodUid) -> bool:
    return address.pod_uid == uid and address.state is AddressState.ASSIGNED


def _rests(pool: Pool, uid: PodUid, now: float, but: AbstractSet[str] = frozenset()) -> Pool:
    """The pod's addresses begin to rest, all `but` some; those that are not the node's any more leave the record."""
    addresses = dict(pool.addresses)
    for ip, address in pool.addresses.items():
        if not _is_of(address, uid) or ip in but:
            continue
        if is_lost(pool, address):
            del addresses[ip]
        else:
            addresses[ip] = Address(ip=ip, prefix=address.prefix, state=AddressState.COOLING, since=now)
    missing = {k: at for k, at in pool.missing.items() if k in addresses or k in pool.prefixes}
    return msgspec.structs.replace(pool, addresses=addresses, missing=missing)


def done(state: NodeState, action: PoolAction, value: Any, now: float) -> None:
    pool = state.ledger.pool
    if pool is None:
        return
    match action:
        case act.AssignAddresses() | act.AssignPrefixes():
            state.set_pool(_assigned(pool, action, tuple(value), now))
        case act.UnassignAddresses(addresses=keys) | act.UnassignPrefixes(prefixes=keys):
            state.set_pool(_unassigned(pool, frozenset(keys), now))
        case act.InspectPool(began=began):
            found = compared(pool, value, began, now)
            state.set_pool(found.pool)
            for address in found.lost:
                _tell_lost(state, address)


def _assigned(pool: Pool, action: Assign, keys: tuple[Any, ...], now: float) -> Pool:
    """What EC2 names in its answer is the node's at this moment, whatever was known of it: what was to be given back
    has been, and came again. An address that a pod has stays the pod's; one that rests goes on resting."""
    addresses, prefixes = dict(pool.addresses), dict(pool.prefixes)
    if isinstance(action, act.AssignPrefixes):
        prefixes |= {prefix: prefixes.get(prefix, now) for prefix in keys}
    else:
        for ip in keys:
            known = addresses.get(ip)
            if known is None or known.state in (AddressState.WARM, AddressState.RELEASING):
                addresses[ip] = Address(ip=ip, state=AddressState.WARM, since=now)
    fewer = len(keys) < action.count
    refused = pool.refused.get(action.subject, 0)
    return msgspec.structs.replace(
        pool,
        addresses=addresses,
        prefixes=prefixes,
        releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p not in keys),
        assigning=0,
        suspect=pool.suspect or fewer,
        suspect_since=now if fewer else pool.suspect_since,
        fresh={**pool.fresh, **dict.fromkeys(keys, now)},
        missing={k: at for k, at in pool.missing.items() if k not in keys},
        given_back={k: at for k, at in pool.given_back.items() if k not in keys},
        refused={**pool.refused, action.subject: refused} if action.count * 2 < refused else _but(pool, action),
    )


def _but(pool: Pool, action: Assign) -> dict[str, int]:
    return {subject: count for subject, count in pool.refused.items() if subject != action.subject}


def _unassigned(pool: Pool, keys: AbstractSet[str], now: float) -> Pool:
    """What is a pod's again, or came again meanwhile, stays."""
    gone = {ip for ip, a in pool.addresses.items() if ip in keys and a.state is AddressState.RELEASING}
    after = msgspec.structs.replace(
        pool,
        addresses={ip: a for ip, a in pool.addresses.items() if ip not in gone},
        releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p not in keys),
    )
    return msgspec.structs.replace(
        after,
        fresh={k: at for k, at in pool.fresh.items() if k in held(after)},
        given_back={**pool.given_back, **{k: now for k in keys if k not in held(after)}},
    )


def _tell_lost(state: NodeState, address: Address) -> None:
    key = subjects.pod(address.pod_uid)
    if state.ledger.told.get(key) == LOST:
        return
    state.change(told={**state.ledger.told, key: LOST})
    state.notices.append(
        PodNotice(
            namespace=address.pod_namespace,
            name=address.pod_name,
            uid=address.pod_uid,
            reason=LOST,
            severity=Severity.WARNING,
            message=f"The pod's address {address.ip} was taken off the node's interface by somebody else: it has "
            "no network until the pod is replaced",
        )
    )


def not_begun(state: NodeState, action: Assign | Unassign) -> None:
    """The call waits for its turn: there is nothing that EC2 would have to be asked about, and what was to be given
    back is usable."""
    pool = state.ledger.pool
    if pool is None:
        return
    match action:
        case act.AssignAddresses() | act.AssignPrefixes():
            state.set_pool(msgspec.structs.replace(pool, assigning=0))
        case act.UnassignAddresses(addresses=keys) | act.UnassignPrefixes(prefixes=keys):
            state.set_pool(kept_back(pool, frozenset(keys), pool.released_at))


def failed(state: NodeState, action: PoolAction, error: OutsideError, now: float) -> None:
    """What a call with unknown outcome may have done is looked at before anything else is asked for: its intent stays
    on record. A refusal has changed nothing."""
    pool = state.ledger.pool
    if pool is None or isinstance(action, act.InspectPool):
        return
    if isinstance(error, Throttled | Unavailable):
        not_begun(state, action)
    elif isinstance(error, Unsure):
        if isinstance(action, act.UnassignAddresses | act.UnassignPrefixes):
            state.set_pool(msgspec.structs.replace(pool, released_at=now))
    elif isinstance(action, act.UnassignAddresses | act.UnassignPrefixes):
        _not_unassigned(state, action, error, now)
    else:
        _not_assigned(state, action, error, now)


def _not_unassigned(state: NodeState, action: Unassign, error: OutsideError, now: float) -> None:
    """Usable again. Where EC2 says that something named is not there, all of it is given to nobody until a look has
    shown it."""
    not_begun(state, action)
    pool = state.ledger.pool
    assert pool is not None
    if isinstance(error, Invalid | NotFound):
        keys = action.addresses if isinstance(action, act.UnassignAddresses) else action.prefixes
        doubtful = {str(k): now for k in keys if k not in pool.missing}
        state.set_pool(msgspec.structs.replace(pool, missing={**pool.missing, **doubtful}, look_at=now))


def _not_assigned(state: NodeState, action: Assign, error: OutsideError, now: float) -> None:
    """Where more was asked for than there is, less is asked for next, and at once: it is another question."""
    pool = state.ledger.pool
    assert pool is not None
    pool = msgspec.structs.replace(pool, assigning=0)
    if isinstance(error, LimitExceeded):
        pool = msgspec.structs.replace(pool, suspect=True, suspect_since=now)
    if isinstance(error, SubnetExhausted | LimitExceeded):
        pool = msgspec.structs.replace(pool, refused={**pool.refused, action.subject: action.count})
        pace = state.pace(action.subject)
        if action.count > 1:
            state.set_pace(
                action.subject, msgspec.structs.replace(pace, not_before=now, attempts=max(0, pace.attempts - 1))
            )
    state.set_pool(pool)
    if isinstance(error, SubnetExhausted | Denied | LimitExceeded):
        reason = error.code if error.code == "InsufficientCidrBlocks" else "AddressAssignmentFailed"
        state.notices.append(
            NodeNotice(
                node=state.ledger.node,
                reason=reason,
                severity=Severity.WARNING,
                message=f"EC2 gave the node no addresses: {error.code}: {error.message}",
            )
        )
