"""Each pod's branch interfaces, from its request to their deletion."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from common.model.actions import Annotate, AssociateBranch, CreateBranch, DisassociateBranch, ResolvePod
from common.model.config import ClusterConfig
from common.model.ids import EniId, VlanId
from common.model.ledger import Backoff, Branch, BranchState, Ledger, TrunkState
from common.model.names import POD_ENI
from common.model.node import CniNodeSpec
from common.model.pod import PodRequest
from common.node.branch import keep_branches
from common.node.branch.advancing import advance
from common.node.branch.ending import release_ended
from common.node.branch.life import BEING_MADE, DROPPED, KEPT, RELEASED, UNWANTED, WANTED
from common.node.branch.serving import counts, free_vlans
from common.node.state import ANNOTATION_SEEN_SECONDS, Planning
from tests.unit.node.builders import (
    GROUP,
    NOW,
    POD_GROUP,
    SUBNET,
    TRUNK,
    branch,
    claim,
    desired,
    json_of,
    kinds,
    ledger,
    limits,
    names,
    node,
    options,
    planning,
    pod,
    reasons,
    trunk,
)

PLANNED, CREATING, CREATED = BranchState.PLANNED, BranchState.CREATING, BranchState.CREATED
PERMITTED, ASSOCIATING = BranchState.PERMITTED, BranchState.ASSOCIATING
ASSOCIATED, ASSIGNED = BranchState.ASSOCIATED, BranchState.ASSIGNED
COOLING, DISASSOCIATED, IDLE = BranchState.COOLING, BranchState.DISASSOCIATED, BranchState.IDLE
OTHER_TRUNK = EniId("eni-other-trunk")


def kept(of: Ledger, *pods: PodRequest, serving: bool = True, **fields: Any) -> Planning:
    requests = {k: fields.pop(k) for k in ("complete", "config", "of") if k in fields}
    one = planning(of, desired(*pods, **requests), **fields)
    keep_branches(one, node(), serving=serving)
    return one


def only(of: Planning | Ledger) -> Branch:
    (one,) = (of if isinstance(of, Ledger) else of.ledger).branches.values()
    return one


def resolving(actions: Iterable[Any]) -> list[str]:
    return [a.pod.name for a in actions if isinstance(a, ResolvePod)]


# A pod's request


def test_a_pods_groups_are_found_first() -> None:
    (action,) = kept(ledger(), pod("a")).actions
    assert isinstance(action, ResolvePod)
    assert (action.pod, action.instance_groups, action.instance_subnet) == (pod("a"), (GROUP,), SUBNET)
    assert action.eni_config is None


def test_then_its_interface_is_made() -> None:
    one = kept(ledger(claims=[claim("a")]), pod("a"))
    (action,) = one.actions
    assert isinstance(action, CreateBranch)
    assert (action.vlan, action.trunk_id, action.groups, action.subnet_id) == (1, TRUNK, (POD_GROUP,), SUBNET.subnet_id)
    assert (action.pod_uid, action.again) == ("uid-a", False)
    assert only(one).state is CREATING


def test_a_pod_that_asks_for_two_gets_two_with_different_vlans_and_tokens() -> None:
    one = kept(ledger(claims=[claim("a")]), pod("a", 2))
    assert {(a.vlan, a.key) for a in one.actions if isinstance(a, CreateBranch)} == {
        (1, "uid-a.0.0"),
        (2, "uid-a.1.0"),
    }
    assert len({a.token for a in one.actions if isinstance(a, CreateBranch)}) == 2


def test_the_cninodes_other_tags_go_onto_the_interface() -> None:
    one = kept(ledger(claims=[claim("a")], cninode_spec=CniNodeSpec(tags={"team": "a"})), pod("a"))
    assert [a.extra_tags for a in one.actions if isinstance(a, CreateBranch)] == [{"team": "a"}]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param({"finished": True}, id="finished"),
        pytest.param({"deleting": True}, id="being deleted"),
        pytest.param({"eni_annotation": "[]"}, id="annotated already"),
        pytest.param({"branches": 0}, id="asks for none"),
    ],
)
@pytest.mark.parametrize("claimed", [False, True])
def test_a_pod_for_which_nothing_is_made(quiet: dict[str, Any], claimed: bool) -> None:
    assert kept(ledger(claims=[claim("a")] if claimed else []), pod(**{"name": "a", **quiet})).actions == []


def test_nothing_new_is_made_on_a_node_that_does_not_serve() -> None:
    assert kept(ledger(), pod("a"), serving=False).actions == []
    untried = branch("a", PLANNED)
    assert kept(ledger(untried, claims=[claim("a")]), pod("a"), serving=False).actions == []


def test_groups_found_long_ago_are_looked_up_once_more() -> None:
    of = ledger(claims=[claim("a", resolved_at=NOW - 6)])
    (action,) = kept(of, pod("a")).actions
    assert isinstance(action, ResolvePod)


def test_a_pods_failures_hold_its_next_attempt_only() -> None:
    of = ledger(claims=[claim("a"), claim("b")], backoffs={"claim/uid-a": Backoff(not_before=NOW + 3)})
    one = kept(of, pod("a"), pod("b"))
    assert [a.key for a in one.actions if isinstance(a, CreateBranch)] == ["uid-b.0.0"]
    assert one.look_again == NOW + 3


# Room


def test_interfaces_are_given_in_the_order_of_scheduling() -> None:
    of = ledger(*(branch(f"old{n}", vlan=VlanId(n + 1)) for n in range(8)), claims=[claim("a"), claim("b")])
    olds = [pod(f"old{n}", eni_annotation="[]") for n in range(8)]
    one = kept(of, *olds, pod("b", scheduled_at=NOW - 1), pod("a", scheduled_at=NOW - 2))
    assert [a.key for a in one.actions if isinstance(a, CreateBranch)] == ["uid-a.0.0"]
    assert reasons(one.notices) == ["BranchCapacityReached"]
    assert kept(one.ledger, *olds, pod("b"), pod("a", scheduled_at=NOW - 2)).notices == []


def test_a_pod_that_asks_for_two_is_not_starved_by_pods_that_ask_for_one() -> None:
    of = ledger(branch("old"), claims=[claim("two"), claim("one")])
    one = kept(
        of,
        pod("old", eni_annotation="[]"),
        pod("two", 2, scheduled_at=NOW - 2),
        pod("one"),
        options=options(limits(branches=2)),
    )
    assert one.actions == []


@pytest.mark.parametrize(
    "of",
    [
        pytest.param({"claims": [claim("two", resolved_at=NOW - 6), claim("one")]}, id="its groups are stale"),
        pytest.param({"claims": [claim("one")]}, id="its groups are not known yet"),
    ],
)
def test_a_pod_keeps_its_places_while_its_groups_are_looked_up(of: dict[str, Any]) -> None:
    pods = (pod("two", 2, scheduled_at=NOW - 60), pod("one"))
    one = kept(ledger(**of), *pods, options=options(limits(branches=2)))
    assert [type(a) for a in one.actions] == [ResolvePod]
    assert reasons(one.notices) == ["BranchCapacityReached"]
    roomy = kept(ledger(**of), *pods, options=options(limits(branches=3)))
    assert sorted(kinds(roomy.actions)) == ["CreateBranch", "ResolvePod"]


def test_a_pod_that_fails_holds_nobody_until_it_is_tried_again() -> None:
    failing = {"claim/uid-two": Backoff(not_before=NOW + 30, attempts=3, code="InsufficientFreeAddressesInSubnet")}
    of = ledger(claims=[claim("two", resolved_at=0.0), claim("one")], backoffs=failing)
    one = kept(of, pod("two", 2, scheduled_at=NOW - 60), pod("one"), options=options(limits(branches=2)))
    assert [a.key for a in one.actions if isinstance(a, CreateBranch)] == ["uid-one.0.0"]
    assert one.look_again == NOW + 30


def test_a_pod_that_waits_behind_another_has_an_event_that_names_it() -> None:
    of = ledger(branch("old"), claims=[claim("two"), claim("one")])
    pods = (pod("old", eni_annotation="[]"), pod("two", 2, scheduled_at=NOW - 2), pod("one"))
    two, behind = kept(of, *pods, options=options(limits(branches=2))).notices
    assert "default/two" not in two.message
    assert "default/two, which came first, waits for 2" in behind.message


def test_vlans_of_finished_pods_are_free_when_their_interfaces_are_gone() -> None:
    ended = [pod(f"job{n}", eni_annotation=names(branch("x", vlan=VlanId(n + 1))), finished=True) for n in range(120)]
    assert free_vlans(planning(ledger(), desired(*ended)), 1) == [1]
    resting = ledger(branch("job0", COOLING))
    assert free_vlans(planning(resting, desired(*ended)), 1) == [2]


def test_as_many_vlans_are_reserved_by_an_annotation_as_its_pod_asks_for() -> None:
    named = names(*(branch("x", ordinal=n, vlan=VlanId(n + 1)) for n in range(120)))
    for asked in (0, 1, 2):
        assert free_vlans(planning(ledger(), desired(pod("a", asked, eni_annotation=named))), 1) == [asked + 1]


def test_a_pod_without_a_free_vlan_has_an_event() -> None:
    named = names(*(branch("x", ordinal=n, vlan=VlanId(n + 1)) for n in range(120)))
    one = kept(ledger(claims=[claim("a")]), pod("old", 120, eni_annotation=named), pod("a"))
    assert (one.actions, reasons(one.notices)) == ([], ["NoFreeVlan"])
    assert "0 of the 120 VLAN ids" in one.notices[0].message


def test_a_pod_that_can_never_fit_holds_nobody() -> None:
    one = kept(
        ledger(claims=[claim("big"), claim("a")]),
        pod("big", 3, scheduled_at=NOW - 2),
        pod("a"),
        options=options(limits(branches=2)),
    )
    assert [a.key for a in one.actions if isinstance(a, CreateBranch)] == ["uid-a.0.0"]
    assert reasons(one.notices) == ["BranchAllocationFailed"]


@pytest.mark.parametrize(
    ("state", "fields", "takes"),
    [
        (PLANNED, {}, True),
        (CREATED, {}, True),
        (PERMITTED, {}, True),
        (ASSOCIATED, {}, True),
        (ASSIGNED, {}, True),
        (COOLING, {}, True),
        (DISASSOCIATED, {}, False),
        (PLANNED, {"unwanted": True}, False),
        (CREATED, {"unwanted": True}, False),
        (PERMITTED, {"unwanted": True}, False),
        (CREATING, {"unwanted": True}, False),
        (ASSOCIATING, {"unwanted": True}, True),
        (ASSOCIATED, {"unwanted": True}, True),
        (COOLING, {"unwanted": True}, True),
    ],
)
def test_what_takes_a_place_and_a_vlan(state: BranchState, fields: dict[str, Any], takes: bool) -> None:
    old = branch("old", state, **fields)
    assert counts(old) is takes
    assert free_vlans(planning(ledger(old), desired()), 2) == ([2, 3] if takes else [1, 2])


def test_vlans_of_another_trunk_are_free_and_those_named_in_annotations_are_not() -> None:
    of = ledger(branch("old", trunk_id=OTHER_TRUNK), branch("b", vlan=VlanId(3)))
    foreign = pod("foreign", eni_annotation=names(branch("foreign", vlan=VlanId(1))))
    assert free_vlans(planning(of, desired(foreign)), 3) == [2, 4, 5]


def test_there_are_120_vlans() -> None:
    assert free_vlans(planning(ledger(), desired()), 500) == list(range(1, 121))


# On its way


@pytest.mark.parametrize(
    ("state", "step", "again", "after"),
    [
        (PLANNED, "CreateBranch", False, CREATING),
        (CREATING, "CreateBranch", True, CREATING),
        (CREATED, "PermitBranch", False, CREATED),
        (PERMITTED, "AssociateBranch", False, ASSOCIATING),
        (ASSOCIATING, "AssociateBranch", True, ASSOCIATING),
    ],
)
def test_each_state_has_its_next_step_and_knows_whether_it_was_begun(
    state: BranchState, step: str, again: bool, after: BranchState
) -> None:
    one = kept(ledger(branch("a", state), claims=[claim("a")]), pod("a"))
    (action,) = one.actions
    assert (type(action).__name__, action.again) == (step, again)
    assert only(one).state is after


def test_the_table_has_what_becomes_of_each_state() -> None:
    for state in BranchState:
        assert state in WANTED or state in RELEASED or state is IDLE, "a pod gets it"
        assert state in UNWANTED or state in DROPPED or state is ASSIGNED, "it goes; from a pod only when that ended"
    reached = {step.begun for step in WANTED.values()} | {step.done for step in WANTED.values()}
    assert set(BEING_MADE) | {ASSIGNED} == (reached - {None}) | {PLANNED}
    assert [(state, step.done) for state, step in KEPT.items()] == [(COOLING, IDLE)]


def test_the_association_names_trunk_and_vlan() -> None:
    (action,) = kept(ledger(branch("a", PERMITTED, vlan=VlanId(4)), claims=[claim("a")]), pod("a")).actions
    assert isinstance(action, AssociateBranch)
    assert (action.eni_id, action.trunk_id, action.vlan) == ("eni-a-0", TRUNK, 4)


def test_what_was_begun_goes_on_where_the_node_does_not_serve_any_more() -> None:
    assert kinds(kept(ledger(branch("a", CREATED), claims=[claim("a")]), pod("a"), serving=False).actions) == [
        "PermitBranch"
    ]


@pytest.mark.parametrize("of_trunk", [trunk(TrunkState.ATTACHED), trunk(eni_id=OTHER_TRUNK)])
@pytest.mark.parametrize("state", [CREATED, PERMITTED])
def test_what_is_made_for_another_trunk_is_taken_back_and_begun_anew(of_trunk: Any, state: BranchState) -> None:
    one = kept(ledger(branch("a", state), claims=[claim("a")], trunk=of_trunk), pod("a"), serving=False)
    assert one.actions == []
    assert only(one).unwanted
    assert one.ledger.claims[pod("a").uid].generation == 1
    assert one.look_again == NOW


def test_an_annotation_waits_for_all_interfaces_of_the_pod() -> None:
    half = ledger(branch("a", ASSOCIATED), branch("a", PERMITTED, ordinal=1), claims=[claim("a")])
    assert kinds(kept(half, pod("a", 2)).actions) == ["AssociateBranch"]
    whole = ledger(branch("a", ASSOCIATED), branch("a", ASSOCIATED, ordinal=1), claims=[claim("a")])
    one = kept(whole, pod("a", 2))
    (action,) = one.actions
    assert isinstance(action, Annotate)
    assert (action.annotation, action.pod_uid, action.namespace, action.name) == (POD_ENI, "uid-a", "default", "a")
    assert {b.state for b in one.ledger.branches.values()} == {ASSIGNED}


def test_an_annotation_of_unknown_outcome_is_written_again_the_same() -> None:
    of = ledger(branch("a", ASSOCIATED), claims=[claim("a")])
    first = kept(of, pod("a"))
    assert kept(first.ledger, pod("a")).actions == first.actions


@pytest.mark.parametrize("state", [ASSOCIATED, ASSIGNED])
def test_a_pod_is_never_annotated_with_an_interface_of_a_replaced_instance(state: BranchState) -> None:
    one = kept(ledger(branch("a", state, trunk_id=OTHER_TRUNK), claims=[claim("a")]), pod("a"))
    assert "Annotate" not in kinds(one.actions)
    assert one.ledger.claims[pod("a").uid].generation == 1
    assert only(one).unwanted if state is ASSOCIATED else only(one).state is COOLING


LONG_AGO = NOW - ANNOTATION_SEEN_SECONDS


@pytest.mark.parametrize(
    ("fields", "annotated", "again"),
    [
        pytest.param({"since": LONG_AGO}, None, True, id="taken away"),
        pytest.param({"since": LONG_AGO + 1}, None, False, id="perhaps not seen yet"),
        pytest.param({"since": LONG_AGO}, "[]", False, id="there is one"),
        pytest.param({"since": LONG_AGO, "trunk_id": OTHER_TRUNK}, None, False, id="of a replaced instance"),
        pytest.param({"since": LONG_AGO, "state": COOLING}, None, False, id="its interface rests"),
    ],
)
def test_an_annotation_that_somebody_took_away_is_written_again(
    fields: dict[str, Any], annotated: str | None, again: bool
) -> None:
    of = ledger(branch("a", **{"state": ASSIGNED, **fields}), claims=[claim("a", annotated=True)])
    one = kept(of, pod("a", eni_annotation=annotated))
    assert ("Annotate" in kinds(one.actions)) is again
    if again:
        assert only(one).since == NOW


def test_an_annotation_is_looked_for_once_it_must_be_seen() -> None:
    of = ledger(branch("a", state=ASSIGNED, since=LONG_AGO + 7), claims=[claim("a", annotated=True)])
    assert kept(of, pod("a")).look_again == NOW + 7


def test_a_finished_pod_is_not_annotated() -> None:
    of = ledger(branch("a", ASSOCIATED), claims=[claim("a")])
    assert kinds(kept(of, pod("a", finished=True)).actions) == ["ConfirmGone"]


# Annotations as they stand


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        (COOLING, {}),
        (COOLING, {"unwanted": True, "pod_uid": ""}),
        (ASSOCIATED, {"unwanted": True}),
        (CREATED, {"unwanted": True, "association": None}),
        (ASSIGNED, {"pod_uid": "uid-ended"}),
    ],
)
def test_what_a_living_pods_annotation_names_is_that_pods(state: BranchState, fields: dict[str, Any]) -> None:
    alive = pod("a", eni_annotation=names(branch("a", vlan=VlanId(8))))
    one = kept(ledger(branch("a", state, **fields)), alive, now=NOW + 1000)
    assert one.actions == []
    assert (only(one).state, only(one).pod_uid, only(one).unwanted) == (ASSIGNED, "uid-a", False)
    assert only(one).vlan == 1  # As it was made, whatever the annotation says.
    assert one.ledger.claims[alive.uid].annotated


def test_a_pods_own_interface_does_not_pass_to_another_that_names_it_too() -> None:
    of = ledger(branch("a"), claims=[claim("a", annotated=True)])
    text = names(branch("a"))
    one = kept(of, pod("a", eni_annotation=text), pod("b", eni_annotation=text))
    assert only(one).pod_uid == "uid-a"
    assert one.actions == []


def test_a_malformed_annotation_is_reported_and_the_pod_left_alone() -> None:
    one = kept(ledger(), pod("a", eni_annotation="{"))
    assert (one.actions, reasons(one.notices)) == ([], ["PodAnnotationMalformed"] * 2)
    assert kept(one.ledger, pod("a", eni_annotation="{")).notices == []


def test_an_annotation_that_names_what_we_do_not_know_is_kept() -> None:
    foreign = json_of({"eniId": "eni-x", "ifAddress": "", "privateIp": "", "vlanId": 5})
    one = kept(ledger(), pod("a", eni_annotation=foreign))
    assert (one.actions, one.notices, one.ledger.branches) == ([], [], {})


def test_a_pod_whose_annotation_is_gone_and_that_has_nothing_is_served_anew() -> None:
    of = ledger(claims=[claim("a", annotated=True, annotated_at=NOW - 59)])
    waits = kept(of, pod("a"))
    assert (waits.actions, waits.look_again) == ([], NOW + 1)
    (action,) = kept(of, pod("a"), now=NOW + 1).actions
    assert isinstance(action, ResolvePod)
    assert kept(of, pod("a"), now=NOW + 1).ledger.claims[pod("a").uid].generation == 1
    old = ledger(claims=[claim("a", annotated=True)])  # Written by a version without that time.
    assert kinds(kept(old, pod("a")).actions) == ["ResolvePod"]


@pytest.mark.parametrize("text", [json_of({"eniId": "eni-x", "ifAddress": "", "privateIp": "", "vlanId": 5}), "{"])
@pytest.mark.parametrize(
    ("state", "annotated", "after"),
    [
        (CREATING, False, (CREATING, True)),
        (CREATED, False, (CREATED, True)),
        (PERMITTED, False, (PERMITTED, True)),
        (ASSOCIATED, False, (COOLING, True)),
        (ASSIGNED, False, (COOLING, False)),
        (ASSIGNED, True, (ASSIGNED, False)),
    ],
)
def test_what_is_made_for_a_pod_that_somebody_else_annotated_is_given_back(
    state: BranchState, annotated: bool, after: tuple[BranchState, bool], text: str
) -> None:
    """But not what an annotation of ours had named: the pod may use it."""
    of = ledger(branch("a", state), claims=[claim("a", annotated=annotated)])
    one = kept(of, pod("a", eni_annotation=text))
    assert (only(one).state, only(one).unwanted) == after


def test_nothing_is_given_back_while_our_own_annotation_is_under_way() -> None:
    foreign = json_of({"eniId": "eni-x", "ifAddress": "", "privateIp": "", "vlanId": 5})
    of = ledger(branch("a"), claims=[claim("a")])
    assert only(kept(of, pod("a", eni_annotation=foreign), busy=frozenset({"annotate/uid-a"}))).state is ASSIGNED


# Ends


@pytest.mark.parametrize("state", [*BEING_MADE, ASSIGNED])
@pytest.mark.parametrize("pods", [(), (pod("a", finished=True),)], ids=["gone", "finished"])
def test_the_api_server_is_asked_before_anything_leaves_a_pod(state: BranchState, pods: tuple[PodRequest, ...]) -> None:
    of = ledger(branch("a", state), claims=[claim("a")])
    one = planning(of, desired(*pods))
    release_ended(one)
    assert kinds(one.actions) == ["ConfirmGone"]
    assert one.ledger == of


def test_a_pod_being_deleted_keeps_its_interface() -> None:
    assert kept(ledger(branch("a")), pod("a", deleting=True, eni_annotation=names(branch("a")))).actions == []


def test_what_was_decided_for_a_pod_that_went_before_it_had_anything_is_forgotten() -> None:
    of = ledger(claims=[claim("a")], backoffs={"claim/uid-a": Backoff(attempts=3)})
    one = kept(of)
    assert (one.actions, one.ledger.claims, one.ledger.backoffs) == ([], {}, {})


@pytest.mark.parametrize("state", [CREATED, PERMITTED, ASSOCIATED, ASSIGNED, COOLING, DISASSOCIATED])
@pytest.mark.parametrize("unwanted", [False, True])
def test_nothing_is_released_before_a_full_list_was_seen(state: BranchState, unwanted: bool) -> None:
    one = kept(ledger(branch("a", state, unwanted=unwanted, since=0.0)), complete=False, serving=False)
    assert not {"ConfirmGone", "DeleteBranch", "DisassociateBranch"} & set(kinds(one.actions))


def test_an_interface_rests_for_the_cool_down_and_is_then_taken_off_the_trunk() -> None:
    resting = kept(ledger(branch("a", COOLING, since=NOW - 59.9)))
    assert resting.actions == []
    assert resting.look_again == pytest.approx(NOW + 0.1, rel=0, abs=1e-3)
    (action,) = kept(ledger(branch("a", COOLING, since=NOW - 60))).actions
    assert isinstance(action, DisassociateBranch)
    assert action.association == "trunk-assoc-a-0"
    longer = kept(ledger(branch("a", COOLING, since=NOW - 60)), config=ClusterConfig(cooldown=90))
    assert (longer.actions, longer.look_again) == ([], NOW + 30)


def test_without_a_configuration_the_cool_down_is_a_minute() -> None:
    goal = msgspec.structs.replace(desired(), config=None)
    one = planning(ledger(branch("a", COOLING, since=NOW - 59)), goal)
    advance(one, serving=True)
    assert (one.actions, one.look_again) == ([], NOW + 1)


def test_off_the_trunk_it_is_deleted() -> None:
    assert kinds(kept(ledger(branch("a", DISASSOCIATED))).actions) == ["DeleteBranch"]


@pytest.mark.parametrize(
    ("state", "fields", "step"),
    [
        pytest.param(CREATING, {}, "CreateBranch", id="it may exist: the same call tells"),
        pytest.param(CREATED, {}, "DeleteBranch", id="it was never on the trunk"),
        pytest.param(PERMITTED, {}, "DeleteBranch", id="nor was this"),
        pytest.param(ASSOCIATING, {}, "AssociateBranch", id="it may be: the same call tells"),
    ],
)
def test_what_is_not_wanted_any_more(state: BranchState, fields: dict[str, Any], step: str) -> None:
    assert kinds(kept(ledger(branch("a", state, unwanted=True, **fields))).actions) == [step]


def test_what_was_never_tried_is_dropped_and_what_was_never_used_need_not_rest() -> None:
    assert kept(ledger(branch("a", PLANNED, unwanted=True))).ledger.branches == {}
    one = kept(ledger(branch("a", ASSOCIATED, unwanted=True, since=NOW)))
    assert kinds(kept(one.ledger).actions) == ["DisassociateBranch"]


def test_one_without_an_association_on_record_is_released_in_the_same_order() -> None:
    found = branch("a", COOLING, since=0.0, association=None, token="", looked_at=NOW - 1)
    (action,) = kept(ledger(found)).actions
    assert isinstance(action, DisassociateBranch)
    assert action.association is None
    assert action.token


def test_pods_come_before_releases() -> None:
    of = ledger(
        branch("gone", DISASSOCIATED), branch("undone", CREATED, unwanted=True, vlan=VlanId(2)), claims=[claim("a")]
    )
    assert kinds(kept(of, pod("a")).actions) == ["CreateBranch", "DeleteBranch", "DeleteBranch"]


@pytest.mark.parametrize("state", list(BranchState))
def test_one_action_at_a_time_about_one_interface(state: BranchState) -> None:
    of = ledger(branch("a", state, since=0.0), claims=[claim("a")])
    busy = frozenset({"review", "branch/uid-a.0.0", "pod/uid-a", "annotate/uid-a", "claim/uid-a"})
    assert kept(of, busy=busy).actions == []


def test_not_more_calls_at_a_time_than_allowed() -> None:
    names_ = [f"p{n}" for n in range(5)]
    one = kept(ledger(), *(pod(name) for name in names_), options=options(in_flight=3))
    assert resolving(one.actions) == ["p0", "p1", "p2"]
