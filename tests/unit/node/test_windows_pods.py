"""A Windows node's pool and the pods that take from it."""

from typing import Any

import msgspec
import pytest

from common.model import actions as act
from common.model.config import ClusterConfig
from common.model.desired import Sharer
from common.model.ids import Ipv4, NodeName, PodUid, Prefix
from common.model.ledger import Address, AddressState, Backoff, LastUse, Ledger, Pool
from common.model.names import PRIVATE_IPV4
from common.model.node import NodeView
from common.model.outcome import Done, Reviewed
from common.model.pod import PodRequest
from common.model.warrant import Ground
from common.node.planner import apply
from common.node.state import ANNOTATION_SEEN_SECONDS, Planning
from common.node.windows.assigning import BURST_SECONDS, LONGEST_HOLD_SECONDS, SCARCE_BURST_SECONDS, SCARCE_SHARE
from common.node.windows.contents import SETTLED_SECONDS, adopted_pool, compared, releasing
from common.node.windows.pool import REST_SECONDS
from common.node.windows.releasing import give_back
from common.node.windows.secondary import SecondaryMode
from tests.unit.node.builders import (
    NODE,
    NOW,
    PRIMARY,
    cninode,
    desired,
    kinds,
    ledger,
    left,
    limits,
    node,
    options,
    planned,
    pod,
    primary,
    reasons,
)

IPAM = ClusterConfig(windows_ipam=True)
PREFIX_MODE = ClusterConfig(windows_ipam=True, prefix_delegation=True)
A, B, C, D, E = (Ipv4(f"10.0.3.{n}") for n in (11, 12, 13, 14, 15))
P = Prefix("10.0.4.0/28")


def windows_pod(name: str = "a", **fields: Any) -> PodRequest:
    return pod(name, 0, addresses=1, **fields)


def pool(*addresses: Address, **fields: Any) -> Pool:
    """Nobody has had what is free."""
    came = {**{a.ip: a.since for a in addresses if a.prefix is None}, **fields.get("prefixes", {})}
    uses = {key: LastUse(at=at) for key, at in came.items()}
    return Pool(**{"addresses": {a.ip: a for a in addresses}, "suspect": False, "uses": uses, **fields})


def warm(*ips: Ipv4) -> list[Address]:
    return [Address(ip=ip, since=1.0) for ip in ips]


def owned(ip: Ipv4, of: PodRequest, **fields: Any) -> Address:
    return Address(
        ip=ip,
        state=AddressState.ASSIGNED,
        pod_uid=of.uid,
        pod_namespace=of.namespace,
        pod_name=of.name,
        **{"since": NOW, **fields},
    )


def of_windows(contents: Pool, **fields: Any) -> Ledger:
    return ledger(pool=contents, **fields)


def kept(contents: Pool, *pods: PodRequest, config: ClusterConfig = IPAM, **fields: Any) -> Any:
    capacity = str(9 * (16 if config.prefix_delegation and fields.get("nitro", True) else 1))
    about = node(os="windows", capacity=fields.pop("capacity", {PRIVATE_IPV4: capacity}))
    nitro = fields.pop("nitro", True)
    goal = desired(*pods, of=about, cni=cninode(os_label="windows"), config=config)
    opts = options(limits(nitro=nitro))
    return planned(of_windows(contents, **fields.pop("record", {})), goal, opts=opts, **fields)


def contents(done: Any) -> Pool:
    found = left(done).pool
    assert found is not None
    return found


def test_a_pool_at_its_targets_needs_nothing() -> None:
    done = kept(pool(*warm(A, B, C)))
    assert (done.actions, contents(done)) == ((), pool(*warm(A, B, C)))


@pytest.mark.parametrize(
    ("config", "nitro", "amount"),
    [(IPAM, True, 9), (PREFIX_MODE, True, 144), (PREFIX_MODE, False, 9)],
)
def test_capacity_by_mode(config: ClusterConfig, nitro: bool, amount: int) -> None:
    done = kept(pool(*warm(A, B, C), prefixes={P: 1.0}), config=config, nitro=nitro, capacity={})
    (advertised,) = [a for a in done.actions if isinstance(a, act.Advertise)]
    assert (advertised.resource, advertised.amount) == (PRIVATE_IPV4, amount)


