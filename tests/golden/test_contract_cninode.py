"""Sentences of the contract about CNINodes and ENIConfigs that no recorded case shows."""

from typing import Any

import pytest

from common.model.names import (
    BRANCH_DESCRIPTION,
    CNINODE_CLUSTER_TAG,
    CNINODE_FINALIZER,
    FEATURE_CUSTOM_NETWORKING,
    FEATURE_POD_GROUPS,
    INSTANCE_TAG,
    LABEL_ENI_CONFIG,
    LABEL_OS,
)
from common.model.notice import CniNodeNotice, NodeNotice
from tests.golden import sight
from tests.golden.scene import MERGE, Scene
from tests.golden.test_cninode import PATH, delete
from tests.golden.test_custom_networking import BY_LABEL, custom


def patch(scene: Scene, body: dict[str, Any]) -> None:
    assert scene.cluster.kube.request("PATCH", f"{PATH}/node", body=body, content_type=MERGE).status == 200


@pytest.mark.parametrize(
    "spoilt",
    [
        {"spec": {"tags": {INSTANCE_TAG: "i-0aaaaaaaaaaaaaaaa"}}},
        {"spec": {"tags": {CNINODE_CLUSTER_TAG: None, "team": "a"}}},
        {"spec": {"tags": None}},
        {"metadata": {"labels": {LABEL_OS: "windows", "team": "a"}}},
        {"metadata": {"labels": None}},
        {"metadata": {"finalizers": None}},
        {"metadata": {"finalizers": ["example.com/other"]}},
        {"metadata": {"ownerReferences": None}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node", "uid": "another"}]}},
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_put_right_and_other_peoples_kept(scene: Scene, spoilt: dict[str, Any]) -> None:
    scene.node()
    scene.run(5)
    before = sight.cninode(scene, "node")
    assert before is not None
    patch(scene, spoilt)
    scene.run(20)
    after = sight.cninode(scene, "node")
    assert after is not None
    assert after["owners"] == before["owners"]
    assert after["features"] == before["features"]
    assert after["labels"].items() >= before["labels"].items()
    assert after["tags"].items() >= before["tags"].items()
    assert CNINODE_FINALIZER in after["finalizers"]
    text = str(spoilt)
    assert ("team" in text) is ("team" in after["labels"] or "team" in after["tags"])
    assert ("example.com/other" in text) is ("example.com/other" in after["finalizers"])


def test_other_tags_go_onto_every_interface_and_bad_ones_are_reported(scene: Scene) -> None:
    """ "Other tags in spec.tags go onto every interface that we make for the node ...; EC2's own rules for tags apply,
    and a bad one is reported, not fatal"."""
    scene.node(features=(), ready=False)
    tags = {"team": "a", "aws:mine": "x", "long": "x" * 300, "eks:eni:owner": "somebody"}
    patch(scene, {"spec": {"tags": tags, "features": [{"name": FEATURE_POD_GROUPS}]}})
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    for interface in (*scene.cluster.ours(BRANCH_DESCRIPTION), *sight.trunks(scene)):
        have = {tag["Key"]: tag["Value"] for tag in interface["TagSet"]}
        assert have["team"] == "a"
        assert have["eks:eni:owner"] == "eks-vpc-resource-controller"
        assert not {"aws:mine", "long"} & have.keys()
    assert "Warning InvalidTag" in sight.node_events(scene)


def test_more_tags_than_ec2_allows(scene: Scene) -> None:
    scene.node(features=(), ready=False)
    tags = {f"tag{place:02}": "x" for place in range(60)}
    patch(scene, {"spec": {"tags": tags, "features": [{"name": FEATURE_POD_GROUPS}]}})
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    (branch,) = scene.cluster.ours(BRANCH_DESCRIPTION)
    assert len(branch["TagSet"]) <= 50


def test_the_finalizer_goes_only_after_the_cleanup(scene: Scene) -> None:
    """ "delete that instance's leaked interfaces, *then* remove the finalizer"; "finalizer removed before the clean-up
    succeeded" must not come back; CNINodeDeletionFailed is emitted meanwhile."""
    instance = scene.node()
    leaked = scene.interface(**scene.ours(instance))
    scene.fault("DeleteNetworkInterface", "InvalidState")
    scene.remove_node("node", terminate=True)
    scene.run(120)
    assert CNINODE_FINALIZER in scene.cluster.cninode("node")["metadata"]["finalizers"]
    (reason,) = {n.reason for n in scene.cluster.notices if isinstance(n, CniNodeNotice)}
    assert reason == "CNINodeDeletionFailed"
    scene.heal()
    scene.until("the CNINode is gone", lambda: not scene.cluster.cninode("node"), 150)
    assert not sight.still_there(scene, [leaked])


def test_a_leftover_in_use_is_waited_for(scene: Scene) -> None:
    """Interfaces of an instance that is still shutting down become available later."""
    instance = scene.node()
    scene.cluster.kube.request("DELETE", "/api/v1/nodes/node")
    scene.cluster.kube.request("DELETE", f"{PATH}/node")
    scene.until("the CNINode is gone", lambda: not scene.cluster.cninode("node"), 60)
    assert sight.left(scene) == ["aws-k8s-trunk-eni: in-use"]  # "It goes with the instance, by delete-on-termination."
    scene.cluster.ec2.terminate_instance(instance)
    assert sight.left(scene) == []


def test_a_cninode_without_a_node_is_taken_away(scene: Scene) -> None:
    """One that the garbage collector does not collect, because somebody took the owner away."""
    scene.node()
    scene.run(5)
    scene.cluster.kube.request("DELETE", "/api/v1/nodes/node")
    patch(scene, {"metadata": {"ownerReferences": None}})
    scene.until("the CNINode is gone", lambda: not scene.cluster.cninode("node"), 120)


def test_deleted_under_a_living_node_it_is_made_again_when_the_old_one_is_gone(scene: Scene) -> None:
    """ "remove the finalizer, wait until the object is gone and create it again with the same spec"."""
    scene.node()
    patch(
        scene, {"metadata": {"finalizers": [CNINODE_FINALIZER, "example.com/other"]}, "spec": {"tags": {"team": "a"}}}
    )
    scene.run(5)
    before = scene.cluster.cninode("node")
    scene.cluster.kube.request("DELETE", f"{PATH}/node")
    scene.run(60)
    held = scene.cluster.cninode("node")
    assert held["metadata"]["uid"] == before["metadata"]["uid"]
    assert held["metadata"]["finalizers"] == ["example.com/other"]
    patch(scene, {"metadata": {"finalizers": []}})
    scene.until(
        "made again",
        lambda: scene.cluster.cninode("node").get("metadata", {}).get("uid") not in (None, held["metadata"]["uid"]),
    )
    scene.run(5)
    assert scene.cluster.cninode("node")["spec"] == before["spec"]


def test_deleted_while_nobody_runs_it_comes_back_with_its_features(scene: Scene) -> None:
    scene.node()
    scene.web()
    scene.pod("pod")
    scene.served("pod")
    before = scene.cluster.cninode("node")["spec"]
    scene.kill()
    patch(scene, {"metadata": {"finalizers": None}})
    scene.cluster.kube.request("DELETE", f"{PATH}/node")
    scene.run(30)
    assert scene.cluster.cninode("node")["spec"] == before
    delete(scene)
    scene.run(90)
    assert not sight.pod(scene, "pod")["interfaces"][0]["differs from EC2"]


def test_a_cninode_that_cannot_be_made_is_reported_and_tried_again(scene: Scene) -> None:
    scene.deny("POST", "cninodes")
    scene.put_node("node", f"aws:///us-west-2a/{scene.instance()}", {})
    scene.run(20)
    assert "Warning CNINodeCreationFailed" in sight.node_events(scene)
    scene.allow()
    scene.until("a CNINode", lambda: bool(scene.cluster.cninode("node")), 60)


# --- ENIConfigs


def test_a_feature_without_a_value_is_reported(scene: Scene) -> None:
    """ "EniConfigNameNotFound: feature CustomNetworking without a value"."""
    scene.node(features=((FEATURE_POD_GROUPS, ""), (FEATURE_CUSTOM_NETWORKING, "")), ready=False)
    scene.run(60)
    assert "Warning EniConfigNameNotFound" in sight.node_events(scene)
    assert sight.left(scene) == []
    custom(scene, "custom")
    scene.features("node", (FEATURE_POD_GROUPS, ""), (FEATURE_CUSTOM_NETWORKING, "config"))
    scene.until("capacity", lambda: scene.cluster.capacity("node") == "9")


def test_the_label_goes_before_the_feature(scene: Scene) -> None:
    custom(scene, "custom")
    other = scene.subnet("other", "10.0.128.0/19")
    scene.cluster.put_eni_config("other", other, [scene.group("others")])
    features = ((FEATURE_POD_GROUPS, ""), (FEATURE_CUSTOM_NETWORKING, "other"))
    scene.node(features=features, labels={LABEL_ENI_CONFIG: "config"})
    found = sight.trunk(scene)
    assert found is not None
    assert (found["subnet"], found["groups"]) == ("<custom>", ["<custom>"])


def test_groups_of_the_trunk_follow_its_eniconfig(scene: Scene) -> None:
    """Faults, row 9."""
    subnet = custom(scene, "custom")
    scene.node(labels=BY_LABEL)
    scene.cluster.put_eni_config("config", subnet, [scene.group("newer")])
    scene.until("groups", lambda: (sight.trunk(scene) or {}).get("groups") == ["<newer>"])


def test_an_eniconfig_that_goes_takes_nothing_and_pods_wait_for_it(scene: Scene) -> None:
    subnet = custom(scene, "custom")
    scene.node(labels=BY_LABEL)
    scene.web()
    uid = scene.pod("pod")
    scene.served("pod")
    scene.cluster.kube.request("DELETE", "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/config")
    waits = scene.pod("waits")
    scene.run(120)
    assert sight.still_there(scene, sight.enis(scene, uid))
    assert scene.cluster.capacity("node") == "9"
    assert scene.annotation("waits") is None
    assert "Warning BranchAllocationFailed" in sight.pod_events(scene, waits)
    reported = [
        n.message for n in scene.cluster.notices if isinstance(n, NodeNotice) and n.reason == "EniConfigNameNotFound"
    ]
    assert len(reported) == 1
    scene.cluster.put_eni_config("config", subnet, [])
    scene.served("waits", within=60)
