"""Idle branch interfaces: kept, taken, given back, made ahead; and records that are too old to be believed."""

from typing import Any

import msgspec
import pytest

from common.model.actions import Annotate, CreateBranch, DisassociateBranch, SetBranchGroups, UntagBranch
from common.model.config import ClusterConfig
from common.model.desired import Desired, Sharer
from common.model.ec2 import Interface
from common.model.errors import Denied, NotFound, OutsideError, Unavailable, Unsure
from common.model.ids import AssociationId, BranchKey, EniId, GroupId, Ipv4, NodeName, PodUid, SubnetId, VlanId
from common.model.ledger import Branch, BranchState, Ledger, Trunk, TrunkState
from common.model.outcome import Done, Failed
from common.model.pod import PodRequest
from common.node.branch.believing import believed, outdated
from common.node.branch.idle import forget_groups, takeable, target_of
from common.node.planner import Plan, apply
from common.rules.release_gate import EC2_LAG_SECONDS
from tests.unit.node.builders import (
    INSTANCE,
    NOW,
    POD_GROUP,
    branch,
    claim,
    desired,
    json_of,
    kinds,
    ledger,
    limits,
    node,
    options,
    planned,
    planning,
    pod,
)

RUN = "run-1"
OTHER_GROUP = GroupId("sg-other")
COOLING, IDLE = BranchState.COOLING, BranchState.IDLE
ASSOCIATED, REGROUPING, ASSIGNED = BranchState.ASSOCIATED, BranchState.REGROUPING, BranchState.ASSIGNED


def idle(number: int = 1, **fields: Any) -> Branch:
    eni = EniId(f"eni-{number}")
    return branch(
        "before",
        IDLE,
        **{
            "key": BranchKey(eni),
            "eni_id": eni,
            "pod_uid": PodUid(""),
            "pod_namespace": "",
            "pod_name": "",
            "vlan": VlanId(number),
            "association": AssociationId(f"trunk-assoc-{number}"),
            "untagged": True,
            **fields,
        },
    )


def rested(name: str = "gone", **fields: Any) -> Branch:
    """Of a pod that ended, by the API server's word, longer ago than the cool-down."""
    return branch(name, COOLING, **{"since": NOW - 61, "word_at": NOW - 61, **fields})


def wished(*pods: PodRequest, target: int = 2, epoch: str | None = RUN, **fields: Any) -> Desired:
    found = desired(*pods, config=ClusterConfig(branch_warm_target=target), **fields)
    return msgspec.structs.replace(found, epoch=epoch)


def record(*branches: Branch, **fields: Any) -> Ledger:
    return ledger(*branches, **{"epoch": RUN, **fields})


def run(of: Ledger, /, *pods: PodRequest, target: int = 2, burst_left: float = 0.0, **fields: Any) -> Plan:
    """A plan while EC2 has no calls to spare."""
    more = {key: fields.pop(key) for key in ("opts", "busy") if key in fields}
    return planned(of, wished(*pods, target=target, **fields), burst_left=burst_left, **more)


def after(plan: Plan) -> dict[str, Branch]:
    assert plan.ledger is not None
    return {str(key): one for key, one in plan.ledger.branches.items()}


# Kept


def test_a_rested_one_is_untagged_and_then_idle() -> None:
    gone = rested()
    before = run(record(gone))
    (untag,) = before.actions
    assert isinstance(untag, UntagBranch)
    assert after(before)[gone.key].state is COOLING, "its tag names its pod as long as EC2 has not said otherwise"
    assert before.ledger is not None
    (one,) = apply(before.ledger, untag, Done(), now=NOW, jitter=0.0).ledger.branches.values()
    assert (str(one.key), one.state, one.pod_uid, one.untagged) == (gone.eni_id, IDLE, "", True)
    assert (one.vlan, one.association, one.token) == (gone.vlan, gone.association, gone.token)