def test_a_node_that_is_not_nitro_has_an_event_that_it_has_no_prefixes() -> None:
    assert reasons(kept(pool(*warm(A, B, C)), config=PREFIX_MODE, nitro=False).notices) == ["Unsupported"]


@pytest.mark.parametrize(
    ("config", "kind", "count"), [(IPAM, act.AssignAddresses, 3), (PREFIX_MODE, act.AssignPrefixes, 1)]
)
def test_what_is_missing_is_asked_for_in_one_call_and_recorded_first(
    config: ClusterConfig, kind: type, count: int
) -> None:
    done = kept(pool(), config=config)
    (action,) = done.actions
    assert isinstance(action, act.AssignAddresses | act.AssignPrefixes)
    assert type(action) is kind
    assert (action.count, contents(done).assigning) == (count, count)


def test_a_pod_gets_a_warm_address_at_once_and_the_pool_is_filled_up_after_that() -> None:
    done = kept(pool(*warm(A, B, C)), windows_pod())
    (action,) = done.actions
    assert isinstance(action, act.Annotate)
    assert (action.annotation, action.value) == (PRIVATE_IPV4, f"{A}/19")
    assert contents(done).addresses[A].pod_uid == "uid-a"
    assert not contents(done).addresses[A].annotated


def test_an_address_out_of_a_prefix_is_written_as_a_host_address() -> None:
    done = kept(pool(prefixes={P: 1.0}), windows_pod(), config=PREFIX_MODE)
    assert [a.value for a in done.actions if isinstance(a, act.Annotate)] == ["10.0.4.0/32"]


def test_pods_are_served_in_the_order_of_scheduling_and_events_say_why_the_others_wait() -> None:
    done = kept(pool(*warm(A)), windows_pod("late"), windows_pod("first", scheduled_at=NOW - 9))
    assert [a.pod_uid for a in done.actions if isinstance(a, act.Annotate)] == ["uid-first"]
    assert "AssignAddresses" in kinds(done.actions)
    assert reasons(done.notices) == ["ResourceAllocationFailed"]


@pytest.mark.parametrize(
    "quiet", [{"finished": True}, {"deleting": True}, {"addresses": 0}, {"ip_annotation": "10.9.9.9/19"}]
)
def test_a_pod_that_gets_nothing(quiet: dict[str, Any]) -> None:
    done = kept(pool(*warm(A, B, C)), pod("a", 0, **{"addresses": 1, **quiet}))
    assert [a for a in done.actions if isinstance(a, act.Annotate)] == []


def test_a_living_pods_annotation_decides_whose_an_address_is() -> None:
    alive = windows_pod(ip_annotation=f"{A}/19")
    for recorded in (Address(ip=A), Address(ip=A, state=AddressState.RELEASING), owned(A, windows_pod("b"))):
        address = contents(kept(pool(recorded, *warm(B, C, D)), alive)).addresses[A]
        assert (address.state, address.pod_uid, address.annotated) == (AddressState.ASSIGNED, "uid-a", True)


def test_an_annotation_that_cannot_be_read_has_events_at_node_and_pod() -> None:
    first = kept(pool(*warm(A, B, C)), windows_pod(ip_annotation="x"))
    assert reasons(first.notices) == ["PodAnnotationMalformed"] * 2
    assert {getattr(n, "name", "") for n in first.notices} == {"", windows_pod().name}


def test_an_address_named_by_an_annotation_is_given_to_nobody_else_and_not_given_back() -> None:
    alive = windows_pod(ip_annotation="10.0.4.0/32")
    done = kept(pool(prefixes={P: 1.0}), alive, windows_pod("b"), config=PREFIX_MODE)
    assert [a.value for a in done.actions if isinstance(a, act.Annotate)] == ["10.0.4.1/32"]


