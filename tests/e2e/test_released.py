"""What ends gives its interfaces back: scaled down, completed, or gone with its node. All of them wait at once."""

import time
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from common.model.names import INSTANCE_TAG
from tests.e2e.invariants import come_to_rest
from tests.e2e.product import COOL_DOWN, NODE_RELEASE, Product
from tests.e2e.scene import Scene, given
from tests.integration.rig import SUBNET

PROMPTLY = 5.0
"""Over the due time: two seconds are promised; calls take some, and so does a busy machine."""


HOLD = "e2e/hold"
"""A finalizer on a pod: it is being deleted until this goes."""


@dataclass(frozen=True)
class Ended:
    """Parts of the cluster whose pods have ended, and the moments (monotonic) at which they did."""

    scaled: Scene
    jobs: Scene
    left: Scene
    going: Scene
    """Its pod is being deleted, and does not go."""
    scaled_at: float
    jobs_at: float
    left_at: float
    held: dict[str, set[str]] = field(default_factory=dict)
    """Their interfaces by the scene's name."""
    leaked: set[str] = field(default_factory=set)
    """Interfaces of the instance whose node left."""
    foreign: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def ended(product: Product) -> Ended:
    scaled, jobs, left, going = (Scene(product, f"ended-{name}") for name in ("scaled", "jobs", "left", "going"))
    nodes = ((scaled, "scaled-down-1"), (jobs, "jobs-1"), (left, "left-1"), (going, "going-1"))
    for scene, node in nodes:
        scene.begin_trunk_nodes(node)
    for scene, node in nodes:
        scene.finish_trunk_nodes(node)
    scaled.deploy("app", 9)
    left.deploy("app", 3)
    jobs.api.make(f"/apis/batch/v1/namespaces/{jobs.name}/jobs", {
        "metadata": {"name": "job"},
        "spec": {
            "completions": 4, "parallelism": 4,
            "template": {"spec": jobs.pod_template(restartPolicy="Never")},
        },
    })  # fmt: skip
    going.api.make(f"/api/v1/namespaces/{going.name}/pods", {
        "metadata": {"name": "going", "finalizers": [HOLD]}, "spec": going.pod_template(),
    })  # fmt: skip
    scaled.run(9)
    left.run(3)
    going.run(1)
    jobs.wait("they have interfaces", lambda: len(_held(jobs)) == 4)
    held = {scene.name: _held(scene) for scene in (scaled, jobs, left, going)}
    jobs.wait("they are done", lambda: all(pod["status"]["phase"] == "Succeeded" for pod in jobs.pods()))
    jobs_at = time.monotonic()
    instance = left.instances["left-1"]
    leaked = {_leak(product, instance, owner, rig) for owner, rig in OWNERS}
    foreign = {_leak(product, "i-0fedcba9876543210", *OWNERS[1]), _leak(product, instance, "somebody", {})}
    assert going.api("DELETE", f"/api/v1/namespaces/{going.name}/pods/going").status == 200
    scaled.scale("app", 0)
    assert left.api("DELETE", "/api/v1/nodes/left-1").status == 200
    left_at = time.monotonic()
    scaled.wait("they are gone", lambda: not scaled.pods())
    scaled_at = time.monotonic()
    return Ended(scaled, jobs, left, going, scaled_at, jobs_at, left_at, held, leaked, foreign)


OWNERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("eks-vpc-resource-controller", {"kubernetes.io/cluster/rig": "owned"}),
    ("amazon-vpc-cni", {"cluster.k8s.amazonaws.com/name": "rig"}),
)


def test_new_pods_wait_for_the_cool_down_of_old_ones(ended: Ended) -> None:
    scene = ended.scaled
    assert ended.held[scene.name] <= set(scene.interfaces()), "they cool down"
    scene.scale("app", 9)
    scene.run(9, seconds=COOL_DOWN + 15)
    seconds = time.monotonic() - ended.scaled_at
    print(f"\n9 pods on a node whose 9 interfaces cooled down for {COOL_DOWN} s ran {seconds:.1f} s after these ended")
    assert not ended.held[scene.name] & _held(scene)


def test_completed_pods_give_back(ended: Ended) -> None:
    scene = ended.jobs
    _wait_released(scene, ended.held[scene.name], ended.jobs_at, COOL_DOWN)
    # The annotation stays for people.
    assert len(_held(scene)) == 4


def test_the_branches_of_a_deleted_node_go(ended: Ended) -> None:
    scene = ended.left
    _wait_released(scene, ended.held[scene.name], ended.left_at, NODE_RELEASE)


def test_a_pod_being_deleted_keeps_its_interface(ended: Ended) -> None:
    scene = ended.going
    assert time.monotonic() - ended.scaled_at > COOL_DOWN
    (pod,) = scene.pods()
    assert "deletionTimestamp" in pod["metadata"]
    assert ended.held[scene.name] <= set(scene.interfaces())
    # Left so for the last test, which counts it to what pods have.


def test_a_deleted_node_takes_what_leaked_with_it(ended: Ended) -> None:
    """The real garbage collector deletes the CNINode; it is there until our clean-up is done."""
    scene = ended.left
    scene.wait("CNINode is gone", lambda: scene.cninode("left-1") is None, 120)
    present = set(scene.interfaces())
    print(f"\nCNINode of a deleted node gone {time.monotonic() - ended.left_at:.2f} s later")
    assert not ended.leaked & present
    assert ended.foreign <= present
    assert all(trunk["interface_type"] == "trunk" for trunk in _trunks(scene))
    assert len(_trunks(scene)) == 1, "it goes with the instance"


def test_in_the_end_ec2_holds_what_live_pods_have(ended: Ended) -> None:
    """For all cases of this run, not only this file's."""
    product = ended.scaled.product
    come_to_rest(product, COOL_DOWN + 30)
    assert _held(ended.going), "there is something to hold"


def _wait_released(scene: Scene, interfaces: set[str], since: float, due: float) -> None:
    left = due + PROMPTLY - (time.monotonic() - since)
    scene.wait("the interfaces are gone", lambda: not interfaces & set(scene.interfaces()), max(left, 1.0))
    history = scene.rig.ec2("GET", "history")
    ended = time.time() - (time.monotonic() - since)
    seconds = sorted(max(step["time"] for step in history[eni]) - ended for eni in interfaces)
    assert seconds[0] >= due - 1.0, "released before its time"
    print(f"\n{scene.name}: {len(seconds)} interfaces deleted {seconds[0]:.1f} to {seconds[-1]:.1f} s after the end")


def _held(scene: Scene) -> set[str]:
    return {interface["eniId"] for pod in scene.pods() for interface in given(pod)}


def _trunks(scene: Scene) -> list[dict[str, Any]]:
    instances = set(scene.instances.values())
    return [
        one
        for one in scene.interfaces().values()
        if one["interface_type"] == "trunk" and one["tags"].get(INSTANCE_TAG) in instances
    ]


def _leak(product: Product, instance: str, owner: str, tags: dict[str, str]) -> str:
    """An interface that was made for the instance and never came into use."""
    client = boto3.client(
        "ec2",
        region_name="us-west-2",
        endpoint_url=product.rig.ec2_url,
        aws_access_key_id="somebody",
        aws_secret_access_key="somebody",
    )
    tagged = {"eks:eni:owner": owner, INSTANCE_TAG: instance, **tags}
    made = client.create_network_interface(
        SubnetId=SUBNET,
        TagSpecifications=[
            {
                "ResourceType": "network-interface",
                "Tags": [{"Key": key, "Value": value} for key, value in tagged.items()],
            }
        ],
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])
