"""Calls to EC2 that fail, for a moment or for long."""

from typing import Any

import pytest

from common.model.names import BRANCH_DESCRIPTION
from common.store import outages
from tests.golden import sight
from tests.golden.facts import Facts, but, matches
from tests.golden.scene import Scene
from tests.golden.test_pods import NINE

OF_A_BRANCH = {"Description": BRANCH_DESCRIPTION}
OF_A_TRUNK = {"InterfaceType": "trunk"}


@pytest.fixture
def ready(scene: Scene) -> Scene:
    scene.node()
    scene.web()
    return scene


def refused(scene: Scene) -> dict[str, Any]:
    """A pod that is not served."""
    scene.pod("pod")
    scene.run(60)
    return {"left": sight.left(scene), "pod": sight.pod(scene, "pod"), "undone": undone_branches(scene)}


def undone_branches(scene: Scene) -> list[list[str]]:
    return [life for life in sight.undone(scene) if "attaching" not in life]


def test_ec2_branch_associate(ready: Scene, facts: Facts) -> None:
    ready.fault("AssociateTrunkInterface")
    matches(facts, refused(ready))


def test_ec2_branch_unauthorized(ready: Scene, facts: Facts) -> None:
    ready.fault("CreateNetworkInterface", match=OF_A_BRANCH)
    matches(facts, refused(ready))


def test_ec2_group_not_found(scene: Scene, facts: Facts) -> None:
    scene.node()
    scene.policy("web", ["sg-0dead0000000beef"], pod={"matchLabels": {"app": "web"}})
    matches(facts, refused(scene))


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InternalError", "RequestLimitExceeded", "reset"])
@pytest.mark.parametrize("action", ["AssociateTrunkInterface", "CreateNetworkInterface"])
def test_ec2_heals(ready: Scene, action: str, code: str) -> None:
    """A fault of 20 s: "nothing is ever forgotten after N tries"; served within twice the time that it lasted."""
    ready.fault(action, code)
    ready.pod("pod")
    ready.run(20)
    ready.heal()
    ready.served("pod", within=20)
    assert sight.left(ready) == ["aws-k8s-branch-eni: in-use", "aws-k8s-trunk-eni: in-use"]


def test_ec2_branch_associate_heals(ready: Scene, facts: Facts) -> None:
    """The record: not served."""
    ready.fault("AssociateTrunkInterface", "InvalidState")
    ready.pod("pod")
    ready.run(20)
    ready.heal()
    matches(but(facts, served=True), {"served": ready.run(20, lambda: ready.annotation("pod") is not None)})


def test_ec2_branch_create_heals(ready: Scene, facts: Facts) -> None:
    """The record: not served."""
    ready.fault("CreateNetworkInterface", "InvalidState")
    ready.pod("pod")
    ready.run(20)
    ready.heal()
    matches(but(facts, served=True), {"served": ready.run(20, lambda: ready.annotation("pod") is not None)})


def failing_release(scene: Scene, action: str, count: int, patience: float) -> dict[str, Any]:
    """A pod ends while a call of its release fails so often; another comes after that."""
    uid = scene.pod("pod")
    scene.served("pod")
    scene.fault(action, "InternalError", count=count)
    scene.remove("pod")
    (eni,) = sight.enis(scene, uid)
    scene.until("released", lambda: not sight.still_there(scene, [eni]), patience)
    life = scene.cluster.ec2.journal.steps_of(eni)
    off = next(s.time for s in life if s.step.startswith("disassociated"))
    scene.pod("later")
    scene.served("later")
    assert "disassociated by DeleteNetworkInterface" not in sight.steps(scene, eni)  # "in this order"
    return {
        "ends": [life[-1].step],
        "later pod": sight.pod(scene, "later"),
        "left": sight.left(scene),
        "not before the cool-down": off - scene.ended[uid] >= 60.0,
    }


def test_ec2_delete_fails(ready: Scene, facts: Facts) -> None:
    matches(facts, failing_release(ready, "DeleteNetworkInterface", 3, 120))


def test_ec2_delete_fails_long(ready: Scene, facts: Facts) -> None:
    """The record: forgotten after three rounds. "failing actions back off and stay visible until they succeed"."""
    seen = failing_release(ready, "DeleteNetworkInterface", 30, 1200)
    left = ["aws-k8s-branch-eni: in-use", "aws-k8s-trunk-eni: in-use"]
    matches(but(facts, ends=["deleted"], left=left), seen)


def test_ec2_disassociate_fails(ready: Scene, facts: Facts) -> None:
    matches(facts, failing_release(ready, "DisassociateTrunkInterface", 1, 120))


