"""The recorded answers of the reference controller, replayed."""

from typing import Any

import pytest

from tests.golden.facts import cases
from tests.unit.webhook.pods import FAULTS, WINDOWS_IPAM_OFF
from tests.unit.webhook.stand import Object, StandView, outcome, pod, review
from tests.unit.webhook.updates import (
    CREATED,
    NODES,
    OTHER_NODE_REQUESTS,
    OTHER_REQUESTS,
    OTHERS,
    UPDATED,
    USERS,
    node_update,
    updated,
)
from webhook.review import MUTATE_POD, VALIDATE_NODE, VALIDATE_POD

GOLDEN = cases("admission")


def facts(name: str) -> Any:
    return GOLDEN[name]["facts"]


def test_every_recorded_sentence_is_tried() -> None:
    assert set(facts("mutate")["pods"]) == set(WINDOWS_IPAM_OFF)
    faults = {s for name, case in GOLDEN.items() if name.startswith("mutate-fault") for s in case["facts"]["pods"]}
    assert faults == set(FAULTS)
    assert set(facts("validate-other")["requests"]) == set(OTHER_REQUESTS)
    assert set(facts("validate-node")["other requests"]) == set(OTHER_NODE_REQUESTS)


@pytest.mark.parametrize("sentence", facts("mutate").get("pods", ()))
def test_mutate(sentence: str) -> None:
    case = WINDOWS_IPAM_OFF[sentence]
    view = StandView(given=case.policies, accounts=case.accounts)
    same = outcome(view, MUTATE_POD, case.sent) == facts("mutate")["pods"][sentence]
    assert same != bool(case.ours)


@pytest.mark.parametrize("sentence", FAULTS)
def test_recorded_faults_are_not_repeated(sentence: str) -> None:
    case = FAULTS[sentence]
    recorded = next(
        found["facts"]["pods"][sentence]
        for name, found in GOLDEN.items()
        if name.startswith("mutate-fault") and sentence in found["facts"]["pods"]
    )
    view = StandView(given=case.policies, accounts=case.accounts)
    assert outcome(view, MUTATE_POD, case.sent) != recorded


@pytest.mark.parametrize("ipam", [True, False])
@pytest.mark.parametrize("name", ["validate-create", "validate-update"])
def test_validate(name: str, ipam: bool) -> None:
    recorded = facts(name)[f"Windows IPAM {'on' if ipam else 'off'}"]
    assert set(recorded) == set(CREATED if name == "validate-create" else UPDATED)
    for sentence, wanted in recorded.items():
        for username in (*USERS, *OTHERS):
            if name == "validate-create":
                sent = review(pod(annotations=CREATED[sentence]), username=username)
            else:
                sent = updated(*UPDATED[sentence], username)
            result = outcome(StandView(ipam=ipam), VALIDATE_POD, sent)
            names = wanted["allowed"]
            allowed = names == "everyone" or (isinstance(names, list) and username in names)
            assert result == ({"allowed": True} if allowed else _refusal(wanted["others"])), (sentence, username)


def _refusal(words: list[str]) -> Object:
    [(code, reason)] = [word.split(" ", 1) for word in words]
    return {"allowed": False, "code": int(code), "reason": reason}


@pytest.mark.parametrize("sentence", facts("validate-other").get("requests", ()))
def test_validate_other(sentence: str) -> None:
    wanted = facts("validate-other")["requests"][sentence]
    assert outcome(StandView(), VALIDATE_POD, OTHER_REQUESTS[sentence]) == wanted


@pytest.mark.parametrize("who", [key for key in facts("validate-node") if key.startswith("UPDATE by ")])
def test_nodes(who: str) -> None:
    recorded = facts("validate-node")[who]
    assert set(recorded) == set(NODES)
    for sentence, wanted in recorded.items():
        result = outcome(StandView(), VALIDATE_NODE, node_update(*NODES[sentence], who.removeprefix("UPDATE by ")))
        if sentence == "resource version changed":
            assert result == {"allowed": True}, "the contract allows it to everyone"
        else:
            assert result == wanted, sentence


@pytest.mark.parametrize("sentence", facts("validate-node").get("other requests", ()))
def test_other_node_requests(sentence: str) -> None:
    wanted = facts("validate-node")["other requests"][sentence]
    assert outcome(StandView(), VALIDATE_NODE, OTHER_NODE_REQUESTS[sentence]) == wanted
