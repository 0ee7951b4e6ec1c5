"""What a pool has above its targets is given back to EC2, each address and prefix by what is known of its last use. An
UnassignPrivateIpAddresses is never repeated before EC2 was looked at so late that the first cannot take effect any
more, for EC2 may have handed the same addresses out again meanwhile; and none is made beside an
AssignPrivateIpAddresses whose outcome is not known."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import msgspec

from common.model.actions import Unassign
from common.model.errors import Invalid, NotFound, OutsideError, Unsure
from common.model.ids import EniId, Ipv4, Prefix
from common.model.ledger import AddressState, Pool
from common.model.warrant import Warrant
from common.node.branch.reviewing import review
from common.node.state import NodeState, Planning
from common.node.windows.contents import held, kept_back, last_use, releasing
from common.node.windows.looking import look
from common.node.windows.mode import ASSIGNS, Mode, releasable
from common.node.windows.pool import REST_SECONDS, addresses_of
from common.node.windows.subjects import RELEASE, pool_of
from common.rules.release_gate import Evidence, Lack, Refusal, joined, warrant


def give_back(state: Planning, eni_id: EniId, mode: Mode, slots: int, waiting: int, names: frozenset[Ipv4]) -> None:
    """What is above the targets and the gate gives leave for; nothing while an earlier call may yet take effect."""
    pool = pool_of(state)
    if not state.desired.complete or releasing(pool) or pool.assigning or state.busy & ASSIGNS:
        return
    excess = releasable(pool, mode, slots, waiting, names)
    if not excess or not state.may(RELEASE):
        return
    had = names | _had(state)
    found = [warrant(evidence_of(state, eni_id, key, had), state.now) for key in excess[0].keys]
    leaves = [one for one in found if isinstance(one, Warrant)]
    if leaves:
        _unassign(state, excess[0].mode, joined(leaves))
    _seek(state, eni_id, [one for one in found if isinstance(one, Refusal)])


def evidence_of(state: Planning, eni_id: EniId, key: Ipv4 | Prefix, had: AbstractSet[Ipv4]) -> Evidence:
    """Evidence about an address or prefix that is free on record. `had`: addresses of living pods."""
    pool = pool_of(state)
    use = last_use(pool, key)
    prefix = Prefix(key) if key in pool.prefixes else None
    return Evidence(
        eni_id=eni_id,
        addresses=(Ipv4(key),) if prefix is None else (),
        prefixes=() if prefix is None else (prefix,),
        complete=state.desired.complete,
        claimed=not had.isdisjoint((Ipv4(key),) if prefix is None else addresses_of(prefix)),
        made=not use.found,
        owner=use.pod_uid if use.pod_uid or use.found else None,
        in_use_at=use.at,
        rest=REST_SECONDS,
        word_at=use.word_at,
        looked_at=0.0 if key in pool.missing else pool.looked_at,
    )


def _had(state: Planning) -> set[Ipv4]:
    """Addresses that pods have by our record, or by that of another node name of the instance."""
    others = (s.ledger for s in state.desired.sharers if s.ledger is not None and not s.ledger.yielded)
    pools = [pool_of(state), *(other.pool for other in others if other.pool is not None)]
    return {a.ip for pool in pools for a in pool.addresses.values() if a.state is AddressState.ASSIGNED}


def _seek(state: Planning, eni_id: EniId, refusals: Iterable[Refusal]) -> None:
    """What the gate found lacking, where there is somebody to ask."""
    for refusal in refusals:
        if refusal.until > state.now:
            state.look_at(refusal.until)
        elif refusal.lack is Lack.WORD:
            review(state, [])
        elif refusal.lack is Lack.LOOK:
            if not 0.0 < pool_of(state).look_at <= state.now:
                state.set_pool(msgspec.structs.replace(pool_of(state), look_at=state.now))
            look(state, eni_id)


def _unassign(state: Planning, mode: Mode, leave: Warrant) -> None:
    pool = msgspec.structs.replace(pool_of(state), released_at=state.now)
    state.set_pool(mode.releasing(pool, leave, state.now))
    state.start(mode.unassign(leave))


def done(state: NodeState, action: Unassign) -> None:
    if state.ledger.pool is not None:
        state.set_pool(_unassigned(state.ledger.pool, frozenset(action.warrant.keys), state.now))


def not_begun(state: NodeState, action: Unassign) -> None:
    """The call waits for its turn: what was to be given back is usable."""
    pool = state.ledger.pool
    if pool is not None:
        state.set_pool(kept_back(pool, frozenset(action.warrant.keys), pool.released_at))


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
        doubtful = {str(key): state.now for key in action.warrant.keys if key not in pool.missing}
        state.set_pool(msgspec.structs.replace(pool, missing={**pool.missing, **doubtful}, look_at=state.now))


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
