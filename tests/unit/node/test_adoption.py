"""Learning the instance, and taking over what EC2 has already."""

import dataclasses
from typing import Any

import msgspec
import pytest

from common.model.actions import FindAssociations, RequestSnapshot
from common.model.ec2 import InstanceSnapshot, Interface
from common.model.ids import UNKNOWN_VLAN, AssociationId, AttachmentId, EniId, PodUid, VlanId
from common.model.ledger import AddressState, Backoff, BranchState, Ledger, Trunk, TrunkState
from common.model.ledger_check import ledger_problem
from common.model.names import OWNER_TAG, POD_UID_TAG, TRUNK_TAG, VLAN_TAG
from common.model.pod import PodRequest
from common.node.adoption import know_instance
from common.node.branch import associations
from common.node.branch.adopting import adopt_branches, is_branch
from common.node.state import NodeState
from common.node.trunk.finding import found_trunk
from common.node.trunk.index import free_device_index
from tests.unit.node.builders import (
    INSTANCE,
    NODE,
    NOW,
    OTHER_INSTANCE,
    SUBNET,
    TRUNK,
    branch,
    branch_interface,
    claim,
    desired,
    instance_facts,
    kinds,
    ledger,
    limits,
    names,
    node,
    planned,
    planning,
    pod,
    primary,
    reasons,
    snapshot,
    trunk,
    trunk_interface,
)

NEW = Ledger(node=NODE)


def known(of: Ledger, seen: InstanceSnapshot | None = None, *pods: PodRequest, **fields: Any) -> tuple[bool, Any]:
    about = fields.pop("about", node())
    one = planning(of, desired(*pods, of=about, complete=fields.pop("complete", True)), snapshot=seen, **fields)
    return know_instance(one, about), one


def waiting(**fields: Any) -> Ledger:
    return Ledger(node=NODE, snapshot_after=NOW, **fields)


def test_a_new_node_asks_for_a_snapshot_newer_than_itself() -> None:
    knows, one = known(NEW, snapshot(taken_at=NOW - 1))
    assert not knows
    (action,) = one.actions
    assert isinstance(action, RequestSnapshot)
    assert one.ledger.snapshot_after == NOW


def test_nothing_is_adopted_before_all_pods_are_known() -> None:
    assert known(waiting(), snapshot(), complete=False)[0] is False
    assert known(ledger(), complete=False)[0] is False


def test_the_snapshot_tells_the_instance() -> None:
    knows, one = known(waiting(), snapshot())
    assert knows
    assert one.ledger.instance == instance_facts()
    assert one.ledger.snapshot_after is None
    assert (one.ledger.trunk.state, one.ledger.trunk.device_index) == (TrunkState.ABSENT, 2)


def test_an_attached_trunk_and_its_branches_are_taken_over() -> None:
    alive = pod("a", eni_annotation=names(branch("a")))
    seen = snapshot(branch_interface("a"), branch_interface("stray"), trunk_interface(), attached=[trunk_interface()])
    knows, one = known(waiting(), seen, alive)
    assert knows
    assert one.ledger.trunk == trunk(adopted=True)
    assert {b.eni_id: b.state for b in one.ledger.branches.values()} == {
        "eni-a-0": BranchState.ASSIGNED,
        "eni-stray-0": BranchState.COOLING,
    }


@pytest.mark.parametrize(
    "lacks",
    [{"instance": None}, {"subnet": None}],
)
def test_an_instance_that_ec2_does_not_show_is_asked_about_later_and_later(lacks: dict[str, Any]) -> None:
    knows, one = known(waiting(), snapshot(**lacks))
    assert not knows
    assert one.ledger.snapshot_after == one.look_again == NOW + 2
    assert reasons(one.notices) == ["InstanceNotFound"]
    later = known(waiting(emitted=one.ledger.emitted, backoffs={"snapshot": Backoff(attempts=9)}), snapshot(**lacks))[1]
    assert later.ledger.snapshot_after == NOW + 300
    assert later.notices == []


def test_however_long_an_instance_is_not_shown_it_is_asked_about() -> None:
    later = known(waiting(backoffs={"snapshot": Backoff(attempts=2000)}), snapshot(instance=None))[1]
    assert later.ledger.snapshot_after == NOW + 300


@pytest.mark.parametrize(
    ("other", "asks"),
    [
        ({}, False),
        ({"uid": "other-uid"}, True),
        ({"instance_id": OTHER_INSTANCE}, True),
        ({"trunk_label": False}, True),
    ],
)
def test_a_node_that_changed_is_a_reason_to_look_again_at_once(other: dict[str, Any], asks: bool) -> None:
    of = known(waiting(backoffs={"snapshot": Backoff(attempts=9)}), snapshot(instance=None))[1].ledger
    one = planning(of, desired(), now=NOW + 5)
    know_instance(one, node(**other))
    assert (kinds(one.actions) == ["RequestSnapshot"]) == asks


