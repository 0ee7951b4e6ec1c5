"""The order in which branches take their next steps: what pods wait for first, then releases."""

from collections.abc import Iterable

from common.model.ledger import Branch
from common.node.branch.annotation import annotate
from common.node.branch.life import DROPPED, RELEASED, STEPS
from common.node.branch.making import make
from common.node.branch.releasing import release, retire
from common.node.branch.reviewing import review
from common.node.state import Planning
from common.rules import subjects


def advance(state: Planning, *, serving: bool) -> None:
    """Start the next step of each branch."""
    unknown = []
    for branch in _in_order(state.ledger.branches.values()):
        match branch.state:
            case one if branch.unwanted and one in DROPPED:
                if subjects.branch(branch.key) not in state.busy:
                    retire(state, branch, DROPPED[one])
                    state.look_at(state.now)
            case one if one in STEPS:
                if make(state, branch, serving=serving):
                    unknown.append(branch)
            case one if one in RELEASED:
                if release(state, branch):
                    unknown.append(branch)
            case _:
                pass
    if unknown:
        review(state, unknown)
    annotate(state, serving=serving)


def _in_order(branches: Iterable[Branch]) -> list[Branch]:
    return sorted(branches, key=lambda b: (b.unwanted, b.state in RELEASED))
