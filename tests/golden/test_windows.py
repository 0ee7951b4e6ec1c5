"""Windows nodes: their pools of addresses, and what pods get from them."""

from collections.abc import Iterable
from typing import Any

import pytest

from common.model.ids import Prefix
from common.node.windows.pool import addresses_of
from tests.golden import sight
from tests.golden.facts import Facts, but, matches
from tests.golden.scene import Scene
from tests.simulation.cluster import SUBNET

IPAM = {"enable-windows-ipam": "true"}
PREFIXES = {**IPAM, "enable-windows-prefix-delegation": "true"}
REST = 30.0


def start(scene: Scene, config: dict[str, str], kind: str = "m5.large", subnet: str = SUBNET) -> None:
    scene.cluster.configure(config)
    scene.windows(kind=kind, subnet=subnet)
    scene.run(20)


def held(scene: Scene) -> dict[str, int]:
    addresses, prefixes = scene.cluster.held("node")
    return {"addresses": addresses, "prefixes": prefixes}


def pods(scene: Scene, *names: str) -> list[str]:
    return [scene.pod(name, windows=True) for name in names]


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"p{place}" for place in range(first, first + count)]


def addresses(scene: Scene, names: Iterable[str]) -> list[str]:
    return [text for name in names if (text := scene.annotation(name)) is not None]


def form(scene: Scene, text: str) -> str:
    """What kind of address an annotation holds, and its prefix length in the record's words."""
    ip, bits = text.split("/")
    subnet = next(s for s, _ in scene.cluster.ec2.subnets() if scene.names.get(s.id) == "<subnet>")
    primary = next(
        i for i in scene.cluster.interfaces() if i.get("Attachment", {}).get("InstanceId") == scene.instances["node"]
    )
    prefixes = [p["Ipv4Prefix"] for p in primary["Ipv4Prefixes"]]
    kind = "of a prefix" if any(ip in addresses_of(Prefix(p)) for p in prefixes) else "secondary address"
    return f"{kind}/{'<subnet>' if bits == subnet.cidr.split('/')[1] else bits}"


def forms(scene: Scene, names: Iterable[str]) -> list[str]:
    return [form(scene, text) for text in addresses(scene, names)]


def unshared(scene: Scene, names: Iterable[str]) -> bool:
    found = addresses(scene, names)
    return len(set(found)) == len(found)


def amounts(calls: sight.Calls) -> list[str]:
    """Assign and unassign calls in the record's words."""
    found = []
    for action, word in (("AssignPrivateIpAddresses", "assign"), ("UnassignPrivateIpAddresses", "unassign")):
        for params in calls.params(action):
            one = params.get("SecondaryPrivateIpAddressCount") or len(params.get("PrivateIpAddresses", ()))
            many = params.get("Ipv4PrefixCount") or len(params.get("Ipv4Prefixes", ()))
            found.append(f"{word} {one} addresses" if one else f"{word} {many} prefixes")
    return found


def total(calls: sight.Calls, word: str) -> int:
    return sum(int(text.split()[1]) for text in amounts(calls) if text.startswith(f"{word} "))


def test_ipam_switch_fault_waiting_pod(scene: Scene, windows_facts: Facts) -> None:
    """ "when it is on again ... pods that came meanwhile are served (the reference forgets them)"."""
    start(scene, IPAM)
    scene.cluster.configure({})
    scene.run(10)
    pods(scene, "pod")
    scene.run(20)
    assert scene.annotation("pod") is None
    scene.cluster.configure(IPAM)
    served = scene.run(30, lambda: scene.annotation("pod") is not None)
    matches(but(windows_facts, "events", **{"served within 30 s": True}), {"served within 30 s": served})


def test_prefix_burst(scene: Scene, windows_facts: Facts) -> None:
    start(scene, PREFIXES)
    calls, names = sight.Calls(scene), numbered(40)
    pods(scene, *names)
    scene.served(*names)
    scene.run(10)
    seen = {
        "annotations": sorted(set(forms(scene, names))),
        "assigned": total(calls, "assign"),
        "held": held(scene),
        "pods share no address": unshared(scene, names),
        "served": len(addresses(scene, names)),
    }
    matches(windows_facts, seen)


def no_room(scene: Scene) -> tuple[str, sight.Calls]:
    """A subnet with free addresses and without a free /28; the uid of a pod that waits."""
    subnet = scene.subnet("subnet", "10.0.128.0/28")
    calls = sight.Calls(scene)
    start(scene, PREFIXES, subnet=subnet)
    (uid,) = pods(scene, "pod")
    scene.run(90)
    return uid, calls


