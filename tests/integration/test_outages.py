"""An API server that is away, forgets, or fails in parts, and an EC2 that fails every third call: nothing is released
or given twice, and work goes on by itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from common.model.names import TRUNK_DESCRIPTION
from tests.integration.rig import MERGE, Rig, running
from tests.integration.standing import annotation, branches, leaked, repeated_events, shared, unserved
from watcher.run import LOST_LEASE

PODS = 8
AWAY_SECONDS = 8.0
"""Shorter than a lease lasts unrenewed; the minute of the slow test is longer."""
BY_FEATURE = "n1"
"""A node that is managed by its CNINode's feature alone."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("outages")
    # Pages of 3: every list has several.
    with running(folder, VPC_RC_PAGE_SIZE="3", VPC_RC_NODE_RELEASE_SECONDS="3") as (found, _):
        found.add_node("n0", "m5.xlarge")
        instance = found.add_node("plain", "m5.xlarge")
        found.kube("DELETE", "/api/v1/nodes/plain")
        found.register(BY_FEATURE, f"aws:///us-west-2a/{instance}", **{"kubernetes.io/os": "linux"})
        found.wait("the CNINode", lambda: BY_FEATURE in cninodes(found))
        feature = {"spec": {"features": [{"name": "SecurityGroupsForPods"}]}}
        found.kube("PATCH", cninode(BY_FEATURE), feature, MERGE)
        found.wait("nodes", lambda: found.capacity("n0") == found.capacity(BY_FEATURE) == "18")
        for number in range(PODS):
            found.add_pod(f"old-{number}", ("n0", BY_FEATURE)[number % 2])
        found.wait_for_none("unserved", lambda: unserved(found))
        yield found
        assert found.faults_logged() == []
        assert repeated_events(found) == []


def cninode(node: str) -> str:
    return f"/apis/vpcresources.k8s.aws/v1alpha1/cninodes/{node}"


def cninodes(rig: Rig) -> list[str]:
    path, _, _ = cninode("x").rpartition("/")
    return [item["metadata"]["name"] for item in rig.kube("GET", path)["items"]]


def all_kept(rig: Rig, had: set[str]) -> bool:
    return had <= branches(rig)


@pytest.fixture
def had(rig: Rig) -> Iterator[set[str]]:
    """The interfaces of pods that live through the test; afterwards they are as before, and a new pod is served."""
    kept = {entry["eniId"] for pod in rig.pods() for entry in annotation(pod)}
    there = {pod["metadata"]["name"] for pod in rig.pods()}
    yield kept
    for pod in rig.pods():
        if pod["metadata"]["name"] not in there:
            rig.remove_pod(pod["metadata"]["name"])
    rig.end_kube_faults()
    rig.ec2("DELETE", "faults")
    for node in ("n0", BY_FEATURE):
        rig.add_pod(f"after-{node}", node)
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)
    assert kept <= branches(rig)
    assert shared(rig) == []
    # A leader that could not renew its lease for 15 s ends, and is started again.
    assert all(restart == f"watcher0: {LOST_LEASE}" for restart in rig.restarts)
    for node in ("n0", BY_FEATURE):
        rig.remove_pod(f"after-{node}")


def drop(rig: Rig, how: str) -> None:
    rig.wait("a watch is open", lambda: rig.kube("POST", f"/_sandbox/drop-watches?how={how}")["dropped"] > 0)


@pytest.mark.parametrize("how", ["reset", "end", "expired"])
def test_watches_that_end_go_on(rig: Rig, had: set[str], how: str) -> None:
    """Pods come and go while the watches may not be opened again; versions are compacted away meanwhile."""
    rig.kube_fault(503, verb="watch")
    drop(rig, how)
    rig.add_pod("unseen", "n0")
    rig.add_pod("never-seen", "n0")
    rig.remove_pod("never-seen")
    if how == "expired":
        rig.kube("POST", "/_sandbox/compact")
    rig.end_kube_faults()
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)
    assert all_kept(rig, had)


@pytest.mark.parametrize("resource", ["pods", "nodes", "cninodes"])
def test_a_list_whose_pages_fail_releases_nothing(rig: Rig, had: set[str], resource: str) -> None:
    """Every second page fails: no list comes to its end for a while."""
    rig.kube_fault(500, rate=0.6, count=8, verb="list", resource=resource)
    rig.kube("POST", "/_sandbox/compact")
    drop(rig, "expired")
    rig.add_pod("new", BY_FEATURE)
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)
    assert all_kept(rig, had)