def test_one_whose_tag_is_empty_needs_no_call() -> None:
    plan = run(record(rested(untagged=True)))
    assert plan.actions == ()
    assert [one.state for one in after(plan).values()] == [IDLE]


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        pytest.param({}, 0, id="none shall be kept"),
        pytest.param({"unwanted": True}, 2, id="no pod of it ended: a living one's token may meet it"),
        pytest.param({"releasing": True}, 2, id="a call that ends its association was begun"),
        pytest.param({"association": None}, 2, id="its association is not known"),
        pytest.param({"vlan": VlanId(0)}, 2, id="its VLAN id is not known"),
        pytest.param({"groups": ()}, 2, id="its groups are not known"),
        pytest.param({"subnet_id": SubnetId("subnet-2")}, 2, id="pods come in another subnet"),
    ],
)
def test_one_that_is_of_no_use_is_released(fields: dict[str, Any], target: int) -> None:
    assert "DisassociateBranch" in kinds(run(record(rested(**fields)), target=target).actions)


@pytest.mark.parametrize(
    ("fields", "actions"),
    [
        pytest.param({"since": NOW - 59, "word_at": NOW - 59}, [], id="it has not rested"),
        pytest.param({"word_at": 0.0}, ["Review"], id="the API server was not asked"),
        pytest.param({"token": "", "looked_at": NOW - 55}, ["Review"], id="EC2 was not looked at"),
    ],
)
def test_what_may_not_be_released_is_not_kept_either(fields: dict[str, Any], actions: list[str]) -> None:
    plan = run(record(rested(**fields)))
    assert kinds(plan.actions) == actions
    assert [one.state for one in after(plan).values()] == [COOLING]


def test_beyond_twice_the_target_they_are_released() -> None:
    idles = [idle(number, since=NOW) for number in range(2, 6)]
    assert kinds(run(record(rested(), *idles[:3])).actions) == ["UntagBranch"]
    plan = run(record(rested(), *idles))
    assert kinds(plan.actions) == ["DisassociateBranch"]
    assert after(plan)[rested().key].releasing, "recorded before the call: it is kept by nobody any more"


def test_one_that_is_found_gets_a_token_of_its_own_and_is_known_from_then_on() -> None:
    found = rested(token="", tagged="uid-gone", looked_at=NOW - 61, untagged=True, since=NOW - 61 - EC2_LAG_SECONDS)
    (one,) = after(run(record(found))).values()
    assert (one.state, one.found, one.made_for) == (IDLE, False, "")


def test_one_that_is_found_rests_after_the_word_that_its_owner_has_ended() -> None:
    """He may have ended just before it."""
    found = rested(token="", tagged="uid-gone", looked_at=NOW - 20, untagged=True, since=NOW - 90, word_at=NOW - 20)
    plan = run(record(found))
    assert (plan.actions, [one.state for one in after(plan).values()]) == ((), [COOLING])
    assert plan.ledger is not None
    (one,) = after(planned(plan.ledger, wished(), now=NOW + 40, burst_left=0.0)).values()
    assert one.state is IDLE


@pytest.mark.parametrize(
    ("error", "releasing", "reasons"),
    [
        (NotFound("InvalidNetworkInterfaceID.NotFound"), True, []),
        (Denied("UnauthorizedOperation"), True, ["InvalidConfiguration"]),
        (Unavailable("UnauthorizedOperation"), True, []),
        (Unsure("InternalError"), False, []),
    ],
)
def test_one_whose_tag_cannot_be_emptied_is_released(error: OutsideError, releasing: bool, reasons: list[str]) -> None:
    plan = run(record(rested()))
    (untag,) = plan.actions
    assert plan.ledger is not None
    then = apply(plan.ledger, untag, Failed(error=error), now=NOW, jitter=0.0)
    (one,) = then.ledger.branches.values()
    assert (one.state, one.releasing) == (COOLING, releasing)
    assert [notice.reason for notice in then.notices] == reasons


def test_the_pod_that_comes_back_keeps_it_while_its_tag_is_emptied() -> None:
    plan = run(record(rested()))
    (untag,) = plan.actions
    assert plan.ledger is not None
    back = msgspec.structs.replace(next(iter(plan.ledger.branches.values())), state=ASSIGNED)
    taken_back = msgspec.structs.replace(plan.ledger, branches={back.key: back})
    (one,) = apply(taken_back, untag, Done(), now=NOW, jitter=0.0).ledger.branches.values()
    assert (one.state, one.untagged) == (ASSIGNED, True)


