"""Policies that count for nothing say so at the object."""

from typing import Any

import pytest

from common.kube.events import involved_in
from common.model.notice import PolicyNotice, Severity
from tests.kit.api import node
from tests.unit.watcher.bench import NODES, POLICIES, Watch

GROUPS = {"groupIds": ["sg-1"]}
OPERATOR = {"key": "app", "operator": "Is", "values": ["shop"]}
BAD = {"podSelector": {"matchExpressions": [OPERATOR]}, "securityGroups": GROUPS}
GOOD = {"podSelector": {"matchLabels": {"app": "shop"}}, "securityGroups": GROUPS}


@pytest.fixture
def watch() -> Watch:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    return watch.lead()


def said(watch: Watch) -> list[PolicyNotice]:
    watch.settle()
    watch.turn(3)
    return [notice for notice in watch.notices if isinstance(notice, PolicyNotice)]


def make(watch: Watch, spec: dict[str, Any]) -> str:
    return str(watch.api.ok("POST", POLICIES, {"metadata": {"name": "shop"}, "spec": spec})["metadata"]["uid"])


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(BAD, "'Is' is no operator", id="an operator that is none"),
        pytest.param({"securityGroups": GROUPS}, "neither podSelector nor serviceAccountSelector", id="no selector"),
        pytest.param({"podSelector": {}}, "no security groups", id="no groups"),
    ],
)
def test_a_policy_that_is_skipped_says_so_once(watch: Watch, spec: dict[str, Any], why: str) -> None:
    uid = make(watch, spec)
    (notice,) = said(watch)
    assert (notice.reason, notice.severity) == ("InvalidPolicy", Severity.WARNING)
    assert why in notice.message
    about = involved_in(notice)
    assert (about.kind, about.name, about.namespace, about.uid) == ("SecurityGroupPolicy", "shop", "default", uid)
    assert len(said(watch)) == 1


def test_a_policy_that_counts_says_nothing(watch: Watch) -> None:
    make(watch, GOOD)
    assert said(watch) == []


def test_a_fault_that_comes_back_is_said_again(watch: Watch) -> None:
    make(watch, BAD)
    assert len(said(watch)) == 1
    path = f"{POLICIES}/shop"
    for spec, number in ((GOOD, 1), (BAD, 2)):
        found = watch.api.ok("GET", path)
        watch.api.ok("PUT", path, {**found, "spec": spec})
        assert len(said(watch)) == number


def test_a_policy_whose_groups_change_says_that_pods_keep_theirs(watch: Watch) -> None:
    uid = make(watch, GOOD)
    assert said(watch) == []
    path = f"{POLICIES}/shop"
    found = watch.api.ok("GET", path)
    watch.api.ok("PUT", path, {**found, "spec": {**GOOD, "securityGroups": {"groupIds": ["sg-1", "sg-2"]}}})
    (notice,) = said(watch)
    assert (notice.reason, notice.severity, notice.uid) == ("GroupsChanged", Severity.NORMAL, uid)
    assert "sg-1 and are sg-1, sg-2" in notice.message
    assert len(said(watch)) == 1
    found = watch.api.ok("GET", path)
    watch.api.ok("PUT", path, {**found, "metadata": {**found["metadata"], "labels": {"a": "b"}}})
    assert len(said(watch)) == 1, "another change is nothing to its pods"


def test_a_policy_that_is_made_anew_says_nothing_of_the_one_before(watch: Watch) -> None:
    make(watch, GOOD)
    watch.api.ok("DELETE", f"{POLICIES}/shop")
    make(watch, {**GOOD, "securityGroups": {"groupIds": ["sg-2"]}})
    assert said(watch) == []


def test_a_standby_leaves_changes_to_the_leader() -> None:
    """It would else say them again when it takes over."""
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    make(watch, GOOD)
    watch.settle()
    found = watch.api.ok("GET", f"{POLICIES}/shop")
    watch.api.ok("PUT", f"{POLICIES}/shop", {**found, "spec": {**GOOD, "securityGroups": {"groupIds": ["sg-2"]}}})
    watch.settle()
    watch.lead()
    assert said(watch) == []