@pytest.mark.parametrize("pods", [(), (windows_pod(finished=True),)], ids=["gone", "finished"])
def test_the_api_server_is_asked_before_an_address_leaves_a_pod(pods: tuple[PodRequest, ...]) -> None:
    held = owned(A, windows_pod(), annotated=True)
    done = kept(pool(held, *warm(B, C, D)), *pods)
    assert kinds(done.actions) == ["ConfirmGone"]
    assert contents(done).addresses[A] == held


def test_an_address_rests_for_half_a_minute() -> None:
    resting = Address(ip=A, state=AddressState.COOLING, since=NOW - 29)
    early = kept(pool(resting, *warm(B, C)))
    assert contents(early).addresses[A] == resting
    assert early.look_again == NOW + 1
    late = kept(pool(Address(ip=A, state=AddressState.COOLING, since=NOW - 30), *warm(B, C)))
    assert contents(late).addresses[A] == Address(ip=A, since=NOW)


def test_what_is_too_much_is_given_back_and_recorded_first() -> None:
    done = kept(pool(*warm(A, B, C, D)))
    (action,) = done.actions
    assert isinstance(action, act.UnassignAddresses)
    assert (action.addresses, contents(done).addresses[D].state) == ((D,), AddressState.RELEASING)


UNSETTLED = [
    pytest.param(pool(Address(ip=D, state=AddressState.RELEASING), *warm(A, B, C)), id="addresses"),
    pytest.param(pool(*warm(A, B, C), releasing_prefixes=(P,)), id="a prefix"),
]
"""UnassignPrivateIpAddresses may have taken effect."""


@pytest.mark.parametrize("unsettled", UNSETTLED)
def test_a_release_whose_outcome_was_lost_is_looked_into_and_nothing_is_asked_for_before(unsettled: Pool) -> None:
    waits = [windows_pod(name) for name in "abcd"]
    done = kept(unsettled, *waits)
    assert sorted(kinds(done.actions)) == ["Annotate", "Annotate", "Annotate", "InspectPool"], "pods are served"


@pytest.mark.parametrize("unsettled", UNSETTLED)
def test_a_release_is_not_repeated_while_the_first_may_take_effect(unsettled: Pool) -> None:
    looked = msgspec.structs.replace(unsettled, released_at=NOW - 5, looked_at=NOW - 4)
    surplus = msgspec.structs.replace(looked, addresses={**looked.addresses, E: Address(ip=E)})
    done = kept(surplus)
    assert (done.actions, done.look_again) == ((), NOW - 5 + SETTLED_SECONDS)
    late = msgspec.structs.replace(surplus, released_at=NOW - SETTLED_SECONDS, looked_at=NOW - 4)
    assert kinds(kept(late).actions) == ["InspectPool"], "and then EC2 says whether it has"


@pytest.mark.parametrize("unsettled", UNSETTLED)
def test_nothing_is_asked_for_beside_a_release_whose_outcome_is_not_known(unsettled: Pool) -> None:
    """One look, while the call may yet take effect, settles nothing: EC2 would hand out what that call takes."""
    waits = [windows_pod(name) for name in "abcd"]
    looked = msgspec.structs.replace(unsettled, released_at=NOW - 5, looked_at=NOW - 4)
    done = kept(looked, *waits)
    assert kinds(done.actions) == ["Annotate"] * 3, "what is there is given"
    assert done.look_again == NOW - 5 + SETTLED_SECONDS
    assert ["known what it has got back" in notice.message for notice in done.notices] == [True]
    gone = compared(looked, primary(secondary_ips=(A, B, C)), NOW - 4, NOW - 4).pool
    assert "AssignAddresses" in kinds(kept(gone, *waits).actions), "a look that shows that it took effect settles it"
    kept_on = primary(secondary_ips=(A, B, C, D), prefixes=(P,))
    late = compared(looked, kept_on, NOW - 5 + SETTLED_SECONDS, NOW - 5 + SETTLED_SECONDS).pool
    assert releasing(late) == (), "and so does one so late that it cannot take effect any more"


@pytest.mark.parametrize("config", [IPAM, PREFIX_MODE])
def test_nothing_is_asked_for_beside_a_release_under_way(config: ClusterConfig) -> None:
    assert kinds(kept(pool(), windows_pod(), config=config, busy=["pool/release"]).actions) == []


