"""Sentences of the contract about Windows nodes that no recorded case shows."""

from common.model.names import PRIVATE_IPV4
from tests.golden import sight
from tests.golden.scene import MERGE, PODS, Scene
from tests.golden.test_windows import IPAM, PREFIXES, REST, addresses, form, held, numbered, pods, start, unshared


def capacity(scene: Scene) -> str | None:
    return scene.cluster.capacity("node", PRIVATE_IPV4)


def test_switched_off_a_node_keeps_what_it_has(scene: Scene) -> None:
    """ "keeps its addresses, annotations and capacity (nothing is assigned or released); when it is on again, addresses
    of pods that ended meanwhile are free, and pods that came meanwhile are served"."""
    start(scene, IPAM)
    pods(scene, "stays", "ends")
    scene.served("stays", "ends")
    scene.run(10)
    before, text, freed = held(scene), scene.annotation("stays"), scene.annotation("ends")
    scene.cluster.configure({})
    scene.run(5)
    calls = sight.Calls(scene)
    scene.remove("ends")
    pods(scene, "comes")
    scene.run(120)
    assert (calls(), held(scene), capacity(scene)) == ([], before, "9")
    assert scene.annotation("stays") == text
    assert scene.annotation("comes") is None
    scene.cluster.configure(IPAM)
    scene.served("comes")
    names = numbered(8)
    pods(scene, *names[:7])
    scene.served(*names[:7], within=60)
    assert freed in addresses(scene, ["comes", *names[:7]])
    assert unshared(scene, ["stays", "comes", *names[:7]])


def test_an_ended_pods_address_rests_and_its_annotation_stays(scene: Scene) -> None:
    start(scene, {**IPAM, "warm-ip-target": "1", "minimum-ip-target": "9"})
    names = numbered(9)
    pods(scene, *names)
    scene.served(*names)
    text, ended = scene.annotation("p0"), scene.now
    scene.finish("p0", "Succeeded")
    pods(scene, "next")
    scene.served("next", within=REST + 5)
    assert scene.now - ended >= REST
    assert scene.annotation("next") == scene.annotation("p0") == text


def test_a_terminating_pod_keeps_its_address(scene: Scene) -> None:
    start(scene, IPAM)
    names = numbered(9)
    pods(scene, *names)
    scene.served(*names)
    scene.terminate("p0")
    pods(scene, "next")
    scene.run(120)
    assert scene.annotation("next") is None
    scene.remove("p0")
    scene.served("next", within=REST + 5)


def test_modes_switched_at_run_time(scene: Scene) -> None:
    """ "Capacity is advertised for the mode that is on"; "its free addresses are given back at once, new pods take from
    the new mode"; "used ones after their rest, no node event"."""
    start(scene, IPAM)
    pods(scene, "old")
    scene.served("old")
    events = sight.node_events(scene)
    scene.cluster.configure(PREFIXES)
    scene.until("capacity", lambda: capacity(scene) == "144", 10)
    scene.until("free addresses given back", lambda: held(scene) == {"addresses": 1, "prefixes": 1}, 10)
    pods(scene, "new")
    scene.served("new")
    assert form(scene, scene.annotation("new") or "") == "of a prefix/32"
    scene.remove("old")
    scene.until("the last one given back", lambda: held(scene) == {"addresses": 0, "prefixes": 1}, REST + 5)
    assert sight.node_events(scene) == events


def test_a_pod_that_asks_for_two_gets_one(scene: Scene) -> None:
    start(scene, IPAM)
    scene.pod("pod", count=2, windows=True)
    scene.served("pod")
    scene.run(10)
    assert held(scene) == {"addresses": 4, "prefixes": 0}


def test_targets_change_on_a_running_node(scene: Scene) -> None:
    """ "Changes apply to running nodes without a restart"; "the unprefixed alias wins, key by key"."""
    start(scene, {**IPAM, "windows-warm-ip-target": "2", "windows-minimum-ip-target": "2"})
    assert held(scene)["addresses"] == 2
    scene.cluster.configure({**IPAM, "windows-warm-ip-target": "2", "warm-ip-target": "5"})
    scene.until("more", lambda: held(scene)["addresses"] == 5, 10)
    scene.cluster.configure({**IPAM, "windows-warm-ip-target": "2"})
    scene.until("fewer", lambda: held(scene)["addresses"] == 2, 10)


def test_trunking_denied_leaves_windows_working(scene: Scene) -> None:
    """ "keep everything else (Windows, CNINode, sweeps, webhooks) working"."""
    scene.fault("CreateNetworkInterface", "OperationNotPermitted")
    scene.fault("AssociateTrunkInterface", "OperationNotPermitted")
    start(scene, IPAM)
    scene.node("linux", ready=False)
    pods(scene, "pod")
    scene.served("pod")
    assert sight.node(scene, "linux")["CNINode"] is not None


def test_assign_refused_for_good_is_reported_and_heals(scene: Scene) -> None:
    """ "ResourceAllocationFailed: Windows: no address, and why"."""
    scene.fault("AssignPrivateIpAddresses", "UnauthorizedOperation")
    start(scene, IPAM)
    (uid,) = pods(scene, "pod")
    scene.run(60)
    assert "Warning ResourceAllocationFailed" in sight.pod_events(scene, uid)
    assert any("UnauthorizedOperation" in n.message for n in scene.cluster.notices)
    scene.heal()
    scene.served("pod", within=120)
    scene.run(10)
    assert held(scene) == {"addresses": 4, "prefixes": 0}


def test_a_type_that_only_ec2_knows_serves_windows(scene_of_new_types: Scene) -> None:
    """Its addresses are known from DescribeInstanceTypes, which is asked once."""
    scene = scene_of_new_types
    start(scene, PREFIXES)
    pods(scene, "pod")
    scene.served("pod")
    assert capacity(scene) == "144"
    assert "Warning Unsupported" not in sight.node_events(scene)
    assert len(scene.cluster.ec2.journal.of("DescribeInstanceTypes")) == 1


def test_where_the_permission_is_missing_the_type_is_unsupported(scene_of_new_types: Scene) -> None:
    scene = scene_of_new_types
    scene.fault("DescribeInstanceTypes", "UnauthorizedOperation")
    start(scene, IPAM)
    pods(scene, "pod")
    scene.run(30)
    assert scene.annotation("pod") is None
    assert "Warning Unsupported" in sight.node_events(scene)


def test_an_annotation_that_was_taken_away_comes_back_with_the_same_address(scene: Scene) -> None:
    start(scene, IPAM)
    pods(scene, "pod")
    scene.served("pod")
    text = scene.annotation("pod")
    scene.run(90)
    patch = {"metadata": {"annotations": {PRIVATE_IPV4: None}}}
    assert scene.cluster.kube.request("PATCH", f"{PODS}/pod", body=patch, content_type=MERGE).status == 200
    assert scene.annotation("pod") is None
    scene.run(5)
    assert scene.annotation("pod") == text
