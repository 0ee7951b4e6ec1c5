"""A Windows node's pool in worlds that are unkind to it: Describe calls that lag, calls that are lost, refused or never
made, a subnet that is nearly full, people who move addresses and write annotations. Whether a living pod keeps what it
has is judged by EC2 and Kubernetes."""

from collections.abc import Callable
from typing import Any

import pytest

from common.model.ids import NodeName
from common.model.names import PRIVATE_IPV4
from common.store import outages
from sandbox.ec2.behaviour import Ec2Behaviour, FaultRule
from tests.simulation import lives
from tests.simulation.cluster import BRISK, GROUP, MERGE, SUBNET, VPC, Cluster
from tests.simulation.crashes import CrashPoints

Simulate = Callable[..., Cluster]
IPAM = {"enable-windows-ipam": "true"}
PREFIXES = {**IPAM, "enable-windows-prefix-delegation": "true"}
ASSIGN, UNASSIGN = "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"
FIRST_OF_MANY = 1
"""Calls of a life that are cut; the others are the same again."""
SOON = 30.0
"""Virtual seconds."""


def lagging(simulate: Simulate, lag: tuple[float, float] = (0.0, 3.0), **fields: Any) -> Cluster:
    cluster = simulate(behaviour=Ec2Behaviour().changed({**BRISK, "describe_lag": lag}), **fields)
    cluster.clock.sleep(10.0)  # The seed itself is seen late.
    return cluster


def idle(cluster: Cluster, config: dict[str, str], held: tuple[int, int]) -> str:
    cluster.configure(config)
    instance = cluster.add_node("n1", windows=True)
    lives.done(cluster, lambda: cluster.held("n1") == held, f"an idle pool of {held}")
    return instance


