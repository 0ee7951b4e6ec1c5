"""Annotations that somebody forged: they count only where EC2 shows the interface to be that pod's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.model.names import BRANCH_DESCRIPTION
from tests.simulation.cluster import Cluster
from tests.simulation.lives import done, served
from tests.simulation.test_release_gate import WELL_PAST_SECONDS, annotate, interface_of, on_trunk

Simulate = Callable[..., Cluster]
Entry = dict[str, Any]


def entry(**fields: Any) -> Entry:
    return {"eniId": "eni-invented", "ifAddress": "02:00", "privateIp": "10.0.0.1", "vlanId": 1, **fields}


def two_nodes(cluster: Cluster) -> tuple[Entry, Entry, Entry]:
    """What the forger has, and two others: on his node, on another."""
    for number in (1, 2):
        cluster.add_node(f"n{number}")
    cluster.add_pod("forger", "n1")
    cluster.add_pod("near", "n1")
    cluster.add_pod("far", "n2")
    served(cluster)
    return interface_of(cluster, "forger"), interface_of(cluster, "near"), interface_of(cluster, "far")


FORGERIES: dict[str, Callable[[Entry, Entry, Entry], list[Entry]]] = {
    "association of another node's": lambda own, near, far: [{**own, "associationID": far["associationID"]}],
    "association of a neighbour's": lambda own, near, far: [{**own, "associationID": near["associationID"]}],
    "interface of another node": lambda own, near, far: [far],
    "interface of a neighbour": lambda own, near, far: [near],
    "both": lambda own, near, far: [own, near],
    "invented": lambda own, near, far: [entry()],
}


@pytest.mark.parametrize("lost", [True, False], ids=["redis lost", "redis kept"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_at_the_forgers_end_nobody_else_loses_anything(forgery: str, lost: bool, simulate: Simulate) -> None:
    cluster = simulate()
    own, near, far = two_nodes(cluster)
    annotate(cluster, "forger", json.dumps(FORGERIES[forgery](own, near, far)))
    if lost:
        cluster.lose_redis()
    cluster.run(90.0)
    assert on_trunk(cluster) == {e["eniId"] for e in (own, near, far)}
    cluster.add_pod("honest", "n1")
    served(cluster)
    cluster.remove_pod("forger")
    done(cluster, lambda: own["eniId"] not in on_trunk(cluster), "what the forger had is released")
    cluster.run(WELL_PAST_SECONDS)
    if lost:
        cluster.sweep_twice()
    left = {e["eniId"] for e in (near, far, interface_of(cluster, "honest"))}
    assert on_trunk(cluster) == left
    assert {i["NetworkInterfaceId"] for i in cluster.ours(BRANCH_DESCRIPTION)} == left


def test_one_that_names_all_vlans_closes_no_node(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1")
    cluster.add_pod("forger", "n1")
    served(cluster)
    annotate(cluster, "forger", json.dumps([entry(eniId=f"eni-{n}", vlanId=n) for n in range(1, 121)]))
    cluster.add_pod("honest", "n1")
    served(cluster)
    cluster.run(90.0)
    told = [n for n in cluster.notices if n.reason == "AnnotationNotVerified"]
    assert [getattr(n, "name", "") for n in told] == ["forger"]


def test_one_that_names_a_resting_interface_does_not_hold_it(simulate: Simulate) -> None:
    cluster = simulate()
    _, near, _ = two_nodes(cluster)
    cluster.remove_pod("near")
    cluster.run(5.0)
    annotate(cluster, "forger", json.dumps([near]))
    done(cluster, lambda: near["eniId"] not in on_trunk(cluster), "what the ended pod had is released")
    assert any(n.reason == "AnnotationNotVerified" for n in cluster.notices)