# Taken


def test_a_pod_of_the_same_groups_gets_one_without_a_call_to_ec2() -> None:
    both = (POD_GROUP, OTHER_GROUP)
    plan = run(record(idle(groups=both), claims=[claim("a", groups=both[::-1])]), pod("a"))
    (write,) = plan.actions
    assert isinstance(write, Annotate)
    assert '"eniId":"eni-1"' in write.value
    (one,) = after(plan).values()
    assert (one.state, one.pod_uid, one.made_for, one.vlan) == (ASSIGNED, "uid-a", "uid-a", 1)


def test_a_pod_of_other_groups_gets_one_after_they_are_set() -> None:
    plan = run(record(idle(), claims=[claim("a", groups=(OTHER_GROUP,))]), pod("a"))
    (action,) = plan.actions
    assert isinstance(action, SetBranchGroups)
    assert (action.eni_id, action.groups) == ("eni-1", (OTHER_GROUP,))
    assert plan.ledger is not None
    then = apply(plan.ledger, action, Done(), now=NOW, jitter=0.0).ledger
    assert [one.state for one in then.branches.values()] == [ASSOCIATED]
    assert kinds(run(then, pod("a")).actions) == ["Annotate"]


def test_groups_whose_change_is_not_known_are_set_again() -> None:
    begun = branch("a", REGROUPING, untagged=True)
    assert kinds(run(record(begun, claims=[claim("a")]), pod("a")).actions) == ["SetBranchGroups"]


def test_the_last_that_came_goes_first() -> None:
    plan = run(record(idle(1, since=NOW - 9), idle(2, since=NOW - 5), claims=[claim("a")]), pod("a"))
    assert after(plan)["uid-a.0.0"].eni_id == "eni-2"


def test_of_several_one_of_its_groups_is_preferred() -> None:
    plan = run(record(idle(1, groups=(OTHER_GROUP,)), idle(2), claims=[claim("a")]), pod("a"))
    assert kinds(plan.actions) == ["Annotate"]
    assert after(plan)["uid-a.0.0"].eni_id == "eni-2"


def test_what_is_short_is_made() -> None:
    plan = run(record(idle(), claims=[claim("a")]), pod("a", 2))
    assert kinds(plan.actions) == ["CreateBranch"]
    ones = after(plan)
    assert (ones["uid-a.0.0"].eni_id, ones["uid-a.1.0"].vlan) == ("eni-1", 2)


OTHERS = pod("other", eni_annotation=json_of({"eniId": "eni-1", "ifAddress": "", "privateIp": "", "vlanId": 77}))
VLAN = pod("other", eni_annotation=json_of({"eniId": "eni-77", "ifAddress": "", "privateIp": "", "vlanId": 1}))
SHARED = Sharer(name=NodeName("n2"), ledger=Ledger(node=NodeName("n2"), branches={BranchKey("eni-1"): idle()}))


@pytest.mark.parametrize(
    ("one", "fields", "others", "wish"),
    [
        pytest.param(idle(subnet_id=SubnetId("subnet-2")), {}, (), {}, id="of another subnet"),
        pytest.param(idle(unwanted=True), {}, (), {}, id="given back"),
        pytest.param(idle(), {"suspects": (EniId("eni-1"),)}, (), {}, id="the audit missed it"),
        pytest.param(idle(trunk_id=EniId("eni-old")), {}, (), {}, id="on another trunk"),
        pytest.param(rested(releasing=True), {}, (), {}, id="being released"),
        pytest.param(rested(since=NOW - 59, word_at=NOW - 59), {}, (), {}, id="not rested"),
        pytest.param(idle(), {}, (OTHERS,), {}, id="a living pod's annotation names it"),
        pytest.param(idle(), {}, (VLAN,), {}, id="a living pod's annotation names its VLAN id"),
        pytest.param(idle(), {"epoch": ""}, (), {"epoch": ""}, id="Redis does not tell its run"),
    ],
)
def test_a_pod_does_not_get_one(
    one: Branch, fields: dict[str, Any], others: tuple[PodRequest, ...], wish: dict[str, Any]
) -> None:
    of = record(one, claims=[claim("a")], **fields)
    plan = planned(of, msgspec.structs.replace(wished(pod("a"), *others), **wish), burst_left=0.0)
    assert "CreateBranch" in kinds(plan.actions)
    assert after(plan)["uid-a.0.0"].eni_id is None


