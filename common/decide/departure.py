"""Chapter: a node that is gone. What it had is released a while after its absence was confirmed, and the record ends
when nothing is left."""

import msgspec

from common.decide.branches.advancing import advance
from common.decide.branches.observing import release_ended
from common.decide.cninode import let_cninode_go
from common.decide.draft import Draft
from common.decide.endings import end_pod
from common.decide.sharing import settle
from common.model.actions import ConfirmNodeGone
from common.model.ids import InstanceId
from common.model.ledger import BranchState, Ledger

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
    if due > draft.now:
        draft.look_at(due)
        release_ended(draft)
    else:
        _release_all(draft, ledger.gone_since)
    advance(draft, serving=False)
    draft.done_with = (
        due <= draft.now and not draft.ledger.branches and draft.desired.view.cninode is None and not draft.busy
    )


def _instances(ledger: Ledger) -> set[InstanceId]:
    own = {ledger.instance.instance_id} if ledger.instance is not None else set()
    return own | {branch.instance_id for branch in ledger.branches.values()}


def _release_all(draft: Draft, gone_since: float) -> None:
    """Its pods went with the node: what they had has rested since then."""
    for uid in {b.pod_uid for b in draft.ledger.branches.values() if b.pod_uid}:
        draft.ledger = end_pod(draft.ledger, uid, gone_since)
    branches = {
        key: msgspec.structs.replace(b, state=BranchState.COOLING, since=gone_since)
        if b.state is BranchState.ASSIGNED
        else b
        for key, b in draft.ledger.branches.items()
    }
    draft.change(branches=branches)