@pytest.mark.parametrize("asking", ["pool", "pool/prefixes"])
def test_nothing_is_given_back_beside_an_assignment(asking: str) -> None:
    assert kept(pool(*warm(A, B, C, D, E), assigning=1), busy=[asking]).actions == ()
    assert kept(pool(*warm(A, B, C, D, E)), busy=[asking]).actions == ()
    assert kinds(kept(pool(*warm(A, B, C, D, E), assigning=1)).actions) == ["InspectPool"], "nor where it was lost"


# --- what is given back is given back on evidence

HAD = LastUse(pod_uid=PodUid("uid-gone"), at=NOW - 40, word_at=NOW - 40)
"""A pod had it, and the API server said that it ended."""
FOUND = LastUse(found=True, at=NOW - 40, word_at=NOW - 5)
LOOKED = NOW - 20
SURPLUS = {
    "an address": ((*warm(A, B, C), Address(ip=D, since=2.0)), {}, D),
    "a prefix": (warm(A, B, C), {P: 1.0}, P),
}


def surplus(which: str, use: LastUse | None, **fields: Any) -> Pool:
    addresses, prefixes, key = SURPLUS[which]
    uses: dict[str, LastUse] = dict.fromkeys((A, B, C), LastUse(at=1.0))
    if use is not None:
        uses[key] = use
    return pool(*addresses, prefixes=prefixes, uses=uses, looked_at=LOOKED, **fields)


def unassigned(done: Any) -> list[str]:
    return [
        key
        for a in done.actions
        if isinstance(a, act.UnassignAddresses | act.UnassignPrefixes)
        for key in (a.addresses if isinstance(a, act.UnassignAddresses) else a.prefixes)
    ]


@pytest.mark.parametrize("which", SURPLUS)
@pytest.mark.parametrize(
    ("use", "ground"),
    [
        pytest.param(LastUse(at=NOW), Ground.UNUSED, id="nobody had it since it was assigned"),
        pytest.param(HAD, Ground.ENDED, id="its pod ended"),
        pytest.param(FOUND, Ground.ENDED, id="it was found, asked about and looked at"),
    ],
)
def test_with_evidence_it_is_given_back(which: str, use: LastUse, ground: Ground) -> None:
    done = kept(surplus(which, use), record={"audit_at": NOW + 500})
    assert unassigned(done) == [SURPLUS[which][2]]
    assert [a.warrant.ground for a in done.actions if isinstance(a, act.Unassign)] == [ground]


@pytest.mark.parametrize("which", SURPLUS)
@pytest.mark.parametrize(
    ("use", "instead", "again"),
    [
        pytest.param(msgspec.structs.replace(HAD, word_at=0.0), ["Review"], None, id="nobody was asked"),
        pytest.param(msgspec.structs.replace(HAD, word_at=NOW - 41), ["Review"], None, id="asked before the last use"),
        pytest.param(
            LastUse(pod_uid=PodUid("uid-gone"), at=NOW - 29, word_at=NOW - 29), [], NOW + 1, id="it has not rested"
        ),
        pytest.param(msgspec.structs.replace(FOUND, word_at=0.0), ["Review"], None, id="found and not asked about"),
        pytest.param(
            msgspec.structs.replace(FOUND, at=LOOKED - 9, word_at=NOW),
            [],
            LOOKED - 9 + REST_SECONDS,
            id="found and not rested",
        ),
        pytest.param(None, ["Review"], None, id="on record without a last use"),
    ],
)
def test_without_evidence_it_is_kept_and_the_evidence_sought(
    which: str, use: LastUse | None, instead: list[str], again: float | None
) -> None:
    done = kept(surplus(which, use), record={"audit_at": NOW + 500})
    assert (unassigned(done), kinds(done.actions)) == ([], instead)
    if again is not None:
        assert done.look_again == again