def test_one_that_another_ledger_has_is_nobodys_to_take() -> None:
    assert takeable(planning(record(idle()), wished())) == [idle()]
    assert takeable(planning(record(idle()), msgspec.structs.replace(wished(), sharers=(SHARED,)))) == []


def test_without_groups_the_default_of_the_vpc_is_meant_and_one_is_made() -> None:
    plan = run(record(idle(), claims=[claim("a", groups=())]), pod("a"))
    assert kinds(plan.actions) == ["CreateBranch"]


@pytest.mark.parametrize("named", [True, False])
def test_a_finished_pods_annotation_reserves_nothing(named: bool) -> None:
    done = msgspec.structs.replace(OTHERS if named else VLAN, finished=True)
    assert kinds(run(record(idle(), claims=[claim("a")]), pod("a"), done).actions) == ["Annotate"]


def test_an_annotation_that_names_an_idle_one_holds_it_and_it_rests_again() -> None:
    (one,) = after(run(record(idle()), OTHERS)).values()
    assert (one.state, one.pod_uid, one.made_for) == (ASSIGNED, "uid-other", "")


# Groups that are refused


@pytest.mark.parametrize(
    "error", [NotFound("InvalidGroup.NotFound"), Denied("UnauthorizedOperation"), Unavailable("UnauthorizedOperation")]
)
def test_where_groups_are_refused_it_stays_idle_and_the_pod_gets_a_new_one(error: OutsideError) -> None:
    plan = run(record(idle(), claims=[claim("a", groups=(OTHER_GROUP,), generation=0)]), pod("a"))
    (action,) = plan.actions
    assert plan.ledger is not None
    late = NOW + 30
    then = apply(plan.ledger, action, Failed(error=error), now=late, jitter=0.0).ledger
    (one,) = then.branches.values()
    assert (one.state, one.groups) == (IDLE, ()), "which groups it has is not known"
    again = msgspec.structs.replace(
        then,
        backoffs={},
        claims={PodUid("uid-a"): claim("a", groups=(OTHER_GROUP,), generation=1, resolved_at=late)},
    )
    assert kinds(planned(again, wished(pod("a")), now=late, burst_left=0.0).actions) == ["CreateBranch"]


def test_an_interface_that_is_gone_is_not_idle_any_more() -> None:
    plan = run(record(idle(), claims=[claim("a", groups=(OTHER_GROUP,))]), pod("a"))
    (action,) = plan.actions
    assert plan.ledger is not None
    error = NotFound("InvalidNetworkInterfaceID.NotFound")
    (one,) = apply(plan.ledger, action, Failed(error=error), now=NOW, jitter=0.0).ledger.branches.values()
    assert (one.state, one.unwanted) == (REGROUPING, True)


def test_one_whose_pod_ended_while_groups_were_set_is_released() -> None:
    ended = branch("a", REGROUPING, untagged=True, unwanted=True)
    first = run(record(ended))
    assert first.ledger is not None
    assert kinds(run(first.ledger).actions) == ["DisassociateBranch"]


def test_an_audit_that_sees_other_groups_forgets_what_was_recorded() -> None:
    def seen(*groups: GroupId) -> Interface:
        return Interface(eni_id=EniId("eni-1"), subnet_id=SubnetId("s"), mac="", primary_ip=Ipv4(""), groups=groups)

    one = planning(record(idle(groups=(POD_GROUP, OTHER_GROUP))), wished())
    forget_groups(one, [seen(OTHER_GROUP, POD_GROUP)])
    assert one.ledger.branches[BranchKey("eni-1")].groups == (POD_GROUP, OTHER_GROUP)
    forget_groups(one, [seen(POD_GROUP)])
    assert one.ledger.branches[BranchKey("eni-1")].groups == ()


