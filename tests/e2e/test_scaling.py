"""A Deployment's pods are placed by the real scheduler on the capacity that we advertise, and run once annotated."""

from statistics import median

from common.model.names import POD_ENI
from tests.e2e.scene import Scene, given, running


def test_every_node_gets_a_cninode_that_it_owns(scene: Scene) -> None:
    scene.add_node("owner-1")
    scene.wait("CNINode", lambda: scene.cninode("owner-1") is not None)
    made = scene.cninode("owner-1")
    assert made is not None
    assert made["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "name": "owner-1",
            "uid": scene.node("owner-1")["metadata"]["uid"],
            "controller": True,
        }
    ]
    assert made["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert made["metadata"]["finalizers"] == ["networking.k8s.aws/resource-cleanup"]
    assert made["spec"]["tags"] == {
        "cluster.k8s.amazonaws.com/name": "rig",
        "node.k8s.amazonaws.com/instance_id": scene.instances["owner-1"],
    }
    assert scene.amount("capacity", "owner-1") == 0, "nobody asked for a trunk"


def test_deployment_beyond_capacity(scene: Scene) -> None:
    scene.add_trunk_nodes("scaled-1", "scaled-2")
    assert scene.amount("capacity", "scaled-1") == 9
    scene.deploy("app", 12)
    scene.run(12)
    for pod in scene.pods():
        (interface,) = given(pod)
        assert pod["status"]["podIP"] == interface["privateIp"]
        assert scene.interfaces()[interface["eniId"]]["tags"]["vpcresources.k8s.aws/pod-uid"] == pod["metadata"]["uid"]

    scene.scale("app", 25)
    scene.run(18)
    scene.wait("all 25 are there", lambda: len(scene.pods()) == 25)
    waiting = [pod for pod in scene.pods() if not pod["spec"].get("nodeName")]
    assert len(waiting) == 7
    for pod in waiting:
        assert f"Insufficient {POD_ENI}" in pod["status"]["conditions"][0]["message"]
    assert len({interface["eniId"] for pod in scene.pods() for interface in given(pod)}) == 18
    seconds = scene.waits()
    print(f"\nscheduled to annotated, 18 pods: median {median(seconds):.2f} s, longest {seconds[-1]:.2f} s")

    scene.scale("app", 4)
    scene.wait("4 are left", lambda: len(scene.pods()) == 4)
    assert all(running(pod) for pod in scene.pods())


def test_people_are_reported(scene: Scene) -> None:
    scene.add_trunk_nodes("reported-1")
    scene.deploy("app", 1)
    scene.run(1)
    (pod,) = scene.pods()
    kubectl, name = scene.product.plane.kubectl, pod["metadata"]["name"]
    scene.wait(
        "kubectl describe tells of the pod",
        lambda: all(
            reason in kubectl("-n", scene.name, "describe", "pod", name)
            for reason in ("SecurityGroupRequested", "ResourceAllocated")
        ),
    )
    scene.wait(
        "kubectl describe tells of the node",
        lambda: all(
            reason in kubectl("describe", "node", "reported-1")
            for reason in ("ControllerVersionNotice", "NodeTrunkInitiated")
        ),
    )


def test_pods_replaced_under_their_names(scene: Scene) -> None:
    scene.add_trunk_nodes("named-1")
    scene.stateful("db", 3)
    scene.run(3)
    before = {pod["metadata"]["name"]: (pod["metadata"]["uid"], given(pod)[0]["eniId"]) for pod in scene.pods()}
    for name in before:
        assert scene.api("DELETE", f"/api/v1/namespaces/{scene.name}/pods/{name}").status in (200, 202)
    scene.wait("all are other pods", lambda: _replaced(scene, before) == 3)
    scene.run(3)
    after = {pod["metadata"]["name"]: given(pod)[0] for pod in scene.pods()}
    assert set(after) == set(before)
    assert not {one["eniId"] for one in after.values()} & {eni for _, eni in before.values()}
    interfaces = scene.interfaces()
    assert {eni for _, eni in before.values()} <= set(interfaces), "the old ones cool down"
    for pod in scene.pods():
        tags = interfaces[given(pod)[0]["eniId"]]["tags"]
        assert tags["vpcresources.k8s.aws/pod-uid"] == pod["metadata"]["uid"]
        assert pod["status"]["podIP"] == given(pod)[0]["privateIp"]


def _replaced(scene: Scene, before: dict[str, tuple[str, str]]) -> int:
    return sum(pod["metadata"]["uid"] != before[pod["metadata"]["name"]][0] for pod in scene.pods())
