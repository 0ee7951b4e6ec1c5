"""A CNINode that goes while its node lives: deleted by hand, or collected because the kubelet registered anew."""

from tests.e2e.product import NODE_RELEASE
from tests.e2e.scene import CNINODES, Scene, given, running


def test_cninode_deleted_by_hand(scene: Scene) -> None:
    scene.add_trunk_nodes("kept-1")
    scene.deploy("app", 2)
    scene.run(2)
    interfaces = {pod["metadata"]["uid"]: given(pod) for pod in scene.pods()}
    feature = {"name": "SecurityGroupsForPods"}
    more = {"features": [feature], "tags": {"team": "blue"}}
    assert scene.api.merge(f"{CNINODES}/kept-1", {"spec": more}).status == 200
    before = scene.cninode("kept-1")
    assert before is not None

    # As people do: they see a moment later what they did.
    scene.wait("the tags are known", lambda: _knows(scene, "team"))
    assert scene.api("DELETE", f"{CNINODES}/kept-1").status == 200
    seconds = scene.wait("it is made again", lambda: _uid(scene, "kept-1") not in ("", before["metadata"]["uid"]))
    print(f"\na deleted CNINode was made again after {seconds:.2f} s")

    after = scene.cninode("kept-1")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    assert {pod["metadata"]["uid"]: given(pod) for pod in scene.pods()} == interfaces
    assert all(running(pod) for pod in scene.pods())
    assert scene.amount("capacity", "kept-1") == 9
    # It still is a node of ours.
    scene.scale("app", 3)
    scene.run(3)
    (newest,) = [pod for pod in scene.pods() if pod["metadata"]["uid"] not in interfaces]
    assert scene.interfaces()[given(newest)[0]["eniId"]]["tags"]["team"] == "blue"


def test_node_deleted_and_registered_again(scene: Scene) -> None:
    """The garbage collector deletes the CNINode of the old one. Pods stay bound; their containers never stopped."""
    scene.add_trunk_nodes("again-1")
    scene.deploy("app", 3)
    scene.run(3)
    interfaces = {pod["metadata"]["uid"]: given(pod) for pod in scene.pods()}
    old, before = scene.node("again-1"), scene.cninode("again-1")
    assert before is not None
    assert scene.api("DELETE", "/api/v1/nodes/again-1").status == 200
    scene.register("again-1", scene.instances["again-1"])
    new = scene.node("again-1")["metadata"]["uid"]
    assert new != old["metadata"]["uid"]
    seconds = scene.wait("the new one owns a CNINode", lambda: _owner(scene, "again-1") == new)
    print(f"\na node registered anew owned a whole CNINode after {seconds:.2f} s")
    after = scene.cninode("again-1")
    assert after is not None
    assert after["spec"] == before["spec"], "the VPC CNI does not ask twice"
    scene.wait("capacity", lambda: scene.amount("allocatable", "again-1") == 9)
    scene.scale("app", 5)
    scene.run(5)
    kept = {pod["metadata"]["uid"]: given(pod) for pod in scene.pods() if pod["metadata"]["uid"] in interfaces}
    assert kept == interfaces
    present = scene.interfaces()
    assert all(entry["eniId"] in present for entries in kept.values() for entry in entries)


def test_one_that_belongs_to_no_node_is_deleted(scene: Scene) -> None:
    """It has no owner, so that the garbage collector leaves it alone."""
    kind = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode"}
    scene.api.make(CNINODES, {**kind, "metadata": {"name": "nobodys-1"}, "spec": {}})
    seconds = scene.wait("it is deleted", lambda: scene.cninode("nobodys-1") is None, NODE_RELEASE + 30)
    print(f"\na CNINode of no node was deleted after {seconds:.1f} s")
    assert seconds >= NODE_RELEASE, "a node that is away for less keeps it"


def _owner(scene: Scene, node: str) -> str:
    found = scene.cninode(node)
    owners = (
        found["metadata"].get("ownerReferences", []) if found and "deletionTimestamp" not in found["metadata"] else []
    )
    return str(owners[0]["uid"]) if owners else ""


def _uid(scene: Scene, node: str) -> str:
    found = scene.cninode(node)
    return str(found["metadata"]["uid"]) if found else ""


def _knows(scene: Scene, tag: str) -> bool:
    found = scene.cninode("kept-1")
    return found is not None and tag in found["spec"]["tags"]
