"""The planner as a whole: who is served, which events there are, and that looking again changes nothing."""

from typing import Any

import pytest

from common.model.config import ClusterConfig
from common.model.ids import PodUid, VlanId
from common.model.ledger import Backoff, BranchState, Ledger, TrunkState
from common.model.node import CniNodeSpec
from common.node.planner import Plan
from tests.unit.node.builders import (
    NODE,
    NOW,
    branch,
    claim,
    cninode,
    desired,
    kinds,
    ledger,
    left,
    limits,
    names,
    node,
    options,
    planned,
    pod,
    reasons,
    trunk,
)


def settled() -> tuple[Ledger, Any]:
    alive = pod("a", eni_annotation=names(branch("a")))
    return ledger(branch("a"), claims=[claim(alive, annotated=True)]), desired(alive)


def test_a_settled_node_needs_nothing_until_its_next_audit() -> None:
    of, goal = settled()
    assert planned(of, goal) == Plan(ledger=of, actions=(), notices=(), look_again=NOW + 600)


def test_a_new_node_begins_with_its_cninode_and_a_snapshot() -> None:
    done = planned(Ledger(node=NODE), desired(pod("a"), without_cninode=True))
    assert sorted(kinds(done.actions)) == ["CreateCniNode", "RequestSnapshot"]
    assert reasons(done.notices) == ["ControllerVersionNotice"]


def test_an_auto_mode_node_is_left_alone_altogether() -> None:
    done = planned(Ledger(node=NODE), desired(pod("a"), of=node(auto=True), without_cninode=True))
    assert (done.actions, done.notices) == ((), ())


def test_an_unmanaged_node_gets_a_cninode_and_nothing_more() -> None:
    about = node(trunk_label=False, capacity={})
    done = planned(Ledger(node=NODE), desired(pod("a"), of=about, without_cninode=True))
    assert (kinds(done.actions), done.notices) == (["CreateCniNode"], ())


def test_a_node_that_lost_its_feature_keeps_its_trunk_and_its_living_pods_interfaces() -> None:
    alive = pod("a", eni_annotation=names(branch("a")))
    of = ledger(branch("a"), branch("gone", BranchState.COOLING, since=0.0, vlan=VlanId(2)), claims=[claim("a")])
    about, spec = node(trunk_label=False), CniNodeSpec(tags=cninode().spec.tags)
    done = planned(of, desired(alive, pod("new"), of=about, cni=cninode(spec=spec)))
    assert kinds(done.actions) == ["DisassociateBranch"]
    assert left(done).trunk == of.trunk


def test_a_cninode_that_was_deleted_takes_no_feature_away() -> None:
    of, goal = settled()
    unlabelled = desired(*goal.pods.values(), of=node(trunk_label=False), without_cninode=True)
    done = planned(of, unlabelled)
    assert kinds(done.actions) == ["CreateCniNode"]
    assert left(done).branches == of.branches


def test_a_disabled_controller_serves_nobody() -> None:
    assert planned(Ledger(node=NODE), desired(pod("a")), opts=options(disabled=True)).actions == ()


@pytest.mark.parametrize(
    ("before", "now", "reported"),
    [
        pytest.param(None, 90.0, [], id="not at the start"),
        pytest.param(60.0, 90.0, ["1m30s"], id="a change"),
        pytest.param(60.0, 45.0, ["45s"], id="under a minute"),
        pytest.param(60.0, 60.0, [], id="no change"),
    ],
)
def test_a_changed_cool_down_is_reported(before: float | None, now: float, reported: list[str]) -> None:
    done = planned(ledger(cooldown_seen=before), desired(config=ClusterConfig(cooldown=now)))
    assert [n.message.rsplit(" ", 1)[-1] for n in done.notices] == reported
    assert set(reasons(done.notices)) <= {"BranchENICoolDownPeriodUpdated"}
    assert left(done).cooldown_seen == now


@pytest.mark.parametrize(
    ("of", "opts", "words"),
    [
        (ledger(), options(limits(branches=0)), "has no trunk interface"),
        (
            ledger(trunk=trunk(TrunkState.CREATED), backoffs={"trunk": Backoff(not_before=NOW + 9, code="SomeCode")}),
            options(),
            "could not be made yet: SomeCode",
        ),
    ],
)
def test_pods_on_a_node_that_cannot_serve_get_one_event_that_says_why(of: Ledger, opts: Any, words: str) -> None:
    done = planned(of, desired(pod("a")), opts=opts)
    waiting = [n for n in done.notices if n.reason == "WaitingForNode"]
    assert len(waiting) == 1
    assert words in waiting[0].message
    assert "WaitingForNode" not in reasons(planned(left(done), desired(pod("a")), opts=opts).notices)


def test_pods_that_ask_for_nothing_or_have_it_are_not_reported() -> None:
    pods = [pod("a", 0), pod("b", finished=True), pod("c", eni_annotation="[]")]
    assert "WaitingForNode" not in reasons(planned(ledger(), desired(*pods), opts=options(limits(branches=0))).notices)


def test_what_is_no_more_is_forgotten() -> None:
    gone, kept = "uid-gone", "uid-a"
    kinds_ = ("pod", "claim", "annotate")
    of = ledger(
        backoffs={f"{kind}/{uid}": Backoff(attempts=1) for kind in kinds_ for uid in (gone, kept)}
        | {"branch/uid-gone.0.0": Backoff(), "trunk": Backoff(), "cninode": Backoff()},
        emitted={f"pod/{gone}": "Full", f"annotation/{gone}": "bad", f"annotation/{kept}": "bad"},
    )
    after = left(planned(of, desired(pod("a", eni_annotation="[]"))))
    assert after.backoffs.keys() == {f"{kind}/{kept}" for kind in kinds_} | {"trunk", "cninode"}
    assert {k for k in after.emitted if k.startswith(("pod/", "annotation/"))} == {f"annotation/{kept}"}


def test_the_end_of_a_pod_that_still_has_something_stays_paced() -> None:
    of = ledger(branch("gone"), backoffs={"pod/uid-gone": Backoff(not_before=NOW + 4)})
    done = planned(of, desired())
    assert done.actions == ()
    assert left(done).backoffs.keys() == {"pod/uid-gone"}
    assert done.look_again == NOW + 4
    assert PodUid("uid-gone") not in left(done).claims


def test_all_interfaces_of_all_pods_are_under_way_at_the_same_time() -> None:
    """A burst: nobody waits for another's calls."""
    pods = [pod(f"p{n}") for n in range(9)]
    done = planned(ledger(claims=[claim(p) for p in pods]), desired(*pods))
    assert kinds(done.actions) == ["CreateBranch"] * 9
    assert len({b.vlan for b in left(done).branches.values()}) == 9


def test_a_pod_that_comes_while_others_are_under_way_does_not_wait_for_them() -> None:
    first = planned(ledger(claims=[claim("a"), claim("b")]), desired(pod("a")))
    busy = [a.subject for a in first.actions]
    second = planned(left(first), desired(pod("a"), pod("b")), busy=busy)
    assert "branch/uid-b.0.0" in [a.subject for a in second.actions] or kinds(second.actions) == ["ResolvePod"]
