"""The ConfigMap's cool-down."""

from tests.golden import sight
from tests.golden.facts import Events, Facts, matches
from tests.golden.scene import MERGE, Scene

KEY = "branch-eni-cooldown"


def release(scene: Scene, name: str, cooldown: float) -> Facts:
    uid = scene.pod(name)
    scene.served(name)
    scene.remove(name)
    return sight.released(scene, uid, cooldown=cooldown)


def test_cooldown_low(scene: Scene, facts: Facts) -> None:
    scene.cluster.configure({KEY: "10"})
    scene.node()
    scene.web()
    matches(facts, release(scene, "pod", 30.0))
    assert "Normal BranchENICoolDownPeriodUpdated" not in sight.node_events(scene)  # "at every start ...; ours: no"


def test_cooldown_unparsable(scene: Scene, facts: Facts) -> None:
    scene.cluster.configure({KEY: "nonsense"})
    scene.node()
    scene.web()
    matches(facts, release(scene, "pod", 60.0))


def test_cooldown_changed(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.web()
    scene.run(5)
    before = len(scene.cluster.notices)
    scene.cluster.configure({KEY: "75"})
    seen: Facts = {"after the change": release(scene, "pod", 75.0)}
    changed = [n for n in scene.cluster.notices[before:] if n.reason == "BranchENICoolDownPeriodUpdated"]
    seen |= {"events": Events(f"{n.severity} {n.reason}" for n in changed), "said": "1m15s" in changed[0].message}
    matches(facts, seen)
    assert len(changed) == 1
    path = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
    scene.cluster.kube.request("PATCH", path, body={"data": {KEY: "x"}}, content_type=MERGE)
    again = release(scene, "another", 75.0)  # "unparsable: the value before stays"
    assert again["not before the cool-down"]
    assert again["soon after the cool-down"]
    assert sum(n.reason == "BranchENICoolDownPeriodUpdated" for n in scene.cluster.notices) == 1


def test_cooldown_shortened_while_one_rests(scene: Scene) -> None:
    """ "Changes apply to running nodes without a restart": to interfaces that rest already, too."""
    scene.cluster.configure({KEY: "300"})
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    scene.remove("pod")
    scene.run(100)
    scene.cluster.configure({KEY: "120"})
    seen = sight.released(scene, uid, cooldown=120.0)
    assert seen["not before the cool-down"]
    assert seen["soon after the cool-down"]
