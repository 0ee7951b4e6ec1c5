"""A Linux node's trunk, from nothing to `ready`, and what it gives while it is in use.

`making`: to ready. `undoing`: back to nothing. `using`: capacity and groups. `finding`: what EC2 has already. Each with
the outcomes of its own actions.
"""

from typing import Any, assert_never

from common.model import actions as act
from common.model.errors import OutsideError
from common.model.ledger import TrunkState
from common.model.node import NodeFacts
from common.node.state import NodeState, Planning
from common.node.trunk import making, undoing, using
from common.node.trunk.place import is_supported
from common.node.trunk.subject import SUBJECT


def keep_trunk(state: Planning, node: NodeFacts) -> bool:
    """One step nearer to a trunk in use; True when it is ready."""
    instance = state.ledger.instance
    assert instance is not None
    if not is_supported(state, instance):
        return False
    match state.ledger.trunk.state:
        case TrunkState.READY:
            using.use(state, node)
            return True
        case TrunkState.ABSENT | TrunkState.CREATING:
            making.create(state, node, instance)
        case TrunkState.UNDOING:
            if state.may(SUBJECT):
                undoing.undo(state, instance)
        case _:
            if state.may(SUBJECT):
                making.go_on(state, instance)
    return False


def done(state: NodeState, action: act.TrunkAction, value: Any) -> None:
    match action:
        case act.UndoTrunk():
            undoing.undone(state)
        case act.SetTrunkGroups():
            using.groups_set(state, action)
        case act.CreateTrunk() | act.PermitInterface() | act.AttachTrunk() | act.FinishTrunk() | act.AwaitTrunk():
            making.done(state, action, value)
        case _:
            assert_never(action)


def failed(state: NodeState, action: act.TrunkAction, error: OutsideError) -> None:
    match action:
        case act.UndoTrunk():
            undoing.not_undone(state, error)
        case act.SetTrunkGroups():
            using.groups_not_set(state, error)
        case act.AwaitTrunk():
            making.not_seen(state, error)
        case act.CreateTrunk() | act.PermitInterface() | act.AttachTrunk() | act.FinishTrunk():
            making.failed(state, action, error)
        case _:
            assert_never(action)
