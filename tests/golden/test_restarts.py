"""Kills of all processes, with what Redis holds kept and lost."""

import json

import pytest

from tests.golden import sight
from tests.golden.facts import Facts, matches
from tests.golden.scene import Scene
from tests.simulation.cluster import SUBNET

REDIS = pytest.mark.parametrize("lose_redis", [False, True], ids=["redis-kept", "redis-lost"])


@REDIS
def test_restart_available(scene: Scene, facts: Facts, lose_redis: bool) -> None:
    instance = scene.node()
    trunk = sight.trunks(scene)[0]["NetworkInterfaceId"]
    vlan = {"vpcresources.k8s.aws/vlan-id": "7", "vpcresources.k8s.aws/trunk-eni-id": trunk}
    ours = scene.interface(**scene.ours(instance), **vlan)
    kept = {
        "of another cluster": scene.interface("other", SUBNET, **scene.ours("i-0aaaaaaaaaaaaaaaa", cluster="other")),
        "of nobody": scene.interface("somebody's"),
    }
    scene.kill(lose_redis=lose_redis)
    scene.until("ours is removed", lambda: not sight.still_there(scene, [ours]), 240)
    scene.cluster.sweep_twice()
    matches(facts, {"kept": {w: sight.still_there(scene, [e]) for w, e in kept.items()}, "removed": True})


@REDIS
def test_restart_live_pods(scene: Scene, facts: Facts, lose_redis: bool) -> None:
    scene.node("one")
    scene.node("two")
    scene.web()
    old = ["first", "second", "third", "ends"]
    for name, node in zip(old, ("one", "two", "two", "one"), strict=True):
        scene.pod(name, node)
    scene.served(*old)
    scene.run(10)
    scene.kill(lose_redis=lose_redis)
    scene.run(20)
    calls = sight.Calls(scene)
    scene.pod("new", "one")
    scene.served("new")
    seen: Facts = {"calls for a new pod": calls(), "interfaces of old pods": sum(still(scene, name) for name in old)}
    vlans = [json.loads(scene.annotation(name) or "")[0]["vlanId"] for name in ("first", "ends", "new")]
    seen |= {
        "VLANs distinct": len(set(vlans)) == len(vlans),
        "capacity": [scene.cluster.capacity(node) for node in ("one", "two")],
        "pods": [sight.pod(scene, name) for name in ("first", "second", "third")],
    }
    uid = scene.remove("ends")
    matches(facts, {**seen, "released": sight.released(scene, uid)})


def still(scene: Scene, name: str) -> bool:
    return sight.still_there(scene, sight.enis(scene, scene.uids[name]))


@REDIS
def test_restart_vanished(scene: Scene, facts: Facts, lose_redis: bool) -> None:
    scene.node()
    scene.web()
    uids = dict(
        zip(("live", "completed", "cooling", "gone"), scene.pods(("live", "completed", "cooling", "gone")), strict=True)
    )
    scene.served(*uids)
    scene.remove("cooling")
    scene.run(10)
    scene.kill(lose_redis=lose_redis)
    scene.remove("gone")
    scene.finish("completed", "Succeeded")
    scene.pod("new")
    new = scene.instance("new")
    scene.put_node("new", f"aws:///us-west-2a/{new}", {})
    scene.cluster.clock.sleep(20)
    scene.served("new")
    seen: Facts = {"new pod served": True}
    for what in ("completed", "cooling", "gone"):
        (eni,) = sight.enis(scene, uids[what])
        scene.until(f"{what} is released", lambda eni=eni: not sight.still_there(scene, [eni]), 120)  # type: ignore[misc]
        life = scene.cluster.ec2.journal.steps_of(eni)
        off = next(s.time for s in life if s.step == "disassociated")  # "in this order also after a restart"
        seen[what] = {"not before the cool-down": off - scene.ended[uids[what]] >= 60.0, "released": [life[-1].step]}
    seen |= {
        "CNINode of the new node": bool(scene.cluster.cninode("new")),
        "left": sight.left(scene),
        "live pod": sight.pod(scene, "live"),
    }
    matches(facts, seen)