# Given back


def test_where_more_than_the_target_have_been_idle_for_long_the_oldest_are_given_back() -> None:
    many = [idle(n, since=NOW - 58 - n) for n in range(1, 5)]  # For 59 to 62 seconds.
    early = run(record(*many[:2]), target=1)
    assert {one.state for one in after(early).values()} == {IDLE}
    assert early.look_again == NOW + 1, "the second has been idle for a minute then"
    plan = run(record(*many), target=1)
    assert {key for key, one in after(plan).items() if one.state is COOLING} == {"eni-3", "eni-4"}
    assert plan.ledger is not None
    assert kinds(run(plan.ledger, target=1).actions) == ["DisassociateBranch", "DisassociateBranch"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"of": node(trunk_label=False), "without_cninode": True}, id="not managed any more"),
        pytest.param({"of": node(warm_target_label="0")}, id="its label says none"),
    ],
)
def test_a_node_that_keeps_none_gives_all_back(fields: dict[str, Any]) -> None:
    of = record(idle(), cninode_spec=None) if "without_cninode" in fields else record(idle())
    assert [one.state for one in after(run(of, **fields)).values()] == [COOLING]


def test_while_the_configuration_is_not_known_all_stays() -> None:
    unknown = msgspec.structs.replace(wished(), config=None)
    (one,) = after(planned(record(idle()), unknown)).values()
    assert (one.state, one.unwanted) == (IDLE, False)


def test_those_that_pods_wait_for_are_no_surplus_and_no_reason_to_look_again() -> None:
    """The pod wants more than there is, and no others can be made room for."""
    small = options(limits(branches=4))
    used = branch("p", vlan=VlanId(9))
    of = record(used, *(idle(n) for n in range(1, 4)), claims=[claim("p", annotated=True), claim("a")])
    plan = run(of, pod("p", eni_annotation="["), pod("a", 4), target=1, opts=small)
    assert {key for key, one in after(plan).items() if one.state is IDLE} == {"eni-1", "eni-2", "eni-3"}
    assert plan.look_again > NOW


def test_those_of_another_subnet_are_of_no_use() -> None:
    assert [one.state for one in after(run(record(idle(subnet_id=SubnetId("subnet-2"))))).values()] == [COOLING]


def test_idle_ones_give_way_to_pods_that_cannot_take_them() -> None:
    """Nine places: six in use, two idle of no use to the pod, which has groups that only a new one can have."""
    used = [branch(f"p{n}", vlan=VlanId(10 + n)) for n in range(6)]
    pods = [pod(f"p{n}", eni_annotation=f"[{n}") for n in range(6)]
    of = record(*used, idle(1), idle(2), claims=[claim("big", groups=()), *(claim(p, annotated=True) for p in pods)])
    plan = run(of, *pods, pod("big", 2))
    assert sorted(key for key, one in after(plan).items() if one.state is COOLING) == ["eni-1"]
    assert "BranchCapacityReached" not in [notice.reason for notice in plan.notices]


def test_rested_ones_are_kept_for_pods_that_wait() -> None:
    small = options(limits(branches=2))
    of = record(rested("x", untagged=True), rested("y", vlan=VlanId(2), untagged=True), claims=[claim("a")])
    plan = run(of, pod("a", 2), target=1, opts=small)
    assert [one.state for one in after(plan).values()] == [IDLE, IDLE]
    assert plan.ledger is not None
    assert "Annotate" in kinds(run(plan.ledger, pod("a", 2), target=1, opts=small).actions)


def test_a_node_that_is_gone_keeps_none() -> None:
    gone = record(idle(), gone_since=NOW - 100, gone_asked_at=NOW - 1)
    plan = planned(gone, wished(gone=True, without_cninode=True))
    assert [one.state for one in after(plan).values()] == [COOLING]


# Made ahead


