"""How fast pods of many Windows nodes get addresses where EC2's request limit decides it, while every pool is looked
at or would be."""

from collections.abc import Callable

import pytest

from common.settings import DEFAULT_EC2_RATES
from sandbox.ec2.behaviour import FaultRule
from tests.simulation.cluster import GROUP, SUBNET, Cluster

ASSIGN, LOOK = "AssignPrivateIpAddresses", "DescribeNetworkInterfaces"
NODES, WAVES, PODS = 36, 3, 3
"""In each wave so many pods come on every node."""
WAVE_SECONDS = 2.0
USED_UP = 105
"""Calls that others made just before: nothing is left of EC2's burst."""
AUDITS_SECONDS = 40.0
"""After that the first routine looks are due, spread over 30 s."""
OVERHEAD, START_SECONDS = 1.15, 4.0
"""Over what EC2's refill alone needs."""


@pytest.mark.parametrize("failing", [False, True], ids=["looks are answered", "no look is answered"])
def test_looks_take_no_time_from_what_pods_wait_for(failing: bool, simulate: Callable[..., Cluster]) -> None:
    cluster = simulate(count_redis=False)
    cluster.configure({"enable-windows-ipam": "true", "warm-ip-target": "1", "minimum-ip-target": "1"})
    names = [f"n{number}" for number in range(NODES)]
    for name in names:
        cluster.add_node(name, windows=True)
    assert cluster.run(120.0, lambda: all(cluster.held(name) == (1, 0) for name in names))
    cluster.run(AUDITS_SECONDS)
    if failing:
        cluster.ec2.inject(FaultRule(action=LOOK, code="InternalError"))
    use_up(cluster)
    began, looks, asked = cluster.clock.now(), made(cluster, LOOK), made(cluster, ASSIGN, "ok")
    for wave in range(WAVES):
        for name in names:
            for number in range(PODS):
                cluster.add_pod(f"{name}-{wave}-{number}", name, windows=True)
        cluster.run(WAVE_SECONDS)
    assert cluster.run(120.0, cluster.all_served), "pods wait for minutes"
    took = cluster.clock.now() - began
    needed = (made(cluster, ASSIGN, "ok") - asked) / DEFAULT_EC2_RATES[ASSIGN].refill
    assert needed > WAVES * WAVE_SECONDS, "EC2's limit decides"
    assert made(cluster, LOOK) - looks > (0 if failing else NODES / 4), "pools are looked at meanwhile"
    assert took < needed * OVERHEAD + START_SECONDS, f"{took:.1f} s, of which EC2's limit needs {needed:.1f}"
    assert not cluster.problems, cluster.problems[:3]


def use_up(cluster: Cluster) -> None:
    """Somebody else in the account, and others of ours, have just made as many calls as EC2 lets through."""
    other = cluster.ec2.arrange("CreateNetworkInterface", {"SubnetId": SUBNET, "Groups": [GROUP]})
    other_id = other["NetworkInterface"]["NetworkInterfaceId"]
    for number in range(USED_UP):
        cluster.plain.limiter.reserve(ASSIGN, f"other-{number}")
        cluster.ec2.call(ASSIGN, {"NetworkInterfaceId": other_id, "SecondaryPrivateIpAddressCount": 1})


def made(cluster: Cluster, action: str, outcome: str = "") -> int:
    return sum(outcome in ("", call.outcome) for call in cluster.ec2.journal.of(action))