@pytest.mark.parametrize("which", SURPLUS)
def test_what_was_found_is_looked_at_once_more_before_it_goes(which: str) -> None:
    lacking = msgspec.structs.replace(surplus(which, FOUND), looked_at=NOW - 31)
    done = kept(lacking, record={"audit_at": NOW + 500})
    assert kinds(done.actions) == ["InspectPool"]
    failing = {"pool/look": Backoff(not_before=NOW + 20, attempts=5)}
    waits = kept(lacking, record={"audit_at": NOW + 500, "backoffs": failing})
    assert (waits.actions, waits.look_again) == ((), NOW + 20), "at the look's own pace"


def test_of_several_those_with_evidence_are_given_back_in_one_call() -> None:
    uses = {ip: LastUse(at=1.0) for ip in (A, B, C, D)} | {E: msgspec.structs.replace(HAD, word_at=0.0)}
    done = kept(pool(*warm(A, B, C, D, E), uses=uses))
    assert (unassigned(done), sorted(kinds(done.actions))) == ([D], ["Review", "UnassignAddresses"])


def test_what_another_name_of_the_instance_has_on_record_is_kept() -> None:
    has = ledger(pool=pool(owned(D, windows_pod("other"))))
    shared = Sharer(name=NodeName("other"), view=NodeView(node=None), ledger=has)
    about = node(os="windows", capacity={PRIVATE_IPV4: "9"})
    goal = desired(of=about, cni=cninode(os_label="windows"), config=IPAM)
    state = Planning(
        ledger=of_windows(pool(*warm(A, B, C, D))),
        desired=msgspec.structs.replace(goal, sharers=(shared,)),
        snapshot=None,
        now=NOW,
        jitter=0.0,
        busy=frozenset(),
        options=options(limits()),
    )
    give_back(state, PRIMARY, SecondaryMode(), 9, 0, frozenset())
    assert state.actions == []


def test_a_life_of_an_address_leaves_the_evidence_on_record() -> None:
    """Assigned, given to a pod, left by it: who had it, since when it is free and by whose word."""
    got = apply(
        of_windows(pool(assigning=1)),
        act.AssignAddresses(subject="pool", eni_id=PRIMARY, count=1),
        Done(value=(A,)),
        now=NOW,
        jitter=0.5,
    ).ledger
    assert got.pool is not None
    assert got.pool.uses == {A: LastUse(at=NOW)}
    had = contents(kept(got.pool, windows_pod(), now=NOW + 1))
    assert had.uses[A] == LastUse(pod_uid=PodUid("uid-a"), at=NOW + 1)
    gone = act.ConfirmGone(subject="pod/uid-a", pod_uid=PodUid("uid-a"), namespace="default", name="a")
    ended = apply(of_windows(had), gone, Done(value=True), now=NOW + 9, jitter=0.5).ledger.pool
    assert ended is not None
    assert ended.uses[A] == LastUse(pod_uid=PodUid("uid-a"), at=NOW + 9, word_at=NOW + 9)


def test_a_review_is_the_word_about_what_no_living_pod_has() -> None:
    unknown = pool(Address(ip=A, since=1.0), Address(ip=B, since=1.0), prefixes={P: 1.0}, uses={})
    alive = windows_pod(ip_annotation=f"{B}/19")
    asked = act.Review(subject="review", nodes=(NODE,), eni_ids=())
    found = Reviewed(began_at=NOW - 1, pods=(alive,), interfaces=())
    after = apply(of_windows(unknown), asked, Done(value=found), now=NOW, jitter=0.5).ledger.pool
    assert after is not None
    assert {key: use.word_at for key, use in after.uses.items()} == {A: NOW - 1, P: NOW - 1, B: 0.0}
    assert after.addresses[B].pod_uid == alive.uid, "the watch has not shown it yet"


def test_a_review_gives_a_pod_that_has_an_address_no_second_one() -> None:
    """Its annotation names another, which anybody may have written."""
    forged = windows_pod(ip_annotation=f"{B}/19")
    before = pool(owned(A, forged, annotated=True), Address(ip=B, since=1.0), uses={})
    asked = act.Review(subject="review", nodes=(NODE,), eni_ids=())
    found = Reviewed(began_at=NOW - 1, pods=(forged,), interfaces=())
    after = apply(of_windows(before), asked, Done(value=found), now=NOW, jitter=0.5).ledger.pool
    assert after is not None
    assert (after.addresses, after.uses[B].word_at) == (before.addresses, NOW - 1)