def test_below_the_target_one_is_made_with_the_groups_that_most_pods_have() -> None:
    claims = [claim("x", groups=(OTHER_GROUP,)), claim("y"), claim("z")]
    pods = [pod(name, eni_annotation="[") for name in ("x", "y", "z")]
    used = [branch(p, vlan=VlanId(5 + n)) for n, p in enumerate(pods)]
    of = record(*used, claims=[msgspec.structs.replace(one, annotated=True) for one in claims])
    plan = run(of, *pods, burst_left=1.0)
    (action,) = plan.actions
    assert isinstance(action, CreateBranch)
    assert (action.groups, action.pod_uid, action.key) == ((POD_GROUP,), "", f"{INSTANCE}.1.{int(NOW)}")
    assert plan.ledger is not None
    assert run(plan.ledger, *pods, burst_left=1.0, busy={action.subject}).actions == (), "one at a time"


@pytest.mark.parametrize(
    ("burst_left", "branches", "pods"),
    [
        pytest.param(0.49, (), (), id="EC2 has none to spare"),
        pytest.param(1.0, (idle(1), idle(2)), (), id="there are enough"),
        pytest.param(1.0, (idle(1), rested(since=NOW - 51, word_at=NOW)), (), id="there are enough in a moment"),
        pytest.param(1.0, tuple(rested(f"r{n}", vlan=VlanId(n), since=NOW) for n in range(1, 10)), (), id="no room"),
    ],
)
def test_none_is_made_ahead(burst_left: float, branches: tuple[Branch, ...], pods: tuple[PodRequest, ...]) -> None:
    assert "CreateBranch" not in kinds(run(record(*branches), *pods, burst_left=burst_left).actions)


AHEAD = BranchKey(f"{INSTANCE}.1.7")


def ahead(state: BranchState, **fields: Any) -> Branch:
    return msgspec.structs.replace(idle(**fields), key=AHEAD, state=state)


def test_what_was_made_ahead_is_idle_once_it_is_associated() -> None:
    assert [(key, one.state) for key, one in after(run(record(ahead(ASSOCIATED)))).items()] == [("eni-1", IDLE)]


def test_a_refusal_of_one_that_is_made_ahead_is_no_pods_business() -> None:
    first = run(record(), burst_left=1.0)
    (action,) = first.actions
    assert first.ledger is not None
    then = apply(first.ledger, action, Failed(error=Denied("UnauthorizedOperation")), now=NOW, jitter=0.0)
    assert then.notices == ()
    assert then.ledger.backoffs["ahead"].code == "UnauthorizedOperation"
    assert run(then.ledger, burst_left=1.0).actions == ()


def test_one_that_is_planned_ahead_gives_way() -> None:
    small = options(limits(branches=1))
    of = record(ahead(BranchState.PLANNED, eni_id=None), claims=[claim("a")])
    first = run(of, pod("a"), target=1, opts=small)
    assert first.ledger is not None
    assert "CreateBranch" in kinds(run(first.ledger, pod("a"), target=1, opts=small).actions)


# Targets


@pytest.mark.parametrize(
    ("label", "target"), [(None, 5), ("3", 3), ("0", 0), ("+4", 4), ("x", 5), ("-1", 5), ("2.5", 5), ("9" * 20, 5)]
)
def test_the_nodes_label_goes_before_the_clusters_number(label: str | None, target: int) -> None:
    assert target_of(node(warm_target_label=label), ClusterConfig(branch_warm_target=5)) == target


def test_a_label_that_cannot_be_read_is_reported_once() -> None:
    plan = run(record(), of=node(warm_target_label="many"))
    assert [notice.reason for notice in plan.notices] == ["InvalidConfiguration"]
    assert plan.ledger is not None
    assert run(plan.ledger, of=node(warm_target_label="many")).notices == ()


# Records that are too old


