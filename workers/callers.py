"""Under which name, and how urgently, an action asks the rate limiter for its calls."""

from common.clock import Clock
from common.ec2.gate import ReservingGate
from common.model import actions as act
from common.model.actions import Action
from common.model.reservation import Urgency
from common.store import Store

NAMED_BY_UID = ("branch/", "claim/", "pod/", "annotate/")
"""Subjects that are unique in the cluster by themselves."""
OF_NODES = (
    act.CreateTrunk,
    act.PermitInterface,
    act.AttachTrunk,
    act.FinishTrunk,
    act.AwaitTrunk,
    act.SetTrunkGroups,
    act.InspectPool,
)
RELEASES = (
    act.DisassociateBranch,
    act.DeleteBranch,
    act.UnassignAddresses,
    act.UnassignPrefixes,
    act.UndoTrunk,
    act.CleanDeparted,
    act.Review,
    act.FindAssociations,
)


def caller(action: Action) -> str:
    """A name that is unique in the cluster, and the same when the action is tried again."""
    if action.subject.startswith(NAMED_BY_UID):
        return action.subject
    if isinstance(action, act.CleanDeparted):
        return f"{action.node}/{action.subject}"
    return f"{action.made_for.instance_id if action.made_for else None}/{action.subject}"


def urgency(action: Action) -> Urgency:
    """Pods wait for whatever is not about a node as a whole or a release."""
    if isinstance(action, RELEASES):
        return Urgency.RELEASE
    return Urgency.NODE if isinstance(action, OF_NODES) else Urgency.POD


def gate_for(store: Store, clock: Clock, who: str, urgency: Urgency, *, defers: bool = True) -> ReservingGate:
    """The way of one step, or one task of maintenance, to EC2. Not `defers`: it waits for its calls, however long."""
    return ReservingGate(
        lambda operation: store.limiter.reserve(operation, who, urgency),
        lambda operation, granted_at: store.limiter.throttled(operation, who, granted_at, urgency),
        clock,
        defers=defers,
    )
