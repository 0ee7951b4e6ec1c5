"""Annotations of Windows pods that somebody forged: no living pod loses its address or shares it, and the forger is
reported."""

from collections.abc import Callable, Iterable
from ipaddress import ip_network

import pytest

from common.model.names import OWNER_OURS, OWNER_TAG, PRIVATE_IPV4
from common.model.notice import PodNotice
from tests.simulation.cluster import GROUP, MERGE, SUBNET, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, served
from tests.simulation.test_windows_worlds import IPAM, PREFIXES, address_of, annotate, pods

Simulate = Callable[..., Cluster]
WELL_PAST_SECONDS = 200.0
"""Rests, second looks and audits are over."""
HONEST = 4
FORGERIES: dict[str, Callable[[Cluster], str | None]] = {
    "address of a neighbour": lambda cluster: f"{address_of(cluster, 'near')}/19",
    "address of another node": lambda cluster: f"{address_of(cluster, 'far')}/19",
    "invented": lambda cluster: "10.77.7.7/19",
    "removed": lambda cluster: None,
    "primary address of the node": lambda cluster: f"{primary_of(cluster, 'n1')}/19",
    "primary address of another node": lambda cluster: f"{primary_of(cluster, 'n2')}/19",
    "address of another cluster's": lambda cluster: f"{of_another_cluster(cluster)}/19",
    "first address of a block": lambda cluster: f"{first_of_block(cluster)}/28",
    "address that rests": lambda cluster: f"{resting(cluster)}/19",
    "of the neighbour, written otherwise": lambda cluster: f" {address_of(cluster, 'near')} /32",
    "no address": lambda cluster: "give me one",
    "empty": lambda cluster: "",
}
MODES = {"addresses": IPAM, "prefixes": PREFIXES}


def primary_of(cluster: Cluster, node: str) -> str:
    answer = cluster.kube.request("GET", f"/api/v1/nodes/{node}").json()
    instance = answer["spec"]["providerID"].rsplit("/", 1)[-1]
    primary = next(i for i in cluster.interfaces() if i.get("Attachment", {}).get("InstanceId") == instance)
    return str(primary["PrivateIpAddress"])


def of_another_cluster(cluster: Cluster) -> str:
    """An interface that another cluster of the account made."""
    tags = [{"Key": OWNER_TAG, "Value": OWNER_OURS}, {"Key": "kubernetes.io/cluster/other", "Value": "owned"}]
    made = cluster.ec2.arrange(
        "CreateNetworkInterface",
        {
            "SubnetId": SUBNET,
            "Groups": [GROUP],
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": tags}],
        },
    )
    return str(made["NetworkInterface"]["PrivateIpAddress"])


def first_of_block(cluster: Cluster) -> str:
    """The first address of the /28 that another node's pod is in: the prefix itself, where the pool is of prefixes."""
    return str(ip_network(f"{address_of(cluster, 'far')}/28", strict=False).network_address)


def resting(cluster: Cluster) -> str:
    """The address of a pod that has just ended."""
    pods(cluster, "ended")
    done(cluster, lambda: has_address(cluster, "ended"), "it is served")
    found = address_of(cluster, "ended")
    cluster.remove_pod("ended")
    cluster.run(1.0)
    return found


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
        annotate(cluster, "forger", said)
    else:
        path, body = "/api/v1/namespaces/default/pods/forger", {"metadata": {"annotations": {PRIVATE_IPV4: None}}}
        assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200


def reported(cluster: Cluster) -> set[str]:
    """Pods that got an event about their annotation."""
    reasons = ("AnnotationNotVerified", "AddressShared", "AddressMissing", "PodAnnotationMalformed")
    return {n.name for n in cluster.notices if isinstance(n, PodNotice) and n.reason in reasons}


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
    assert [problem for problem in cluster.problems if " forger " not in problem] == []


def has_address(cluster: Cluster, name: str) -> bool:
    return address_of(cluster, name) not in ("None", "")


@pytest.mark.parametrize(
    ("mode", "lost"),
    [
        pytest.param("addresses", True, id="addresses, redis lost"),
        pytest.param("prefixes", False, id="prefixes, redis kept"),
        pytest.param("addresses", False, id="addresses, redis kept", marks=pytest.mark.slow),
        pytest.param("prefixes", True, id="prefixes, redis lost", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_address_takes_nothing_from_anybody(forgery: str, mode: str, lost: bool, simulate: Simulate) -> None:
    cluster = simulate()
    forged_life(cluster, mode, forgery, lost=lost)
    told_rightly(cluster, forgery)


def told_rightly(cluster: Cluster, forgery: str) -> None:
    # One that is taken away is written again.
    assert reported(cluster) == (set() if forgery == "removed" else {"forger"})


SHARE = 40
"""In the default run every so many of a life's places to crash, others for each forgery: all of them take long."""


def crash_places(forgery: str, mode: str, simulate: Simulate) -> list[int]:
    """Before and after every call that changes something or asks outside, from the forgery on."""
    whole = simulate()
    forged_life(whole, mode, forgery, lost=True)
    calls = whole.points.calls
    begun = next(n for n, call in enumerate(calls) if "pods/far" in call)
    asked = [n for n, call in enumerate(calls) if n > begun and not call.startswith("Redis")]
    return [place for number in asked for place in (2 * number, 2 * number + 1)]


def crash(forgery: str, mode: str, places: Iterable[int], simulate: Simulate) -> None:
    for place in places:
        cluster = simulate(points=CrashPoints(cut=frozenset({place})))
        forged_life(cluster, mode, forgery, lost=True)
        told_rightly(cluster, forgery)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_address_takes_nothing_from_anybody_wherever_a_worker_dies(forgery: str, simulate: Simulate) -> None:
    number = list(FORGERIES).index(forgery)
    mode = list(MODES)[number % len(MODES)]
    crash(forgery, mode, crash_places(forgery, mode, simulate)[number::SHARE], simulate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_address_with_a_crash_at_every_call(forgery: str, mode: str, simulate: Simulate) -> None:
    crash(forgery, mode, crash_places(forgery, mode, simulate), simulate)
