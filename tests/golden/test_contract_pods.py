"""Sentences of the contract about pods that no recorded case shows."""

import json
from typing import Any

import pytest

from common.model.ids import NodeName
from common.model.names import POD_ENI
from common.model.notice import PodNotice, Severity
from tests.golden import sight
from tests.golden.facts import matches
from tests.golden.scene import MERGE, PODS, Scene

ONLY_TRUNK = ["aws-k8s-trunk-eni: in-use"]


@pytest.fixture
def ready(scene: Scene) -> Scene:
    scene.node()
    scene.web()
    scene.run(10)
    return scene


def asking(count: int, name: str = "i") -> dict[str, Any]:
    amounts = {POD_ENI: str(count)}
    return {"name": name, "image": "i", "resources": {"limits": amounts, "requests": amounts}}


def test_the_sum_over_containers_counts_and_init_containers_do_not(ready: Scene) -> None:
    ready.pod("pod", containers=(1, 2), init_containers=[asking(5)])
    ready.served("pod")
    seen = sight.pod(ready, "pod")
    assert (seen["distinct interfaces"], seen["distinct VLANs"]) == (3, 3)


def test_a_pod_asking_only_in_init_containers_asks_for_nothing(ready: Scene) -> None:
    ready.pod("pod", containers=(0,), init_containers=[asking(1)])
    ready.run(60)
    assert ready.annotation("pod") is None
    assert sight.left(ready) == ONLY_TRUNK


@pytest.mark.parametrize("after", range(6))
def test_a_pod_replaced_on_the_way_gets_nothing_of_the_first(ready: Scene, after: int) -> None:
    """ "Annotate with a patch that cannot hit a different pod of the same name"; at any call made for the first."""
    points, first = ready.cluster.points, ready.pod("pod")

    def replaced() -> None:
        ready.cluster.remove_pod("pod")
        ready.pod("pod", labels={"app": "other"})

    points.pause_before, points.meanwhile = len(points.calls) + after, replaced
    ready.until("replaced", lambda: ready.uids["pod"] != first)
    ready.served("pod")
    seen = sight.pod(ready, "pod")
    matches({"groups": ["<groups of node>"], "differs from EC2": []}, seen["interfaces"][0])
    ready.run(120)
    assert sight.left(ready) == ["aws-k8s-branch-eni: in-use", *ONLY_TRUNK]


@pytest.mark.parametrize("after", range(6))
def test_an_annotation_written_meanwhile_is_never_overwritten(ready: Scene, after: int) -> None:
    """At any call made for the pod; what was made for it is released."""
    points, uid = ready.cluster.points, ready.pod("pod")

    by_another = False

    def annotated() -> None:
        nonlocal by_another
        if ready.annotation("pod") is None:
            body = {"metadata": {"annotations": {POD_ENI: "[]"}}}
            assert ready.cluster.kube.request("PATCH", f"{PODS}/pod", body=body, content_type=MERGE).status == 200
            by_another = True

    points.pause_before, points.meanwhile = len(points.calls) + after, annotated
    ready.until("annotated", lambda: ready.annotation("pod") is not None)
    text = ready.annotation("pod")
    assert (text == "[]") is by_another
    ready.run(150)
    assert ready.annotation("pod") == text
    assert len(sight.left(ready)) == 1 + len(json.loads(text or ""))
    assert ("Normal ResourceAllocated" in sight.pod_events(ready, uid)) is (text != "[]")


def reported(scene: Scene, reason: str) -> list[PodNotice]:
    return [n for n in scene.cluster.notices if isinstance(n, PodNotice) and n.reason == reason]


def test_groups_are_announced_once_however_often_it_is_tried(ready: Scene) -> None:
    """ "(the reference: at every try ...; ours once)"."""
    ready.fault("AssociateTrunkInterface", "InvalidState", count=5)
    ready.pod("pod")
    ready.served("pod", within=300)
    (notice,) = reported(ready, "SecurityGroupRequested")
    group = next(eni for eni, name in ready.names.items() if name == "<web>")
    assert group in notice.message