def test_groups_that_were_found_with_the_old_instance_are_found_anew() -> None:
    of = ledger(instance=instance_facts(OTHER_INSTANCE), claims=[claim("a")], trunk=trunk(generation=3))
    one = known(of)[1]
    assert one.ledger.claims["uid-a"].resolved_at == 0.0
    assert one.ledger.trunk == Trunk(generation=4)


def test_another_instance_under_the_same_name_is_learnt_and_the_old_ones_branches_stay_on_the_record() -> None:
    of = ledger(
        branch("a"),
        instance=instance_facts(OTHER_INSTANCE),
        backoffs={"trunk": Backoff(), "branch/uid-a.0.0": Backoff(attempts=1)},
    )
    knows, one = known(of, snapshot())
    assert knows
    assert one.ledger.instance.instance_id == INSTANCE
    assert one.ledger.trunk.state is TrunkState.ABSENT
    assert one.ledger.branches == of.branches
    assert one.ledger.backoffs.keys() == {"branch/uid-a.0.0"}


def test_a_known_instance_needs_no_call() -> None:
    knows, one = known(ledger())
    assert (knows, one.actions) == (True, [])


def test_a_lost_trunk_is_looked_for_once_more() -> None:
    of = ledger(trunk=trunk(TrunkState.ABSENT, eni_id=None), snapshot_after=NOW - 1)
    knows, one = known(of, snapshot(attached=[trunk_interface()]))
    assert knows
    assert one.ledger.trunk.state is TrunkState.READY
    assert kinds(known(of)[1].actions) == ["RequestSnapshot"]


def test_a_windows_nodes_addresses_are_taken_over() -> None:
    shown = primary(secondary_ips=("10.0.3.5", "10.0.3.6"))
    seen = snapshot()
    assert seen.instance is not None
    seen = msgspec.structs.replace(seen, instance=msgspec.structs.replace(seen.instance, interfaces=(shown,)))
    alive = pod("a", 0, addresses=1, ip_annotation="10.0.3.5/19")
    knows, one = known(waiting(), seen, alive, about=node(os="windows"))
    assert knows
    assert {ip: a.state for ip, a in one.ledger.pool.addresses.items()} == {
        "10.0.3.5": AddressState.ASSIGNED,
        "10.0.3.6": AddressState.COOLING,
    }


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        pytest.param({}, TrunkState.READY, id="in order"),
        pytest.param({"attachment_status": "attaching"}, TrunkState.ATTACHING, id="not attached yet"),
        pytest.param({"delete_on_termination": False}, TrunkState.ATTACHING, id="does not go with its instance"),
    ],
)
def test_an_attached_trunk(fields: dict[str, Any], state: TrunkState) -> None:
    instance = snapshot(attached=[trunk_interface(**fields)]).instance
    assert instance is not None
    found = found_trunk(instance, (), limits(), Trunk(generation=3))
    assert (found.state, found.eni_id, found.generation, found.adopted) == (state, TRUNK, 3, True)
    assert found.attachment_id == AttachmentId("attach-1")


def test_a_trunk_left_over_before_it_was_attached_is_used() -> None:
    instance = snapshot().instance
    assert instance is not None
    loose = trunk_interface(status="available", instance_id=None, attachment_id=None, attachment_status=None)
    found = found_trunk(instance, [loose], limits(), Trunk())
    assert (found.state, found.eni_id, found.device_index) == (TrunkState.CREATED, TRUNK, 2)
    foreign = trunk_interface(status="available", tags={OWNER_TAG: "somebody"})
    assert found_trunk(instance, [foreign], limits(), Trunk()).eni_id is None


def test_a_trunk_that_was_undone_is_not_taken_for_the_instances_though_ec2_still_shows_it() -> None:
    before = Trunk(generation=1, undone=TRUNK)
    attached = snapshot(attached=[trunk_interface()]).instance
    bare = snapshot().instance
    assert attached is not None
    assert bare is not None
    loose = trunk_interface(status="available", instance_id=None, attachment_id=None, attachment_status=None)
    for found in (found_trunk(attached, (), limits(), before), found_trunk(bare, [loose], limits(), before)):
        assert (found.state, found.eni_id, found.undone) == (TrunkState.ABSENT, None, TRUNK)


@pytest.mark.parametrize(
    ("used", "most", "index"),
    [
        pytest.param([], 3, 2, id="the highest"),
        pytest.param([2], 3, 1, id="the highest that is free"),
        pytest.param([1], 3, 2, id="whatever the CNI took from below"),
        pytest.param([1, 2], 3, None, id="none is free"),
        pytest.param([], 1, None, id="there is only the primary one"),
    ],
)
def test_device_index(used: list[int], most: int, index: int | None) -> None:
    others = [primary(eni_id=EniId(f"eni-{n}"), device_index=n) for n in used]
    instance = snapshot(attached=others).instance
    assert instance is not None
    few = dataclasses.replace(limits(), max_interfaces=most)
    assert free_device_index(instance, few) == index
    assert free_device_index(instance, None) is None


