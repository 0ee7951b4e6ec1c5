"""Worlds in which something of a living pod used to be taken away: a Node object that is away for a moment, a sweep
beside a recovery, a loss of Redis beside a silent watch, an annotation that cannot be read, EC2's answers lagging."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from common.model.names import BRANCH_DESCRIPTION, POD_ENI
from sandbox.ec2.behaviour import FaultRule
from tests.simulation.cluster import MERGE, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, served

Simulate = Callable[..., Cluster]
T = TypeVar("T")
WELL_PAST_SECONDS = 300.0
"""More than the cool-down and several audits."""


def lagging(cluster: Cluster) -> None:
    cluster.ec2.behave(cluster.behaviour.changed({"describe_lag": [0.0, 3.0]}))
    cluster.clock.sleep(10.0)


def silence(cluster: Cluster) -> Callable[[], None]:
    """The watcher hears nothing new; it writes what it remembers. Undone by what is given back."""
    watcher: Any = cluster.watcher
    real = watcher.pump
    watcher.pump = watcher._writer.flush

    def speak() -> None:
        watcher.pump = real

    return speak


def annotate(cluster: Cluster, pod: str, text: str) -> None:
    """By somebody else."""
    cluster.judge.forged.add(text)
    path = f"/api/v1/namespaces/default/pods/{pod}"
    body = {"metadata": {"annotations": {POD_ENI: text}}}
    assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200


def on_trunk(cluster: Cluster) -> set[str]:
    return {i["NetworkInterfaceId"] for i in cluster.interfaces() if i.get("InterfaceType") == "branch"}


def interface_of(cluster: Cluster, pod: str) -> dict[str, Any]:
    one = next(p for p in cluster.live() if p["metadata"]["name"] == pod)
    entry: dict[str, Any] = cluster.annotation(one)[0]
    return entry


@pytest.mark.parametrize("seed", range(20))
def test_a_node_object_away_for_two_seconds_costs_nothing(seed: int, simulate: Simulate) -> None:
    cluster, rng = simulate(seed=seed), random.Random(seed)
    lagging(cluster)
    instance = cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    for name in "abcd":
        cluster.add_pod(name, "n1")
    cluster.run(rng.uniform(0.5, 5.0))
    cluster.remove_node("n1")
    cluster.run(2.0)
    cluster.put_node("n1", instance)
    served(cluster)
    cluster.run(WELL_PAST_SECONDS)
    assert not cluster.problems, cluster.problems[:3]


@dataclass(slots=True)
class BetweenLookAndDelete(CrashPoints):
    """While armed: `then` happens after the sweep's two lists of interfaces, before its next call."""

    armed: bool = False
    lists: int = 0
    then: Callable[[], None] = field(default=lambda: None)

    def call(self, name: str, effect: Callable[[], T]) -> T:
        if self.armed and self.lists == 2:
            self.armed = False
            self.then()
        if self.armed and name == "EC2 DescribeNetworkInterfaces":
            self.lists += 1
        return CrashPoints.call(self, name, effect)


def test_a_sweep_spares_what_a_run_brings_into_use_after_its_look(simulate: Simulate) -> None:
    points = BetweenLookAndDelete()
    cluster = simulate(points=points)
    cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    cluster.ec2.inject(FaultRule(action="AssociateTrunkInterface", rate=1.0, code="InternalError"))
    cluster.add_pod("a", "n1")
    cluster.run(60.0)
    cluster.queue.sweep()
    cluster.run(1800.0)

    def recover() -> None:
        cluster.ec2.clear_faults()
        worker = cluster.worker
        cluster.start_worker()
        done(cluster, cluster.all_served, "the pod is served while the sweep stands still")
        cluster.worker = worker

    points.then, points.armed, points.lists = recover, True, 0
    cluster.queue.sweep()
    cluster.run(WELL_PAST_SECONDS)
    served(cluster)
    assert not points.armed, "the sweep looked"
    assert not cluster.problems, cluster.problems[:3]


