"""Pods on a node with a trunk: served, over the limit, ended."""

import json
from typing import Any

import pytest

from common.model.names import BRANCH_DESCRIPTION, FEATURE_POD_GROUPS, POD_ENI
from tests.golden import sight
from tests.golden.facts import Facts, but, matches
from tests.golden.scene import Scene

WAITING = ["Normal BranchCapacityReached", "Normal SecurityGroupRequested"]
NINE = [f"p{place}" for place in range(9)]


@pytest.fixture
def ready(scene: Scene) -> Scene:
    """A node in use, and the policy of most cases."""
    scene.node()
    scene.web()
    return scene


def test_pod_one_interface(ready: Scene, facts: Facts) -> None:
    uid = ready.pod("pod")
    ready.served("pod")
    seen = {"pod": sight.pod(ready, "pod")}
    ready.remove("pod")
    matches(facts, {**seen, **sight.released(ready, uid)})


def test_pod_two_interfaces(ready: Scene, facts: Facts) -> None:
    uid = ready.pod("pod", count=2)
    ready.served("pod")
    seen = {"pod": sight.pod(ready, "pod")}
    ready.remove("pod")
    matches(facts, {**seen, **sight.released(ready, uid)})


def test_pod_before_feature(scene: Scene, facts: Facts) -> None:
    scene.node(features=(), ready=False)
    scene.web()
    scene.pod("pod")
    scene.run(30)
    before = sight.pod(scene, "pod")
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.served("pod")  # Faults, row 7: woken, not polled.
    matches(facts, {"before": before, "after": sight.pod(scene, "pod")})


@pytest.mark.parametrize("after", range(8))
def test_pod_deleted_early(ready: Scene, facts: Facts, after: int) -> None:
    """Deleted between any two of the calls that are made for it."""
    ready.run(10)
    points = ready.cluster.points
    ready.pod("pod")
    points.pause_before, points.meanwhile = len(points.calls) + after, lambda: ready.cluster.remove_pod("pod")
    ready.run(180)
    matches(facts, {"annotated": ready.annotation("pod") is not None, "left": sight.left(ready)})


def finished(scene: Scene, phase: str) -> Facts:
    uid = scene.pod("pod")
    scene.served("pod")
    scene.finish("pod", phase)
    seen = sight.released(scene, uid)
    return {**seen, "annotation kept": scene.annotation("pod") == scene.first_seen[uid][0], "left": sight.left(scene)}


def test_pod_failed(ready: Scene, facts: Facts) -> None:
    matches(facts, finished(ready, "Failed"))


def test_pod_succeeded(ready: Scene, facts: Facts) -> None:
    matches(facts, finished(ready, "Succeeded"))


def test_pod_failed_unserved(scene: Scene, facts: Facts) -> None:
    scene.node(features=(), ready=False)
    scene.web()
    scene.pod("pod")
    scene.run(5)
    scene.finish("pod", "Failed")
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.run(120)
    matches(facts, {"annotation": scene.annotation("pod"), "interfaces": sight.left(scene)})


def test_pod_foreign_annotation(ready: Scene, facts: Facts) -> None:
    stranger: dict[str, Any] = {
        "eniId": "eni-0aaaaaaaaaaaaaaaa",
        "ifAddress": "02:00:00:00:00:01",
        "privateIp": "10.0.9.9",
        "vlanId": 1,
        "subnetCidr": "10.0.0.0/19",
        "associationID": "trunk-assoc-0aaaaaaaaaaaaaaaa",
    }
    ready.strangers.add(stranger["eniId"])
    seen: dict[str, Any] = {}
    texts = {"an interface that is not there": json.dumps([stranger]), "empty list": "[]", "not JSON": "nonsense"}
    ready.cluster.judge.forged.update(texts.values())
    for place, (what, text) in enumerate(texts.items()):
        calls = sight.Calls(ready)
        uid = ready.pod(f"pod{place}", annotations={POD_ENI: text})
        ready.run(90)
        kept = ready.annotation(f"pod{place}") == text
        seen[what] = {"calls": calls(), "events": sight.pod_events(ready, uid), "kept": kept}
    ready.pod("after")
    ready.served("after")
    vlan = json.loads(ready.annotation("after") or "")[0]["vlanId"]
    assert vlan != stranger["vlanId"]  # "VLAN ids named in a pod's annotation are reserved whatever EC2 says"
    matches(facts, {**seen, "a pod after these": sight.pod(ready, "after")})


def test_pod_host_network(ready: Scene, facts: Facts) -> None:
    ready.pod("pod", host_network=True)
    ready.served("pod")
    matches(facts, {"pod": sight.pod(ready, "pod")})


