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
from common.model.ledger import AddressState, Pace, Pool
from common.model.pod import PodWish
from common.model.warrant import Warrant
from common.node.state import IDLE, Draft
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


def pool_of(draft: Draft) -> Pool:
    pool = draft.ledger.pool
    assert pool is not None
    return pool


def put_pool(draft: Draft, pool: Pool) -> None:
    if pool is not draft.ledger.pool:
        draft.change(pool=pool)


def look(draft: Draft, eni_id: EniId) -> None:
    """Compare with EC2: at growing intervals, when something is open that a look can settle, and after a call whose
    outcome is not known."""
    pool = pool_of(draft)
    if releasing(pool) and not pool.released_at:  # On record since before that time was.
        pool = msgspec.structs.replace(pool, released_at=draft.now)
        put_pool(draft, pool)
    calling = draft.busy & {RELEASE, *ASK.values()}
    assign_lost = pool.assigning > 0 and not draft.busy & set(ASK.values())
    release_lost = bool(releasing(pool)) and RELEASE not in draft.busy and pool.looked_at <= pool.released_at
    if (assign_lost or release_lost) and not pool.suspect:
        pool = msgspec.structs.replace(pool, suspect=True, suspect_since=draft.now)
        put_pool(draft, pool)
    if draft.ledger.audit_at <= pool.looked_at:
        _next_audit(draft)
    due = min(draft.ledger.audit_at, next_look(pool))
    if pool.suspect and calling:
        return
    if not pool.suspect and due > draft.now:
        draft.look_at(due)
    elif draft.may(LOOK):
        draft.start(InspectPool(subject=LOOK, eni_id=eni_id, began=draft.now))


def _next_audit(draft: Draft) -> None:
    longest, first = draft.options.audit_longest, draft.options.audit_first
    interval = min(longest, draft.ledger.audit_interval * 2) if draft.ledger.audit_interval else first
    at = draft.now + interval * (0.75 + 0.5 * draft.jitter)
    draft.change(audit_at=at, audit_interval=interval)


def ask(
    draft: Draft, eni_id: EniId, targets: WarmTargets, slots: int, waiting: list[PodWish], names: frozenset[Ipv4]
) -> None:
    """One call at a time, for as many as are wanted, or as EC2 is likely to have after it refused more."""
    pool, subject = pool_of(draft), ASK[targets.mode]
    wanted = deviation(pool, targets, slots, len(waiting), names)
    if wanted <= 0 or pool.suspect or draft.busy & set(ASK.values()):
        return
    due = _asked_at(draft, subject, waiting) if waiting else _burst_over(pool)
    if due > draft.now:
        draft.look_at(due)
    elif draft.may(subject):
        count = _asked_for(pool, targets.mode, wanted, len(waiting))
        put_pool(draft, msgspec.structs.replace(pool, assigning=count))
        if targets.mode is PoolMode.PREFIX:
            draft.start(AssignPrefixes(subject=subject, eni_id=eni_id, count=count))
        else:
            instance = draft.ledger.instance
            subnet = instance.subnet.subnet_id if instance is not None else SubnetId("")
            draft.start(AssignAddresses(subject=subject, eni_id=eni_id, count=count, subnet_id=subnet))


def _asked_for(pool: Pool, mode: PoolMode, wanted: int, waiting: int) -> int:
    """Less than EC2 refused last: what pods need now, or half."""
    refused = pool.refused.get(ASK[mode], 0)
    if not refused or wanted < refused:
        return wanted
    needed = -(-waiting // (ADDRESSES_PER_PREFIX if mode is PoolMode.PREFIX else 1))
    return needed if 0 < needed < refused else max(1, refused // 2)


def _asked_at(draft: Draft, subject: str, waiting: list[PodWish]) -> float:
    """The moment at which addresses for waiting pods may be asked for: now, while EC2's limit is far. Near it, pods
    that come together share a call, for nodes that ask for every pod of theirs make each other wait; a call that has
    waited for its turn has waited enough."""
    if draft.spare >= SCARCE_SHARE or draft.ledger.paces.get(subject, IDLE).turn:
        return draft.now
    came = [pod.seen_at for pod in waiting]
    return min(max(came) + SCARCE_BURST_SECONDS, min(came) + LONGEST_HOLD_SECONDS)


def _burst_over(pool: Pool) -> float:
    """The moment at which the pool may be filled up again: pods that come together are served from what is there, and
    their addresses replaced in one call."""
    given = [a.since for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
    return max(given, default=0.0) + BURST_SECONDS


def give_back(
    draft: Draft, eni_id: EniId, targets: WarmTargets, slots: int, waiting: int, names: frozenset[Ipv4]
) -> None:
    """What is above the targets; nothing while an earlier call may yet take effect."""
    pool = pool_of(draft)
    if not draft.desired.complete or releasing(pool):
        return
    excess = releasable(pool, targets, slots, waiting, names)
    if excess == GiveBack() or not draft.may(RELEASE):
        return
    prefixes = () if excess.addresses else excess.prefixes
    leave = warrant(
        Evidence(
            eni_id=eni_id,
            addresses=excess.addresses,
            prefixes=prefixes,
            complete=draft.desired.complete,
            claimed=_claimed(pool, excess.addresses, prefixes, names),
            made=True,
            used=False,  # What is free in the record has rested, and its last owner was asked about.
        ),
        draft.now,
    )
    if isinstance(leave, Warrant):
        _unassign(draft, eni_id, excess, leave)


def _claimed(pool: Pool, ips: tuple[Ipv4, ...], prefixes: tuple[Prefix, ...], names: frozenset[Ipv4]) -> bool:
    """Whether a living pod of the instance, by its annotation or our record, has one of them."""
    had = names | {a.ip for a in pool.addresses.values() if a.state is AddressState.ASSIGNED}
    return not had.isdisjoint(ips) or any(not had.isdisjoint(addresses_of(prefix)) for prefix in prefixes)


def _unassign(draft: Draft, eni_id: EniId, excess: GiveBack, leave: Warrant) -> None:
    pool = msgspec.structs.replace(pool_of(draft), released_at=draft.now)
    if excess.addresses:
        addresses = {**pool.addresses}
        for ip in excess.addresses:
            addresses[ip] = msgspec.structs.replace(addresses[ip], state=AddressState.RELEASING, since=draft.now)
        put_pool(draft, msgspec.structs.replace(pool, addresses=addresses))
        draft.start(UnassignAddresses(subject=RELEASE, eni_id=eni_id, addresses=excess.addresses, warrant=leave))
    else:
        left = {p: since for p, since in pool.prefixes.items() if p not in excess.prefixes}
        put_pool(draft, msgspec.structs.replace(pool, prefixes=left, releasing_prefixes=excess.prefixes))
        draft.start(UnassignPrefixes(subject=RELEASE, eni_id=eni_id, prefixes=excess.prefixes, warrant=leave))


def why_none(draft: Draft, mode: PoolMode, rested_at: float | None) -> str:
    """Why there is no address for a pod."""
    pool, pace = pool_of(draft), draft.ledger.paces.get(ASK[mode], Pace())
    if pace.code:
        return f"EC2 gave none ({pace.code}), asked again in {max(1, round(pace.not_before - draft.now))}s"
    if pool.assigning or pool.suspect:
        return "Warm pool is currently empty, addresses are being created"
    if rested_at is not None:
        return f"addresses are being cooled down, the next is free in {max(1, round(rested_at - draft.now))}s"
    return "all addresses that the node can have are in use"