@pytest.mark.parametrize("seed", range(6))
def test_a_sweep_spares_what_no_ledger_knows_but_a_pod_names(seed: int, simulate: Simulate) -> None:
    """Made and brought into use by another controller (a migration), with EC2's answers lagging."""
    points = BetweenLookAndDelete()
    cluster = simulate(seed=seed, points=points, audits=False)
    cluster.add_node("n1")
    cluster.add_pod("theirs", "n1")
    served(cluster)
    entry = interface_of(cluster, "theirs")
    (shown,) = cluster.ours(BRANCH_DESCRIPTION)
    tags = [t for t in shown["TagSet"] if "pod-uid" not in t["Key"]]
    made = cluster.ec2.arrange(
        "CreateNetworkInterface",
        {
            "SubnetId": shown["SubnetId"],
            "Description": BRANCH_DESCRIPTION,
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": tags}],
        },
    )["NetworkInterface"]["NetworkInterfaceId"]
    lagging(cluster)
    for _ in range(2):
        cluster.queue.sweep()
        cluster.run(10.0)
        cluster.clock.sleep(1800.0)
    assert made not in {i["NetworkInterfaceId"] for i in cluster.interfaces()}, "one that nobody has is deleted"
    made = cluster.ec2.arrange(
        "CreateNetworkInterface",
        {
            "SubnetId": shown["SubnetId"],
            "Description": BRANCH_DESCRIPTION,
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": tags}],
        },
    )["NetworkInterface"]["NetworkInterfaceId"]
    cluster.clock.sleep(1800.0)
    cluster.queue.sweep()
    cluster.run(10.0)
    cluster.clock.sleep(1800.0)
    trunk = next(t["Value"] for t in tags if t["Key"].endswith("trunk-eni-id"))

    def into_use() -> None:
        answer = cluster.ec2.arrange(
            "AssociateTrunkInterface", {"BranchInterfaceId": made, "TrunkInterfaceId": trunk, "VlanId": 77}
        )
        association = answer["InterfaceAssociation"]["AssociationId"]
        new = {**entry, "eniId": made, "vlanId": 77, "associationID": association}
        cluster.add_pod("new", "n1", 1)
        annotate(cluster, "new", json.dumps([new]))

    points.then, points.armed, points.lists = into_use, True, 0
    cluster.queue.sweep()
    cluster.run(30.0)
    assert not points.armed
    assert made in on_trunk(cluster)
    assert not cluster.problems, cluster.problems[:3]


@pytest.mark.parametrize("silent", [60.0, 100.0, 150.0])
def test_redis_lost_beside_a_silent_watch(silent: float, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    for name in "ab":
        cluster.add_pod(name, "n1")
    cluster.watcher.pump()
    speak = silence(cluster)
    served(cluster)
    cluster.lose_redis()
    cluster.run(silent)
    speak()
    cluster.run(WELL_PAST_SECONDS)
    assert not cluster.problems, cluster.problems[:3]


@pytest.mark.parametrize("text", ["", "[]", "{", '[{"eniId": 7}]', "null"])
def test_an_annotation_that_cannot_be_read_is_not_absence(text: str, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    cluster.add_pod("a", "n1")
    served(cluster)
    (has,) = on_trunk(cluster)
    annotate(cluster, "a", text)
    cluster.lose_redis()
    cluster.run(WELL_PAST_SECONDS)
    assert on_trunk(cluster) == {has}
    cluster.remove_pod("a")
    done(cluster, lambda: not on_trunk(cluster), "it is released after the pod's end")


@pytest.mark.parametrize("lag", [2.0, 3.0])
@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 3.0])
def test_what_an_ended_pod_had_rests_after_a_loss_of_redis(after: float, lag: float, simulate: Simulate) -> None:
    """Also where EC2 does not show it yet when its node is adopted: the first audit finds it."""
    cluster = simulate()
    cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    cluster.ec2.behave(cluster.behaviour.changed({"describe_lag": [lag, lag]}))
    cluster.clock.sleep(10.0)
    cluster.add_pod("a", "n1")
    served(cluster)
    cluster.run(after)
    cluster.remove_pod("a")
    cluster.lose_redis()
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "what the ended pod had is released")
    assert not cluster.problems, cluster.problems[:3]