def pods(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.add_pod(name, "n1", windows=True)


def served(cluster: Cluster, seconds: float = SOON) -> None:
    assert cluster.run(seconds, cluster.all_served), f"pods wait for longer than {seconds:.0f} s; {cluster.problems}"


def address_of(cluster: Cluster, name: str) -> str:
    pod = next(p for p in cluster.pods() if p["metadata"]["name"] == name)
    return str(cluster.annotation(pod, PRIVATE_IPV4)).split("/")[0]


def annotate(cluster: Cluster, name: str, value: str) -> None:
    body = {"metadata": {"annotations": {PRIVATE_IPV4: value}}}
    cluster.kube.request("PATCH", f"/api/v1/namespaces/default/pods/{name}", body=body, content_type=MERGE)


def unharmed(cluster: Cluster) -> None:
    assert not cluster.problems, cluster.problems[:3]
    alarms = [n for n in cluster.notices if n.reason == "AddressMissing"]
    assert not alarms, alarms


# --- crashes, with Describe calls that lag


def shrinking_life(cluster: Cluster, config: dict[str, str], target: str, few: tuple[int, int]) -> None:
    """A pool is made smaller, and as soon as anything goes wrong, or it is smaller, many pods come: what was given back
    is what EC2 hands out first."""
    cluster.configure({**config, target: "3"})
    cluster.add_node("n1", windows=True)
    wide = (0, 3) if "prefix" in target else (3, 0)
    lives.done(cluster, lambda: cluster.held("n1") == wide or cluster.crashes > 0, f"an idle pool of {wide}")
    cluster.configure({**config, target: "1"})
    lives.done(cluster, lambda: cluster.held("n1") == few or cluster.crashes > 0, f"an idle pool of {few}")
    names = [f"p{number}" for number in range(40 if wide[1] else 9)]
    pods(cluster, *names)
    lives.served(cluster)
    cluster.run(200.0)
    for name in names[::2]:
        cluster.remove_pod(name)
    cluster.run(100.0)
    pods(cluster, *(f"late-{name}" for name in names[::2]))
    lives.served(cluster)
    cluster.run(100.0)
    unharmed(cluster)


SHRINKING = {
    "addresses": (IPAM, "warm-ip-target", (1, 0)),
    "prefixes": (PREFIXES, "warm-prefix-target", (0, 1)),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("mode", SHRINKING)
def test_a_killed_worker_takes_no_address_from_a_living_pod(mode: str, seed: int, simulate: Simulate) -> None:
    whole = lagging(simulate, seed=seed)
    shrinking_life(whole, *SHRINKING[mode])
    numbers = [n for n, call in enumerate(whole.points.calls) if call.endswith((ASSIGN, UNASSIGN))]
    for point in [2 * n + 1 for n in numbers]:
        cluster = lagging(simulate, seed=seed, points=CrashPoints(cut=frozenset({point})))
        shrinking_life(cluster, *SHRINKING[mode])


def arrange(cluster: Cluster, params: dict[str, Any]) -> None:
    cluster.ec2.arrange(UNASSIGN, params)


def side_by_side(cluster: Cluster) -> list[str]:
    """Assigns that began while an Unassign's outcome was not known to anybody, and the other way round."""
    kinds = {ASSIGN: UNASSIGN, UNASSIGN: ASSIGN}
    calls = [c for c in cluster.ec2.journal.calls if c.action in kinds]
    return [
        f"{a.action} at {a.time:.2f} beside {b.action} at {b.time:.2f}"
        for a in calls
        for b in calls
        if b.action == kinds[a.action] and b.time <= a.time < b.time + b.latency
    ]


@pytest.mark.parametrize("late", [0.5, 50.0])
@pytest.mark.parametrize("mode", SHRINKING)
def test_a_killed_workers_call_that_takes_effect_late_takes_nothing_from_a_living_pod(
    mode: str, late: float, simulate: Simulate
) -> None:
    """The worker dies as it sends an Unassign, EC2 carries it out later and hands out at once what it got back; pods
    come meanwhile."""
    whole = lagging(simulate)
    shrinking_life(whole, *SHRINKING[mode])
    sent = whole.ec2.journal.of(UNASSIGN)
    numbers = [n for n, call in enumerate(whole.points.calls) if call.endswith(UNASSIGN)]
    assert numbers
    for number, call in list(zip(numbers, sent, strict=True))[:FIRST_OF_MANY]:
        cluster = lagging(simulate, points=CrashPoints(cut=frozenset({2 * number})))
        params = dict(call.params)

        def lands(cluster: Cluster = cluster, params: dict[str, Any] = params) -> None:
            cluster.later(late, lambda: arrange(cluster, params))

        cluster.points.pause_before, cluster.points.meanwhile = number, lands
        shrinking_life(cluster, *SHRINKING[mode])
        assert cluster.crashes == 1
        assert side_by_side(cluster) == []


@pytest.mark.parametrize("action", [ASSIGN, UNASSIGN])
@pytest.mark.parametrize("mode", SHRINKING)
def test_calls_that_took_effect_and_did_not_say_so_take_nothing_from_a_living_pod(
    mode: str, action: str, simulate: Simulate
) -> None:
    for seed in range(4):
        cluster = lagging(simulate, seed=seed)
        cluster.ec2.inject(FaultRule(action=action, rate=0.5, code="Unavailable", when="after"))
        shrinking_life(cluster, *SHRINKING[mode])


# --- what is not there is given to nobody


def test_an_address_that_was_moved_to_another_interface_is_given_to_nobody(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    instance = idle(cluster, IPAM, (3, 0))
    pods(cluster, *(f"p{number}" for number in range(9)))
    served(cluster)
    moved = address_of(cluster, "p0")
    other = cluster.ec2.arrange("CreateNetworkInterface", {"SubnetId": SUBNET, "Groups": [GROUP]})
    other_id = other["NetworkInterface"]["NetworkInterfaceId"]
    cluster.ec2.arrange(
        ASSIGN, {"NetworkInterfaceId": other_id, "PrivateIpAddresses": [moved], "AllowReassignment": True}
    )
    cluster.run(250.0)
    cluster.remove_pod("p0")
    pods(cluster, "next")
    served(cluster, 60.0)
    primary = next(i for i in cluster.interfaces() if i.get("Attachment", {}).get("InstanceId") == instance)
    assert address_of(cluster, "next") in {a["PrivateIpAddress"] for a in primary["PrivateIpAddresses"]}
    assert len([n for n in cluster.notices if n.reason == "AddressMissing"]) == 1, "one event for its pod"


@pytest.mark.parametrize(("config", "held"), [(IPAM, (3, 0)), (PREFIXES, (0, 1))], ids=["addresses", "prefixes"])
def test_no_false_alarm_and_nothing_lost_when_ec2_lags(
    config: dict[str, str], held: tuple[int, int], simulate: Simulate
) -> None:
    """A call with unknown outcome is followed by a look, which does not show yet what the call before it brought."""
    cluster = lagging(simulate, lag=(3.0, 3.0))
    idle(cluster, config, held)
    per_wave = 4 if held[0] else 18
    pods(cluster, *(f"a{number}" for number in range(per_wave)))
    served(cluster)
    cluster.ec2.inject(FaultRule(action=ASSIGN, count=1, code="Unavailable", when="after"))
    pods(cluster, *(f"b{number}" for number in range(per_wave)))
    served(cluster, 90.0)
    cluster.run(200.0)
    unharmed(cluster)
    known = cluster.plain.ledgers.load(NodeName("n1"))
    assert known is not None
    assert known.pool is not None
    assert len(known.pool.prefixes) == cluster.held("n1")[1]


# --- a pod does not wait beside free addresses


def scarce(cluster: Cluster, free: int, config: dict[str, str]) -> None:
    """A node in a subnet that has `free` addresses left for it."""
    subnet = cluster.ec2.add_subnet(vpc_id=VPC, cidr="10.0.128.0/28", subnet_id="subnet-0000000000000003")
    cluster.configure(config)
    instance = cluster.ec2.add_instance(subnet_id=subnet, instance_type="m5.large", groups=[GROUP])
    taken = {s.id: left for s, left in cluster.ec2.subnets()}[subnet] - free
    cluster.ec2.arrange(
        "CreateNetworkInterface",
        {"SubnetId": subnet, "Groups": [GROUP], "SecondaryPrivateIpAddressCount": taken - 1},
    )
    cluster.put_node("n1", instance, windows=True)


@pytest.mark.parametrize("free", [1, 2, 3])
def test_pods_get_what_a_nearly_full_subnet_has(free: int, simulate: Simulate) -> None:
    cluster = lagging(simulate)
    scarce(cluster, free, IPAM)
    pods(cluster, *(f"p{number}" for number in range(free)))
    served(cluster)
    pods(cluster, "waits")
    calls = len(cluster.ec2.journal.of(ASSIGN))
    cluster.run(600.0)
    asked = len(cluster.ec2.journal.of(ASSIGN)) - calls
    assert asked <= 600 / outages.LONGEST_SECONDS + 5, "one asks for all, every five seconds"
    assert not cluster.all_served()
    cluster.remove_pod("p0")
    served(cluster, 60.0)
    unharmed(cluster)


def test_addresses_that_could_not_be_given_back_are_given_to_pods(simulate: Simulate) -> None:
    cluster = lagging(simulate, lag=(0.0, 0.0))
    idle(cluster, {**IPAM, "warm-ip-target": "9", "minimum-ip-target": "9"}, (9, 0))
    cluster.ec2.inject(FaultRule(action=UNASSIGN, code="UnauthorizedOperation"))
    cluster.configure({**IPAM, "warm-ip-target": "1", "minimum-ip-target": "1"})
    cluster.run(20.0)
    assert cluster.ec2.journal.of(UNASSIGN)
    pods(cluster, *(f"p{number}" for number in range(9)))
    served(cluster)
    unharmed(cluster)


def test_pods_are_served_while_ec2_cannot_be_looked_at(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    idle(cluster, IPAM, (3, 0))
    cluster.ec2.inject(FaultRule(action="DescribeNetworkInterfaces", code="InternalError"))
    cluster.run(120.0)
    for number in range(6):
        pods(cluster, f"p{number}")
        served(cluster, 5.0)
    unharmed(cluster)


def test_an_outage_is_not_answered_with_a_storm(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    idle(cluster, IPAM, (3, 0))
    before = len(cluster.ec2.journal.calls)
    cluster.ec2.inject(FaultRule(action=ASSIGN, code="InternalError"))
    pods(cluster, *(f"p{number}" for number in range(5)))
    cluster.run(60.0)
    assert len(cluster.ec2.journal.calls) - before < 40
    cluster.ec2.clear_faults()
    served(cluster)
    unharmed(cluster)


def test_a_pause_of_prefixes_does_not_outlive_them(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    scarce(cluster, 6, PREFIXES)
    pods(cluster, "a")
    cluster.run(10.0)
    assert {c.outcome for c in cluster.ec2.journal.of(ASSIGN)} == {"InvalidParameterValue"}  # A full subnet.
    cluster.configure(IPAM)
    served(cluster, 10.0)


def test_pods_with_one_and_the_same_annotation_do_not_keep_their_node_running(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    idle(cluster, IPAM, (3, 0))
    pods(cluster, "a")
    served(cluster)
    pods(cluster, "b")
    annotate(cluster, "b", f"{address_of(cluster, 'a')}/19")
    pods(cluster, "c")
    cluster.run(30.0)
    before = len(cluster.points.calls)
    cluster.run(60.0)
    assert len(cluster.points.calls) - before < 100
    assert cluster.held("n1") == (5, 0), "the pool is filled"
    cluster.remove_pod("a")
    cluster.run(120.0)
    assert cluster.held("n1") == (5, 0)
    pods(cluster, *(f"p{number}" for number in range(7)))
    served(cluster)
    kept = address_of(cluster, "b")
    assert kept not in {address_of(cluster, f"p{number}") for number in range(7)}


# --- targets, and what a look confirms


@pytest.mark.parametrize(
    ("targets", "held"),
    [
        pytest.param({"warm-ip-target": "0"}, [1, 2, 6], id="warm 0"),
        pytest.param({"warm-ip-target": "0", "minimum-ip-target": "0"}, [1, 2, 6], id="both 0"),
        pytest.param({"warm-ip-target": "x", "windows-warm-ip-target": "20"}, [3, 4, 8], id="an unreadable alias"),
    ],
)
def test_addresses_held_with_0_1_and_5_pods(targets: dict[str, str], held: list[int], simulate: Simulate) -> None:
    cluster = lagging(simulate)
    cluster.configure({**IPAM, **targets})
    cluster.add_node("n1", windows=True)
    for number, most in zip((0, 1, 5), held, strict=True):
        pods(cluster, *(f"p{number}-{n}" for n in range(number - len(cluster.pods()))))
        cluster.run(60.0)
        assert cluster.all_served()
        assert cluster.held("n1") == (most, 0)


def test_an_unreadable_alias_leaves_one_prefix(simulate: Simulate) -> None:
    cluster = lagging(simulate)
    idle(cluster, {**PREFIXES, "warm-ip-target": "x", "windows-warm-ip-target": "20"}, (0, 1))
    cluster.run(60.0)
    assert cluster.held("n1") == (0, 1)


@pytest.mark.parametrize(("config", "held"), [(IPAM, (3, 0)), (PREFIXES, (0, 1))], ids=["addresses", "prefixes"])
def test_what_was_assigned_ahead_is_soon_seen_in_describe(
    config: dict[str, str], held: tuple[int, int], simulate: Simulate
) -> None:
    cluster = lagging(simulate, lag=(3.0, 3.0))
    idle(cluster, config, held)
    cluster.run(15.0)
    known = cluster.plain.ledgers.load(NodeName("n1"))
    assert known is not None
    assert known.pool is not None
    assert (known.pool.fresh, known.pool.missing) == ({}, {})
    looks = len(cluster.ec2.journal.of("DescribeNetworkInterfaces"))
    cluster.run(30.0)
    assert len(cluster.ec2.journal.of("DescribeNetworkInterfaces")) == looks, "and then left alone"