def test_ec2_deleted_by_another(ready: Scene, facts: Facts) -> None:
    uid = ready.pod("pod")
    ready.served("pod")
    ready.remove("pod")
    ready.run(10)
    (eni,) = sight.enis(ready, uid)
    ready.strangers.add(eni)
    (association,) = [a.id for a in ready.cluster.ec2.associations() if a.branch_id == eni]
    ready.cluster.ec2.arrange("DisassociateTrunkInterface", {"AssociationId": association})
    ready.cluster.ec2.arrange("DeleteNetworkInterface", {"NetworkInterfaceId": eni})
    ready.run(70)
    ready.pods(NINE)
    ready.run(30)
    matches(facts, {"nine pods served": [ready.annotation(name) is not None for name in NINE]})


@pytest.mark.parametrize(
    "action", ["CreateNetworkInterface", "CreateNetworkInterfacePermission", "AssociateTrunkInterface"]
)
def test_ec2_reset(ready: Scene, action: str) -> None:
    """The connection breaks after the call took effect: what was made is used, not made again."""
    reset(ready, action)
    assert sight.left(ready) == ["aws-k8s-branch-eni: in-use", "aws-k8s-trunk-eni: in-use"]
    assert not sight.undone(ready)


def reset(scene: Scene, action: str) -> dict[str, Any]:
    scene.fault(action, "reset", when="after", count=1)
    scene.pod("pod")
    scene.served("pod")
    return {"left": sight.left(scene), "pod": sight.pod(scene, "pod")}


def test_ec2_permission_reset(ready: Scene, facts: Facts) -> None:
    """The record has the permission asked for a second time: it is no harm, and shown as a step."""
    seen = reset(ready, "CreateNetworkInterfacePermission")
    (branch,) = seen["pod"]["interfaces"]
    branch["steps"] = list(dict.fromkeys(branch["steps"]))
    matches(facts, seen)


def test_ec2_subnet_full(scene: Scene, facts: Facts) -> None:
    """Asked again at growing intervals, and by one for the whole cluster, not "14 calls in 8 s"."""
    subnet = scene.subnet("subnet", "10.0.128.0/28")
    scene.node(subnet=subnet)
    scene.web()
    (room,) = [free for found, free in scene.cluster.ec2.subnets() if found.id == subnet]
    others = [scene.interface("somebody's", subnet) for _ in range(room - 1)]
    scene.pod("first")
    scene.served("first")
    calls = sight.Calls(scene)
    scene.pod("pod")
    scene.run(100)
    assert 2 <= len(calls()) <= 100 / outages.LONGEST_SECONDS + 5
    seen = {"events": sight.node_events(scene), "pod": sight.pod(scene, "pod")}
    for eni in others:
        scene.cluster.ec2.arrange("DeleteNetworkInterface", {"NetworkInterfaceId": eni})
    scene.served("pod", within=120)
    matches(facts, {**seen, "served": [scene.annotation(name) is not None for name in ("first", "pod")]})


def test_ec2_throttled(ready: Scene, facts: Facts) -> None:
    ready.fault("CreateNetworkInterface", "RequestLimitExceeded")
    ready.pod("pod")
    ready.run(8)
    ready.heal()
    ready.served("pod", within=15)
    matches(facts, {"left": sight.left(ready), "pod": sight.pod(ready, "pod")})


def test_ec2_trunk_unauthorized(scene: Scene, facts: Facts) -> None:
    scene.fault("CreateNetworkInterface", match=OF_A_TRUNK)
    scene.web()
    scene.node(ready=False)
    scene.run(60)
    seen: Facts = {"left": sight.left(scene), "node": sight.node(scene), "undone": sight.undone(scene)}
    scene.heal()
    scene.until("capacity", lambda: scene.cluster.capacity("node") is not None, 120)
    scene.pod("pod")
    scene.served("pod")
    seen |= {"left after": sight.left(scene), "pod after": sight.pod(scene, "pod"), "trunk after": sight.trunk(scene)}
    matches(facts, seen)


@pytest.mark.parametrize(
    "action",
    [
        "CreateNetworkInterface",
        "CreateNetworkInterfacePermission",
        "AttachNetworkInterface",
        "ModifyNetworkInterfaceAttribute",
    ],
)
def test_ec2_trunk_heals_alone(scene: Scene, facts: Facts, action: str) -> None:
    """The record: not usable, tried again only when the node object changes. "Each failure undoes what came before
    it"; "failed init is retried on a timer"."""
    scene.fault(action, "InvalidState")
    scene.node(ready=False)
    scene.run(20)
    assert {"Normal NodeTrunkFailedInit", "Warning TrunkENICreationFailed"} <= sight.node_events(scene)
    scene.heal()
    usable = scene.run(40, lambda: scene.cluster.capacity("node") is not None)
    matches(but(facts, usable=True), {"usable": usable})
    assert sight.left(scene) == ["aws-k8s-trunk-eni: in-use"]
