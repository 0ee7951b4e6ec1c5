"""A CNINode that somebody deletes while its node lives."""

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
    seconds = scene.wait("it is made again", lambda: _uid(scene) not in ("", before["metadata"]["uid"]))
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


def _uid(scene: Scene) -> str:
    found = scene.cninode("kept-1")
    return str(found["metadata"]["uid"]) if found else ""


def _knows(scene: Scene, tag: str) -> bool:
    found = scene.cninode("kept-1")
    return found is not None and tag in found["spec"]["tags"]
