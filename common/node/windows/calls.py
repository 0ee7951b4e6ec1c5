"""The calls of EC2 about a Windows node's pool: look at it, ask for more, give back. Each is a subject of its own, with
its own pace and its own place in the rate limiter's queue.

Assign and Unassign run side by side only while the outcome of every earlier one is known. One that is not known is
followed by a look before anything else is asked for; an Unassign is never repeated before EC2 was looked at so late
that the first cannot take effect any more, for EC2 may have handed the same addresses out again meanwhile.
"""

import msgspec

from common.model.actions import (
    AssignAddresses,
    AssignPrefixes,
    InspectPool,
    UnassignAddresses,
    UnassignPrefixes,
)
from common.model.ids import EniId, Ipv4, Prefix, SubnetId
from common.model.ledger import AddressState, Pool
from common.model.pod import PodWish
from common.model.warrant import Warrant
from common.node.state import Planning
from common.node.windows.contents import next_look, releasing
from common.node.windows.pool import (
    ADDRESSES_PER_PREFIX,
    GiveBack,
    PoolMode,
    WarmTargets,
    addresses_of,
    deviation,
    releasable,
)
from common.rules.release_gate import Evidence, warrant

ASK = {PoolMode.SECONDARY: "pool", PoolMode.PREFIX: "pool/prefixes"}
RELEASE = "pool/release"
LOOK = "pool/look"
BURST_SECONDS = 0.5
"""Pods that come closer together than this are one burst."""
SCARCE_SHARE = 0.5
"""Of EC2's burst of address calls: with less of it left, calls are saved."""
SCARCE_BURST_SECONDS, LONGEST_HOLD_SECONDS = 0.7, 4.0
"""Then a burst is over after so long without a pod, and no pod waits longer for others."""


def pool_of(state: Planning) -> Pool:
    pool = state.ledger.pool
    assert pool is not None
    return pool


def look(state: Planning, eni_id: EniId) -> None:
    """Compare with EC2: at growing intervals, when something is open that a look can settle, and after a call whose
    outcome is not known."""
    pool = pool_of(state)
    if releasing(pool) and not pool.released_at:  # On record since before that time was.
        pool = msgspec.structs.replace(pool, released_at=state.now)
        state.set_pool(pool)
    calling = state.busy & {RELEASE, *ASK.values()}
    assign_lost = pool.assigning > 0 and not state.busy & set(ASK.values())
    release_lost = bool(releasing(pool)) and RELEASE not in state.busy and pool.looked_at <= pool.released_at
    if (assign_lost or release_lost) and not pool.suspect:
        pool = msgspec.structs.replace(pool, suspect=True, suspect_since=state.now)
        state.set_pool(pool)
    if state.ledger.audit_at <= pool.looked_at:
        _next_audit(state)
    due = min(state.ledger.audit_at, next_look(pool))
    if pool.suspect and calling:
        return
    if not pool.suspect and due > state.now:
        state.look_at(due)
    elif state.may(LOOK):
        state.start(InspectPool(subject=LOOK, eni_id=eni_id, began=state.now))


def _next_audit(state: Planning) -> None:
    longest, first = state.options.audit_longest, state.options.audit_first
    interval = min(longest, state.ledger.audit_interval * 2) if state.ledger.audit_interval else first
    at = state.now + interval * (0.75 + 0.5 * state.jitter)
    state.change(audit_at=at, audit_interval=interval)


def ask(
    state: Planning, eni_id: EniId, targets: WarmTargets, slots: int, waiting: list[PodWish], names: frozenset[Ipv4]
) -> None:
    """One call at a time, for as many as are wanted, or as EC2 is likely to have after it refused more."""
    pool, subject = pool_of(state), ASK[targets.mode]
    wanted = deviation(pool, targets, slots, len(waiting), names)
    if wanted <= 0 or pool.suspect or state.busy & set(ASK.values()):
        return
    due = _asked_at(state, subject, waiting) if waiting else _burst_over(pool)
    if due > state.now:
        state.look_at(due)
    elif state.may(subject):
        count = _asked_for(pool, targets.mode, wanted, len(waiting))
        state.set_pool(msgspec.structs.replace(pool, assigning=count))
        if targets.mode is PoolMode.PREFIX:
            state.start(AssignPrefixes(subject=subject, eni_id=eni_id, count=count))
        else:
            instance = state.ledger.instance
            subnet = instance.subnet.subnet_id if instance is not None else SubnetId("")
            state.start(AssignAddresses(subject=subject, eni_id=eni_id, count=count, subnet_id=subnet))


def _asked_for(pool: Pool, mode: PoolMode, wanted: int, waiting: int) -> int:
    """Less than EC2 refused last: what pods need now, or half."""
    refused = pool.refused.get(ASK[mode], 0)
    if not refused or wanted < refused:
        return wanted
    needed = -(-waiting // (ADDRESSES_PER_PREFIX if mode is PoolMode.PREFIX else 1))
    return needed if 0 < needed < refused else max(1, refused // 2)


def _asked_at(state: Planning, subject: str, waiting: list[PodWish]) -> float:
    """The moment at which addresses for waiting pods may be asked for: now, while EC2's limit is far. Near it, pods
    that come together share a call, for nodes that ask for every pod of theirs make each other wait; a call that has
    waited for its turn has waited enough."""
    if state.spare >= SCARCE_SHARE or state.pace(subject).turn:
        return state.now
    came = [pod.seen_at for pod in waiting]
    return min(max(came) + SCARCE_BURST_SECONDS, min(came) + LONGEST_HOLD_SECONDS)


def _burst_over(pool: Pool) -> float:
    """The moment at which the pool may be filled up again: pods that come together are served from what is there, and
    their addresses replaced in one call."""
    given = [a.since for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
    return max(given, default=0.0) + BURST_SECONDS


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


def why_none(state: Planning, mode: PoolMode, rested_at: float | None) -> str:
    """Why there is no address for a pod."""
    pool, pace = pool_of(state), state.pace(ASK[mode])
    if pace.code:
        return f"EC2 gave none ({pace.code}), asked again in {max(1, round(pace.not_before - state.now))}s"
    if pool.assigning or pool.suspect:
        return "Warm pool is currently empty, addresses are being created"
    if rested_at is not None:
        return f"addresses are being cooled down, the next is free in {max(1, round(rested_at - state.now))}s"
    return "all addresses that the node can have are in use"
