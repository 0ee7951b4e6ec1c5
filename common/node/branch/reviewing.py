"""Branches that nobody is known to own: the API server and EC2 are asked. A pod that has one after all gets it back,
what they know no owner of may be released."""

from common.model.actions import Review
from common.model.ec2 import Interface
from common.model.ids import PodUid
from common.model.ledger import ON_TRUNK, Branch, BranchState
from common.model.names import POD_UID_TAG
from common.model.outcome import Reviewed
from common.node.branch.owning import give_back, owner_of, unclear
from common.node.state import NodeState, Planning
from common.rules.release_gate import EC2_LAG_SECONDS

SUBJECT = "review"


def review(state: Planning, branches: list[Branch]) -> None:
    """Ask about the pods of the instance, and about all branches that lack a word, at once."""
    if state.may(SUBJECT):
        nodes = sorted({state.ledger.node, *(sharer.name for sharer in state.desired.sharers)})
        eni_ids = tuple(sorted(b.eni_id for b in branches if b.eni_id is not None))
        state.start(Review(subject=SUBJECT, nodes=tuple(nodes), eni_ids=eni_ids, node_ended=state.node_ended))


def reviewed(state: NodeState, action: Review, found: Reviewed) -> None:
    living = [pod for pod in found.pods if not pod.finished]
    # A node that comes back within the time of a release keeps everything.
    over = action.node_ended and state.ledger.gone_since is not None
    shown = {interface.eni_id: interface for interface in found.interfaces}
    for branch in list(state.ledger.branches.values()):
        if branch.eni_id not in action.eni_ids or branch.state in (*ON_TRUNK, BranchState.REGROUPING):
            continue
        interface = shown.get(branch.eni_id)
        tagged = PodUid(interface.tags.get(POD_UID_TAG, "")) if interface is not None else branch.tagged
        if branch.found and tagged != branch.tagged:
            state.set_branch(branch.key, tagged=tagged, since=state.now)  # Made for another pod than was believed.
            continue
        owner = None if over else owner_of(branch, living, state.ledger.branches.values())
        if owner is None and not over and branch.found and branch.untagged:
            owner = next(iter(unclear(living, state.ledger.branches.values())), None)
        if owner is not None:
            give_back(state, branch, owner)
        else:
            # The first word counts: it rests from then on.
            first = branch.word_at if branch.word_at >= branch.since else found.began_at
            state.set_branch(branch.key, word_at=first, looked_at=found.began_at)
            if branch.found and found.began_at >= branch.since + EC2_LAG_SECONDS and _off_trunk(interface):
                state.set_branch(branch.key, state=BranchState.DISASSOCIATED, since=state.now)


def _off_trunk(interface: Interface | None) -> bool:
    return interface is None or (interface.status == "available" and interface.type != "branch")