def test_prefix_no_room(scene: Scene, windows_facts: Facts) -> None:
    uid, calls = no_room(scene)
    seen = {
        "capacity": scene.cluster.capacity("node", "vpc.amazonaws.com/PrivateIPv4Address"),
        "events of the pod": sight.pod_events(scene, uid),
        "held": held(scene),
        "served": scene.annotation("pod") is not None,
    }
    matches(windows_facts, seen)
    assert len(calls.params("AssignPrivateIpAddresses")) == 1  # "retry after 2 minutes"


def test_prefix_fault_no_room_told(scene: Scene, windows_facts: Facts) -> None:
    """The record: no InsufficientCidrBlocks event."""
    no_room(scene)
    assert windows_facts == {"events of the node": ["Normal ControllerVersionNotice"]}
    assert sorted(sight.node_events(scene)) == ["Normal ControllerVersionNotice", "Warning InsufficientCidrBlocks"]


def test_prefix_not_nitro_fault_targets(scene: Scene, windows_facts: Facts) -> None:
    """ "Nodes that stay in secondary mode while prefix mode is on use 3 and 3 in the reference; ours keep to the
    targets"."""
    start(scene, {**PREFIXES, "warm-ip-target": "5", "minimum-ip-target": "7"}, kind="m4.large")
    matches(but(windows_facts, held={"addresses": 7, "prefixes": 0}), {"held": held(scene)})
    assert "Warning Unsupported" in sight.node_events(scene)


def state(scene: Scene, names: list[str]) -> dict[str, Any]:
    capacity = scene.cluster.capacity("node", "vpc.amazonaws.com/PrivateIPv4Address")
    return {**held(scene), "capacity": capacity, "pods": forms(scene, names)}


@pytest.mark.parametrize("lose_redis", [False, True], ids=["redis-kept", "redis-lost"])
def test_restart_secondary(scene: Scene, windows_facts: Facts, lose_redis: bool) -> None:
    start(scene, IPAM)
    names = numbered(5)
    pods(scene, *names[:3])
    scene.served(*names[:3])
    scene.run(10)
    before, texts = state(scene, names[:3]), addresses(scene, names[:3])
    calls = sight.Calls(scene)
    scene.kill(lose_redis=lose_redis)
    scene.run(40)
    for name in names[3:]:
        pods(scene, name)
        scene.served(name)
        scene.run(5)
    seen = {
        "before": before,
        "annotations kept": addresses(scene, names[:3]) == texts,
        "after, with two more pods": state(scene, names),
        "calls since": amounts(calls),
        "pods share no address": unshared(scene, names),
    }
    # Without a record a free address may have been a pod's a moment ago: it rests, and others come for that time.
    matches(but(windows_facts, "calls since") if lose_redis else windows_facts, seen)


def test_secondary_burst(scene: Scene, windows_facts: Facts) -> None:
    start(scene, IPAM)
    calls, names = sight.Calls(scene), numbered(9)
    pods(scene, *names)
    scene.served(*names)
    scene.run(10)
    journal = scene.cluster.ec2.journal.of("AssignPrivateIpAddresses")
    seen = {
        "annotations": sorted(set(forms(scene, names))),
        "assigned": total(calls, "assign"),
        "held": held(scene),
        "pods share no address": unshared(scene, names),
        "refused calls": [call.outcome for call in journal if call.outcome != "ok"],
        "served": len(addresses(scene, names)),
    }
    matches(windows_facts, seen)


MANY = {
    # min(capacity 29, max(used + warm, minimum)) for 0, 5 and 20 pods, by the rules of the warm pool.
    "nothing set": ({}, [3, 8, 23]),
    "warm-ip 1, minimum-ip 0": ({"warm-ip-target": "1", "minimum-ip-target": "0"}, [1, 6, 21]),
    "warm-ip 10, minimum-ip 10": ({"warm-ip-target": "10", "minimum-ip-target": "10"}, [10, 15, 29]),
    "warm-ip 100": ({"warm-ip-target": "100"}, [29, 29, 29]),
    "warm-ip 15, minimum-ip 10": ({"warm-ip-target": "15", "minimum-ip-target": "10"}, [15, 20, 29]),
    "warm-ip 5, minimum-ip 10": ({"warm-ip-target": "5", "minimum-ip-target": "10"}, [10, 10, 25]),
}


