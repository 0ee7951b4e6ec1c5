"""The mutating webhook, sentence by sentence."""

from typing import Any

import pytest

from common.model.policy import LabelSelector, Policy
from tests.unit.webhook.pods import (
    AFFINITY,
    FAULTS,
    FORBIDDEN,
    GETS_ENI,
    GETS_IP,
    ON_FARGATE,
    ONE,
    THREE,
    TWO,
    TWO_POLICIES,
    UNCHANGED,
    WEB,
    WEB_LABELS,
    WINDOWS,
    WINDOWS_IPAM_OFF,
    WINDOWS_IPAM_ON,
    Case,
    containers,
    groups,
    resources,
    without,
)
from tests.unit.webhook.stand import (
    ENI,
    EVERYTHING,
    FARGATE,
    IP,
    PROFILE,
    Object,
    StandView,
    answer,
    by,
    operations,
    outcome,
    patched,
    pod,
    policy,
    review,
)
from webhook.facts import NoSuchKind, Unreadable
from webhook.review import MUTATE_POD


def view_of(case: Case, *, ipam: bool = False) -> StandView:
    return StandView(given=case.policies, accounts=case.accounts, ipam=ipam)


@pytest.mark.parametrize("sentence", WINDOWS_IPAM_OFF)
def test_with_windows_ipam_off(sentence: str) -> None:
    case = WINDOWS_IPAM_OFF[sentence]
    assert outcome(view_of(case), MUTATE_POD, case.sent) == case.wanted


@pytest.mark.parametrize("sentence", WINDOWS_IPAM_ON)
def test_with_windows_ipam_on(sentence: str) -> None:
    case = WINDOWS_IPAM_ON[sentence]
    assert outcome(view_of(case, ipam=True), MUTATE_POD, case.sent) == case.wanted


@pytest.mark.parametrize("sentence", FAULTS)
def test_faults_of_the_reference_are_not_repeated(sentence: str) -> None:
    case = FAULTS[sentence]
    assert outcome(view_of(case), MUTATE_POD, case.sent) == case.wanted


def test_groups_of_fargate_pods_are_always_in_the_same_order() -> None:
    for policies in (TWO_POLICIES, tuple(reversed(TWO_POLICIES))):
        response = answer(StandView(given=policies), MUTATE_POD, review(pod({**ON_FARGATE, "tier": "gold"})))
        assert operations(response)[0]["value"] == {FARGATE: f"{ONE},{TWO},{THREE}"}


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        pytest.param(
            pod(WEB_LABELS, containers=[{"name": "c"}]),
            [
                {
                    "op": "add",
                    "path": "/spec/containers/0/resources",
                    "value": {"limits": {ENI: "1"}, "requests": {ENI: "1"}},
                }
            ],
            id="no resources",
        ),
        pytest.param(
            pod(WEB_LABELS, containers=[{"name": "c", "resources": None}]),
            [
                {
                    "op": "add",
                    "path": "/spec/containers/0/resources",
                    "value": {"limits": {ENI: "1"}, "requests": {ENI: "1"}},
                }
            ],
            id="resources null",
        ),
        pytest.param(
            pod(WEB_LABELS, containers=[{"name": "c", "resources": {"limits": {"cpu": 1}, "requests": None}}]),
            [
                {"op": "add", "path": "/spec/containers/0/resources/limits/vpc.amazonaws.com~1pod-eni", "value": "1"},
                {"op": "add", "path": "/spec/containers/0/resources/requests", "value": {ENI: "1"}},
            ],
            id="limits there, requests null",
        ),
        pytest.param(
            pod(ON_FARGATE, annotations={}),
            [{"op": "add", "path": "/metadata/annotations/fargate.amazonaws.com~1pod-sg", "value": ONE}],
            id="annotations there, empty",
        ),
        pytest.param(
            pod(ON_FARGATE),
            [{"op": "add", "path": "/metadata/annotations", "value": {FARGATE: ONE}}],
            id="no annotations",
        ),
        pytest.param(pod(ON_FARGATE, annotations={FARGATE: ONE}), [], id="groups already right"),
        pytest.param(
            pod({PROFILE: "fp"}, annotations={FARGATE: "sg-hand", "other": "x"}),
            [{"op": "remove", "path": "/metadata/annotations/fargate.amazonaws.com~1pod-sg"}],
            id="one annotation removed, another kept",
        ),
    ],
)
def test_patches_hold_exactly_what_changes(sent: Object, wanted: list[Object]) -> None:
    assert operations(answer(StandView(given=WEB), MUTATE_POD, review(sent))) == wanted


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        pytest.param("0", GETS_ENI, id="zero asks for nothing: it must not be a way around a policy"),
        pytest.param(0, GETS_ENI, id="zero, a number"),
        pytest.param("0.0", GETS_ENI, id="zero, a fraction"),
        pytest.param("0e3", GETS_ENI, id="zero, an exponent"),
        pytest.param("0Mi", GETS_ENI, id="zero with a suffix"),
        pytest.param("10", UNCHANGED, id="ten"),
        pytest.param("0.1", UNCHANGED, id="a part"),
        pytest.param("1k", UNCHANGED, id="a thousand"),
        pytest.param(2, UNCHANGED, id="two, a number"),
    ],
)
def test_what_asking_is(amount: Any, wanted: Object) -> None:
    sent = pod(WEB_LABELS, containers=containers({"resources": {"limits": {ENI: amount}, "requests": {ENI: amount}}}))
    assert outcome(StandView(given=WEB), MUTATE_POD, review(sent)) == wanted


