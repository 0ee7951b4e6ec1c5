"""What a record that is older than EC2, and a node that may come back, must not cost a living pod."""

import json

from common.model import actions as act
from common.model.errors import Conflict
from common.model.ids import NodeName
from common.model.ledger import Backoff, BranchState, TrunkState
from common.model.outcome import Done, Failed, Reviewed
from common.node.planner import apply
from tests.unit.node.builders import (
    INSTANCE,
    NODE,
    NOW,
    TRUNK,
    branch,
    branch_interface,
    leave,
    ledger,
    pod,
    trunk,
)

NAMED = branch("a", BranchState.COOLING)
OWNER = pod(
    "a",
    eni_annotation=json.dumps([{"eniId": NAMED.eni_id, "ifAddress": "02:00", "privateIp": "10.0.0.5", "vlanId": 1}]),
)


def state_after_review(*, gone_since: float | None, node_ended: bool) -> tuple[BranchState, bool]:
    """The state of an interface that a living pod's annotation names, and whether the API server's word lets it go."""
    of = ledger(NAMED, gone_since=gone_since)
    action = act.Review(
        subject="review", nodes=(NodeName(NODE),), eni_ids=(NAMED.eni_id or TRUNK,), node_ended=node_ended
    )
    found = Reviewed(began_at=NOW, pods=(OWNER,), interfaces=(branch_interface(NAMED),))
    (one,) = apply(of, action, Done(value=found), now=NOW, jitter=0.5).ledger.branches.values()
    return one.state, one.word_at > 0


def test_a_review_while_the_node_object_is_away_gives_a_pod_its_own_back() -> None:
    assert state_after_review(gone_since=NOW - 20.0, node_ended=False) == (BranchState.ASSIGNED, False)


def test_once_the_node_is_over_its_pods_have_nothing() -> None:
    assert state_after_review(gone_since=NOW - 90.0, node_ended=True) == (BranchState.COOLING, True)


def test_a_node_that_came_back_during_the_review_was_not_over() -> None:
    assert state_after_review(gone_since=None, node_ended=True) == (BranchState.ASSIGNED, False)


def test_a_trunk_to_undo_that_ec2_shows_whole_is_looked_at_anew() -> None:
    undo = act.UndoTrunk(subject="trunk", eni_id=TRUNK, instance_id=INSTANCE, warrant=leave(TRUNK))
    of = ledger(trunk=trunk(TrunkState.UNDOING), backoffs={"trunk": Backoff()})
    after = apply(of, undo, Failed(error=Conflict("TrunkComplete", "")), now=NOW, jitter=0.5).ledger
    assert (after.trunk.state, after.trunk.generation, after.snapshot_after) == (
        TrunkState.ABSENT,
        of.trunk.generation + 1,
        NOW,
    )
    assert after.trunk.undone is None, "it may be adopted"
