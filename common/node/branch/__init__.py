"""Each pod's branch interfaces, from its request to their deletion.

`claims`: groups and subnet. `serving`: order, room, VLAN ids. `making`: to association. `annotation`. `ending`: of the
pod. `idle`: kept for the next pod; `ahead`: made for it. `releasing`: to deletion. `reviewing`, `adopting`, `owning`,
`associations`: of what is found in EC2; `believing`: of an old record. Each with the outcomes of its own actions.
"""

from typing import Any

from common.model import actions as act
from common.model.errors import OutsideError
from common.model.node import NodeFacts
from common.node.branch import annotation, associations, claims, ending, idle, making, releasing, reviewing
from common.node.branch.advancing import advance
from common.node.branch.ahead import make_ahead
from common.node.branch.annotation import observe_annotations
from common.node.branch.ending import release_ended
from common.node.branch.idle import keep_target
from common.node.branch.serving import serve
from common.node.state import NodeState, Planning

__all__ = ["annotation", "associations", "claims", "done", "ending", "failed", "keep_branches", "making", "reviewing"]


def keep_branches(state: Planning, node: NodeFacts, *, serving: bool) -> None:
    """`serving`: the node is managed and its trunk is ready; otherwise only what exists is seen to its end."""
    observe_annotations(state)
    release_ended(state)
    if serving:
        serve(state, node)
    keep_target(state, node)
    if serving:
        make_ahead(state)
    advance(state, serving=serving)


def done(state: NodeState, action: act.BranchAction, value: Any) -> None:
    if isinstance(action, act.Making):
        making.done(state, action, value)
    elif isinstance(action, act.UntagBranch):
        idle.done(state, action)
    else:
        releasing.done(state, action)


def failed(state: NodeState, action: act.BranchAction, error: OutsideError) -> None:
    if isinstance(action, act.Making):
        making.failed(state, action, error)
    elif isinstance(action, act.UntagBranch):
        idle.failed(state, action, error)
    else:
        releasing.failed(state, action, error)