def test_a_request_of_zero_is_replaced() -> None:
    sent = pod(WEB_LABELS, containers=containers({}, resources(ENI, "0", "0")))
    result = patched(sent, operations(answer(StandView(given=WEB), MUTATE_POD, review(sent))))
    assert result["spec"]["containers"][0]["resources"]["limits"] == {ENI: "1"}


TERMS = AFFINITY["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]


def affinity(*terms: Object) -> Object:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({"affinity": affinity(TERMS[0], {"matchExpressions": []})}, GETS_ENI, id="one term leaves Linux"),
        pytest.param({"affinity": affinity()}, GETS_ENI, id="no terms"),
        pytest.param({"affinity": affinity(TERMS[0], TERMS[0])}, GETS_IP, id="all terms demand Windows"),
        pytest.param(
            {
                "affinity": affinity(
                    {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "NotIn", "values": ["windows"]}]}
                )
            },
            GETS_ENI,
            id="not Windows",
        ),
        pytest.param(
            {
                "affinity": affinity(
                    {
                        "matchExpressions": [
                            {"key": "kubernetes.io/os", "operator": "In", "values": ["linux", "windows"]}
                        ]
                    }
                )
            },
            GETS_ENI,
            id="either",
        ),
        pytest.param({"affinity": {"nodeAffinity": None}}, GETS_ENI, id="no affinity"),
        pytest.param({"os": {"name": "linux"}}, GETS_ENI, id="spec.os Linux"),
        pytest.param({"os": None, "nodeSelector": None}, GETS_ENI, id="nulls"),
    ],
)
def test_what_counts_as_windows(spec: Object, wanted: Object) -> None:
    assert outcome(StandView(given=WEB, ipam=True), MUTATE_POD, review(pod(WEB_LABELS, **spec))) == wanted


@pytest.mark.parametrize("ipam", [True, False])
@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({"schedulerName": "fargate-scheduler"}, groups(ONE), id="bound for Fargate"),
        pytest.param({"schedulerName": ""}, groups(ONE), id="no scheduler yet"),
        pytest.param({"schedulerName": "default-scheduler"}, GETS_ENI, id="the default scheduler"),
        pytest.param({"schedulerName": "mine"}, GETS_ENI, id="another scheduler"),
        pytest.param({"schedulerName": "fargate-scheduler", "nodeName": "n1"}, GETS_ENI, id="bound already"),
        pytest.param({"nodeName": "n1"}, GETS_ENI, id="bound already, without a scheduler"),
    ],
)
def test_the_label_of_fargate_gets_no_pod_around_its_policy(spec: Object, wanted: Object, ipam: bool) -> None:
    assert outcome(StandView(given=WEB, ipam=ipam), MUTATE_POD, review(pod(ON_FARGATE, **spec))) == wanted


# --- what cannot be read


def test_policies_that_cannot_be_read_deny_with_the_real_error() -> None:
    view = StandView(given=Unreadable(why="Forbidden: no access to securitygrouppolicies"))
    for labels in (WEB_LABELS, ON_FARGATE):
        response = answer(view, MUTATE_POD, review(pod(labels)))
        assert (response["allowed"], response["status"]["code"]) == (False, 403)
        assert "Forbidden: no access to securitygrouppolicies" in response["status"]["message"]


def test_without_the_crd_pods_are_allowed_unchanged() -> None:
    view = StandView(given=NoSuchKind(), accounts={})
    hand = {FARGATE: "sg-hand"}
    for sent in (pod(WEB_LABELS), pod(ON_FARGATE, annotations=hand), pod(serviceAccountName="absent")):
        assert outcome(view, MUTATE_POD, review(sent)) == UNCHANGED


def test_an_account_that_cannot_be_read_denies_with_the_real_error() -> None:
    view = StandView(given=WEB, accounts={"default": Unreadable(why="Timeout: the answer did not end in time")})
    response = answer(view, MUTATE_POD, review(pod(WEB_LABELS)))
    assert not response["allowed"]
    assert "Timeout: the answer did not end in time" in response["status"]["message"]


