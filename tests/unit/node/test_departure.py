"""A node that is gone."""

import msgspec
import pytest

from common.model.actions import ConfirmGone
from common.model.config import ClusterConfig
from common.model.ledger import BranchState, Ledger
from tests.unit.node.builders import (
    NODE,
    NOW,
    POD_GROUPS_SPEC,
    branch,
    by_key,
    claim,
    cninode,
    desired,
    kinds,
    ledger,
    left,
    options,
    planned,
    pod,
)

GONE = desired(gone=True, without_cninode=True)


def test_its_absence_is_confirmed_before_anything_else() -> None:
    done = planned(ledger(branch("a")), GONE)
    assert kinds(done.actions) == ["ConfirmNodeGone"]
    assert left(done).branches == by_key([branch("a")])


def test_absence_from_an_incomplete_list_is_not_absence() -> None:
    of = ledger(branch("a", BranchState.COOLING), gone_since=NOW - 1000)
    done = planned(of, desired(gone=True, without_cninode=True, complete=False))
    assert done.actions == ()
    assert left(done) == of


def test_its_absence_is_confirmed_again_when_the_minute_is_over() -> None:
    of = ledger(branch("a"), gone_since=NOW - 60, gone_asked_at=NOW - 60)
    done = planned(of, GONE)
    assert kinds(done.actions) == ["ConfirmNodeGone"]
    assert left(done).branches == of.branches


def test_for_a_minute_nothing_of_living_pods_is_released() -> None:
    alive = pod("a")
    of = ledger(branch(alive), claims=[claim(alive, annotated=True)], gone_since=NOW - 59)
    done = planned(of, desired(alive, gone=True, without_cninode=True))
    assert done.actions == ()
    assert left(done).branches == of.branches
    assert done.look_again == NOW + 1


def test_pods_that_are_gone_are_asked_about_meanwhile() -> None:
    done = planned(ledger(branch("a"), gone_since=NOW - 1), GONE)
    assert [type(a) for a in done.actions] == [ConfirmGone]


def test_after_a_minute_everything_is_released_at_once_what_it_had_rests_since_it_went() -> None:
    of = ledger(
        branch("a"),
        branch("b", BranchState.ASSOCIATED),
        branch("c", BranchState.CREATED),
        gone_since=NOW - 60,
        gone_asked_at=NOW,
    )
    done = planned(of, GONE)
    assert sorted(kinds(done.actions)) == ["DeleteBranch", "DisassociateBranch"]
    again = planned(left(done), GONE, now=NOW + 0.1)
    assert "DisassociateBranch" in kinds(again.actions)


def test_with_a_longer_cool_down_the_rest_is_waited_out() -> None:
    longer = desired(gone=True, without_cninode=True, config=ClusterConfig(cooldown=100))
    waiting = planned(ledger(branch("a"), gone_since=NOW - 60, gone_asked_at=NOW), longer)
    assert waiting.actions == ()
    assert waiting.look_again == NOW + 40


def test_the_record_ends_when_nothing_is_left() -> None:
    assert planned(ledger(gone_since=NOW - 60, gone_asked_at=NOW), GONE).ledger is None
    assert planned(ledger(gone_since=NOW - 59), GONE).ledger is not None
    assert planned(ledger(branch("a"), gone_since=NOW - 60, gone_asked_at=NOW), GONE).ledger is not None
    assert planned(ledger(gone_since=NOW - 60, gone_asked_at=NOW), desired(gone=True)).ledger is not None
    assert planned(ledger(gone_since=NOW - 60, gone_asked_at=NOW), GONE, busy=["cninode"]).ledger is not None


def test_a_node_that_was_never_known_leaves_no_record() -> None:
    assert planned(Ledger(node=NODE), GONE).actions == ()
    assert planned(Ledger(node=NODE), GONE).ledger is None
    assert planned(Ledger(node=NODE, gone_since=NOW - 60, gone_asked_at=NOW), GONE).ledger is None


def test_a_node_that_comes_back_within_the_minute_keeps_everything() -> None:
    alive = pod("a", eni_annotation="[]")
    of = ledger(branch(alive), claims=[claim(alive, annotated=True)], gone_since=NOW - 59)
    done = planned(of, desired(alive))
    assert left(done).gone_since is None
    assert left(done).branches == of.branches
    assert done.actions == ()


def test_also_with_the_controller_disabled_departed_nodes_are_cleaned_up() -> None:
    done = planned(ledger(branch("a"), gone_since=NOW - 60, gone_asked_at=NOW), GONE, opts=options(disabled=True))
    assert kinds(done.actions) == ["DisassociateBranch"]
    assert planned(ledger(), desired(pod("a")), opts=options(disabled=True)).actions == ()


@pytest.mark.parametrize("deleting", [False, True])
def test_what_auto_mode_manages_is_left_to_it(deleting: bool) -> None:
    spec = msgspec.structs.replace(POD_GROUPS_SPEC, managed_by="eks-auto-mode")
    others = desired(gone=True, cni=cninode(spec=spec, deleting=deleting))
    of = ledger(branch("a"), gone_since=NOW - 600)
    done = planned(of, others)
    assert (done.actions, left(done)) == ((), of)
    assert planned(ledger(gone_since=NOW - 600), others).ledger is None