def test_cninodes_that_answer_500_take_no_feature_away(rig: Rig, had: set[str]) -> None:
    rig.kube_fault(500, resource="cninodes")
    drop(rig, "reset")
    rig.add_pod("new", BY_FEATURE)
    rig.wait_for_none("unserved", lambda: unserved(rig), 30)
    rig.holds("kept", lambda: all_kept(rig, had), 5)
    assert rig.capacity(BY_FEATURE) == "18"


def api_server_away(rig: Rig, had: set[str], seconds: float) -> None:
    rig.add_pod("ends-meanwhile", "n0")
    rig.wait_for_none("unserved", lambda: unserved(rig))
    rig.kube_fault("reset")
    drop(rig, "reset")
    rig.remove_pod("ends-meanwhile")
    rig.add_pod("comes-meanwhile", BY_FEATURE)
    rig.add_pod("comes-and-goes", "n0")
    rig.remove_pod("comes-and-goes")
    rig.holds("kept while the API server is away", lambda: all_kept(rig, had), seconds)
    assert unserved(rig) == ["comes-meanwhile"]
    rig.end_kube_faults()
    rig.add_pod("comes-after", "n0")
    took = rig.wait_for_none("unserved", lambda: unserved(rig), 60)
    print(f"API server away for {seconds:.0f} s: all pods are served {took:.1f} s after its return")
    rig.holds("kept after its return", lambda: all_kept(rig, had), 2)


def test_an_api_server_that_is_away_costs_no_pod_its_interface(rig: Rig, had: set[str]) -> None:
    api_server_away(rig, had, AWAY_SECONDS)


@pytest.mark.slow
def test_an_api_server_that_is_away_for_a_minute_costs_no_pod_its_interface(rig: Rig, had: set[str]) -> None:
    api_server_away(rig, had, 60)


def test_an_api_server_that_does_not_answer_costs_no_pod_its_interface(rig: Rig, had: set[str]) -> None:
    """Requests and open watches hang; no connection breaks."""
    (server,) = [p for p in rig.processes if p.name == "kube"]
    server.pause()
    try:
        rig.holds("kept", lambda: all_kept(rig, had), 5)
    finally:
        server.go_on()
    rig.add_pod("comes-after", "n0")
    rig.wait_for_none("unserved", lambda: unserved(rig), 60)


MUTATING = (
    "CreateNetworkInterface",
    "CreateNetworkInterfacePermission",
    "AttachNetworkInterface",
    "ModifyNetworkInterfaceAttribute",
    "AssociateTrunkInterface",
    "DisassociateTrunkInterface",
    "DeleteNetworkInterface",
    "DetachNetworkInterface",
)


def ec2_faults() -> list[dict[str, Any]]:
    """Of ten calls of each kind three fail: without effect, or after it with a broken connection."""
    refused = [{"action": action, "rate": 0.15, "code": "InternalError"} for action in MUTATING]
    cut = [{"action": action, "rate": 0.15, "code": "reset", "when": "after"} for action in MUTATING]
    return [*refused, *cut]


def test_an_ec2_that_fails_every_third_call_serves_all_and_leaks_nothing(rig: Rig, had: set[str]) -> None:
    """Nodes join, pods come, some end before they are served; at the end all that ended is released under the same
    faults."""
    rig.ec2("POST", "faults", ec2_faults())
    nodes = [f"f{number}" for number in range(4)]
    for node in nodes:
        rig.add_node(node, "m5.xlarge")
    for number in range(40):
        rig.add_pod(f"pod-{number:02}", nodes[number % 4])
    for number in range(0, 40, 8):
        rig.remove_pod(f"pod-{number:02}")
    seconds = rig.wait_for_none("unserved", lambda: unserved(rig), 120)
    print(f"35 pods on 4 new nodes served in {seconds:.1f} s; EC2: {rig.ec2('GET', 'summary')['actions']}")
    assert shared(rig) == []
    for number in range(1, 40, 2):
        rig.remove_pod(f"pod-{number:02}")
    rig.wait_for_none("interfaces beyond those of live pods", lambda: leaked(rig), 150)
    assert had <= branches(rig)
    trunks = [i["attachment"]["instance_id"] for i in rig.interfaces(TRUNK_DESCRIPTION)]
    assert len(trunks) == len(set(trunks)) == 6
