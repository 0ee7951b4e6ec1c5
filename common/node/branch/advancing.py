"""The order in which branches take their next steps: what pods wait for first, then releases."""

from collections.abc import Iterable

from common.model.ledger import Branch, BranchState
from common.node.branch.annotation import annotate
from common.node.branch.making import make
from common.node.branch.releasing import RELEASED, release
from common.node.branch.reviewing import review
from common.node.state import Planning


def advance(state: Planning, *, serving: bool) -> None:
    """Start the next step of each branch."""
    unknown = []
    for branch in _in_order(state.ledger.branches.values()):
        match branch.state:
            case BranchState.PLANNED | BranchState.CREATED | BranchState.PERMITTED:
                if make(state, branch, serving=serving):
                    unknown.append(branch)
            case BranchState.ASSOCIATED if branch.unwanted:
                state.set_branch(branch.key, state=BranchState.COOLING, since=0.0)  # Never used: it need not rest.
                state.look_at(state.now)
            case BranchState.COOLING | BranchState.DISASSOCIATED:
                if release(state, branch):
                    unknown.append(branch)
            case _:
                pass
    if unknown:
        review(state, unknown)
    annotate(state, serving=serving)


def _in_order(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (b.unwanted, b.state in RELEASED))
