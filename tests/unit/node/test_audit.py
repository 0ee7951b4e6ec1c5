"""Our record beside EC2's: nothing is acted on that was not seen twice."""

from typing import Any

import pytest

from common.model.ec2 import InstanceSnapshot, Interface
from common.model.ids import EniId, VlanId
from common.model.ledger import BranchState, Ledger, TrunkState
from common.model.pod import PodRequest
from common.node.audit import audit
from common.node.state import Planning
from tests.unit.node.builders import (
    NOW,
    TRUNK,
    branch,
    branch_interface,
    claim,
    desired,
    kinds,
    ledger,
    names,
    options,
    planning,
    pod,
    primary,
    reasons,
    snapshot,
    trunk_interface,
)


def seen(*interfaces: Interface, trunk: bool = True, **fields: Any) -> InstanceSnapshot:
    trunks = [trunk_interface()] if trunk else []
    return snapshot(*interfaces, *trunks, attached=trunks, **fields)


def audited(of: Ledger, shows: InstanceSnapshot | None, *pods: PodRequest, **fields: Any) -> Planning:
    one = planning(of, desired(*pods), snapshot=shows, **fields)
    audit(one)
    return one


def due(*branches: Any, **fields: Any) -> Ledger:
    return ledger(*branches, **{"audit_at": NOW, "audit_interval": 60.0, **fields})


@pytest.mark.parametrize(("jitter", "after"), [(0.0, 45.0), (0.5, 60.0), (0.99, 74.7)])
def test_the_first_is_about_a_minute_after_the_trunk_is_ready(jitter: float, after: float) -> None:
    one = audited(ledger(audit_at=0.0), None, jitter=jitter)
    assert one.ledger.audit_at == one.look_again == pytest.approx(NOW + after, rel=0, abs=1e-3)
    assert one.actions == []


def test_before_its_time_nothing_is_asked() -> None:
    one = audited(ledger(audit_at=NOW + 5), seen())
    assert (one.actions, one.look_again, one.ledger.snapshot_after) == ([], NOW + 5, None)


def test_when_it_is_due_a_snapshot_newer_than_that_is_asked_for() -> None:
    one = audited(due(), seen(taken_at=NOW - 1))
    assert kinds(one.actions) == ["RequestSnapshot"]
    assert one.ledger.snapshot_after == NOW


def test_intervals_double_up_to_the_longest_while_all_is_well() -> None:
    intervals, of = [], due(branch("a"))
    for _ in range(6):
        of = audited(of, seen(branch_interface("a")), options=options(audit_longest=900.0)).ledger
        intervals.append(of.audit_interval)
        of = due(branch("a"), audit_interval=of.audit_interval)
    assert intervals == [120.0, 240.0, 480.0, 900.0, 900.0, 900.0]


def test_an_unknown_branch_is_adopted_when_it_is_seen_again() -> None:
    stray = branch_interface("stray")
    once = audited(due(), seen(stray))
    assert once.ledger.branches == {}
    assert once.ledger.suspects == (stray.eni_id,)
    assert once.ledger.audit_at == once.look_again == NOW + 10
    twice = audited(due(suspects=once.ledger.suspects), seen(stray))
    assert [(b.eni_id, b.state) for b in twice.ledger.branches.values()] == [(stray.eni_id, BranchState.COOLING)]
    assert twice.ledger.suspects == ()


def test_an_unknown_branch_that_a_living_pods_annotation_names_becomes_that_pods() -> None:
    alive = pod("a", eni_annotation=names(branch("a")))
    one = audited(due(suspects=("eni-a-0",)), seen(branch_interface("a")), alive)
    assert [(b.pod_uid, b.state) for b in one.ledger.branches.values()] == [("uid-a", BranchState.ASSIGNED)]


def test_an_unknown_branch_that_was_gone_at_the_second_look_is_forgotten() -> None:
    one = audited(due(suspects=("eni-stray-0",)), seen())
    assert (one.ledger.branches, one.ledger.suspects) == ({}, ())


def test_what_is_not_ours_is_not_adopted() -> None:
    assert audited(due(), seen(primary(), branch_interface("a", tags={}))).ledger.suspects == ()


