"""Selectors and policies: what Kubernetes and the reference controller were seen to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.ids import GroupId
from common.model.policy import LabelSelector, Policy, Requirement
from common.rules.security_groups import MOST_GROUPS, GroupMatch, groups_for, unusable
from common.rules.selectors import InvalidSelector, matches

EVERYTHING = LabelSelector()


def labels(**pairs: str) -> LabelSelector:
    return LabelSelector(match_labels=pairs)


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector(match_expressions=(Requirement(key=key, operator=operator, values=values),))


def policy(
    name: str,
    *groups: str,
    pod: LabelSelector | None = None,
    account: LabelSelector | None = None,
    namespace: str = "shop",
) -> Policy:
    return Policy(
        namespace=namespace,
        name=name,
        pod_selector=pod,
        account_selector=account,
        groups=tuple(GroupId(group) for group in groups),
    )


@pytest.mark.parametrize(
    ("selector", "pod_labels", "selected"),
    [
        pytest.param(EVERYTHING, {}, True, id="an empty selector matches an object without labels"),
        pytest.param(EVERYTHING, {"a": "b"}, True, id="an empty selector matches any labels"),
        pytest.param(labels(app="web"), {"app": "web", "x": "y"}, True, id="a label matches, others do not matter"),
        pytest.param(labels(app="web"), {"app": "db"}, False, id="another value does not match"),
        pytest.param(labels(app="web"), {}, False, id="a missing label does not match"),
        pytest.param(labels(app=""), {}, False, id="an empty value does not match a missing label"),
        pytest.param(labels(app=""), {"app": ""}, True, id="an empty value matches an empty value"),
        pytest.param(labels(app="web", tier="gold"), {"app": "web"}, False, id="all labels must match"),
        pytest.param(expression("t", "In", "a", "b"), {"t": "b"}, True, id="In matches one of the values"),
        pytest.param(expression("t", "In", "a"), {"t": "c"}, False, id="In does not match another value"),
        pytest.param(expression("t", "In", "a"), {}, False, id="In does not match a missing key"),
        pytest.param(expression("t", "NotIn", "a"), {"t": "a"}, False, id="NotIn refuses its values"),
        pytest.param(expression("t", "NotIn", "a"), {"t": "b"}, True, id="NotIn matches another value"),
        pytest.param(expression("t", "NotIn", "a"), {}, True, id="NotIn matches a missing key"),
        pytest.param(expression("t", "Exists"), {"t": ""}, True, id="Exists matches an empty value"),
        pytest.param(expression("t", "Exists"), {}, False, id="Exists does not match a missing key"),
        pytest.param(expression("t", "DoesNotExist"), {}, True, id="DoesNotExist matches a missing key"),
        pytest.param(expression("t", "DoesNotExist"), {"t": ""}, False, id="DoesNotExist refuses an empty value"),
        pytest.param(
            LabelSelector(match_labels={"a": "b"}, match_expressions=(Requirement(key="t", operator="Exists"),)),
            {"a": "b"},
            False,
            id="labels and expressions must both match",
        ),
    ],
)
def test_selector(selector: LabelSelector, pod_labels: dict[str, str], selected: bool) -> None:
    assert matches(selector, pod_labels) is selected


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param(expression("t", "Matches", "a"), id="unknown operator"),
        pytest.param(expression("t", "in", "a"), id="operators are written with a capital letter"),
        pytest.param(expression("t", ""), id="no operator"),
        pytest.param(expression("t", "In"), id="In without values"),
        pytest.param(expression("t", "NotIn"), id="NotIn without values"),
        pytest.param(expression("t", "Exists", "a"), id="Exists with values"),
        pytest.param(expression("t", "DoesNotExist", "a"), id="DoesNotExist with values"),
        pytest.param(expression("", "Exists"), id="no key"),
        pytest.param(expression("a b", "Exists"), id="a key with a space"),
        pytest.param(expression("UP/a", "Exists"), id="a domain in capitals"),
        pytest.param(expression("/a", "Exists"), id="an empty domain"),
        pytest.param(expression("t", "NotIn", "a b"), id="a value with a space"),
        pytest.param(labels(app="x" * 64), id="a value of 64 characters"),
    ],
)
def test_selectors_that_kubernetes_refuses(selector: LabelSelector) -> None:
    with pytest.raises(InvalidSelector):
        matches(selector, {})


def test_an_invalid_selector_is_refused_even_if_its_labels_do_not_match() -> None:
    selector = LabelSelector(match_labels={"a": "b"}, match_expressions=(Requirement(key="t", operator="Like"),))
    with pytest.raises(InvalidSelector):
        matches(selector, {"a": "other"})


EXPRESSIONS = (
    policy("in", "sg-in", pod=expression("tier", "In", "gold", "silver")),
    policy("not-in", "sg-notin", pod=expression("tier", "NotIn", "gold")),
    policy("exists", "sg-exists", pod=expression("tier", "Exists")),
    policy("does-not-exist", "sg-none", pod=expression("tier", "DoesNotExist")),
    policy(
        "and",
        "sg-and",
        pod=LabelSelector(
            match_labels={"app": "web"}, match_expressions=(Requirement(key="tier", operator="In", values=("silver",)),)
        ),
    ),
)


@pytest.mark.parametrize(
    ("pod_labels", "groups"),
    [
        pytest.param({"tier": "gold"}, {"sg-exists", "sg-in"}, id="gold"),
        pytest.param({"tier": ""}, {"sg-exists", "sg-notin"}, id="empty tier"),
        pytest.param({"tier": "iron"}, {"sg-exists", "sg-notin"}, id="iron"),
        pytest.param({}, {"sg-none", "sg-notin"}, id="no tier"),
        pytest.param({"tier": "silver"}, {"sg-exists", "sg-in", "sg-notin"}, id="silver"),
        pytest.param({"app": "web"}, {"sg-none", "sg-notin"}, id="web"),
        pytest.param({"app": "web", "tier": "silver"}, {"sg-and", "sg-exists", "sg-in", "sg-notin"}, id="web, silver"),
    ],
)
def test_expressions_as_the_reference_was_seen_to_read_them(pod_labels: dict[str, str], groups: set[str]) -> None:
    assert set(groups_for(EXPRESSIONS, "shop", pod_labels, {}).groups) == groups


@pytest.mark.parametrize(
    ("pod_labels", "account_labels", "matched"),
    [
        pytest.param({"app": "web"}, {"team": "payments"}, True, id="web, payments"),
        pytest.param({"app": "web"}, {}, False, id="web, default"),
        pytest.param({}, {"team": "payments"}, False, id="plain, payments"),
        pytest.param({}, {}, False, id="plain, default"),
    ],
)
def test_both_selectors_must_match(pod_labels: dict[str, str], account_labels: dict[str, str], matched: bool) -> None:
    both = policy("both", "sg-1", pod=labels(app="web"), account=labels(team="payments"))
    assert bool(groups_for([both], "shop", pod_labels, account_labels).matched) is matched


def test_policies_are_taken_by_name_groups_once_and_in_the_order_of_their_policy() -> None:
    policies = [
        policy("b", "sg-3", "sg-1", pod=EVERYTHING),
        policy("a", "sg-9", "sg-3", account=EVERYTHING),
        policy("c", "sg-1", "sg-1", "sg-2", pod=EVERYTHING),
    ]
    wanted = GroupMatch(
        groups=tuple(map(GroupId, ("sg-9", "sg-3", "sg-1", "sg-2"))), matched=("a", "b", "c"), skipped=()
    )
    assert groups_for(policies, "shop", {}, {}) == wanted
    assert groups_for(reversed(policies), "shop", {}, {}) == wanted


def test_policies_of_other_namespaces_do_not_count() -> None:
    assert groups_for([policy("a", "sg-1", pod=EVERYTHING, namespace="bank")], "shop", {}, {}) == GroupMatch()


def test_invalid_policies_are_skipped_with_a_reason_and_valid_ones_count() -> None:
    found = groups_for(
        [
            policy("neither", "sg-1"),
            policy("no-groups", pod=EVERYTHING),
            policy("operator", "sg-2", pod=expression("t", "Like", "x")),
            policy("operator-of-account", "sg-3", pod=labels(never="there"), account=expression("t", "Like", "x")),
            policy("good", "sg-4", pod=EVERYTHING),
        ],
        "shop",
        {},
        {},
    )
    assert found.groups == ("sg-4",)
    assert found.matched == ("good",)
    assert [name for name, _ in found.skipped] == ["neither", "no-groups", "operator", "operator-of-account"]
    assert all(why for _, why in found.skipped)


def test_an_account_that_does_not_exist_matches_only_the_empty_selector() -> None:
    policies = [
        policy("any-account", "sg-1", account=EVERYTHING),
        policy("not-in", "sg-2", account=expression("team", "NotIn", "x")),
        policy("by-pod", "sg-3", pod=EVERYTHING),
    ]
    assert groups_for(policies, "shop", {}, None).groups == ("sg-1", "sg-3")


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)
REQUIREMENTS = st.builds(
    Requirement,
    key=st.sampled_from("abc"),
    operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Like"]),
    values=st.lists(st.sampled_from("xy"), max_size=2).map(tuple),
)
SELECTORS = st.none() | st.builds(
    LabelSelector, match_labels=LABELS, match_expressions=st.lists(REQUIREMENTS, max_size=2).map(tuple)
)
GROUPS = st.lists(st.sampled_from(["sg-1", "sg-2", "sg-3"]), max_size=3)


@given(st.lists(st.tuples(SELECTORS, SELECTORS, GROUPS), max_size=8), LABELS, LABELS)
def test_a_set_of_policies_finds_what_asking_each_one_finds(
    given_policies: list[tuple[LabelSelector | None, LabelSelector | None, list[str]]],
    pod_labels: dict[str, str],
    account_labels: dict[str, str],
) -> None:
    policies = [policy(f"p{n}", *groups, pod=p, account=a) for n, (p, a, groups) in enumerate(given_policies)]
    matched, skipped = [], []
    for each in policies:
        selectors = [(each.pod_selector, pod_labels), (each.account_selector, account_labels)]
        try:
            # Both are asked, so that a fault in either is seen.
            found = [matches(selector, against) for selector, against in selectors if selector is not None]
        except InvalidSelector:
            found = []
        if not found or not each.groups:
            skipped.append(each.name)
        elif all(found):
            matched.append(each)
    result = groups_for(policies, "shop", pod_labels, account_labels)
    assert result.matched == tuple(each.name for each in matched)
    assert [name for name, _ in result.skipped] == skipped
    assert result.groups == tuple(dict.fromkeys(group for each in matched for group in each.groups))


@pytest.mark.parametrize(
    ("groups", "word"),
    [
        pytest.param(["sg-1"], "", id="an id is usable"),
        pytest.param([f"sg-{n}" for n in range(MOST_GROUPS)], "", id="so many fit"),
        pytest.param([f"sg-{n}" for n in range(MOST_GROUPS + 1)], "17 security groups", id="more do not"),
        pytest.param(["sg-1 sg-2"], "sg-1 sg-2", id="two in one"),
        pytest.param(["sg-1", ""], "''", id="an empty one"),
        pytest.param(["sg-" + "a" * 100_000], "sg-aaa", id="one that fills an object"),
        pytest.param(["sg-1\x1b[2J"], "x1b", id="one that speaks to a terminal"),
    ],
)
def test_groups_that_no_interface_can_have(groups: list[str], word: str) -> None:
    found = unusable([GroupId(group) for group in groups])
    assert word in found
    assert bool(found) == bool(word)
    assert len(found) < 200
    assert found.isprintable()