@pytest.mark.parametrize("targets", MANY)
def test_secondary_fault_many_addresses(scene: Scene, windows_facts: Facts, targets: str) -> None:
    """The record lags behind at random; the rules are those of the other cases."""
    config, wanted = MANY[targets]
    assert {"pods", *MANY} == set(windows_facts["held, by pods"])
    start(scene, {**IPAM, **config}, kind="m5.4xlarge")
    seen = [held(scene)["addresses"]]
    for first, count in ((0, 5), (5, 15)):
        names = numbered(count, first)
        pods(scene, *names)
        scene.served(*names)
        scene.run(10)
        seen.append(held(scene)["addresses"])
    assert seen == wanted


FEW = {
    # "Warm 0 counts as 1 (also where only the minimum is set)"; "numbers beyond 32 bits count as not set".
    "minimum-ip 1": ({"minimum-ip-target": "1"}, [1, 6]),
    "minimum-ip 10": ({"minimum-ip-target": "10"}, [9, 9]),
    "warm-ip 99999999999999999999": ({"warm-ip-target": "9" * 20}, [3, 8]),
    "warm-ip x, minimum-ip 4": ({"warm-ip-target": "x", "minimum-ip-target": "4"}, [4, 6]),
}


@pytest.mark.parametrize("targets", FEW)
def test_secondary_fault_targets(scene: Scene, windows_facts: Facts, targets: str) -> None:
    """The record: the pool runs dry, pods wait for ever."""
    config, wanted = FEW[targets]
    assert set(FEW) == set(windows_facts["held with 0 and 5 pods"])
    start(scene, {**IPAM, **config})
    seen, names = [held(scene)["addresses"]], numbered(5)
    pods(scene, *names)
    scene.served(*names)
    scene.run(10)
    assert [*seen, held(scene)["addresses"]] == wanted


def test_secondary_full_node(scene: Scene, windows_facts: Facts) -> None:
    start(scene, IPAM)
    names = numbered(9)
    pods(scene, *names)
    scene.served(*names)
    scene.run(5)
    text, ended = scene.annotation("p0"), scene.now
    scene.remove("p0")
    (uid,) = pods(scene, "pod")
    served = scene.run(60, lambda: scene.annotation("pod") is not None)
    seen = {
        "events": sight.pod_events(scene, uid),
        "held": held(scene),
        "not before the rest": scene.now - ended >= REST,
        "same address again": scene.annotation("pod") == text,
        "served": served,
    }
    matches(windows_facts, seen)
    assert scene.now - ended <= REST + 2.0


def test_secondary_life(scene: Scene, windows_facts: Facts) -> None:
    idle = sight.Calls(scene)
    start(scene, IPAM)
    seen: Facts = {"idle": held(scene), "calls for the idle node": amounts(idle), "node": sight.node(scene)}
    one = sight.Calls(scene)
    (uid,) = pods(scene, "a")
    scene.served("a")
    scene.run(5)
    seen |= {"calls for a pod": amounts(one), "events of a pod": sight.pod_events(scene, uid)}
    four = ["a", "b", "c", "d"]
    pods(scene, *four[1:])
    scene.served(*four)
    scene.run(10)
    resting = addresses(scene, four[:3])
    seen |= {"4 pods": held(scene), "annotations": forms(scene, four), "pods share no address": unshared(scene, four)}
    meanwhile, ended = sight.Calls(scene), scene.now
    for name in four[:3]:
        scene.remove(name)
    pods(scene, "e", "f")
    scene.served("e", "f")
    scene.run(10)
    seen["resting addresses given out"] = bool(set(addresses(scene, "ef")) & set(resting))
    seen["while addresses rest"] = held(scene)
    given = {"before the rest": scene.run(ended + REST - 0.5 - scene.now, lambda: total(meanwhile, "unassign") > 0)}
    scene.run(3)
    seen["given back"] = {**given, "soon after the rest": held(scene)}
    seen["assigned and unassigned meanwhile"] = [total(meanwhile, "assign"), total(meanwhile, "unassign")]
    matches(windows_facts, seen)


def test_secondary_too_many(scene: Scene, windows_facts: Facts) -> None:
    start(scene, IPAM)
    names = numbered(10)
    uids = dict(zip(names, pods(scene, *names), strict=True))
    scene.run(20)
    (waits,) = [name for name in names if scene.annotation(name) is None]
    seen = {
        "events of the one that waits": sight.pod_events(scene, uids[waits]),
        "held": held(scene),
        "served": len(addresses(scene, names)),
    }
    scene.remove(next(name for name in names if name != waits))
    later = scene.run(REST + 5, lambda: scene.annotation(waits) is not None)
    matches(windows_facts, {**seen, "served when one has ended and rested": later})
