"""Sentences of the contract about nodes and their trunks that no recorded case shows."""

from dataclasses import replace

import pytest

from common.model.names import BRANCH_DESCRIPTION, FEATURE_POD_GROUPS, LABEL_TRUNK
from common.model.notice import NodeNotice
from common.store import outages
from tests.golden import sight
from tests.golden.scene import Scene
from tests.simulation.cluster import SUBNET

ONLY_TRUNK = ["aws-k8s-trunk-eni: in-use"]


def attach(scene: Scene, instance: str, index: int) -> str:
    """As the VPC CNI does it; the attachment's id."""
    eni = scene.interface("aws-K8S-secondary", **scene.of_the_cni(instance))
    where = {"NetworkInterfaceId": eni, "InstanceId": instance, "DeviceIndex": index}
    attachment: str = scene.cluster.ec2.arrange("AttachNetworkInterface", where)["AttachmentId"]
    return attachment


def joins(scene: Scene) -> None:
    scene.until("a CNINode", lambda: bool(scene.cluster.cninode("node")))
    scene.features("node", (FEATURE_POD_GROUPS, ""))


def messages(scene: Scene, reason: str) -> list[str]:
    return [n.message for n in scene.cluster.notices if isinstance(n, NodeNotice) and n.reason == reason]


@pytest.mark.parametrize("value", ["true", "false", "not-supported"])
def test_has_trunk_attached_any_value(scene: Scene, value: str) -> None:
    scene.node(features=(), labels={LABEL_TRUNK: value})
    assert scene.cluster.capacity("node") == "9"


@pytest.mark.parametrize("instance", ["i-0a1b2c3d", "i-0123456789abcdef0"])
def test_instance_ids_of_8_or_17_hex_digits(scene: Scene, instance: str) -> None:
    scene.cluster.ec2.add_instance(subnet_id=SUBNET, instance_id=instance, groups=[scene.group("groups of node")])
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})
    joins(scene)
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9")
    assert scene.cluster.cninode("node")["spec"]["tags"]["node.k8s.amazonaws.com/instance_id"] == instance


def test_the_highest_free_device_index_is_taken(scene: Scene) -> None:
    instance = scene.instance()
    attach(scene, instance, 2)
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})
    joins(scene)
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9")
    found = sight.trunk(scene)
    assert found is not None
    assert found["index"] == 1


def test_no_free_device_index_is_reported_and_tried_again(scene: Scene) -> None:
    """ "NodeTrunkFailedInit: no free device index (ours adds a Warning that says so)"."""
    instance = scene.instance()
    attachments = [attach(scene, instance, index) for index in (1, 2)]
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})
    joins(scene)
    scene.run(150)
    assert sorted(sight.node_events(scene)) == [
        "Normal ControllerVersionNotice", "Normal NodeTrunkFailedInit", "Warning NoFreeDeviceIndex",
    ]  # fmt: skip
    assert sight.left(scene) == []
    scene.cluster.ec2.arrange("DetachNetworkInterface", {"AttachmentId": attachments[0]})
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9", 90)


def test_a_node_that_comes_back_in_time_keeps_everything(scene: Scene) -> None:
    """ "A node that comes back within the 60 s of a pending release keeps everything"; "a delayed release that is not
    cancelled when the node comes back" must not come back."""
    instance = scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    scene.cluster.remove_node("node")
    scene.run(40)
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})
    joins(scene)
    scene.run(300)
    assert sight.still_there(scene, sight.enis(scene, uid))
    assert scene.cluster.capacity("node") == "9"
    scene.pod("later")
    scene.served("later")


def test_a_node_that_comes_back_late_has_its_trunk_adopted(scene: Scene) -> None:
    """ "A deleted Node object whose instance lives keeps its trunk"; "a trunk that exists is adopted"."""
    instance = scene.node()
    trunk = sight.trunks(scene)[0]["NetworkInterfaceId"]
    scene.remove_node("node")
    scene.run(300)
    calls = sight.Calls(scene)
    scene.put_node("node", f"aws:///us-west-2a/{instance}", {})
    joins(scene)
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9")
    assert calls() == []
    assert sight.trunks(scene)[0]["NetworkInterfaceId"] == trunk
    scene.pod("pod")
    scene.served("pod")


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("CreateNetworkInterface", "UnauthorizedOperation"),
        ("CreateNetworkInterfacePermission", "UnauthorizedOperation"),
        ("CreateNetworkInterface", "OperationNotPermitted"),
    ],
)
def test_a_refused_trunk_is_explained(scene: Scene, action: str, code: str) -> None:
    """ "EC2's error code, and for UnauthorizedOperation the missing policy (the reference is silent when the permission
    call fails)"; "Availability of trunking: say exactly that, back off long"."""
    scene.fault(action, code)
    calls = sight.Calls(scene)
    scene.node(ready=False)
    scene.run(900)
    reported = messages(scene, "TrunkENICreationFailed")
    assert code in reported[0]
    assert ("AmazonEKSVPCResourceController" in reported[0]) is (code == "UnauthorizedOperation")
    assert "only to accounts on a list" in reported[0]
    assert sight.left(scene) == []
    assert len(calls.params(action)) <= 900 / outages.LONGEST_SECONDS + 5, "one asks for the whole cluster"
    scene.heal()
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9", 400)


def test_nothing_is_said_twice(scene: Scene) -> None:
    """Neither as time passes, nor by processes that start, nor at audits."""
    scene.node()
    scene.run(300)
    scene.kill()
    scene.run(300)
    assert [len(messages(scene, reason)) for reason in ("ControllerVersionNotice", "NodeTrunkInitiated")] == [1, 1]


def test_a_quiet_node_makes_no_calls_but_looks(scene: Scene) -> None:
    scene.node()
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    scene.run(5)
    calls, before = sight.Calls(scene), len(scene.cluster.ec2.journal.calls)
    scene.run(3600)
    assert calls() == []
    assert len(scene.cluster.ec2.journal.calls) - before < 40  # "growing, jittered intervals up to 15 minutes"


def test_cleanup_keeps_running_when_disabled(scene: Scene) -> None:
    """ "Cleanup keeps running when the controller is disabled by its flag"."""
    scene.node()
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    options = scene.cluster.worker.reconciler.options
    scene.cluster.change_worker(options=replace(options, disabled=True))
    scene.pod("waits")
    scene.run(30)
    assert scene.annotation("waits") is None
    assert sight.still_there(scene, sight.enis(scene, uid))
    scene.remove_node("node")
    scene.until("released", lambda: not scene.cluster.ours(BRANCH_DESCRIPTION), 90)
    assert not scene.cluster.cninode("node")
    assert sight.left(scene) == ONLY_TRUNK
