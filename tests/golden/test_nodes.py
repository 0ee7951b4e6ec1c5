"""Nodes: trunk, capacity, CNINode and events, from joining to leaving."""

from dataclasses import replace

import msgspec
import pytest

from common.model.limits import load_limits
from common.model.names import FEATURE_POD_GROUPS, LABEL_COMPUTE_TYPE, LABEL_OS, LABEL_OS_BETA, LABEL_TRUNK, POD_ENI
from tests.golden import sight
from tests.golden.facts import Facts, but, matches
from tests.golden.scene import Scene


def test_node_trunk_made(scene: Scene, facts: Facts) -> None:
    scene.node()
    matches(facts, {"node": sight.node(scene), "trunk": sight.trunk(scene)})


def test_node_old_label(scene: Scene, facts: Facts) -> None:
    scene.node(features=(), labels={LABEL_TRUNK: "false"})
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    labels = scene.cluster.kube.request("GET", "/api/v1/nodes/node").json()["metadata"]["labels"]
    seen = {"label": labels[LABEL_TRUNK], "node": sight.node(scene), "pod served": True, "trunk": sight.trunk(scene)}
    matches(facts, seen)


def test_node_old_os_label(scene: Scene, facts: Facts) -> None:
    scene.node(labels={LABEL_OS: "", LABEL_OS_BETA: "linux"})
    matches(facts, {"capacity": scene.cluster.capacity("node"), "trunks": len(sight.trunks(scene))})


def test_node_compute_auto(scene: Scene, facts: Facts) -> None:
    for name, labels in (("plain", {}), ("labelled", {LABEL_TRUNK: "false"})):
        instance = scene.instance(name)
        scene.put_node(name, f"aws:///us-west-2a/{instance}", {LABEL_COMPUTE_TYPE: "auto", **labels})
    scene.run(90)
    seen = {
        "interfaces": sight.left(scene),
        "node": sight.node(scene, "plain"),
        "with the old label": sight.node(scene, "labelled"),
    }
    matches(facts, seen)


@pytest.mark.parametrize("provider", ["aws:///us-west-2a/", "aws:///us-west-2a/i-12", "aws:///us-west-2a/i-0XYZ", ""])
def test_node_malformed_provider_id(scene: Scene, facts: Facts, provider: str) -> None:
    scene.put_node("node", provider, {})
    scene.until("a CNINode", lambda: bool(scene.cluster.cninode("node")))
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.run(60)
    node = sight.node(scene)
    matches(facts, {"interfaces": sight.left(scene), "node": node})
    assert node["CNINode"]["tags"] == facts["node"]["CNINode"]["tags"]  # "No tag is written for an unknown id"


def test_node_no_trunk_support(scene: Scene, facts: Facts) -> None:
    scene.node(kind="t3.medium", ready=False)
    scene.web()
    scene.pod("pod")
    scene.run(60)
    seen = {
        "interfaces": sight.left(scene),
        "node": sight.node(scene),
        "pod served": scene.annotation("pod") is not None,
    }
    matches(facts, seen)


NEW = "zz9.large"


def know(scene: Scene) -> None:
    """EC2 has the new type. Its limits are those of m5.large."""
    limits = load_limits(None)["m5.large"]
    scene.cluster.ec2._state.limits = {**load_limits(None), NEW: replace(limits, instance_type=NEW)}


def test_node_unknown_type(scene: Scene, facts: Facts) -> None:
    """Faults, row 5: "limits are data, overridable": the node works as soon as the workers have them."""
    know(scene)
    scene.node(kind=NEW, ready=False)
    scene.run(60)
    matches(facts, {"interfaces": sight.left(scene), "node": sight.node(scene)})
    cluster = scene.cluster
    options = replace(cluster.worker.reconciler.options, limits=cluster.ec2._state.limits)
    cluster.change_worker(options=options)
    cluster.queue.tasks.append(("reconcile", "node"))
    scene.until("capacity", lambda: cluster.capacity("node") == "9")


def test_node_instance_types(scene: Scene, facts: Facts) -> None:
    seen = {}
    for kind in facts:
        scene.node(kind, kind)
        found = sight.trunk(scene, kind)
        assert found is not None
        seen[kind] = {"capacity": scene.cluster.capacity(kind), "card": found["card"], "index": found["index"]}
    matches(facts, seen)


def test_node_capacity_overwritten(scene: Scene, facts: Facts) -> None:
    scene.node()
    put_right = {}
    for what, amount in {"0": "0", "removed": None, "too high": "12", "too low": "3"}.items():
        answer = scene.cluster.kube.request(
            "PATCH",
            "/api/v1/nodes/node/status",
            body={"status": {"capacity": {POD_ENI: amount}}},
            content_type="application/merge-patch+json",
        )
        assert answer.status == 200
        put_right[what] = scene.run(20, lambda: scene.cluster.capacity("node") == "9")
    matches(facts, {"put right": put_right})