@pytest.mark.parametrize(
    ("target", "mark", "epoch", "old"),
    [
        pytest.param(0, "", "run-2", False, id="nothing is given on"),
        pytest.param(2, RUN, RUN, False, id="of this run"),
        pytest.param(2, RUN, "run-2", True, id="of an earlier run"),
        pytest.param(0, RUN, "run-2", True, id="of an earlier run, in which some were given on"),
        pytest.param(2, RUN, None, True, id="not compared yet"),
        pytest.param(2, "", RUN, True, id="of before"),
        pytest.param(2, "", "", False, id="Redis does not tell"),
    ],
)
def test_a_record_of_another_run_of_redis_is_outdated(target: int, mark: str, epoch: str | None, old: bool) -> None:
    assert outdated(planning(record(epoch=mark), wished(target=target, epoch=epoch))) is old


def test_an_outdated_record_is_made_anew_from_ec2() -> None:
    """By the record `a` rests; since then it was given to a pod of which the record knows nothing."""
    of = record(rested(), branch("x", instance_id="i-0fedcba9876543210"), epoch="run-0", claims=[claim("a")])
    plan = run(of, pod("a"))
    assert "RequestSnapshot" in kinds(plan.actions)
    assert plan.ledger is not None
    assert (plan.ledger.epoch, plan.ledger.trunk) == (RUN, Trunk(state=TrunkState.ABSENT, generation=1))
    assert [one.pod_name for one in plan.ledger.branches.values()] == ["x"], "of an instance before"


@pytest.mark.parametrize("gone", [False, True])
def test_until_redis_is_compared_nothing_is_done(gone: bool) -> None:
    of = record(rested(), idle(2), gone_since=NOW - 10 if gone else None, gone_asked_at=NOW - 10)
    plan = planned(of, wished(epoch=None, gone=gone))
    assert not any(isinstance(action, DisassociateBranch | UntagBranch) for action in plan.actions)
    assert set(after(plan).values()) == set(of.branches.values())


def test_what_is_under_way_ends_first() -> None:
    one = planning(record(idle(), epoch="run-0"), wished(), busy=frozenset({"trunk"}))
    assert not believed(one)
    assert one.ledger.epoch == "run-0"


# Where an annotation tells nothing, after a loss


def found(number: int, state: BranchState = COOLING, **fields: Any) -> Branch:
    """Given on before the loss, by its tag; shown by EC2 since."""
    lost = {"token": "", "association": None, "word_at": NOW - 50, "looked_at": NOW - 50, "since": NOW - 100}
    return msgspec.structs.replace(idle(number, **{**lost, **fields}), state=state)


SPOILED = pod("spoiled", eni_annotation="what is this")
OLDER = pod("older", eni_annotation="what is this", scheduled_at=NOW - 9)
CLEAR = pod("clear", eni_annotation=json_of({"eniId": "eni-9", "ifAddress": "", "privateIp": "", "vlanId": 9}))


def test_what_no_annotation_names_stays_with_a_pod_of_which_none_tells() -> None:
    plan = run(record(found(1), found(9)), SPOILED, CLEAR)
    assert {key: one.pod_name for key, one in after(plan).items()} == {"eni-1": "spoiled", "eni-9": "clear"}
    assert not any(isinstance(action, DisassociateBranch | UntagBranch) for action in plan.actions)


def test_it_stays_with_one_after_the_other_and_rests_after_the_last() -> None:
    first = run(record(found(1)), SPOILED, OLDER)
    assert [one.pod_name for one in after(first).values()] == ["older"]
    resting = msgspec.structs.replace(found(1), since=NOW - 100)
    assert [one.pod_name for one in after(run(record(resting), SPOILED)).values()] == ["spoiled"]


def test_it_rests_once_all_is_known_of_the_living() -> None:
    held = found(1, ASSIGNED, pod_uid=CLEAR.uid, pod_namespace="default", pod_name="clear")
    plan = run(record(held, found(9)), CLEAR)
    assert (after(plan)["eni-1"].state, after(plan)["eni-1"].since) == (COOLING, NOW)


def test_what_was_made_for_one_pod_is_not_held_by_another() -> None:
    plan = run(record(found(1, untagged=False, tagged="uid-gone")), SPOILED)
    assert [one.state for one in after(plan).values()] == [COOLING]
