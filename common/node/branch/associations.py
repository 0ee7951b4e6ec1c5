"""Associations of branches that were found in EC2. No tag names them, and what an annotation says of them is a claim:
EC2's list tells them, so that a forged one is noticed, and those of ended pods can be kept for others. Nothing waits
for it."""

from collections.abc import Mapping

from common.model.actions import FindAssociations
from common.model.ids import AssociationId, EniId
from common.model.ledger import Backoff, BranchState
from common.node.branch.idle import target
from common.node.state import NodeState, Planning

SUBJECT = "associations"
AFTER_SECONDS = 60.0
"""From adoption on: whoever waits for EC2 after a loss of Redis goes first, and one list serves many nodes."""
REST_SECONDS = 20.0
"""The same where those of ended pods are kept: before they have rested, as what is not known then is released."""
AGAIN_SECONDS = 900.0
"""Where EC2 does not tell, as to assumed roles."""


def find_associations(state: Planning) -> None:
    states = (BranchState.ASSIGNED, BranchState.COOLING) if target(state) else (BranchState.ASSIGNED,)
    found = [
        b for b in state.ledger.branches.values()
        if b.state in states and not b.unwanted and b.association is None and b.eni_id is not None
    ]  # fmt: skip
    if not found:
        return
    due = min(branch.since for branch in found) + (REST_SECONDS if target(state) else AFTER_SECONDS)
    if due > state.now:
        state.look_at(due)
    elif state.may(SUBJECT):
        eni_ids = tuple(sorted(branch.eni_id for branch in found if branch.eni_id is not None))
        state.start(FindAssociations(subject=SUBJECT, eni_ids=eni_ids))


def found(state: NodeState, action: FindAssociations, shown: Mapping[EniId, AssociationId]) -> None:
    """A branch that is not on a trunk any more has none, whatever a list of before says."""
    for branch in list(state.ledger.branches.values()):
        association = shown.get(branch.eni_id) if branch.eni_id is not None else None
        on_trunk = branch.state in (BranchState.ASSIGNED, BranchState.COOLING)
        if association is not None and branch.association is None and on_trunk:
            state.set_branch(branch.key, association=association)
    if len(shown) < len(action.eni_ids):
        state.set_backoff(SUBJECT, Backoff(not_before=state.now + AGAIN_SECONDS))
