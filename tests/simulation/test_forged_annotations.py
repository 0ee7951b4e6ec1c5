"""Annotations that somebody forged: they count only where EC2 shows the interface to be that pod's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.model.names import BRANCH_DESCRIPTION, OWNER_OURS, OWNER_TAG, cluster_tag
from tests.simulation.cluster import CLUSTER, GROUP, SUBNET, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, served
from tests.simulation.test_release_gate import WELL_PAST_SECONDS, annotate, interface_of, on_trunk

Simulate = Callable[..., Cluster]
Entry = dict[str, Any]


def entry(**fields: Any) -> Entry:
    return {"eniId": "eni-invented", "ifAddress": "02:00", "privateIp": "10.0.0.1", "vlanId": 1, **fields}


def two_nodes(cluster: Cluster) -> tuple[Entry, Entry, Entry]:
    """What the forger has, and two others: on the same node, on another."""
    for number in (1, 2):
        cluster.add_node(f"n{number}")
    cluster.add_pod("forger", "n1")
    cluster.add_pod("near", "n1")
    cluster.add_pod("far", "n2")
    served(cluster)
    return interface_of(cluster, "forger"), interface_of(cluster, "near"), interface_of(cluster, "far")


def of_another_cluster(cluster: Cluster) -> Entry:
    """A branch interface that another cluster of the account made."""
    tags = [{"Key": OWNER_TAG, "Value": OWNER_OURS}, {"Key": "kubernetes.io/cluster/other", "Value": "owned"}]
    made = cluster.ec2.arrange(
        "CreateNetworkInterface",
        {
            "SubnetId": SUBNET,
            "Groups": [GROUP],
            "Description": BRANCH_DESCRIPTION,
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": tags}],
        },
    )["NetworkInterface"]
    return entry(eniId=made["NetworkInterfaceId"], privateIp=made["PrivateIpAddress"], vlanId=7)


Forge = Callable[[Cluster, Entry, Entry, Entry], list[Entry]]
FORGERIES: dict[str, Forge] = {
    "association of another node's": lambda c, own, near, far: [{**own, "associationID": far["associationID"]}],
    "association of a neighbour's": lambda c, own, near, far: [{**own, "associationID": near["associationID"]}],
    "interface of another node": lambda c, own, near, far: [far],
    "interface of a neighbour": lambda c, own, near, far: [near],
    "interface of another cluster": lambda c, own, near, far: [of_another_cluster(c)],
    "both": lambda c, own, near, far: [own, near],
    "invented": lambda c, own, near, far: [entry()],
    "VLAN of a neighbour": lambda c, own, near, far: [{**own, "vlanId": near["vlanId"]}],
    "address of a neighbour": lambda c, own, near, far: [{**own, "privateIp": near["privateIp"]}],
    "every VLAN": lambda c, own, near, far: [entry(eniId=f"eni-{n}", vlanId=n) for n in range(1, 121)],
}


def forged_life(cluster: Cluster, forgery: str, *, lost: bool) -> None:
    """A forged annotation, perhaps a loss of Redis; an honest pod comes, and the forger ends."""
    own, near, far = two_nodes(cluster)
    annotate(cluster, "forger", json.dumps(FORGERIES[forgery](cluster, own, near, far)))
    if lost:
        cluster.lose_redis()
    cluster.run(90.0)
    three = {e["eniId"] for e in (own, near, far)}
    assert on_trunk(cluster) == three
    cluster.add_pod("honest", "n1")
    served(cluster)
    cluster.remove_pod("forger")
    done(cluster, lambda: own["eniId"] not in on_trunk(cluster), "what the forger had is released")
    cluster.run(WELL_PAST_SECONDS)
    if lost:
        cluster.sweep_twice()
    left = {e["eniId"] for e in (near, far, interface_of(cluster, "honest"))}
    assert on_trunk(cluster) == left
    ours = {i["NetworkInterfaceId"] for i in cluster.ours(BRANCH_DESCRIPTION) if of_cluster(i)}
    assert ours == left
    assert not [i for i in cluster.ours(BRANCH_DESCRIPTION) if not of_cluster(i)] or "cluster" in forgery
    reported = {getattr(n, "name", "") for n in cluster.notices if n.reason == "AnnotationNotVerified"}
    assert reported == {"forger"}
    # To the judge an annotation is what a pod was given, and the forger's was not.
    wrong = [p for p in cluster.problems if "pod forger" not in p and "and forger" not in p]
    assert not wrong, wrong[:3]


def of_cluster(interface: dict[str, Any]) -> bool:
    return any(tag["Key"] == cluster_tag(CLUSTER) for tag in interface["TagSet"])


@pytest.mark.parametrize("lost", [True, False], ids=["redis lost", "redis kept"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_at_the_forgers_end_nobody_else_loses_anything(forgery: str, lost: bool, simulate: Simulate) -> None:
    forged_life(simulate(), forgery, lost=lost)


SHARE = 80
"""In the default run every so many of a life's places to crash, others for each forgery: all of them take minutes."""


def crash_places(forgery: str, simulate: Simulate) -> list[int]:
    """Before and after every call that changes something or asks outside, from the forgery on."""
    whole = simulate()
    begun = two_nodes_calls(simulate)
    forged_life(whole, forgery, lost=True)
    calls = whole.points.calls
    asked = [n for n, call in enumerate(calls) if n >= begun and not call.startswith("Redis")]
    return [place for number in asked for place in (2 * number, 2 * number + 1)]


def two_nodes_calls(simulate: Simulate) -> int:
    cluster = simulate()
    two_nodes(cluster)
    return len(cluster.points.calls)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_annotation_takes_nothing_from_anybody_wherever_a_worker_dies(
    forgery: str, simulate: Simulate
) -> None:
    for place in crash_places(forgery, simulate)[list(FORGERIES).index(forgery) :: SHARE]:
        forged_life(simulate(points=CrashPoints(cut=frozenset({place}))), forgery, lost=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_annotation_with_a_crash_at_every_call(forgery: str, simulate: Simulate) -> None:
    for place in crash_places(forgery, simulate):
        forged_life(simulate(points=CrashPoints(cut=frozenset({place}))), forgery, lost=True)


def test_one_that_names_all_vlans_closes_no_node(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    cluster.add_pod("forger", "n1")
    served(cluster)
    annotate(cluster, "forger", json.dumps([entry(eniId=f"eni-{n}", vlanId=n) for n in range(1, 121)]))
    cluster.add_pod("honest", "n1")
    served(cluster)
    cluster.run(90.0)
    reported = [n for n in cluster.notices if n.reason == "AnnotationNotVerified"]
    assert [getattr(n, "name", "") for n in reported] == ["forger"]


def test_one_that_names_a_resting_interface_does_not_hold_it(simulate: Simulate) -> None:
    cluster = simulate()
    _, near, _ = two_nodes(cluster)
    cluster.remove_pod("near")
    cluster.run(5.0)
    annotate(cluster, "forger", json.dumps([near]))
    done(cluster, lambda: near["eniId"] not in on_trunk(cluster), "what the ended pod had is released")
    assert any(n.reason == "AnnotationNotVerified" for n in cluster.notices)