def test_node_deleted(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.remove_node("node")
    scene.run(120)
    matches(facts, {"CNINode gone": not scene.cluster.cninode("node"), "interfaces": sight.left(scene)})


def test_node_deleted_with_branches(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.web()
    early, first, second = scene.pods(["early", "first", "second"])
    scene.served("early", "first", "second")
    scene.remove("early")
    scene.run(20)
    scene.remove_node("node")
    seen = {name: sight.released(scene, uid) for name, uid in (("first", first), ("second", second))}
    seen["ended before the node"] = sight.released(scene, early)
    matches(facts, {**seen, "CNINode gone": not scene.cluster.cninode("node"), "left": sight.left(scene)})


def test_node_feature_again(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.web()
    scene.features("node")
    scene.run(90)
    calls = sight.Calls(scene)
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.pod("pod")
    scene.served("pod")
    made = [p for p in calls.params("CreateNetworkInterface") if p.get("InterfaceType") == "trunk"]
    matches(facts, {"pod": sight.pod(scene, "pod"), "trunk": sight.trunk(scene), "trunks made": len(made)})


def test_node_feature_removed(scene: Scene, facts: Facts) -> None:
    """ "branches go after 60 s, those of live pods excepted"."""
    scene.node()
    scene.web()
    ends, stays = scene.pods(["ends", "stays"])
    scene.served("ends", "stays")
    scene.features("node")
    scene.run(5)
    soon = {"capacity": scene.cluster.capacity("node"), "interfaces": sorted(set(sight.left(scene)))}
    scene.remove("ends")
    after = sight.released(scene, ends)
    assert after["not before the cool-down"]
    assert after["soon after the cool-down"]
    scene.run(180)
    seen = {
        "capacity": scene.cluster.capacity("node"),
        "left": sight.left(scene),
        "released after a minute or more": True,
        "soon": soon,
    }
    matches(but(facts, left=["aws-k8s-branch-eni: in-use", "aws-k8s-trunk-eni: in-use"]), seen)
    assert sight.still_there(scene, sight.enis(scene, stays))


def test_node_leftovers(scene: Scene, facts: Facts) -> None:
    instance = scene.node()
    other = scene.instance("other")
    available = {
        "of no owner": scene.interface("somebody's"),
        "of the VPC CNI": scene.interface("aws-K8S-leftover", **scene.of_the_cni(instance)),
        "ours": scene.interface(**scene.ours(instance)),
        "ours, of another instance": scene.interface(**scene.ours(other)),
    }
    another = scene.interface(**scene.ours(instance, cluster="another"))
    scene.remove_node("node", terminate=True)
    # Later than the reference's: a Node that comes back within the delay of a release keeps all that it had.
    scene.until("the CNINode is gone", lambda: not scene.cluster.cninode("node"), 120)
    removed = {what: not sight.still_there(scene, [eni]) for what, eni in available.items()}
    matches(facts, {"removed": removed})
    assert sight.still_there(scene, [another])  # "ours also checks the cluster's tag where there is one"


def replace_node(scene: Scene, kind: str = "c5.xlarge") -> None:
    """Another instance under the same name, at once."""
    scene.remove_node("node", terminate=True)
    instance = scene.instance("node", kind)
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})


def test_node_replaced(scene: Scene, facts: Facts) -> None:
    scene.node()
    replace_node(scene)
    scene.until("a CNINode of its own", lambda: owner_right(scene))
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "18")
    seen = {"node": sight.node(scene), "trunk": sight.trunk(scene)}
    matches(renamed(facts), seen)


def renamed(facts: Facts) -> Facts:
    """The record calls the second node `new`; here both have the one name that they have."""
    text = msgspec.json.encode(facts).decode()
    renamed: Facts = msgspec.json.decode(text.replace("<new>", "<node>").replace("of new>", "of node>").encode())
    return renamed


def owner_right(scene: Scene) -> bool:
    found = sight.cninode(scene, "node")
    return found is not None and all(owner["uid right"] for owner in found["owners"]) and bool(found["owners"])


def test_node_replaced_later(scene: Scene, facts: Facts) -> None:
    """ "a delayed release of a node that is not cancelled when the node comes back; a node replaced by one of the same
    name keeps the old trunk in the cache": here pods on the new node are served and keep what they have."""
    scene.node()
    scene.web()
    scene.pod("old")
    scene.served("old")
    scene.remove_node("node", terminate=True)
    scene.run(40)
    scene.node("node", "c5.xlarge")
    scene.pod("kept")
    scene.served("kept")
    scene.run(120)
    scene.pod("later")
    scene.served("later")
    assert set(facts) == {"later pod served", "pod kept"}
    kept = sight.pod(scene, "kept")
    assert kept["annotation kept"]
    assert not kept["interfaces"][0]["differs from EC2"]
    matches({"events": ["Normal ResourceAllocated", "Normal SecurityGroupRequested"]}, kept)


def test_node_event_objects(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    matches(facts, {"events": sight.event_objects(scene, {"pod": uid})})
