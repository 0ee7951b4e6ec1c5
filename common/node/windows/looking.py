"""Looks at EC2, by which a pool's record is kept true: at growing intervals, when something is open that a look can
settle, and after a call whose outcome is not known."""

import msgspec

from common.model.actions import InspectPool
from common.model.ec2 import Interface
from common.model.ids import EniId
from common.model.ledger import Address
from common.model.notice import EventReason, PodNotice, Severity
from common.node.state import NodeState, Planning
from common.node.windows.contents import compared, next_look, releasing
from common.node.windows.mode import ASSIGNS
from common.node.windows.subjects import LOOK, RELEASE, pool_of
from common.rules import subjects

LOST = EventReason.ADDRESS_MISSING


def look(state: Planning, eni_id: EniId) -> None:
    """Compare with EC2: at growing intervals, when something is open that a look can settle, and after a call whose
    outcome is not known."""
    pool = pool_of(state)
    if releasing(pool) and not pool.released_at:  # On record since before that time was.
        pool = msgspec.structs.replace(pool, released_at=state.now)
        state.set_pool(pool)
    calling = state.busy & {RELEASE, *ASSIGNS}
    assign_lost = pool.assigning > 0 and not state.busy & ASSIGNS
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


def inspected(state: NodeState, action: InspectPool, shown: Interface) -> None:
    if state.ledger.pool is None:
        return
    found = compared(state.ledger.pool, shown, action.began, state.now)
    state.set_pool(found.pool)
    for address in found.lost:
        _emit_lost(state, address)


def _emit_lost(state: NodeState, address: Address) -> None:
    key = subjects.pod(address.pod_uid)
    if not state.first_time(key, LOST):
        return
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
