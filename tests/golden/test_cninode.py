"""CNINodes that were there before, or go."""

from typing import Any

import pytest

from common.model.names import FEATURE_POD_GROUPS
from tests.golden import sight
from tests.golden.facts import Facts, but, matches
from tests.golden.scene import Scene

PATH = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"


def put_cninode(scene: Scene, metadata: dict[str, Any]) -> None:
    """By the VPC CNI, or by somebody else: without our label, finalizer, tags and owner."""
    body = {
        "apiVersion": "vpcresources.k8s.aws/v1alpha1",
        "kind": "CNINode",
        "metadata": {"name": "node", **metadata},
        "spec": {"features": [{"name": FEATURE_POD_GROUPS}]},
    }
    assert scene.cluster.kube.request("POST", PATH, body=body).status == 201


def delete(scene: Scene, name: str = "node") -> None:
    """Somebody deletes it; waits until another one is there."""
    before = scene.cluster.cninode(name)["metadata"]["uid"]
    scene.cluster.kube.request("DELETE", f"{PATH}/{name}")
    scene.until("made again", lambda: scene.cluster.cninode(name).get("metadata", {}).get("uid", before) != before)


def test_cninode_deleted(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.run(10)
    calls = sight.Calls(scene)
    delete(scene)
    scene.run(120)
    seen = {"calls": calls(), "made again": True, "node": sight.node(scene), "trunk": sight.trunk(scene)}
    matches(facts, seen)


def test_cninode_deleted_with_pod(scene: Scene, facts: Facts) -> None:
    """The record: "the missing CNINode is taken for a missing feature, and the pod's interface is released"."""
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    delete(scene)
    scene.run(180)
    scene.pod("later")
    scene.run(30)
    seen = {"later pod served": scene.annotation("later") is not None, "pod": sight.pod(scene, "pod")}
    kept = {**facts["pod"], "interfaces": [{"differs from EC2": [], "groups": ["<web>"]}]}
    matches(but(facts, pod=kept, **{"later pod served": True}), seen)
    assert sight.still_there(scene, sight.enis(scene, uid))


@pytest.mark.parametrize("metadata", [{}, {"labels": {"team": "a"}, "finalizers": ["example.com/other"]}])
def test_cninode_present(scene: Scene, facts: Facts, metadata: dict[str, Any]) -> None:
    """ "where somebody else made the CNINode without an owner the reference leaves it so, ours adds it"; "other
    people's kept"."""
    put_cninode(scene, metadata)
    scene.put_node("node", f"aws:///us-west-2a/{scene.instance()}", {})
    scene.until("capacity", lambda: scene.cluster.capacity("node") is not None)
    scene.run(10)
    owner = {"apiVersion": "v1", "controller": True, "kind": "Node", "name": "<node>", "uid right": True}
    wanted = but(facts, "node.CNINode.owners", "node.CNINode.finalizers")
    wanted["node"]["CNINode"]["owners"] = [{**owner, "blockOwnerDeletion": None}]
    node = sight.node(scene)
    finalizers = [*facts["node"]["CNINode"]["finalizers"], *metadata.get("finalizers", [])]
    assert sorted(node["CNINode"]["finalizers"]) == sorted(finalizers)
    matches(wanted, {"node": node, "trunks": len(sight.trunks(scene))})
    assert node["CNINode"]["labels"].items() >= metadata.get("labels", {}).items()
