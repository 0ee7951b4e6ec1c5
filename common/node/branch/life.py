"""The life of a branch interface as tables: which action each state leads to, and which state comes of each event.

What may be done at all (room, leave of the release gate, backoff) is decided by whoever reads them.
"""

from dataclasses import dataclass

from common.model import actions as act
from common.model.ledger import Branch, BranchState

PLANNED, CREATING, CREATED = BranchState.PLANNED, BranchState.CREATING, BranchState.CREATED
PERMITTED, ASSOCIATING, ASSOCIATED = BranchState.PERMITTED, BranchState.ASSOCIATING, BranchState.ASSOCIATED
ASSIGNED, COOLING, DISASSOCIATED = BranchState.ASSIGNED, BranchState.COOLING, BranchState.DISASSOCIATED
IDLE, REGROUPING = BranchState.IDLE, BranchState.REGROUPING

RELEASED = (COOLING, DISASSOCIATED)
"""On its way out: no pod has it."""
BEING_MADE = (PLANNED, CREATING, CREATED, PERMITTED, ASSOCIATING, REGROUPING, ASSOCIATED)
"""No pod has it yet."""
STEPS = (PLANNED, CREATING, CREATED, PERMITTED, ASSOCIATING, REGROUPING)
"""States whose next step `making` starts."""


@dataclass(frozen=True, slots=True)
class Step:
    action: type[act.BranchAction | act.Annotate]
    begun: BranchState
    """Recorded before the call."""
    done: BranchState | None
    """Recorded after it; None: the branch leaves the ledger."""


WANTED: dict[BranchState, Step] = {
    PLANNED: Step(act.CreateBranch, begun=CREATING, done=CREATED),
    CREATING: Step(act.CreateBranch, begun=CREATING, done=CREATED),
    CREATED: Step(act.PermitBranch, begun=CREATED, done=PERMITTED),
    PERMITTED: Step(act.AssociateBranch, begun=ASSOCIATING, done=ASSOCIATED),
    ASSOCIATING: Step(act.AssociateBranch, begun=ASSOCIATING, done=ASSOCIATED),
    # The same groups again, whether or not the call before took effect.
    REGROUPING: Step(act.SetBranchGroups, begun=REGROUPING, done=ASSOCIATED),
    # The pod may have it as soon as the annotation may be written.
    ASSOCIATED: Step(act.Annotate, begun=ASSIGNED, done=ASSIGNED),
    # Again, where the annotation was taken away.
    ASSIGNED: Step(act.Annotate, begun=ASSIGNED, done=ASSIGNED),
}
"""For a pod that waits for it or has it."""

UNWANTED: dict[BranchState, Step] = {
    # It may exist, or be associated, without our knowing: the same call with the same token tells.
    CREATING: WANTED[CREATING],
    ASSOCIATING: WANTED[ASSOCIATING],
    # It was never on the trunk.
    CREATED: Step(act.DeleteBranch, begun=CREATED, done=None),
    PERMITTED: Step(act.DeleteBranch, begun=PERMITTED, done=None),
    COOLING: Step(act.DisassociateBranch, begun=COOLING, done=DISASSOCIATED),
    DISASSOCIATED: Step(act.DeleteBranch, begun=DISASSOCIATED, done=None),
}
"""No pod has it any more, or its pod will not get it."""

KEPT: dict[BranchState, Step] = {
    COOLING: Step(act.UntagBranch, begun=COOLING, done=IDLE),
}
"""Rested, and kept for the next pod; without a call where its tag names no pod any more. An idle one becomes
`regrouping` or `associated` for the pod that takes it, without a call; one that was made ahead of pods becomes idle
when it is associated."""

DROPPED: dict[BranchState, BranchState | None] = {
    PLANNED: None,  # Nothing is there.
    ASSOCIATED: COOLING,  # Never used: it need not rest.
    REGROUPING: COOLING,  # Not used since it rested. Its groups are not known: it is not kept.
    IDLE: COOLING,  # It has rested.
}
"""What an unwanted one becomes without a call; None: it leaves the ledger."""

NOT_BEGUN: dict[BranchState, BranchState] = {CREATING: PLANNED, ASSOCIATING: PERMITTED}
"""After a first call that was not made, or that EC2 refused: it cannot have taken effect."""

REFUSED_UNWANTED: dict[BranchState, BranchState | None] = {CREATING: None, ASSOCIATING: COOLING}
"""After a call that was to tell whether the one before took effect, and was refused. The refusal proves
that an interface is not there, but not that an association is not: that one is released as if it were there."""


DONE: dict[type, BranchState | None] = {
    step.action: step.done for step in (*WANTED.values(), *UNWANTED.values(), *KEPT.values())
}
"""What each action makes of a branch; None: it leaves the ledger."""


def step_of(branch: Branch) -> Step | None:
    """None: it waits for its pod, or goes without a call."""
    return (UNWANTED if branch.unwanted or branch.state in RELEASED else WANTED).get(branch.state)
