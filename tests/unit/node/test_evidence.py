"""What a ledger says to the gate: each piece of evidence is its own, and where one is missing nothing goes."""

from typing import Any

import msgspec
import pytest

from common.model.actions import PermitInterface, UndoTrunk
from common.model.desired import Desired, Sharer
from common.model.ids import Ipv4, NodeName
from common.model.ledger import Address, AddressState, Backoff, BranchState, Pool, TrunkState
from common.node.branch.releasing import evidence_of
from common.node.trunk.making import go_on
from common.node.trunk.subject import SUBJECT
from common.node.trunk.undoing import undo
from common.node.windows.pool import REST_SECONDS, rested
from common.rules.release_gate import EC2_LAG_SECONDS
from tests.unit.node.builders import (
    NOW,
    branch,
    claim,
    desired,
    instance_facts,
    kinds,
    ledger,
    left,
    names,
    planned,
    planning,
    pod,
    trunk,
)

RESTING = branch("a", BranchState.COOLING, word_at=NOW - 7, looked_at=NOW - 5)
HAS = pod("a", eni_annotation=names(RESTING))


def test_the_word_and_the_look_are_those_on_record() -> None:
    found = evidence_of(planning(ledger(RESTING), desired()), RESTING)
    assert (found.word_at, found.looked_at, found.claimed) == (NOW - 7, NOW - 5, False)


def test_a_living_pod_claims_what_its_annotation_names() -> None:
    assert evidence_of(planning(ledger(RESTING), desired(HAS)), RESTING).claimed
    finished = msgspec.structs.replace(HAS, finished=True)
    assert not evidence_of(planning(ledger(RESTING), desired(finished)), RESTING).claimed


@pytest.mark.parametrize(("yielded", "claimed"), [(False, True), (True, False)])
def test_another_name_of_the_instance_claims_what_its_ledger_has(yielded: bool, claimed: bool) -> None:
    other = Sharer(name=NodeName("other"), ledger=ledger(branch("a"), yielded=yielded))
    goal: Desired = msgspec.structs.replace(desired(), sharers=(other,))
    assert evidence_of(planning(ledger(RESTING), goal), RESTING).claimed is claimed


FOUND: dict[str, Any] = {"token": "", "since": NOW - 100, "pod_uid": "", "tagged": "uid-a"}


@pytest.mark.parametrize(
    ("said", "actions"),
    [
        pytest.param({"word_at": NOW - 61, "looked_at": NOW - 1}, ["DisassociateBranch"], id="with both it goes"),
        pytest.param(
            {"word_at": NOW - 59, "looked_at": NOW - 1}, [], id="its pod may have ended a moment before the word"
        ),
        pytest.param(
            {"word_at": NOW - 61, "looked_at": NOW - 100 + EC2_LAG_SECONDS - 1}, ["Review"], id="a word alone"
        ),
        pytest.param({"word_at": 0.0, "looked_at": NOW - 1}, ["Review"], id="a look alone"),
    ],
)
def test_what_was_found_goes_by_a_word_and_a_look(said: dict[str, float], actions: list[str]) -> None:
    found = branch("a", BranchState.COOLING, **FOUND, **said)
    assert kinds(planned(ledger(found), desired()).actions) == actions


def test_an_address_found_in_ec2_stays_out_of_use_until_the_api_server_was_asked() -> None:
    ip = Ipv4("10.0.3.17")
    found = Address(ip=ip, state=AddressState.COOLING, since=NOW - REST_SECONDS - 500, unasked=True)
    assert rested(Pool(addresses={ip: found}), NOW).addresses == {ip: found}


def test_the_record_of_a_departed_node_stays_while_it_has_branches() -> None:
    """One that lacks a word, for the API server could not be asked."""
    gone = desired(gone=True, without_cninode=True)
    lacking = branch("a", BranchState.COOLING, word_at=0.0)
    of = ledger(lacking, gone_since=NOW - 100, gone_asked_at=NOW - 1)
    waits = msgspec.structs.replace(of, backoffs={"review": Backoff(not_before=NOW + 5)})
    done = planned(waits, gone)
    assert done.actions == ()
    assert set(left(done).branches) == {lacking.key}


def test_a_trunk_is_permitted_before_it_is_attached_by_a_step_of_the_trunks_own() -> None:
    state = planning(ledger(trunk=trunk(state=TrunkState.CREATED)), desired())
    go_on(state, instance_facts())
    assert [(type(a), a.subject) for a in state.actions] == [(PermitInterface, SUBJECT)]


@pytest.mark.parametrize(
    ("fields", "branches", "undone"),
    [
        pytest.param({}, (), True, id="made here, carries nothing"),
        pytest.param({"adopted": True}, (), False, id="found"),
        pytest.param({}, (branch("a"),), False, id="with branches"),
    ],
)
def test_only_a_trunk_that_was_made_here_and_carries_nothing_is_undone(
    fields: dict[str, Any], branches: tuple[Any, ...], undone: bool
) -> None:
    of = ledger(*branches, claims=[claim(pod("a"))], trunk=trunk(state=TrunkState.UNDOING, **fields))
    state = planning(of, desired())
    undo(state, instance_facts())
    assert [isinstance(a, UndoTrunk) for a in state.actions] == ([True] if undone else [])
