"""A Windows node's pool of addresses and the pods that take from it.

`mode`: the protocol of the modes; `secondary`, `prefix`: one class each. `pool`, `contents`: what all modes share.
`assigning`, `releasing`, `looking`: the calls, each with the outcomes of its own actions. `pods`, `owning`: which pod
has which address.
"""

from typing import Any, assert_never

from common.model import actions as act
from common.model.errors import OutsideError
from common.node.state import NodeState
from common.node.windows import assigning, looking, owning, releasing

__all__ = ["done", "failed", "not_begun", "owning"]


def done(state: NodeState, action: act.PoolAction, value: Any) -> None:
    if isinstance(action, act.InspectPool):
        looking.inspected(state, action, value)
    elif isinstance(action, act.Assign):
        assigning.done(state, action, value)
    elif isinstance(action, act.Unassign):
        releasing.done(state, action)
    else:
        assert_never(action)


def failed(state: NodeState, action: act.PoolAction, error: OutsideError) -> None:
    if isinstance(action, act.Assign):
        assigning.failed(state, action, error)
    elif isinstance(action, act.Unassign):
        releasing.failed(state, action, error)


def not_begun(state: NodeState, action: act.PoolAction) -> None:
    if isinstance(action, act.Assign):
        assigning.not_begun(state)
    elif isinstance(action, act.Unassign):
        releasing.not_begun(state, action)
