"""Faults, row 8: "an event with the reason for every wait"; and what a pod must not get while the truth is unknown."""

from collections.abc import Callable

import pytest

from common.model.names import FEATURE_POD_GROUPS, LABEL_ENI_CONFIG, LABEL_TRUNK
from common.model.notice import PodNotice
from sandbox.ec2.behaviour import FaultRule
from tests.golden import sight
from tests.golden.scene import Scene
from tests.golden.test_contract_nodes import attach
from tests.golden.test_nodes import NEW, know
from tests.golden.test_windows import IPAM

TRUNK = {LABEL_TRUNK: "false"}


def put(scene: Scene, **labels: str) -> None:
    scene.put_node("node", f"aws:///us-west-2a/{scene.instances['node']}", {**TRUNK, **labels})


def no_trunk_type(scene: Scene) -> None:
    scene.instance(kind="t3.medium")
    put(scene)


def unknown_type(scene: Scene) -> None:
    know(scene)
    scene.instance(kind=NEW)
    put(scene)


def refused(scene: Scene) -> None:
    scene.fault("CreateNetworkInterface")
    scene.instance()
    put(scene)


def refused_permission(scene: Scene) -> None:
    scene.fault("CreateNetworkInterfacePermission")
    scene.instance()
    put(scene)


def no_config(scene: Scene) -> None:
    scene.instance()
    put(scene, **{LABEL_ENI_CONFIG: "missing"})


def no_index(scene: Scene) -> None:
    instance = scene.instance()
    attach(scene, instance, 1)
    attach(scene, instance, 2)
    put(scene)


def no_instance(scene: Scene) -> None:
    scene.put_node("node", "aws:///us-west-2a/i-0aaaaaaaaaaaaaaaa", TRUNK)


def no_subnet(scene: Scene) -> None:
    scene.cluster.put_eni_config("config", "subnet-0aaaaaaaaaaaaaaaa", [])
    scene.instance()
    put(scene, **{LABEL_ENI_CONFIG: "config"})


@pytest.mark.parametrize(
    "situation", [no_trunk_type, unknown_type, refused, refused_permission, no_config, no_index, no_instance, no_subnet]
)
def test_a_pods_event_says_why_its_node_cannot_serve_it(scene: Scene, situation: Callable[[Scene], None]) -> None:
    situation(scene)
    scene.web()
    uid = scene.pod("pod")
    scene.run(90)
    assert scene.annotation("pod") is None
    assert sight.pod_events(scene, uid)
    said = [n.message for n in scene.cluster.notices if isinstance(n, PodNotice)]
    assert len(said) <= 3, said


@pytest.mark.parametrize("kind", ["unknown type", "no instance"])
def test_a_windows_pods_event_says_so_too(scene: Scene, kind: str) -> None:
    scene.cluster.configure(IPAM)
    know(scene)
    if kind == "unknown type":
        scene.windows(kind=NEW)
    else:
        scene.put_node("node", "aws:///us-west-2a/i-0aaaaaaaaaaaaaaaa", {"kubernetes.io/os": "windows"})
    uid = scene.pod("pod", windows=True)
    scene.run(90)
    assert sight.pod_events(scene, uid)


def test_policies_that_cannot_be_read_are_not_taken_for_none(scene: Scene) -> None:
    scene.node()
    scene.web()
    scene.run(5)
    scene.deny("GET", "securitygrouppolicies")
    uid = scene.pod("pod")
    scene.run(60)
    assert scene.annotation("pod") is None
    assert "Warning BranchAllocationFailed" in sight.pod_events(scene, uid)
    scene.allow()
    scene.served("pod", within=120)
    assert sight.pod_groups(scene, "pod") == ["<web>"]


def test_without_the_policies_kind_pods_get_the_nodes_groups(scene: Scene) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/securitygrouppolicies.vpcresources.k8s.aws"
    assert scene.cluster.kube.request("DELETE", path).status == 200
    scene.node()
    uid = scene.pod("pod")
    scene.served("pod")
    assert sight.pod_groups(scene, "pod") == ["<groups of node>"]
    assert "Warning SecurityGroupRequested" in sight.pod_events(scene, uid)


def test_nothing_leaves_a_pod_that_the_api_server_knows(scene: Scene) -> None:
    """ "Before an interface leaves a pod, the API server itself is asked": the watcher's word is not enough."""
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    scene.run(5)
    store = scene.cluster.plain
    (node,) = store.desired.known_nodes()
    store.desired.write_pods(node, [], list(store.desired.read(node).pods))
    scene.cluster.queue.reconcile_all(dict.fromkeys(store.wakeups.mark_dirty([node], scene.now), "test"))
    scene.run(150)
    assert sight.still_there(scene, sight.enis(scene, uid))


def test_nothing_leaves_a_pod_while_the_api_server_refuses_to_say(scene: Scene) -> None:
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    scene.deny("GET", "/pods/pod")
    scene.cluster.remove_pod("pod")
    scene.ended[uid] = scene.now
    scene.run(150)
    assert sight.still_there(scene, sight.enis(scene, uid))
    scene.allow()
    scene.until("released", lambda: not sight.still_there(scene, sight.enis(scene, uid)), 400)


def test_an_interface_that_somebody_deleted_has_an_event_at_its_pod(scene: Scene) -> None:
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    (eni,) = sight.enis(scene, uid)
    (association,) = [a.id for a in scene.cluster.ec2.associations()]
    scene.cluster.ec2.arrange("DisassociateTrunkInterface", {"AssociationId": association})
    scene.cluster.ec2.arrange("DeleteNetworkInterface", {"NetworkInterfaceId": eni})
    scene.strangers.add(eni)
    scene.run(400)
    assert "Warning BranchInterfaceMissing" in sight.pod_events(scene, uid)


def test_answers_of_ec2_that_lag_behind_do_no_harm(scene: Scene) -> None:
    """ "Describe calls can lag behind writes by seconds"."""
    cluster = scene.cluster
    cluster.ec2.behave(cluster.ec2.behaviour.changed({"describe_lag": [0.0, 5.0]}))
    scene.node(features=(), ready=False)
    scene.features("node", (FEATURE_POD_GROUPS, ""))
    scene.until("capacity", lambda: cluster.capacity("node") == "9", 60)
    scene.web()
    names = [f"p{place}" for place in range(9)]
    scene.pods(names)
    scene.served(*names)
    scene.run(240)
    assert len(sight.trunks(scene)) == 1
    assert len(sight.left(scene)) == 10
    made = [c for c in cluster.ec2.journal.of("CreateNetworkInterface") if c.effect]
    assert len(made) == 10


def test_an_eighth_of_all_calls_fails(scene: Scene) -> None:
    """Whatever EC2 answers, in the end everything is as desired and nothing is left."""
    for code, when in (("InternalError", "before"), ("reset", "after"), ("RequestLimitExceeded", "before")):
        scene.cluster.ec2.inject(FaultRule(rate=0.04, code=code, when="after" if when == "after" else "before"))
    scene.node(ready=False)
    scene.web()
    names = [f"p{place}" for place in range(9)]
    uids = scene.pods(names)
    scene.served(*names, within=240)
    for name in names[:5]:
        scene.remove(name)
    gone = [eni for uid in uids[:5] for eni in sight.enis(scene, uid)]
    scene.until("released", lambda: not sight.still_there(scene, gone), 240)
    scene.run(120)
    assert len(sight.left(scene)) == 5
