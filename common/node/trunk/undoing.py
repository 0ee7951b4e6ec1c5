"""A trunk is taken back: one that was made here and carries nothing. Then another attempt begins."""

from common.model.actions import UndoTrunk
from common.model.errors import Conflict, NotFound, OutsideError
from common.model.ledger import InstanceFacts, Trunk, TrunkState
from common.model.warrant import Warrant
from common.node.retry import after_failure
from common.node.state import NodeState, Planning
from common.node.trunk.subject import SUBJECT, UNDONE
from common.rules.release_gate import Evidence, Lack, warrant

LOOK_ANEW_SECONDS = 10.0
"""More than EC2's Describe calls lag: what was wrong with the last look is right in the next."""


def begin_undo(state: NodeState, error: OutsideError) -> None:
    """The undoing begins at once; what is waited for is the next try, with the attempts counted through."""
    state.set_backoff(UNDONE, after_failure(state.backoff(UNDONE), error, state.now, 1.0))
    state.set_backoff(SUBJECT, None)
    state.set_trunk(state=TrunkState.UNDOING)


def undo(state: Planning, instance: InstanceFacts) -> None:
    """Take back a trunk that was made here and never carried anything. One that was found may carry what is not known:
    it is looked at anew instead."""
    trunk = state.ledger.trunk
    assert trunk.eni_id is not None
    leave = warrant(
        Evidence(
            eni_id=trunk.eni_id,
            complete=state.desired.complete,
            claimed=carries(state),
            made=not trunk.adopted,
            owner=None,
        ),
        state.now,
    )
    if isinstance(leave, Warrant):
        state.start(UndoTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id, warrant=leave))
    elif leave.lack is not Lack.LISTS:
        again = state.now + LOOK_ANEW_SECONDS
        look_anew(state, again)
        state.look_at(again)


def undone(state: NodeState) -> None:
    """The trunk is detached and deleted; the next attempt waits for its time and a fresh look."""
    before = state.ledger.trunk
    trunk = Trunk(generation=before.generation + 1, undone=before.eni_id)
    state.change(trunk=trunk, snapshot_after=max(state.now, state.backoff(UNDONE).not_before))


def not_undone(state: NodeState, error: OutsideError) -> None:
    if isinstance(error, NotFound):
        state.set_backoff(SUBJECT, None)
        undone(state)
    elif isinstance(error, Conflict):
        state.set_backoff(SUBJECT, None)
        look_anew(state, state.now)


def carries(state: NodeState) -> bool:
    return any(b.trunk_id == state.ledger.trunk.eni_id for b in state.ledger.branches.values())


def look_anew(state: NodeState, since: float) -> None:
    """Nothing is known of the trunk any more: a snapshot that begins after `since` tells. One that pods live by,
    or that EC2 has whole though it was to be undone, is not detached on one word of EC2."""
    state.change(trunk=Trunk(generation=state.ledger.trunk.generation + 1), snapshot_after=since)
