"""What a pool has above its targets is given back to EC2. An UnassignPrivateIpAddresses is never repeated before EC2
was looked at so late that the first cannot take effect any more, for EC2 may have handed the same addresses out again
meanwhile."""

from collections.abc import Set as AbstractSet

import msgspec

from common.model.actions import Unassign, UnassignAddresses, UnassignPrefixes
from common.model.errors import Invalid, NotFound, OutsideError, Unsure
from common.model.ids import EniId, Ipv4, Prefix
from common.model.ledger import AddressState, Pool
from common.model.warrant import Warrant
from common.node.state import NodeState, Planning
from common.node.windows.contents import held, kept_back, releasing
from common.node.windows.pool import GiveBack, WarmTargets, addresses_of, releasable
from common.node.windows.subjects import RELEASE, pool_of
from common.rules.release_gate import Evidence, warrant


def give_back(
    state: Planning, eni_id: EniId, targets: WarmTargets, slots: int, waiting: int, names: frozenset[Ipv4]
) -> None:
    """What is above the targets; nothing while an earlier call may yet take effect."""
    pool = pool_of(state)
    if not state.desired.complete or releasing(pool):
        return
    excess = releasable(pool, targets, slots, waiting, names)
    if excess == GiveBack() or not state.may(RELEASE):
        return
    prefixes = () if excess.addresses else excess.prefixes
    leave = warrant(
        Evidence(
            eni_id=eni_id,
            addresses=excess.addresses,
            prefixes=prefixes,
            complete=state.desired.complete,
            claimed=_claimed(pool, excess.addresses, prefixes, names),
            made=True,
            used=False,  # What is free in the record has rested, and its last owner was asked about.
        ),
        state.now,
    )
    if isinstance(leave, Warrant):
        _unassign(state, eni_id, excess, leave)


def _claimed(pool: Pool, ips: tuple[Ipv4, ...], prefixes: tuple[Prefix, ...], names: frozenset[Ipv4]) -> bool:
    """Whether a living pod of the instance, by its annotation or our record, has one of them."""
    had = names | {a.ip for a in pool.addresses.values() if a.state is AddressState.ASSIGNED}
    return not had.isdisjoint(ips) or any(not had.isdisjoint(addresses_of(prefix)) for prefix in prefixes)


def _unassign(state: Planning, eni_id: EniId, excess: GiveBack, leave: Warrant) -> None:
    pool = msgspec.structs.replace(pool_of(state), released_at=state.now)
    if excess.addresses:
        addresses = {**pool.addresses}
        for ip in excess.addresses:
            addresses[ip] = msgspec.structs.replace(addresses[ip], state=AddressState.RELEASING, since=state.now)
        state.set_pool(msgspec.structs.replace(pool, addresses=addresses))
        state.start(UnassignAddresses(subject=RELEASE, eni_id=eni_id, addresses=excess.addresses, warrant=leave))
    else:
        left = {p: since for p, since in pool.prefixes.items() if p not in excess.prefixes}
        state.set_pool(msgspec.structs.replace(pool, prefixes=left, releasing_prefixes=excess.prefixes))
        state.start(UnassignPrefixes(subject=RELEASE, eni_id=eni_id, prefixes=excess.prefixes, warrant=leave))


def done(state: NodeState, action: Unassign) -> None:
    if state.ledger.pool is not None:
        state.set_pool(_unassigned(state.ledger.pool, frozenset(_named(action)), state.now))


def not_begun(state: NodeState, action: Unassign) -> None:
    """The call waits for its turn: what was to be given back is usable."""
    pool = state.ledger.pool
    if pool is not None:
        state.set_pool(kept_back(pool, frozenset(_named(action)), pool.released_at))


def failed(state: NodeState, action: Unassign, error: OutsideError) -> None:
    """Where the outcome is not known the intent stays on record, and EC2 is looked at. After a refusal all of it is
    usable again; where EC2 says that something named is not there, it is given to nobody until a look has shown it."""
    if state.ledger.pool is None:
        return
    if isinstance(error, Unsure):
        state.set_pool(msgspec.structs.replace(state.ledger.pool, released_at=state.now))
        return
    not_begun(state, action)
    if isinstance(error, Invalid | NotFound):
        pool = pool_of(state)
        doubtful = {str(key): state.now for key in _named(action) if key not in pool.missing}
        state.set_pool(msgspec.structs.replace(pool, missing={**pool.missing, **doubtful}, look_at=state.now))


def _named(action: Unassign) -> tuple[Ipv4, ...] | tuple[Prefix, ...]:
    return action.addresses if isinstance(action, UnassignAddresses) else action.prefixes


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
