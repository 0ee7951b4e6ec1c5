"""Chapter: a node that is gone. What it had is released a while after its absence was confirmed, and the record ends
when nothing is left."""

import msgspec

from common.model.actions import ConfirmNodeGone
from common.model.ids import InstanceId
from common.model.ledger import BranchState, Ledger
from common.node.branch.advancing import advance
from common.node.branch.observing import release_ended
from common.node.cninode import let_cninode_go
from common.node.endings import end_pod
from common.node.sharing import settle
from common.node.state import Draft

SUBJECT = "node"


def depart(draft: Draft) -> None:
    ledger = draft.ledger
    if not draft.desired.complete:
        return  # Absence of information is not deletion.
    cninode = draft.desired.view.cninode
    if cninode is not None and cninode.spec.of_another:
        draft.done_with = not ledger.branches and not draft.busy
        return
    let_cninode_go(draft)
    settled = [settle(draft, instance_id) for instance_id in sorted(_instances(ledger))]
    if not all(settled):
        # Another Node object names the instance: what is known of it goes there.
        left = draft.ledger.branches or draft.ledger.instance is not None
        draft.done_with = not left and draft.desired.view.cninode is None and not draft.busy
        return
    if ledger.gone_since is None:
        if draft.may(SUBJECT):
            draft.start(ConfirmNodeGone(subject=SUBJECT, node=ledger.node))
        return
    due = ledger.gone_since + draft.options.release_delay
    draft.node_ended = due <= ledger.gone_asked_at
    if draft.node_ended:
        _release_all(draft, ledger.gone_since, ledger.gone_asked_at)
    elif due > draft.now:
        draft.look_at(due)
        release_ended(draft)
    elif draft.may(SUBJECT):
        draft.start(ConfirmNodeGone(subject=SUBJECT, node=ledger.node))
    advance(draft, serving=False)
    draft.done_with = (
        draft.node_ended and not draft.ledger.branches and draft.desired.view.cninode is None and not draft.busy
    )


def _instances(ledger: Ledger) -> set[InstanceId]:
    own = {ledger.instance.instance_id} if ledger.instance is not None else set()
    return own | {branch.instance_id for branch in ledger.branches.values()}


def _release_all(draft: Draft, gone_since: float, word_at: float) -> None:
    """Its pods went with the node, by the API server's word of now: what they had has rested since it went."""
    for uid in sorted({b.pod_uid for b in draft.ledger.branches.values() if b.pod_uid}):
        draft.ledger = end_pod(draft.ledger, uid, gone_since, word_at=word_at)
    branches = {
        key: msgspec.structs.replace(b, state=BranchState.COOLING, since=gone_since, word_at=word_at)
        if b.state is BranchState.ASSIGNED
        else b
        for key, b in draft.ledger.branches.items()
    }
    draft.change(branches=branches)