def test_pod_ipv6(scene: Scene, facts: Facts) -> None:
    subnet = scene.subnet("subnet", "10.0.128.0/19", ipv6_cidr="2600:1f14:abc:de00::/64", assign_ipv6=True)
    scene.node(subnet=subnet)
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    (entry,) = json.loads(scene.annotation("pod") or "")
    has = entry["ipv6Addr"].startswith("2600:1f14:abc:de00:") and entry["subnetV6Cidr"] == "2600:1f14:abc:de00::/64"
    matches(facts, {"has IPv6": has, "pod": sight.pod(scene, "pod")})


def branches(scene: Scene) -> int:
    return len(scene.cluster.ours(BRANCH_DESCRIPTION))


def test_pod_over_limit(ready: Scene, facts: Facts) -> None:
    names = [*NINE, "p9", "p10"]
    uids = []
    for name in names:
        uids.append(ready.pod(name))
        ready.run(5)
    most = branches(ready)
    seen: dict[str, Any] = {
        "events of those that wait": [sight.pod_events(ready, uid) for uid in uids[9:]],
        "served": [ready.annotation(name) is not None for name in names],
    }
    for name in ("p0", "p1"):
        ready.remove(name)
    freed = sight.released(ready, uids[0], uids[1])
    after = [ready.run(10, lambda name=name: ready.annotation(name) is not None) for name in ("p9", "p10")]  # type: ignore[misc]
    seen |= {"most branches at a time": max(most, branches(ready)), "served after releases": after}
    matches(facts, {**seen, **freed})
    assert all("Normal BranchCapacityReached" in events for events in seen["events of those that wait"])  # Row 8.


def test_pod_over_limit_at_once(ready: Scene, facts: Facts) -> None:
    """ "Used + cooling may not exceed max_branch_interfaces": EC2 is never asked for more, and no event says failed."""
    names = [*NINE, "p9", "p10"]
    uids = ready.pods(names)
    ready.run(60)
    served = [name for name in names if ready.annotation(name)]
    waiting = [uid for name, uid in zip(names, uids, strict=True) if name not in served]
    made = [c for c in ready.cluster.ec2.journal.of("AssociateTrunkInterface") if c.effect]
    seen = {
        "branches made": len(made),
        "events of those that wait": [sight.pod_events(ready, uid) for uid in waiting],
        "served": len(served),
    }
    instead = {"branches made": 9, "events of those that wait": [WAITING] * 2}
    matches(but(facts, **instead), seen)


def test_pod_two_with_room_for_one(ready: Scene, facts: Facts) -> None:
    """ "a pod that asks for two where one is free takes the one and gives it back": here it waits, and is served when
    there is room for both."""
    ready.pods(NINE[:8])
    ready.served(*NINE[:8])
    calls = sight.Calls(ready)
    ready.pod("pod", count=2)
    ready.run(60)
    assert calls() == []
    seen = {"first": 8, "pod": sight.pod(ready, "pod")}
    matches(but(facts, pod={"annotated": False, "events": WAITING}), seen)
    ready.remove("p0")
    ready.served("pod", within=70)


def test_pod_same_name(ready: Scene, facts: Facts) -> None:
    first = ready.pod("pod")
    ready.served("pod")
    ready.remove("pod")
    second = ready.pod("pod")
    ready.until("the second is served", lambda: second in ready.first_seen)
    seen: Facts = {"second": sight.pod(ready, "pod"), "first": sight.released(ready, first)}
    entries = [json.loads(ready.first_seen[uid][0])[0] for uid in (first, second)]
    seen |= {
        "second after that": sight.pod(ready, "pod"),
        "VLANs": len({entry["vlanId"] for entry in entries}),
        "interfaces": len({entry["eniId"] for entry in entries}),
    }
    matches(facts, seen)


def test_pod_same_name_other_node(ready: Scene, facts: Facts) -> None:
    ready.node("two")
    first = ready.pod("pod")
    ready.served("pod")
    ready.remove("pod")
    second = ready.pod("pod", "two")
    ready.until("the second is served", lambda: second in ready.first_seen)
    matches(facts, {"second": sight.pod(ready, "pod"), "first": sight.released(ready, first)})


def test_pod_terminating(ready: Scene, facts: Facts) -> None:
    uid = ready.pod("pod")
    ready.served("pod")
    ready.terminate("pod")
    ready.run(150)
    (eni,) = sight.enis(ready, uid)
    held = [a.branch_id for a in ready.cluster.ec2.associations() if a.branch_id == eni]
    ready.remove("pod")
    matches(facts, {"held": ["associated"] * len(held), **sight.released(ready, uid)})
