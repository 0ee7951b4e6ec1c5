"""Chapter: a node that is gone. What it had is released a while after its absence was confirmed, and the record ends
when nothing is left."""

import msgspec

from common.model.actions import ConfirmNodeGone
from common.model.ids import InstanceId
from common.model.ledger import BranchState, Ledger
from common.node.branch.advancing import advance
from common.node.branch.believing import outdated
from common.node.branch.ending import end_pod, release_ended
from common.node.cninode import let_cninode_go
from common.node.confirming import still_there
from common.node.sharing import settle
from common.node.state import NodeState, Planning

SUBJECT = "node"


def depart(state: Planning) -> None:
    ledger = state.ledger
    if not state.desired.complete:
        return  # Absence of information is not deletion.
    cninode = state.desired.view.cninode
    if cninode is not None and cninode.spec.of_another:
        state.done_with = not ledger.branches and not state.busy
        return
    let_cninode_go(state)
    settled = [settle(state, instance_id) for instance_id in sorted(_instances(ledger))]
    if not all(settled):
        # Another Node object names the instance: what is known of it goes there.
        left = state.ledger.branches or state.ledger.instance is not None
        state.done_with = not left and state.desired.view.cninode is None and not state.busy
        return
    if ledger.gone_since is None:
        if state.may(SUBJECT):
            state.start(ConfirmNodeGone(subject=SUBJECT, node=ledger.node))
        return
    due = ledger.gone_since + state.options.release_delay
    state.node_ended = due <= ledger.gone_asked_at
    if state.node_ended:
        _release_all(state, ledger.gone_since, ledger.gone_asked_at)
    elif due > state.now:
        state.look_at(due)
        if not outdated(state):
            release_ended(state)
    elif state.may(SUBJECT):
        state.start(ConfirmNodeGone(subject=SUBJECT, node=ledger.node))
    if state.node_ended or not outdated(state):
        advance(state, serving=False)
    state.done_with = (
        state.node_ended and not state.ledger.branches and state.desired.view.cninode is None and not state.busy
    )


def _instances(ledger: Ledger) -> set[InstanceId]:
    own = {ledger.instance.instance_id} if ledger.instance is not None else set()
    return own | {branch.instance_id for branch in ledger.branches.values()}


def _release_all(state: Planning, gone_since: float, word_at: float) -> None:
    """Its pods went with the node, by the API server's word of now: what they had has rested since it went."""
    for uid in sorted({b.pod_uid for b in state.ledger.branches.values() if b.pod_uid}):
        state.ledger = end_pod(state.ledger, uid, gone_since, word_at=word_at)
    branches = {
        key: msgspec.structs.replace(b, state=BranchState.COOLING, since=gone_since, word_at=word_at)
        if b.state is BranchState.ASSIGNED
        else msgspec.structs.replace(b, unwanted=True)
        if b.state is BranchState.IDLE
        else b
        for key, b in state.ledger.branches.items()
    }
    state.change(branches=branches)


def confirmed(state: NodeState, action: ConfirmNodeGone, gone: bool) -> None:
    """What the API server said of the node's absence."""
    if gone:
        since = state.ledger.gone_since
        state.change(gone_since=state.now if since is None else since, gone_asked_at=state.now)
    else:
        state.change(gone_since=None, gone_asked_at=0.0)
        still_there(state, action)
