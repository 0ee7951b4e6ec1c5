"""Security groups by policy."""

from typing import Any

import pytest

from tests.golden import sight
from tests.golden.facts import Facts, matches
from tests.golden.scene import Scene


@pytest.fixture
def ready(scene: Scene) -> Scene:
    scene.node(kind="c5.4xlarge")
    return scene


def groups_of(scene: Scene, pods: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Groups of pods made with these settings, in words of the case."""
    names = {what: f"pod{place}" for place, what in enumerate(pods)}
    for what, more in pods.items():
        scene.pod(names[what], **more)
    scene.served(*names.values())
    return {what: sight.pod_groups(scene, name) for what, name in names.items()}


def test_groups_both_selectors(ready: Scene, facts: Facts) -> None:
    both = ready.group("both")
    ready.account("payments", team="payments")
    selectors = {"pod": {"matchLabels": {"app": "web"}}, "account": {"matchLabels": {"team": "payments"}}}
    assert ready.policy("both", [both], **selectors) == 201
    seen = groups_of(
        ready,
        {
            "plain, default": {"labels": {}},
            "plain, payments": {"labels": {}, "account": "payments"},
            "web, default": {},
            "web, payments": {"account": "payments"},
        },
    )
    matches(facts, seen)


def test_groups_empty_account_selector(ready: Scene, facts: Facts) -> None:
    assert ready.policy("all", [ready.group("all")], account={}) == 201
    matches(facts, groups_of(ready, {"groups": {"labels": {}}}))


def test_groups_empty_selector(ready: Scene, facts: Facts) -> None:
    assert ready.policy("all", [ready.group("all")], pod={}) == 201
    matches(facts, groups_of(ready, {"with a label": {}, "without labels": {"labels": {}}}))


def test_groups_expressions(ready: Scene, facts: Facts) -> None:
    """Which policies there were is read off the recorded results."""

    def tier(operator: str, *values: str) -> dict[str, Any]:
        return {"key": "tier", "operator": operator, **({"values": list(values)} if values else {})}

    rules: dict[str, dict[str, Any]] = {
        "and": {"matchLabels": {"app": "web"}, "matchExpressions": [tier("In", "silver")]},
        "does not exist": {"matchExpressions": [tier("DoesNotExist")]},
        "exists": {"matchExpressions": [tier("Exists")]},
        "in": {"matchExpressions": [tier("In", "gold", "silver")]},
        "not in": {"matchExpressions": [tier("NotIn", "gold")]},
    }
    for name, selector in rules.items():
        assert ready.policy(name.replace(" ", "-"), [ready.group(name)], pod=selector) == 201
    pods: dict[str, dict[str, Any]] = {
        "empty tier": {"labels": {"tier": ""}},
        "gold": {"labels": {"tier": "gold"}},
        "iron": {"labels": {"tier": "iron"}},
        "no tier": {"labels": {}},
        "silver": {"labels": {"tier": "silver"}},
        "web": {"labels": {"app": "web"}},
        "web, silver": {"labels": {"app": "web", "tier": "silver"}},
    }
    matches(facts, groups_of(ready, pods))


def test_groups_invalid_policies(ready: Scene, facts: Facts) -> None:
    selector, group = {"matchLabels": {"app": "web"}}, ready.group("web")
    api = {
        "empty list": ready.policy("empty-list", [], pod=selector),
        "neither selector": ready.policy("neither", [group]),
        "no list": ready.policy("no-list", None, pod=selector),
        "nothing": ready.policy("nothing", None),
    }
    ready.pod("pod")
    ready.served("pod")
    matches(facts, {"API": api, "pod": sight.pod(ready, "pod")})


def test_groups_policy_changed(ready: Scene, facts: Facts) -> None:
    one, two = ready.group("one"), ready.group("two")
    ready.policy("web", [one], pod={"matchLabels": {"app": "web"}})
    ready.pod("earlier")
    ready.served("earlier")
    ready.policy("web", [two], pod={"matchLabels": {"app": "web"}})
    ready.pod("later")
    ready.served("later")
    matches(facts, {f"{name} pod": sight.pod_groups(ready, name) for name in ("earlier", "later")})