def test_only_the_default_network_card_counts() -> None:
    instance = snapshot(attached=[primary(eni_id=EniId("eni-x"), device_index=2, network_card=1)]).instance
    assert instance is not None
    assert free_device_index(instance, limits()) == 2


@pytest.mark.parametrize(
    ("shown", "ours"),
    [
        pytest.param(branch_interface("a"), True, id="tagged with the trunk"),
        pytest.param(branch_interface("a", tags={OWNER_TAG: "eks-vpc-resource-controller"}), True, id="described"),
        pytest.param(branch_interface("a", description="x", tags={TRUNK_TAG: TRUNK}), True, id="by the tag alone"),
        pytest.param(branch_interface("a", tags={}), False, id="of nobody"),
        pytest.param(branch_interface("a", instance_id=INSTANCE), False, id="attached to an instance"),
        pytest.param(trunk_interface(), False, id="a trunk"),
        pytest.param(primary(), False, id="the primary one"),
        pytest.param(branch_interface("a", tags={TRUNK_TAG: "eni-other"}), False, id="of another trunk, not ours"),
    ],
)
def test_what_is_a_branch_of_ours(shown: Interface, ours: bool) -> None:
    assert is_branch(shown, TRUNK) is ours


def adopted(of: Ledger, *interfaces: Interface, pods: tuple[PodRequest, ...] = ()) -> Ledger:
    return adopt_branches(of, INSTANCE, TRUNK, SUBNET, interfaces, {p.uid: p for p in pods}, NOW)


def test_what_a_living_pods_annotation_names_stays_that_pods() -> None:
    alive = pod("a", eni_annotation=names(branch("a", vlan=VlanId(7))))
    after = adopted(ledger(), branch_interface("a"), pods=(alive,))
    (one,) = after.branches.values()
    assert (one.state, one.pod_uid, one.pod_name, one.vlan) == (BranchState.ASSIGNED, "uid-a", "a", 1)
    assert one.association is None, "what an annotation says of associations is not believed"
    assert after.claims[alive.uid].annotated


def test_a_finished_pod_keeps_nothing() -> None:
    done = pod("a", eni_annotation=names(branch("a")), finished=True)
    (one,) = adopted(ledger(), branch_interface("a"), pods=(done,)).branches.values()
    assert (one.state, one.pod_uid, one.since) == (BranchState.COOLING, "", NOW)


def test_one_shown_on_no_trunk_rests_as_well() -> None:
    (one,) = adopted(ledger(), branch_interface("a", status="available")).branches.values()
    assert (one.state, one.unwanted, one.since) == (BranchState.COOLING, False, NOW)


def test_the_vlan_of_one_that_nobody_names_is_read_from_its_tag() -> None:
    (one,) = adopted(ledger(), branch_interface(branch("a", vlan=VlanId(9)))).branches.values()
    assert one.vlan == 9
    (odd,) = adopted(ledger(), branch_interface("a", tags={TRUNK_TAG: TRUNK, "vlan": "x"})).branches.values()
    assert odd.vlan == 0


def test_a_waiting_pod_whose_leaked_branch_was_found_gets_new_tokens() -> None:
    after = adopted(ledger(), branch_interface("a"), pods=(pod("a"),))
    assert after.claims[PodUid("uid-a")].generation == int(NOW)
    assert after.claims[PodUid("uid-a")].annotated is False


def test_a_claim_that_stands_is_not_replaced() -> None:
    of = ledger(claims=[claim("a", generation=4)])
    assert adopted(of, branch_interface("a"), pods=(pod("a"),)).claims == of.claims


def test_what_the_ledger_knows_and_what_is_no_branch_is_left_alone() -> None:
    of = ledger(branch("a"))
    assert adopted(of, branch_interface("a"), primary(), trunk_interface()) == of


def test_what_our_own_call_with_unknown_outcome_may_have_made_is_not_taken_for_leaked() -> None:
    begun = branch("a", BranchState.CREATING)
    assert adopted(ledger(begun), branch_interface(begun, status="available")).branches == ledger(begun).branches
    for other in (
        branch("a", BranchState.PLANNED),
        branch("a", BranchState.CREATING, vlan=VlanId(2)),
        branch("b", BranchState.CREATING),
        branch("a", BranchState.CREATING, trunk_id=EniId("eni-other")),
    ):
        assert len(adopted(ledger(other), branch_interface(begun, status="available")).branches) == 2