def test_the_pool_is_filled_up_when_a_burst_is_over_and_at_once_where_a_pod_waits() -> None:
    served = windows_pod(ip_annotation=f"{A}/19")
    just_given = pool(owned(A, served, annotated=True), *warm(B, C))
    held = kept(just_given, served)
    assert kinds(held.actions) == []
    assert held.look_again == NOW + BURST_SECONDS
    assert kinds(kept(pool(owned(A, served, annotated=True, since=NOW - 1), *warm(B, C)), served).actions) == [
        "AssignAddresses"
    ]
    waits = windows_pod("waits")
    assert "AssignAddresses" in kinds(kept(pool(owned(A, served, annotated=True)), served, waits).actions)


@pytest.mark.parametrize(
    ("since", "annotation", "again"),
    [
        pytest.param(NOW - ANNOTATION_SEEN_SECONDS, None, True, id="taken away"),
        pytest.param(NOW - ANNOTATION_SEEN_SECONDS + 1, None, False, id="perhaps not seen yet"),
        pytest.param(NOW - ANNOTATION_SEEN_SECONDS, f"{A}/19", False, id="there"),
    ],
)
def test_an_annotation_that_somebody_took_away_is_written_again(
    since: float, annotation: str | None, again: bool
) -> None:
    alive = windows_pod(ip_annotation=annotation)
    done = kept(pool(owned(A, alive, annotated=True, since=since), *warm(B, C, D)), alive)
    assert ("Annotate" in kinds(done.actions)) is again


@pytest.mark.parametrize(
    ("burst_left", "came", "turn", "asked_at"),
    [
        pytest.param(SCARCE_SHARE, [0.0], False, 0.0, id="ample: at once"),
        pytest.param(0.1, [0.2, 0.1], False, SCARCE_BURST_SECONDS - 0.1, id="scarce: when no more pods come"),
        pytest.param(0.1, [SCARCE_BURST_SECONDS], False, 0.0, id="no more came"),
        pytest.param(0.1, [LONGEST_HOLD_SECONDS - 0.1, 0.0], False, 0.1, id="no pod waits for long"),
        pytest.param(0.1, [LONGEST_HOLD_SECONDS, 0.0], False, 0.0, id="the first has waited long enough"),
        pytest.param(0.1, [0.0], True, 0.0, id="a turn is not let pass"),
    ],
)
def test_near_the_limit_of_ec2_pods_that_come_together_share_a_call(
    burst_left: float, came: list[float], turn: bool, asked_at: float
) -> None:
    """`came`: seconds since each waiting pod was seen."""
    pods = [windows_pod(f"w{number}", seen_at=NOW - ago) for number, ago in enumerate(came)]
    record = {"backoffs": {"pool": Backoff(reserved=turn)}} if turn else {}
    done = kept(pool(), *pods, burst_left=burst_left, record=record)
    assert ("AssignAddresses" in kinds(done.actions)) is (asked_at == 0.0)
    if asked_at:
        assert done.look_again == pytest.approx(NOW + asked_at)


def test_a_switch_to_prefixes_gives_the_free_addresses_back_and_keeps_those_in_use() -> None:
    alive = windows_pod(ip_annotation=f"{A}/19")
    done = kept(pool(owned(A, alive, annotated=True, since=NOW - 60), *warm(B, C)), alive, config=PREFIX_MODE)
    assert kinds(done.actions) == ["AssignPrefixes"]
    got = msgspec.structs.replace(contents(done), assigning=0, prefixes={P: NOW})
    then = kept(got, alive, config=PREFIX_MODE)
    assert [a.addresses for a in then.actions if isinstance(a, act.UnassignAddresses)] == [(C, B)]


def test_a_switch_back_gives_empty_prefixes_back() -> None:
    done = kept(pool(*warm(A, B, C), prefixes={P: 1.0}))
    assert kinds(done.actions) == ["UnassignPrefixes"]
    assert (contents(done).prefixes, contents(done).releasing_prefixes) == ({}, (P,))


