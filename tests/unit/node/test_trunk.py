"""A node's trunk, step by step, and the capacity that it gives."""

from typing import Any

import msgspec
import pytest

from common.model.actions import Advertise, AttachTrunk, CreateTrunk, SetTrunkGroups
from common.model.ids import GroupId, SubnetId
from common.model.ledger import Backoff, Ledger, TrunkState
from common.model.names import POD_ENI
from common.model.node import CniNodeSpec, EniConfigFacts, Feature, NodeFacts
from common.node.trunk import keep_trunk
from common.node.trunk.place import branch_limit
from tests.unit.node.builders import (
    GROUP,
    NOW,
    POD_GROUPS_SPEC,
    SUBNET,
    TRUNK,
    desired,
    instance_facts,
    kinds,
    ledger,
    limits,
    node,
    options,
    planning,
    reasons,
    trunk,
)

NONE_YET = trunk(TrunkState.ABSENT, eni_id=None, attachment_id=None, subnet_id=None, groups=())
CONFIG = EniConfigFacts(name="config", subnet=SubnetId("subnet-2"), groups=(GroupId("sg-config"),))
NAMED = node(eni_config_label="config")


def kept(of: Ledger, about: NodeFacts | None = None, **fields: Any) -> tuple[bool, Any]:
    about = about or node()
    opts = fields.pop("options", options())
    one = planning(of, desired(of=about, **fields), options=opts)
    return keep_trunk(one, about), one


def test_one_is_made_in_the_nodes_subnet_with_the_nodes_groups() -> None:
    ready, one = kept(ledger(trunk=NONE_YET))
    (action,) = one.actions
    assert not ready
    assert isinstance(action, CreateTrunk)
    assert (action.subnet_id, action.groups) == (SUBNET.subnet_id, (GROUP,))
    assert one.ledger.trunk.state is TrunkState.CREATING
    assert (one.ledger.trunk.subnet_id, one.ledger.trunk.groups) == (SUBNET.subnet_id, (GROUP,))


def test_one_that_may_have_been_made_is_asked_for_with_the_same_token_and_place() -> None:
    first = kept(ledger(trunk=NONE_YET))[1]
    again = kept(first.ledger, NAMED, eni_config=CONFIG)[1]
    assert again.actions == [msgspec.structs.replace(one, again=True) for one in first.actions]


def test_another_generation_has_another_token() -> None:
    first = kept(ledger(trunk=NONE_YET))[1].actions[0]
    second = kept(ledger(trunk=trunk(TrunkState.ABSENT, eni_id=None, attachment_id=None, generation=1)))[1].actions[0]
    assert first.token != second.token


@pytest.mark.parametrize(
    ("state", "attachment", "step"),
    [
        (TrunkState.CREATED, None, "PermitInterface"),
        (TrunkState.PERMITTED, None, "AttachTrunk"),
        (TrunkState.ATTACHING, None, "AttachTrunk"),
        (TrunkState.ATTACHING, "attach-1", "FinishTrunk"),
        (TrunkState.ATTACHED, "attach-1", "AwaitTrunk"),
        (TrunkState.UNDOING, None, "UndoTrunk"),
        (TrunkState.UNDOING, "attach-1", "UndoTrunk"),
    ],
)
def test_each_state_has_its_next_step(state: TrunkState, attachment: str | None, step: str) -> None:
    ready, one = kept(ledger(trunk=trunk(state, attachment_id=attachment)))
    assert not ready
    assert kinds(one.actions) == [step]


def test_an_attachment_that_was_begun_before_is_looked_for_first() -> None:
    for state, again in ((TrunkState.PERMITTED, False), (TrunkState.ATTACHING, True)):
        one = kept(ledger(trunk=trunk(state, attachment_id=None)))[1]
        (action,) = one.actions
        assert isinstance(action, AttachTrunk)
        assert (action.again, action.device_index) == (again, 2)
        assert one.ledger.trunk.state is TrunkState.ATTACHING