def test_an_allocation_is_announced_only_when_annotated(ready: Scene) -> None:
    """ "BranchENIAnnotationFailed: with the API server's words"; "allocated events although the annotation failed"
    must not come back."""
    ready.deny("PATCH", f"{PODS}/pod")
    uid = ready.pod("pod")
    ready.run(30)
    failures = reported(ready, "BranchENIAnnotationFailed")
    assert failures
    assert {notice.severity for notice in failures} == {Severity.WARNING}
    assert "denied by the scene" in failures[0].message
    assert "Normal ResourceAllocated" not in sight.pod_events(ready, uid)
    ready.allow()
    ready.served("pod", within=120)
    assert "Normal ResourceAllocated" in sight.pod_events(ready, uid)
    assert sight.left(ready) == ["aws-k8s-branch-eni: in-use", *ONLY_TRUNK]


def test_a_failed_allocation_is_reported_in_ec2s_words(ready: Scene) -> None:
    ready.fault("CreateNetworkInterface", "SecurityGroupsPerInterfaceLimitExceeded", message="you have six groups")
    ready.pod("pod")
    ready.run(10)
    first = reported(ready, "BranchAllocationFailed")[0]
    assert "SecurityGroupsPerInterfaceLimitExceeded" in first.message
    assert "you have six groups" in first.message


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param([f"sg-{number:017x}" for number in range(1000)], id="a thousand groups"),
        pytest.param(["sg-a" * 10_000], id="an endless id"),
    ],
)
def test_groups_that_no_interface_can_have_stay_out_of_ec2_and_of_the_ledger(ready: Scene, forged: list[str]) -> None:
    """ "SecurityGroupsPerInterfaceLimitExceeded" is EC2's word for what an account could have; this none can."""
    good = ready.group("good")
    ready.policy("forged", forged, pod={"matchLabels": {"app": "web"}})
    calls = sight.Calls(ready)
    ready.pod("pod")
    ready.run(30)
    assert calls.params("CreateNetworkInterface") == []
    assert reported(ready, "BranchAllocationFailed")
    assert all(len(notice.message) < 300 for notice in reported(ready, "BranchAllocationFailed"))
    ledger = ready.cluster.plain.ledgers.load(NodeName("node"))
    assert ledger is not None
    assert [claim.groups for claim in ledger.claims.values()] == [()]
    ready.policy("forged", [good], pod={"matchLabels": {"app": "web"}})
    ready.served("pod", within=30)
    (made,) = calls.params("CreateNetworkInterface")
    assert good in made["Groups"]


def test_policies_are_taken_by_name_and_groups_in_their_order(ready: Scene) -> None:
    """ "order is kept within a policy ...; we take them by name"; "duplicates removed"."""
    one, two, three = (ready.group(name) for name in ("one", "two", "three"))
    ready.policy("web", [two, one], pod={"matchLabels": {"app": "web"}})
    ready.policy("a", [three, two], pod={})
    calls = sight.Calls(ready)
    ready.pod("pod")
    ready.served("pod")
    (made,) = calls.params("CreateNetworkInterface")
    assert made["Groups"] == [three, two, one]


def test_policies_of_other_namespaces_do_not_match(ready: Scene) -> None:
    ready.pod("pod", labels={"app": "none"})
    ready.served("pod")
    assert sight.pod_groups(ready, "pod") == ["<groups of node>"]


def test_a_pod_asking_for_more_than_the_node_can_ever_have(ready: Scene) -> None:
    """It has an event, and holds nobody up."""
    uid = ready.pod("greedy", count=10)
    ready.pod("pod")
    ready.served("pod")
    assert "Warning BranchAllocationFailed" in sight.pod_events(ready, uid)


def test_small_pods_do_not_starve_a_pod_that_asks_for_two(ready: Scene) -> None:
    ready.pods([f"p{place}" for place in range(9)])
    ready.served(*[f"p{place}" for place in range(9)])
    ready.pod("two", count=2)
    ready.run(5)
    ready.pods(["small0", "small1"])
    ready.remove("p0")
    ready.run(70)
    assert ready.annotation("small0") is None
    ready.remove("p1")
    ready.served("two", within=70)


def test_an_annotation_that_was_taken_away_comes_back_with_the_same_interface(ready: Scene) -> None:
    """The pod lives, and nothing new is asked of EC2."""
    ready.pod("pod")
    ready.served("pod")
    text = ready.annotation("pod")
    ready.run(90)
    calls = sight.Calls(ready)
    answer = ready.cluster.kube.request(
        "PATCH", f"{PODS}/pod", body={"metadata": {"annotations": {POD_ENI: None}}}, content_type=MERGE
    )
    assert answer.status == 200
    assert ready.annotation("pod") is None
    ready.run(5)
    assert ready.annotation("pod") == text
    assert calls() == []