@pytest.mark.parametrize(
    "unsure", [pool(suspect=True), pool(assigning=2)], ids=["new or a call failed", "an outcome was lost"]
)
def test_a_suspect_pool_is_looked_at_before_anything_else_is_asked_for(unsure: Pool) -> None:
    done = kept(unsure, windows_pod())
    (action,) = done.actions
    assert isinstance(action, act.InspectPool)
    assert (action.eni_id, action.began) == (PRIMARY, NOW)
    assert contents(done).suspect


@pytest.mark.parametrize("failing", [False, True], ids=["while it is looked", "while EC2 does not answer"])
def test_what_is_there_is_given_while_the_pool_is_suspect(failing: bool) -> None:
    record = (
        {"backoffs": {"pool/look": Backoff(not_before=NOW + 20, attempts=5, code="InternalError")}} if failing else {}
    )
    done = kept(pool(*warm(A), suspect=True), windows_pod(), record=record)
    assert "Annotate" in kinds(done.actions)


def test_a_look_keeps_nothing_waiting_and_takes_nobodys_turn() -> None:
    due = {"audit_at": NOW, "backoffs": {"pool": Backoff(reserved=True)}}
    done = kept(pool(), windows_pod(), record=due)
    assert {a.subject: a.reserved for a in done.actions} == {"pool/look": False, "pool": True}
    assert kinds(kept(pool(), windows_pod(), busy=["pool/look"]).actions) == ["AssignAddresses"]


def test_a_failing_look_has_a_pace_of_its_own() -> None:
    backoffs = {"pool/look": Backoff(not_before=NOW + 20, attempts=5)}
    due = kept(pool(), windows_pod(), record={"audit_at": NOW, "backoffs": backoffs})
    assert kinds(due.actions) == ["AssignAddresses"]
    assert due.look_again == NOW + 20


def test_an_assignment_under_way_is_no_lost_outcome() -> None:
    done = kept(pool(assigning=3), busy=["pool"])
    assert (done.actions, contents(done).suspect) == ((), False)


@pytest.mark.parametrize("busy", ["pool/release", "pool", "pool/prefixes"])
def test_no_doubt_is_settled_while_a_call_is_under_way(busy: str) -> None:
    assert kept(pool(suspect=True), busy=[busy]).actions == ()


def test_a_failed_assignment_waits_and_pods_events_say_why() -> None:
    backoffs = {"pool": Backoff(not_before=NOW + 60, code="InsufficientFreeAddressesInSubnet")}
    done = kept(pool(), windows_pod(), record={"backoffs": backoffs})
    assert done.actions == ()
    assert done.look_again == NOW + 60
    assert "InsufficientFreeAddressesInSubnet" in done.notices[0].message


def test_a_pause_of_one_mode_does_not_hold_up_the_other() -> None:
    backoffs = {"pool/prefixes": Backoff(not_before=NOW + 110, code="InsufficientCidrBlocks")}
    assert "AssignAddresses" in kinds(kept(pool(), windows_pod(), record={"backoffs": backoffs}).actions)


@pytest.mark.parametrize(
    ("refused", "pods", "count"),
    [
        pytest.param(0, 1, 4, id="nothing was refused"),
        pytest.param(4, 1, 1, id="down to what pods need now"),
        pytest.param(4, 0, 3, id="less than was refused anyway"),
        pytest.param(3, 0, 1, id="nobody waits: half"),
        pytest.param(2, 3, 1, id="pods need more than was refused: half"),
        pytest.param(1, 3, 1, id="never less than one"),
    ],
)
def test_after_a_refusal_less_is_asked_for(refused: int, pods: int, count: int) -> None:
    waiting = [windows_pod(f"w{number}") for number in range(pods)]
    done = kept(pool(refused={"pool": refused} if refused else {}), *waiting)
    assert [a.count for a in done.actions if isinstance(a, act.AssignAddresses)] == [count]
    assert contents(done).assigning == count