def test_what_our_own_call_with_unknown_outcome_made_is_not_adopted() -> None:
    begun = branch("a", BranchState.CREATING)
    one = audited(due(begun, suspects=("eni-a-0",)), seen(branch_interface("a", status="available")))
    assert one.ledger.branches.keys() == {begun.key}
    assert one.ledger.suspects == ()


@pytest.mark.parametrize("state", [BranchState.COOLING, BranchState.DISASSOCIATED, BranchState.ASSIGNED])
def test_what_somebody_deleted_leaves_the_record_when_it_is_missed_twice(state: BranchState) -> None:
    once = audited(due(branch("gone", state)), seen())
    assert len(once.ledger.branches) == 1
    assert once.ledger.suspects == ("eni-gone-0",)
    assert audited(due(branch("gone", state), suspects=once.ledger.suspects), seen()).ledger.branches == {}


@pytest.mark.parametrize("state", [BranchState.CREATED, BranchState.PERMITTED, BranchState.ASSOCIATED])
def test_a_pod_that_lost_half_of_what_was_made_for_it_begins_anew(state: BranchState) -> None:
    halves = (branch("a", state), branch("a", state, ordinal=1, vlan=VlanId(2)))
    of = due(*halves, claims=[claim("a")], suspects=("eni-a-0",))
    one = audited(of, seen(branch_interface(halves[1])), pod("a", 2))
    (left_over,) = one.ledger.branches.values()
    assert (left_over.eni_id, left_over.unwanted) == ("eni-a-1", True)
    assert one.ledger.claims[pod("a").uid].generation == 1


def test_a_living_pods_lost_interface_is_reported_once_and_stays_on_record() -> None:
    alive = pod("a", eni_annotation=names(branch("a")))
    of = due(branch("a"), suspects=("eni-a-0",))
    one = audited(of, seen(), alive)
    assert reasons(one.notices) == ["BranchInterfaceMissing"]
    assert one.ledger.branches == of.branches
    again = audited(due(branch("a"), suspects=("eni-a-0",), emitted=one.ledger.emitted), seen(), alive)
    assert again.notices == []


@pytest.mark.parametrize(
    ("young", "busy"),
    [
        pytest.param({"since": NOW - 59}, [], id="EC2's answers lag"),
        pytest.param({}, ["branch/uid-a.0.0"], id="a call about it is under way"),
        pytest.param({"trunk_id": EniId("eni-old-trunk")}, [], id="it is another instance's"),
        pytest.param({"eni_id": None}, [], id="it was not made yet"),
    ],
)
def test_what_is_not_missed(young: dict[str, Any], busy: list[str]) -> None:
    of = due(branch("a", BranchState.COOLING, **young))
    assert audited(of, seen(), busy=frozenset(busy)).ledger.suspects == ()


def test_a_trunk_missed_twice_is_reported_and_made_again() -> None:
    once = audited(due(), seen(trunk=False))
    assert once.ledger.trunk.state is TrunkState.READY
    one = audited(due(suspects=(TRUNK,)), seen(trunk=False))
    assert reasons(one.notices) == ["TrunkInterfaceMissing"]
    assert (one.ledger.trunk.state, one.ledger.trunk.generation) == (TrunkState.ABSENT, 1)
    assert one.ledger.snapshot_after == NOW


def test_a_trunk_that_somebody_detached_is_missed_too() -> None:
    loose = trunk_interface(status="available", instance_id=None, attachment_id=None, attachment_status=None)
    once = audited(due(), seen(loose, trunk=False))
    assert once.ledger.suspects == (TRUNK,)
    twice = audited(due(suspects=once.ledger.suspects), seen(loose, trunk=False))
    assert (twice.ledger.trunk.state, twice.ledger.snapshot_after) == (TrunkState.ABSENT, NOW)


def test_an_instance_that_is_not_shown_tells_nothing() -> None:
    of = due(branch("a"), suspects=("eni-a-0", TRUNK))
    one = audited(of, seen(trunk=False, instance=None))
    assert (one.ledger.branches, one.ledger.trunk) == (of.branches, of.trunk)
