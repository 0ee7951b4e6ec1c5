"""The gate for what takes away: each lack refuses, and nobody else makes a warrant."""

import ast
from pathlib import Path
from typing import Any

import pytest

from common.ec2.api import Ec2
from common.model.ids import EniId, Ipv4, PodUid
from common.model.warrant import Ground, Warrant
from common.rules.release_gate import EC2_LAG_SECONDS, Evidence, Lack, Refusal, warrant

ROOT = Path(__file__).parents[3]
PRODUCT = ("cli", "common", "watcher", "webhook", "workers")
NOW = 1_000_000.0
ENI = EniId("eni-1")
TAKES_AWAY = {
    "delete_network_interface",
    "disassociate_trunk_interface",
    "unassign_private_ip_addresses",
    "unassign_ipv4_prefixes",
}


def evidence(**fields: Any) -> Evidence:
    """All that is asked for, about an interface found in EC2 whose owner ended."""
    whole = {
        "eni_id": ENI,
        "complete": True,
        "claimed": False,
        "made": False,
        "owner": PodUid("uid-a"),
        "in_use_at": NOW - 60,
        "rest": 60.0,
        "word_at": NOW - 1,
        "looked_at": NOW - 1,
    }
    return Evidence(**{**whole, **fields})


def test_with_all_evidence_there_is_a_warrant_for_what_it_is_about() -> None:
    given = warrant(evidence(addresses=(Ipv4("10.0.0.1"),)), NOW)
    assert given == Warrant(eni_id=ENI, ground=Ground.ENDED, addresses=(Ipv4("10.0.0.1"),))


@pytest.mark.parametrize(
    ("fields", "lack", "until"),
    [
        pytest.param({"complete": False}, Lack.LISTS, 0.0, id="lists are not complete"),
        pytest.param({"claimed": True}, Lack.CLAIMED, 0.0, id="somebody living has it"),
        pytest.param({"claimed": True, "made": True, "owner": None}, Lack.CLAIMED, 0.0, id="even one made and unused"),
        pytest.param({"in_use_at": NOW - 59}, Lack.REST, NOW + 1, id="it has not rested"),
        pytest.param({"word_at": 0.0}, Lack.WORD, 0.0, id="the API server was not asked"),
        pytest.param({"word_at": NOW - 61}, Lack.WORD, 0.0, id="it was asked before the last use"),
        pytest.param({"word_at": 0.0, "made": True}, Lack.WORD, 0.0, id="so for one made here"),
        pytest.param({"looked_at": 0.0}, Lack.LOOK, 0.0, id="EC2 was not looked at"),
        pytest.param({"looked_at": NOW - 60 + EC2_LAG_SECONDS - 1}, Lack.LOOK, 0.0, id="the look is within EC2's lag"),
        pytest.param(
            {"in_use_at": NOW - 1, "rest": 0.0, "word_at": NOW, "looked_at": NOW},
            Lack.LOOK,
            NOW - 1 + EC2_LAG_SECONDS,
            id="no look within the lag counts",
        ),
    ],
)
def test_what_is_lacking_refuses(fields: dict[str, Any], lack: Lack, until: float) -> None:
    assert warrant(evidence(**fields), NOW) == Refusal(lack=lack, until=until)


def test_what_was_made_here_and_never_used_needs_neither_rest_nor_word_nor_look() -> None:
    unused = evidence(made=True, owner=None, in_use_at=NOW, word_at=0.0, looked_at=0.0)
    assert warrant(unused, NOW) == Warrant(eni_id=ENI, ground=Ground.UNUSED)


def test_what_was_made_here_is_known_without_a_look() -> None:
    assert isinstance(warrant(evidence(made=True, looked_at=0.0), NOW), Warrant)


def test_only_the_gate_makes_a_warrant() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).rsplit(".", 1)[-1] == "Warrant"
    }
    assert makers == {"common/rules/release_gate.py"}


def test_every_call_that_takes_away_demands_one() -> None:
    """And EC2's actions of that kind are called nowhere else."""
    demanding = {
        name
        for name in vars(Ec2)
        if getattr(getattr(Ec2, name), "__annotations__", {}).get("warrant") in (Warrant, "Warrant")
    }
    assert demanding == TAKES_AWAY
    actions = ("DisassociateTrunkInterface", "DeleteNetworkInterface", "UnassignPrivateIpAddresses")
    calling = {
        path.relative_to(ROOT).as_posix()
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        if any(f'_call("{action}"' in path.read_text() for action in actions)
    }
    assert calling == {"common/ec2/api.py"}
