"""Under which name, and how urgently, an action asks the rate limiter for its calls."""

from common.clock import Clock
from common.ec2.gate import ReservingGate
from common.model import actions as act
from common.model.actions import Action
from common.model.reservation import Urgency
from common.node.tokens import made_ahead
from common.store import Store

NAMED_BY_UID = ("branch/", "claim/", "pod/", "annotate/")
"""Subjects that are unique in the cluster by themselves."""


def caller(action: Action) -> str:
    """A name that is unique in the cluster, and the same when the action is tried again."""
    if action.subject.startswith(NAMED_BY_UID):
        return action.subject
    if isinstance(action, act.CleanDeparted):
        return f"{action.node}/{action.subject}"
    return f"{action.made_for.instance_id if action.made_for else None}/{action.subject}"


def urgency(action: Action) -> Urgency:
    """As its kind has it; for what is made before a pod asks for it nobody waits."""
    if isinstance(action, act.Making) and made_ahead(action.key):
        return Urgency.RELEASE
    return action.terms.urgency


def gate_for(store: Store, clock: Clock, who: str, urgency: Urgency, *, defers: bool = True) -> ReservingGate:
    """The way of one step, or one task of maintenance, to EC2. Not `defers`: it waits for its calls, however long."""
    return ReservingGate(
        lambda operation: store.limiter.reserve(operation, who, urgency),
        lambda operation, granted_at: store.limiter.throttled(operation, who, granted_at, urgency),
        clock,
        defers=defers,
    )
