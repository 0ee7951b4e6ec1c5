"""Every living node has a whole CNINode; a departed one's goes after its clean-up."""

from typing import Any

import pytest

from common.model.actions import CleanDeparted, CreateCniNode, RepairCniNode
from common.model.ids import instance_id_of
from common.model.ledger import Backoff, Ledger
from common.model.names import CNINODE_CLUSTER_TAG, INSTANCE_TAG
from common.model.node import CniNodeFacts, CniNodeSpec, Feature
from common.node.cninode import keep_cninode, let_cninode_go
from tests.unit.node.builders import (
    CLUSTER,
    INSTANCE,
    NODE,
    NOW,
    POD_GROUPS_SPEC,
    cninode,
    desired,
    kinds,
    ledger,
    node,
    planning,
)


def kept(facts: CniNodeFacts | None, of: Ledger | None = None, **fields: Any) -> Any:
    goal = desired(cni=facts, without_cninode=facts is None, complete=fields.pop("complete", True))
    one = planning(of or ledger(), goal, **fields)
    keep_cninode(one, node())
    return one


def test_a_whole_one_is_left_alone() -> None:
    assert kept(cninode()).actions == []


def test_one_is_made_where_there_is_none_with_our_tags() -> None:
    (action,) = kept(None, Ledger(node=NODE)).actions
    assert isinstance(action, CreateCniNode)
    assert action.spec == CniNodeSpec(tags={CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: INSTANCE})
    assert (action.node, action.node_uid, action.os_label) == (NODE, "node-uid", "linux")


def test_a_deleted_one_is_made_again_with_the_same_features_and_other_peoples_tags() -> None:
    spec = CniNodeSpec(features=(Feature(name="CustomNetworking", value="x"),), tags={"team": "a"})
    before = kept(cninode(spec=spec)).ledger
    assert before.cninode_spec == spec
    (action,) = kept(None, before).actions
    assert isinstance(action, CreateCniNode)
    assert action.spec.features == spec.features
    assert action.spec.tags == {"team": "a", CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: INSTANCE}


def test_none_is_made_before_a_full_list_was_seen() -> None:
    assert kept(None, complete=False).actions == []


@pytest.mark.parametrize(
    "lack",
    [
        pytest.param({"os_label": None}, id="no label"),
        pytest.param({"os_label": "windows"}, id="a wrong label"),
        pytest.param({"finalizer": False}, id="no finalizer"),
        pytest.param({"owner_uid": None}, id="no owner"),
        pytest.param({"owner_uid": "another"}, id="an owner of the same name before"),
        pytest.param({"spec": CniNodeSpec()}, id="no tags"),
        pytest.param({"spec": CniNodeSpec(tags={**POD_GROUPS_SPEC.tags, INSTANCE_TAG: "i-1"})}, id="a wrong tag"),
    ],
)
def test_what_is_missing_or_wrong_is_put_right(lack: dict[str, Any]) -> None:
    (action,) = kept(cninode(**lack)).actions
    assert isinstance(action, RepairCniNode)
    assert action.tags == POD_GROUPS_SPEC.tags
    assert (action.os_label, action.node_uid, action.facts) == ("linux", "node-uid", cninode(**lack))


def test_one_deleted_under_a_living_node_is_let_go_to_be_made_again() -> None:
    assert kinds(kept(cninode(deleting=True)).actions) == ["DropFinalizer"]
    assert kept(cninode(deleting=True, finalizer=False)).actions == []


def test_nothing_is_done_twice_at_a_time_or_before_its_time() -> None:
    assert kept(None, busy=frozenset({"cninode"})).actions == []
    waiting = kept(None, ledger(backoffs={"cninode": Backoff(not_before=NOW + 5)}))
    assert waiting.actions == []
    assert waiting.look_again == NOW + 5


def let_go(facts: CniNodeFacts | None, **fields: Any) -> Any:
    goal = desired(gone=True, cni=facts, without_cninode=facts is None, complete=fields.pop("complete", True))
    one = planning(ledger(**fields), goal)
    let_cninode_go(one)
    return one


def test_a_departed_nodes_instance_is_cleaned_up_before_the_finalizer_goes() -> None:
    assert let_go(cninode(deleting=True)).actions == []
    assert let_go(cninode(deleting=True), gone_since=NOW - 59, gone_asked_at=NOW - 59).actions == []
    assert let_go(cninode(deleting=True), gone_since=NOW - 60, gone_asked_at=NOW - 60).actions == []
    (action,) = let_go(cninode(deleting=True), gone_since=NOW - 60, gone_asked_at=NOW).actions
    assert isinstance(action, CleanDeparted)
    assert (action.cninode_uid, action.instance_id) == ("cninode-uid", INSTANCE)


def test_a_malformed_instance_tag_names_no_instance() -> None:
    spec = CniNodeSpec(tags={INSTANCE_TAG: "i-what"})
    assert instance_id_of("i-what") is None
    (action,) = let_go(cninode(deleting=True, spec=spec)).actions
    assert action.instance_id is None


def test_one_that_nobody_collects_is_deleted_a_while_after_its_node() -> None:
    assert let_go(cninode()).actions == []
    early = let_go(cninode(), gone_since=NOW - 59)
    assert early.actions == []
    assert early.look_again == NOW + 1
    assert kinds(let_go(cninode(), gone_since=NOW - 60, gone_asked_at=NOW).actions) == ["DeleteCniNode"]


@pytest.mark.parametrize("facts", [None, cninode(deleting=True, finalizer=False)])
def test_nothing_is_left_to_do(facts: CniNodeFacts | None) -> None:
    assert let_go(facts, gone_since=NOW - 100).actions == []


def test_absence_before_a_full_list_is_no_deletion() -> None:
    assert let_go(cninode(deleting=True), complete=False).actions == []
    assert let_go(cninode(), complete=False, gone_since=NOW - 100).actions == []


@pytest.mark.parametrize("label", [None, "linux"])
def test_a_node_without_an_os_label_asks_for_none(label: str | None) -> None:
    one = planning(ledger(), desired(cni=cninode(os_label=label)))
    keep_cninode(one, node(os_label=""))
    assert one.actions == []


def test_when_it_is_whole_its_repairs_begin_anew() -> None:
    of = ledger(backoffs={"cninode": Backoff(not_before=NOW + 8, attempts=4)})
    assert kept(cninode(), of).ledger.backoffs["cninode"] == Backoff(not_before=NOW + 8)
    assert kept(cninode(finalizer=False), of).ledger.backoffs == of.backoffs
