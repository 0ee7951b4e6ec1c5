"""Annotations of Windows pods that somebody forged: nobody living loses his address or shares it, and the forger is
told."""

from collections.abc import Callable

import pytest

from common.model.names import PRIVATE_IPV4
from tests.simulation.cluster import MERGE, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, served
from tests.simulation.test_windows_worlds import IPAM, PREFIXES, address_of, annotate, pods

Simulate = Callable[..., Cluster]
WELL_PAST_SECONDS = 200.0
"""Rests, second looks and audits are over."""
HONEST = 4
FORGERIES: dict[str, Callable[[Cluster], str | None]] = {
    "address of a neighbour": lambda cluster: address_of(cluster, "near"),
    "address of another node": lambda cluster: address_of(cluster, "far"),
    "invented": lambda cluster: "10.77.7.7",
    "removed": lambda cluster: None,
}
MODES = {"addresses": IPAM, "prefixes": PREFIXES}


def run_in(cluster: Cluster, *names: str) -> None:
    """As the kubelet: the pod runs with the address of its annotation."""
    for name in names:
        body = {"status": {"phase": "Running", "podIP": address_of(cluster, name)}}
        path = f"/api/v1/namespaces/default/pods/{name}/status"
        assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200


def forge(cluster: Cluster, forgery: str) -> None:
    """The forger's annotation is somebody's own words from now on."""
    said = FORGERIES[forgery](cluster)
    if said is not None:
        annotate(cluster, "forger", f"{said}/19")
    else:
        path, body = "/api/v1/namespaces/default/pods/forger", {"metadata": {"annotations": {PRIVATE_IPV4: None}}}
        assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200


def told(cluster: Cluster) -> set[str]:
    """Pods that got an event about their annotation."""
    reasons = ("AnnotationNotVerified", "AddressShared", "AddressMissing")
    return {getattr(n, "name", "") for n in cluster.notices if n.reason in reasons}


def forged_life(cluster: Cluster, mode: str, forgery: str, *, lost: bool) -> None:
    """Three pods, one forged annotation, perhaps a loss of Redis; others come while the forger lives and after it."""
    cluster.configure(MODES[mode])
    for number in (1, 2):
        cluster.add_node(f"n{number}", windows=True)
    pods(cluster, "forger", "near")
    cluster.add_pod("far", "n2", windows=True)
    served(cluster)
    run_in(cluster, "forger", "near", "far")
    own, near, far = (address_of(cluster, name) for name in ("forger", "near", "far"))
    forge(cluster, forgery)
    if lost:
        cluster.lose_redis()
    cluster.run(WELL_PAST_SECONDS)
    names = [f"honest{number}" for number in range(HONEST)]
    pods(cluster, *names)
    done(cluster, lambda: all(has_address(cluster, name) for name in names), "honest pods are served")
    given = {address_of(cluster, name) for name in names}
    assert len(given) == HONEST
    assert given.isdisjoint({own, near, far}), f"{given} holds what runs: {own}, {near}, {far}"
    cluster.remove_pod("forger")
    cluster.run(WELL_PAST_SECONDS)
    late = [f"late{number}" for number in range(HONEST)]
    pods(cluster, *late)
    done(cluster, lambda: all(has_address(cluster, name) for name in late), "later pods are served")
    assert {address_of(cluster, name) for name in late}.isdisjoint({near, far} | given)
    assert (address_of(cluster, "near"), address_of(cluster, "far")) == (near, far)
    # To the judge an annotation is what a pod was given, and the forger's was not.
    assert [
        problem for problem in cluster.problems if "pod forger" not in problem and "and forger" not in problem
    ] == []


def has_address(cluster: Cluster, name: str) -> bool:
    return address_of(cluster, name) not in ("None", "")


@pytest.mark.parametrize("lost", [True, False], ids=["redis lost", "redis kept"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_address_takes_nothing_from_anybody(forgery: str, mode: str, lost: bool, simulate: Simulate) -> None:
    cluster = simulate()
    forged_life(cluster, mode, forgery, lost=lost)
    assert told(cluster) <= {"forger"}
    if forgery != "removed":
        assert told(cluster) == {"forger"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("forgery", ["address of a neighbour", "invented"])
def test_a_forged_address_takes_nothing_from_anybody_wherever_a_worker_dies(
    forgery: str, mode: str, simulate: Simulate
) -> None:
    whole = simulate()
    forged_life(whole, mode, forgery, lost=True)
    effects = [
        n
        for n, call in enumerate(whole.points.calls)
        if call.startswith(("EC2 Assign", "EC2 Unassign", "Kubernetes PATCH"))
    ]
    for number in effects:
        forged_life(simulate(points=CrashPoints(cut=frozenset({2 * number + 1}))), mode, forgery, lost=True)