def test_the_prefixes_that_pods_need_are_asked_for_after_a_refusal() -> None:
    config = msgspec.structs.replace(PREFIX_MODE, warm_prefix=3)
    waiting = [windows_pod(f"w{number}") for number in range(17)]
    done = kept(pool(refused={"pool/prefixes": 5}), *waiting, config=config)
    assert [a.count for a in done.actions if isinstance(a, act.AssignPrefixes)] == [2]


@pytest.mark.parametrize("first", ["a", "b"])
def test_two_pods_with_one_annotation_leave_the_node_in_peace(first: str) -> None:
    pods = [windows_pod(name, ip_annotation=f"{A}/19") for name in "ab"]
    held = pool(owned(A, windows_pod(first), annotated=True, since=NOW - 60), *warm(B, C))
    done = kept(held, *pods)
    assert contents(done).addresses[A] == held.addresses[A], "it stays with the one that has it"
    assert kinds(done.actions) == ["AssignAddresses"], "and the pool is filled"
    assert reasons(done.notices) == ["AddressShared"]


def test_of_two_pods_with_one_annotation_the_oldest_has_the_address() -> None:
    young, old = windows_pod("a", ip_annotation=f"{A}/19"), windows_pod("b", ip_annotation=f"{A}/19", scheduled_at=1.0)
    assert contents(kept(pool(*warm(A, B, C)), young, old)).addresses[A].pod_uid == old.uid


def test_asking_whether_pods_are_gone_leaves_room_for_what_pods_wait_for() -> None:
    addresses = [Ipv4(f"10.0.5.{number}") for number in range(60)]
    ended = pool(*(owned(ip, windows_pod(f"e{number}"), annotated=True) for number, ip in enumerate(addresses)))
    opts = options(limits(ipv4=100))
    goal = desired(windows_pod(), of=node(os="windows"), cni=cninode(os_label="windows"), config=IPAM)
    asked = kinds(planned(of_windows(ended), goal, opts=opts).actions)
    assert "AssignAddresses" in asked
    assert asked.count("ConfirmGone") == opts.in_flight // 2
    under_way = [f"pod/uid-e{number}" for number in range(opts.in_flight // 2)]
    later = kinds(planned(of_windows(ended), goal, opts=opts, busy=under_way).actions)
    assert "AssignAddresses" in later
    assert "ConfirmGone" not in later


def test_what_pods_wait_for_is_asked_for_before_others_are_annotated() -> None:
    many = [windows_pod(f"w{number:02}") for number in range(60)]
    have = [owned(Ipv4(f"10.0.5.{number}"), one) for number, one in enumerate(many[:59])]
    goal = desired(*many, of=node(os="windows"), cni=cninode(os_label="windows"), config=IPAM)
    assert "AssignAddresses" in kinds(planned(of_windows(pool(*have)), goal, opts=options(limits(ipv4=100))).actions)


def test_audits_come_at_growing_intervals_and_only_look() -> None:
    first = kept(pool(*warm(A, B, C)), record={"audit_at": 0.0, "audit_interval": 0.0})
    assert (first.actions, left(first).audit_at, left(first).audit_interval) == ((), NOW + 60, 60.0)
    due = kept(pool(*warm(A, B, C)), record={"audit_at": NOW, "audit_interval": 60.0})
    assert kinds(due.actions) == ["InspectPool"]
    assert not contents(due).suspect
    looked = kept(pool(*warm(A, B, C), looked_at=NOW), record={"audit_at": NOW, "audit_interval": 60.0})
    assert (looked.actions, left(looked).audit_interval) == ((), 120.0)


def test_an_unknown_type_is_reported() -> None:
    goal = desired(windows_pod(), of=node(os="windows"), config=IPAM)
    done = planned(of_windows(pool()), goal, opts=options(limits("c5.large")))
    assert "Unsupported" in reasons(done.notices)
    assert not {"AssignAddresses", "Advertise"} & set(kinds(done.actions))


def test_an_address_found_in_ec2_is_nobodys_before_the_api_server_was_asked() -> None:
    found = adopted_pool(primary(secondary_ips=(A,)), {}, NOW)
    done = kept(found, windows_pod(), now=NOW + 31)
    assert "Review" in kinds(done.actions)
    assert [a.pod_uid for a in contents(done).addresses.values()] == [""]