def test_a_branch_of_another_subnet_has_no_cidr_of_the_nodes() -> None:
    (one,) = adopted(ledger(), branch_interface("a", subnet_id="subnet-2")).branches.values()
    assert (one.subnet_cidr, one.subnet_id) == ("", "subnet-2")


def test_an_unknown_branch_shown_available_is_not_deleted_before_it_has_rested_and_been_reviewed() -> None:
    """EC2 shows an interface `available` for some seconds after it was associated."""
    after = adopted(ledger(), branch_interface("a", status="available", type="interface"))
    assert kinds(planned(after, desired()).actions) == ["Review"]
    (key, found), *_ = after.branches.items()
    asked = msgspec.structs.replace(after, branches={key: msgspec.structs.replace(found, word_at=NOW, looked_at=NOW)})
    assert kinds(planned(asked, desired(), now=NOW + 59).actions) == []
    assert kinds(planned(asked, desired(), now=NOW + 61).actions) == ["Review"]


def test_an_annotation_counts_only_for_what_was_made_for_its_pod() -> None:
    forger = pod("forger", eni_annotation=names(branch("a")))
    after = adopted(ledger(), branch_interface("a"), pods=(forger,))
    assert [(b.state, b.pod_uid) for b in after.branches.values()] == [(BranchState.COOLING, "")]


def test_one_without_a_tag_is_its_pods_that_names_it() -> None:
    theirs = branch_interface("a")
    tags = {key: value for key, value in theirs.tags.items() if key != POD_UID_TAG}
    one = pod("other", eni_annotation=names(branch("a")))
    after = adopted(ledger(), branch_interface("a", tags=tags), pods=(one,))
    assert [(b.state, b.pod_uid) for b in after.branches.values()] == [(BranchState.ASSIGNED, "uid-other")]


def test_a_pod_whose_annotation_cannot_be_read_keeps_what_was_made_for_it() -> None:
    after = adopted(ledger(), branch_interface("a"), pods=(pod("a", eni_annotation="{"),))
    assert [(b.state, b.pod_uid) for b in after.branches.values()] == [(BranchState.ASSIGNED, "uid-a")]


def test_what_was_made_for_a_pod_whose_annotation_names_others_on_record_rests() -> None:
    """Redis came back from before it was made, and the pod got others: nobody else will ever name it."""
    has = branch("a")
    found = branch_interface("a", eni_id=EniId("eni-forgotten"))
    after = adopted(ledger(has), found, pods=(pod("a", eni_annotation=names(has)),))
    assert {b.eni_id: b.state for b in after.branches.values()} == {
        has.eni_id: BranchState.ASSIGNED,
        found.eni_id: BranchState.COOLING,
    }


@pytest.mark.parametrize("tagged", [None, "0", "121", "5000", "x"])
def test_what_is_found_without_a_vlan_that_exists_makes_a_ledger_that_can_be_read_again(tagged: str | None) -> None:
    """By its tag or by a forged annotation: the record would be set aside at each run."""
    tags = {TRUNK_TAG: TRUNK, POD_UID_TAG: "uid-a"} | ({} if tagged is None else {VLAN_TAG: tagged})
    forged = pod("a", eni_annotation=names(branch("a", vlan=VlanId(9_999))))
    after = adopted(ledger(), branch_interface("a", eni_id=EniId("eni-1"), tags=tags), pods=(forged,))
    assert [b.vlan for b in after.branches.values()] == [UNKNOWN_VLAN]
    assert ledger_problem(Ledger(node=NODE, branches=after.branches), NODE) == ""


def test_the_vlan_of_the_tag_counts_where_an_annotation_names_another_that_exists() -> None:
    tags = {TRUNK_TAG: TRUNK, POD_UID_TAG: "uid-a", VLAN_TAG: "5"}
    forged = pod("a", eni_annotation=names(branch("a", vlan=VlanId(7))))
    after = adopted(ledger(), branch_interface("a", tags=tags), pods=(forged,))
    assert [(b.state, b.vlan) for b in after.branches.values()] == [(BranchState.ASSIGNED, 5)]


def test_associations_that_ec2_does_not_tell_are_asked_for_again_much_later() -> None:
    after = adopted(ledger(), branch_interface("a"), pods=(pod("a", eni_annotation=names(branch("a"))),))
    [found] = after.branches.values()
    assert found.eni_id is not None
    asked = FindAssociations(subject=associations.SUBJECT, eni_ids=(found.eni_id,))
    denied, reported = (NodeState(ledger=after, now=NOW, jitter=0.0) for _ in range(2))
    associations.found(denied, asked, {})
    assert denied.backoff(associations.SUBJECT).not_before == NOW + associations.AGAIN_SECONDS
    associations.found(reported, asked, {found.eni_id: AssociationId("trunk-assoc-1")})
    assert [b.association for b in reported.ledger.branches.values()] == ["trunk-assoc-1"]
    assert reported.ledger.backoffs == {}
