"""Addresses and prefixes that a pool lacks are asked of EC2, one call at a time for as many as are wanted, or as EC2 is
likely to have after it refused more. A call whose outcome is not known is followed by a look before the next. None is
made beside an UnassignPrivateIpAddresses that is under way or may yet take effect: what that one takes EC2 could hand
out to this one (docs/adr/0015)."""

from typing import Any

import msgspec

from common.model.actions import Assign
from common.model.errors import Denied, LimitExceeded, OutsideError, SubnetExhausted, Throttled, Unavailable, Unsure
from common.model.ids import Ipv4
from common.model.ledger import AddressState, InstanceFacts, Pool
from common.model.notice import EventReason, NodeNotice, Severity
from common.model.pod import PodRequest
from common.node.retry import NO_FREE_BLOCK
from common.node.state import NodeState, Planning
from common.node.windows.contents import releasing
from common.node.windows.mode import ASSIGNS, Mode, deviation, mode_of, slots_for
from common.node.windows.subjects import RELEASE, pool_of

BURST_SECONDS = 0.5
"""Pods that come closer together than this are one burst."""
SCARCE_SHARE = 0.5
"""Of EC2's burst of address calls: with less of it left, calls are saved."""
SCARCE_BURST_SECONDS, LONGEST_HOLD_SECONDS = 0.7, 4.0
"""Then a burst is over after so long without a pod, and no pod waits longer for others."""


def ask(
    state: Planning,
    instance: InstanceFacts,
    mode: Mode,
    slots: int,
    waiting: list[PodRequest],
    names: frozenset[Ipv4],
) -> None:
    """One call at a time, for as many as are wanted, or as EC2 is likely to have after it refused more."""
    pool, subject = pool_of(state), mode.subject
    wanted = deviation(pool, mode, slots, len(waiting), names)
    if wanted <= 0 or pool.suspect or state.busy & {RELEASE, *ASSIGNS} or releasing(pool):
        return
    due = _asked_at(state, subject, waiting) if waiting else _burst_over(pool)
    if due > state.now:
        state.look_at(due)
    elif state.may(subject):
        count = _asked_for(pool, mode, wanted, len(waiting))
        state.set_pool(msgspec.structs.replace(pool, assigning=count))
        state.start(mode.assign(instance, count))


def _asked_for(pool: Pool, mode: Mode, wanted: int, waiting: int) -> int:
    """Less than EC2 refused last: what pods need now, or half."""
    refused = pool.refused.get(mode.subject, 0)
    if not refused or wanted < refused:
        return wanted
    needed = slots_for(waiting, mode)
    return needed if 0 < needed < refused else max(1, refused // 2)


def _asked_at(state: Planning, subject: str, waiting: list[PodRequest]) -> float:
    """The moment at which addresses for waiting pods may be asked for: now, while EC2's limit is far. Near it, pods
    that come together share a call, for nodes that ask for every pod of theirs make each other wait; a call that has
    waited for its turn has waited enough."""
    if state.burst_left >= SCARCE_SHARE or state.backoff(subject).reserved:
        return state.now
    came = [pod.seen_at for pod in waiting]
    return min(max(came) + SCARCE_BURST_SECONDS, min(came) + LONGEST_HOLD_SECONDS)


def _burst_over(pool: Pool) -> float:
    """The moment at which the pool may be filled up again: pods that come together are served from what is there, and
    their addresses replaced in one call."""
    given = [a.since for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
    return max(given, default=0.0) + BURST_SECONDS


def why_none(state: Planning, mode: Mode, rested_at: float | None) -> str:
    """Why there is no address for a pod."""
    pool, backoff = pool_of(state), state.backoff(mode.subject)
    if backoff.code:
        return f"EC2 gave none ({backoff.code}), asked again in {max(1, round(backoff.not_before - state.now))}s"
    if releasing(pool):
        return "Warm pool is currently empty, EC2 is asked for more once it is known what it has got back"
    if pool.assigning or pool.suspect:
        return "Warm pool is currently empty, addresses are being created"
    if rested_at is not None:
        return f"addresses are being cooled down, the next is free in {max(1, round(rested_at - state.now))}s"
    return "all addresses that the node can have are in use"


def done(state: NodeState, action: Assign, value: Any) -> None:
    if state.ledger.pool is not None:
        state.set_pool(_assigned(state.ledger.pool, action, tuple(value), state.now))


def not_begun(state: NodeState) -> None:
    """The call waits for its turn: there is nothing that EC2 would have to be asked about."""
    if state.ledger.pool is not None:
        state.set_pool(msgspec.structs.replace(state.ledger.pool, assigning=0))


def failed(state: NodeState, action: Assign, error: OutsideError) -> None:
    """Where the outcome is not known the intent stays on record. A refusal has changed nothing."""
    if state.ledger.pool is None:
        return
    if isinstance(error, Throttled | Unavailable):
        not_begun(state)
    elif not isinstance(error, Unsure):
        _refused(state, action, error)


def _assigned(pool: Pool, action: Assign, keys: tuple[Any, ...], now: float) -> Pool:
    """The pool with what EC2 named in its answer. Fewer than were asked for: EC2 is looked at before the next call."""
    fewer = len(keys) < action.count
    refused = pool.refused.get(action.subject, 0)
    return msgspec.structs.replace(
        mode_of(action).assigned(pool, keys, now),
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


def _refused(state: NodeState, action: Assign, error: OutsideError) -> None:
    """Where more was asked for than there is, less is asked for next, and at once: it is another question."""
    pool = state.ledger.pool
    assert pool is not None
    pool = msgspec.structs.replace(pool, assigning=0)
    if isinstance(error, LimitExceeded):
        pool = msgspec.structs.replace(pool, suspect=True, suspect_since=state.now)
    if isinstance(error, SubnetExhausted | LimitExceeded):
        pool = msgspec.structs.replace(pool, refused={**pool.refused, action.subject: action.count})
        backoff = state.backoff(action.subject)
        if action.count > 1:
            state.set_backoff(
                action.subject,
                msgspec.structs.replace(backoff, not_before=state.now, attempts=max(0, backoff.attempts - 1)),
            )
    state.set_pool(pool)
    if isinstance(error, SubnetExhausted | Denied | LimitExceeded):
        no_block = error.code == NO_FREE_BLOCK
        reason = EventReason.INSUFFICIENT_CIDR_BLOCKS if no_block else EventReason.ADDRESS_ASSIGNMENT_FAILED
        state.notices.append(
            NodeNotice(
                node=state.ledger.node,
                reason=reason,
                severity=Severity.WARNING,
                message=f"EC2 gave the node no addresses: {error.code}: {error.message}",
            )
        )
