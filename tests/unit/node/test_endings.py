"""What becomes of a pod's interfaces when it ends, or when a step failed for good."""

from collections.abc import Callable

import pytest

from common.model.ids import PodUid
from common.model.ledger import Backoff, Branch, BranchState, Ledger
from common.node.branch.claims import drop_pod, undo_claim
from common.node.branch.ending import end_pod
from tests.unit.node.builders import NOW, branch, claim, ledger

UID = PodUid("uid-a")
SETTLED = (BranchState.COOLING, BranchState.DISASSOCIATED)
OF_PODS = [state for state in BranchState if state is not BranchState.IDLE]


def of_a(state: BranchState) -> Ledger:
    return ledger(branch("a", state), branch("b", state), claims=[claim("a"), claim("b")])


def mine(of: Ledger) -> Branch:
    return next(b for b in of.branches.values() if b.pod_uid == UID)


@pytest.mark.parametrize("state", OF_PODS)
def test_what_an_ended_pod_had_rests_and_what_was_being_made_is_not_wanted(state: BranchState) -> None:
    before = of_a(state)
    after = end_pod(before, UID, NOW)
    one = mine(after)
    match state:
        case BranchState.ASSIGNED:
            assert (one.state, one.since, one.unwanted) == (BranchState.COOLING, NOW, False)
        case BranchState.COOLING | BranchState.DISASSOCIATED:
            assert one == mine(before)
        case _:
            assert (one.state, one.unwanted) == (state, True)
    assert UID not in after.claims


@pytest.mark.parametrize("state", OF_PODS)
@pytest.mark.parametrize("end", [end_pod, drop_pod])
def test_other_pods_keep_everything(state: BranchState, end: Callable[..., Ledger]) -> None:
    before = of_a(state)
    after = end(before, UID, NOW)
    assert [b for b in after.branches.values() if b.pod_uid != UID] == [
        b for b in before.branches.values() if b.pod_uid != UID
    ]
    assert after.claims.keys() == {"uid-b"}


def test_a_pod_that_ended_twice_rests_since_the_first_time() -> None:
    once = end_pod(of_a(BranchState.ASSIGNED), UID, NOW)
    assert end_pod(once, UID, NOW + 50) == once


def test_dropping_a_pod_forgets_its_failures_only() -> None:
    backoffs = {f"{kind}/{uid}": Backoff(attempts=1) for kind in ("claim", "annotate") for uid in ("uid-a", "uid-b")}
    assert drop_pod(ledger(backoffs=backoffs), UID, NOW).backoffs.keys() == {"claim/uid-b", "annotate/uid-b"}


def test_an_undone_claim_begins_anew_under_new_tokens_with_groups_looked_up_again() -> None:
    after = undo_claim(of_a(BranchState.CREATED), UID)
    assert (after.claims[UID].generation, after.claims[UID].resolved_at) == (1, 0.0)
    assert mine(after).unwanted
    assert after.claims[PodUid("uid-b")] == claim("b")


@pytest.mark.parametrize("state", [*SETTLED, BranchState.ASSIGNED])
def test_undoing_takes_nothing_that_a_pod_has_or_had(state: BranchState) -> None:
    assert undo_claim(of_a(state), UID).branches == of_a(state).branches


def test_undoing_without_a_claim_takes_back_what_was_begun() -> None:
    after = undo_claim(ledger(branch("a", BranchState.PLANNED)), UID)
    assert mine(after).unwanted
    assert after.claims == {}