def test_without_a_free_device_index_there_is_one_event_and_it_is_looked_at_again() -> None:
    one = kept(ledger(trunk=trunk(TrunkState.ABSENT, eni_id=None, device_index=None)))[1]
    assert one.actions == []
    assert reasons(one.notices) == ["NodeTrunkFailedInit", "NoFreeDeviceIndex"]
    assert NOW < one.look_again <= NOW + 10
    assert one.ledger.snapshot_after == one.look_again
    assert kept(one.ledger)[1].notices == []


def test_looks_for_a_free_device_index_grow_apart_and_are_never_rare() -> None:
    of, waits = ledger(trunk=trunk(TrunkState.ABSENT, eni_id=None, device_index=None)), []
    for _ in range(500):
        one = kept(msgspec.structs.replace(of, snapshot_after=None))[1]
        waits.append(one.look_again - NOW)
        of = one.ledger
    assert waits == sorted(waits)
    assert waits[99] <= 8, "for minutes it is felt within ten seconds"
    assert waits[0] < waits[-1] <= 25


def test_once_an_index_was_found_the_next_lack_is_reported_and_looked_at_soon_again() -> None:
    lacking = kept(ledger(trunk=trunk(TrunkState.ABSENT, eni_id=None, device_index=None)))[1].ledger
    found = kept(msgspec.structs.replace(lacking, trunk=NONE_YET, snapshot_after=None))[1]
    assert kinds(found.actions) == ["CreateTrunk"]
    again = msgspec.structs.replace(found.ledger, trunk=lacking.trunk, snapshot_after=None, backoffs={})
    one = kept(again)[1]
    assert reasons(one.notices) == ["NodeTrunkFailedInit", "NoFreeDeviceIndex"]
    assert one.look_again <= NOW + 10


def test_a_loose_trunk_that_finds_no_index_is_undone() -> None:
    one = kept(ledger(trunk=trunk(TrunkState.PERMITTED, attachment_id=None, device_index=None)))[1]
    assert one.actions == []
    assert one.ledger.trunk.state is TrunkState.UNDOING


def test_nothing_is_made_while_a_snapshot_is_waited_for() -> None:
    assert kept(ledger(trunk=NONE_YET, snapshot_after=NOW + 1))[1].actions == []


def test_a_failed_step_waits_for_its_time() -> None:
    one = kept(ledger(trunk=NONE_YET, backoffs={"trunk": Backoff(not_before=NOW + 7)}))[1]
    assert one.actions == []
    assert one.look_again == NOW + 7
    assert one.ledger.trunk == NONE_YET


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (options(limits(branches=0)), "is not supported for trunk interface"),
        (options(limits("c5.large")), "is not supported yet"),
    ],
)
def test_a_type_without_trunk_support_or_unknown_is_reported_once(opts: Any, words: str) -> None:
    ready, one = kept(ledger(trunk=NONE_YET), options=opts)
    assert (ready, one.actions, branch_limit(one)) == (False, [], 0)
    assert reasons(one.notices) == ["Unsupported"]
    assert words in one.notices[0].message
    assert kept(one.ledger, options=opts)[1].notices == []


def test_a_type_that_became_known_is_served() -> None:
    one = kept(ledger(trunk=NONE_YET), options=options(limits("c5.large")))[1]
    after = kept(one.ledger)[1]
    assert "unsupported" not in after.ledger.emitted
    assert after.ledger.snapshot_after == NOW  # Its device index is looked for anew.


@pytest.mark.parametrize("written", [{}, {POD_ENI: "0"}, {POD_ENI: "8"}, {POD_ENI: "10"}, {POD_ENI: "x"}])
def test_capacity_is_written_again_whenever_it_differs(written: dict[str, str]) -> None:
    ready, one = kept(ledger(), node(capacity=written))
    assert ready
    (action,) = one.actions
    assert isinstance(action, Advertise)
    assert (action.resource, action.amount) == (POD_ENI, 9)


