"""Custom networking: branch interfaces are made as the node's ENIConfig says."""

from tests.e2e.product import GROUPS
from tests.e2e.scene import Scene, given
from tests.integration.rig import SUBNET

CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"


def test_pods_wait_for_an_eni_config_that_comes_late(scene: Scene) -> None:
    scene.add_trunk_nodes("custom-1")
    label = {"vpc.amazonaws.com/eniConfig": "late-az"}
    assert scene.api.merge("/api/v1/nodes/custom-1", {"metadata": {"labels": label}}).status == 200
    scene.deploy("app", 1)
    scene.wait("it is said what is missing", lambda: _missed(scene))
    assert not any(given(pod) for pod in scene.pods())
    spec = {"subnet": SUBNET, "securityGroups": [GROUPS["db"]]}
    kind = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig"}
    scene.api.make(CONFIGS, {**kind, "metadata": {"name": "late-az"}, "spec": spec})
    seconds = scene.run(1)
    print(f"\na pod ran {seconds:.2f} s after its node's ENIConfig came")
    assert scene.groups_of(scene.pods()[0]) == [GROUPS["db"]]


def _missed(scene: Scene) -> bool:
    events = scene.api("GET", f"/api/v1/namespaces/{scene.name}/events").body["items"]
    return any("ENIConfig late-az" in one["message"] for one in events if one["reason"] == "BranchAllocationFailed")