def test_windows_pods_are_denied_while_it_is_not_known_whether_windows_is_managed() -> None:
    view = StandView(ipam=Unreadable(why="it has not been read yet"))
    assert outcome(view, MUTATE_POD, review(pod(nodeSelector=WINDOWS))) == FORBIDDEN
    assert outcome(view, MUTATE_POD, review(pod())) == UNCHANGED


def test_neither_account_nor_policies_are_asked_for_where_they_do_not_matter() -> None:
    for spec in ({"nodeSelector": WINDOWS}, {"hostNetwork": True}):
        view = StandView(given=Unreadable(why="down"))
        assert outcome(view, MUTATE_POD, review(pod(WEB_LABELS, **spec))) == UNCHANGED
        assert not [asked for asked in view.asked if asked.startswith("account")]


# --- requests that are none of ours


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        pytest.param(review(pod(WEB_LABELS), operation="UPDATE"), UNCHANGED, id="UPDATE"),
        pytest.param(review(pod(WEB_LABELS), kind="Binding"), UNCHANGED, id="another kind"),
        pytest.param(review(pod(WEB_LABELS), kind=""), GETS_ENI, id="no kind"),
        pytest.param(review(None), {"allowed": False, "code": 400, "reason": ""}, id="no object"),
        pytest.param(review([]), {"allowed": False, "code": 400, "reason": ""}, id="a list for an object"),
        pytest.param(
            review(pod({"app": 1})),  # type: ignore[dict-item]
            {"allowed": False, "code": 400, "reason": ""},
            id="a label that is a number",
        ),
        pytest.param(review({}), FORBIDDEN, id="an empty object has no service account"),
    ],
)
def test_odd_requests(sent: Object, wanted: Object) -> None:
    assert outcome(StandView(given=WEB), MUTATE_POD, sent) == wanted


@pytest.mark.parametrize("sent", [None, {}, {"request": None}, pod(WEB_LABELS)])
def test_reviews_without_a_request(sent: Any) -> None:
    response = answer(StandView(given=WEB), MUTATE_POD, sent)
    assert (response["allowed"], response["status"]["code"], response["uid"]) == (False, 400, "")


# --- how many groups, and which


def many(count: int, *others: Policy) -> StandView:
    return StandView(given=(policy("many", *(f"sg-{number:08x}" for number in range(count)), pod=EVERYTHING), *others))


@pytest.mark.parametrize(
    ("count", "allowed", "warned"),
    [(1, True, False), (5, True, False), (6, True, True), (16, True, True), (17, False, False)],
)
def test_number_of_groups(count: int, allowed: bool, warned: bool) -> None:
    response = answer(many(count), MUTATE_POD, review(pod()))
    assert (response["allowed"], bool(response.get("warnings"))) == (allowed, warned)


@pytest.mark.parametrize("group", ["my-group", "sg-", "sg-0123 ", "SG-01234567", ""])
def test_what_is_no_group_id_is_warned_of(group: str) -> None:
    view = StandView(given=(policy("odd", group, pod=EVERYTHING),))
    response = answer(view, MUTATE_POD, review(pod()))
    assert response["allowed"]
    assert repr(group) in response["warnings"][0]


@pytest.mark.parametrize(
    "invalid",
    [
        policy("broken", "sg-01234567"),
        policy("broken", pod=EVERYTHING),
        policy("broken", "sg-01234567", pod=by(("a", "Like", ("b",)))),
    ],
)
def test_policies_that_match_nothing_are_warned_of_and_the_others_count(invalid: Policy) -> None:
    response = answer(many(1, invalid), MUTATE_POD, review(pod()))
    assert response["patch"]
    assert "broken" in response["warnings"][0]


def test_warnings_are_short_and_few() -> None:
    long = LabelSelector(match_labels={"a": "x" * 1000})
    view = StandView(given=tuple(policy(f"p{number}", ONE, pod=long) for number in range(50)))
    warnings = answer(view, MUTATE_POD, review(pod()))["warnings"]
    assert len(warnings) <= 8
    assert sum(map(len, warnings)) <= 4096


def test_without_a_container_the_object_is_sound() -> None:
    for sent in (pod(WEB_LABELS, containers=None), without(pod(WEB_LABELS), "spec", "containers")):
        assert outcome(StandView(given=WEB), MUTATE_POD, review(sent)) == UNCHANGED


def test_only_addresses_count_for_windows() -> None:
    sent = pod(nodeSelector=WINDOWS, containers=containers(resources(ENI, "1", "1")))
    result = outcome(StandView(ipam=True), MUTATE_POD, review(sent))
    assert result == GETS_IP
    assert IP in "".join(result["changes"])