def test_capacity_is_not_written_before_the_trunk_is_attached() -> None:
    assert "Advertise" not in kinds(kept(ledger(trunk=trunk(TrunkState.ATTACHED)), node(capacity={}))[1].actions)


def test_a_trunk_in_use_with_the_right_capacity_needs_nothing() -> None:
    ready, one = kept(ledger())
    assert (ready, one.actions, one.notices) == (True, [], [])


def test_that_it_is_ready_is_reported_once_for_each_node_object() -> None:
    one = kept(ledger(emitted={}))[1]
    assert reasons(one.notices) == ["NodeTrunkInitiated"]
    assert kept(one.ledger)[1].notices == []
    assert reasons(kept(one.ledger, node(uid="another"))[1].notices) == ["NodeTrunkInitiated"]


@pytest.mark.parametrize(
    ("config", "groups"),
    [
        (CONFIG, (GroupId("sg-config"),)),
        (EniConfigFacts(name="config", subnet=SubnetId("subnet-2")), (GROUP,)),
    ],
)
def test_custom_networking_decides_subnet_and_groups(config: EniConfigFacts, groups: tuple[GroupId, ...]) -> None:
    (action,) = kept(ledger(trunk=NONE_YET), NAMED, eni_config=config)[1].actions
    assert (action.subnet_id, action.groups) == ("subnet-2", groups)


@pytest.mark.parametrize(
    "config", [None, EniConfigFacts(name="another", subnet=SubnetId("subnet-2"))], ids=["none", "another's"]
)
def test_an_eni_config_that_is_not_there_is_reported_and_waited_for(config: EniConfigFacts | None) -> None:
    one = kept(ledger(trunk=NONE_YET), NAMED, eni_config=config)[1]
    assert one.actions == []
    assert reasons(one.notices) == ["EniConfigNameNotFound"]
    assert kept(one.ledger, NAMED, eni_config=config)[1].notices == []
    assert kinds(kept(one.ledger, NAMED, eni_config=CONFIG)[1].actions) == ["CreateTrunk"]


def test_a_feature_that_names_no_eni_config_is_reported() -> None:
    spec = CniNodeSpec(features=(*POD_GROUPS_SPEC.features, Feature(name="CustomNetworking")))
    one = kept(ledger(trunk=NONE_YET, cninode_spec=spec))[1]
    assert one.actions == []
    assert reasons(one.notices) == ["EniConfigNameNotFound"]


def test_changed_groups_of_the_eni_config_reach_the_trunk() -> None:
    of = ledger(trunk=trunk(subnet_id=CONFIG.subnet))
    ready, one = kept(of, NAMED, eni_config=CONFIG)
    assert ready
    (action,) = one.actions
    assert isinstance(action, SetTrunkGroups)
    assert (action.eni_id, action.groups) == (TRUNK, CONFIG.groups)


def test_a_changed_subnet_is_reported_and_the_trunk_stays() -> None:
    ready, one = kept(ledger(), NAMED, eni_config=CONFIG)
    assert (ready, one.actions) == (True, [])
    assert reasons(one.notices) == ["TrunkSubnetDiffers"]


def test_bad_tags_are_reported_and_good_ones_written() -> None:
    spec = CniNodeSpec(tags={"team": "a", "aws:x": "y"})
    one = kept(ledger(trunk=NONE_YET, cninode_spec=spec))[1]
    (action,) = one.actions
    assert action.extra_tags == {"team": "a"}
    assert reasons(one.notices) == ["InvalidTag"]


def test_the_limit_is_the_instance_types() -> None:
    assert branch_limit(planning(ledger(), desired())) == 9
    assert branch_limit(planning(ledger(instance=None), desired())) == 0
    assert branch_limit(planning(ledger(instance=instance_facts(kind="x9.huge")), desired())) == 0
