"""Which nodes are ours, and what their CNINode says."""

from typing import Any

import msgspec
import pytest

from common.model.config import ClusterConfig
from common.model.names import INSTANCE_TAG, VLAN_TAG
from common.model.node import CniNodeSpec, Feature, NodeView
from common.rules.managed import (
    Management,
    eni_config_name,
    foreign_instances,
    interface_tags,
    management,
    spec_of,
    wanted_tags,
)
from tests.unit.node.builders import CLUSTER, INSTANCE, OTHER_INSTANCE, POD_GROUPS_SPEC, cninode, node

IPAM = ClusterConfig(windows_ipam=True)


OTHERS_SPEC = msgspec.structs.replace(POD_GROUPS_SPEC, managed_by="eks-auto-mode")
NAMED_SPEC = msgspec.structs.replace(POD_GROUPS_SPEC, managed_by="vpc-resource-controller")


@pytest.mark.parametrize(
    ("about", "spec", "config", "is_a"),
    [
        pytest.param({"trunk_label": True}, None, None, Management.LINUX, id="Linux with the old label"),
        pytest.param({}, POD_GROUPS_SPEC, None, Management.LINUX, id="Linux with the feature"),
        pytest.param({}, CniNodeSpec(), None, Management.UNMANAGED, id="Linux without either"),
        pytest.param({}, None, None, Management.UNMANAGED, id="Linux whose CNINode was never seen"),
        pytest.param({"os": "windows"}, None, IPAM, Management.WINDOWS, id="Windows with IPAM on"),
        pytest.param({"os": "windows"}, None, ClusterConfig(), Management.UNMANAGED, id="Windows with IPAM off"),
        pytest.param({"os": "windows"}, None, None, Management.UNMANAGED, id="Windows before the ConfigMap is known"),
        pytest.param(
            {"os": "windows", "trunk_label": True},
            POD_GROUPS_SPEC,
            None,
            Management.UNMANAGED,
            id="Windows has no trunk",
        ),
        pytest.param({"os": ""}, POD_GROUPS_SPEC, IPAM, Management.UNMANAGED, id="no OS label"),
        pytest.param({"instance_id": None}, POD_GROUPS_SPEC, IPAM, Management.UNMANAGED, id="no instance id"),
        pytest.param(
            {"auto": True, "trunk_label": True}, POD_GROUPS_SPEC, IPAM, Management.IGNORED, id="EKS auto mode"
        ),
        pytest.param({"trunk_label": True}, OTHERS_SPEC, IPAM, Management.IGNORED, id="EKS auto mode's CNINode"),
        pytest.param({}, NAMED_SPEC, IPAM, Management.LINUX, id="a CNINode that names us"),
    ],
)
def test_standing(
    about: dict[str, Any], spec: CniNodeSpec | None, config: ClusterConfig | None, is_a: Management
) -> None:
    assert management(node(**{"trunk_label": False, **about}), spec, config) is is_a


def test_a_cninode_that_went_takes_no_feature_away() -> None:
    assert spec_of(NodeView(node=node()), POD_GROUPS_SPEC) is POD_GROUPS_SPEC
    assert spec_of(NodeView(node=node(), cninode=cninode(spec=CniNodeSpec())), POD_GROUPS_SPEC) == CniNodeSpec()


@pytest.mark.parametrize(
    ("label", "feature", "name"),
    [
        pytest.param(None, None, None, id="no custom networking"),
        pytest.param("labelled", None, "labelled", id="the label"),
        pytest.param(None, "featured", "featured", id="the feature"),
        pytest.param("labelled", "featured", "labelled", id="the label before the feature"),
        pytest.param(None, "", "", id="the feature without a name"),
    ],
)
def test_eni_config(label: str | None, feature: str | None, name: str | None) -> None:
    features = () if feature is None else (Feature(name="CustomNetworking", value=feature),)
    assert eni_config_name(node(eni_config_label=label), CniNodeSpec(features=features)) == name


def test_no_tag_is_written_for_an_unknown_instance() -> None:
    assert wanted_tags(node(), CLUSTER)[INSTANCE_TAG] == INSTANCE
    assert INSTANCE_TAG not in wanted_tags(node(instance_id=None), CLUSTER)


def test_other_peoples_tags_go_onto_interfaces() -> None:
    tags = {**POD_GROUPS_SPEC.tags, **wanted_tags(node(), CLUSTER), "team": "a"}
    assert interface_tags(CniNodeSpec(tags=tags)) == ({"team": "a"}, ())
    assert interface_tags(None) == ({}, ())


@pytest.mark.parametrize(
    "key",
    [
        "kubernetes.io/cluster/another",
        f"kubernetes.io/cluster/{CLUSTER}",
        "eks:eni:owner",
        "eks:cluster-name",
        "cluster.k8s.amazonaws.com/other",
        "node.k8s.amazonaws.com/created_at",
        VLAN_TAG,
        "vpcresources.k8s.aws/pod-uid",
    ],
)
def test_whose_an_interface_is_is_not_for_a_cninode_to_say(key: str) -> None:
    good, bad = interface_tags(CniNodeSpec(tags={key: "owned", "team": "a"}))
    assert good == {"team": "a"}
    assert len(bad) == 1
    assert key in bad[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "x"), ("k" * 129, "x"), ("k", "v" * 257), ("aws:thing", "x"), ("AWS:thing", "x")],
)
def test_a_tag_that_ec2_refuses_is_left_out_and_reported(key: str, value: str) -> None:
    good, bad = interface_tags(CniNodeSpec(tags={key: value, "team": "a"}))
    assert good == {"team": "a"}
    assert len(bad) == 1


def test_with_ours_there_are_never_more_than_fifty_tags() -> None:
    good, bad = interface_tags(CniNodeSpec(tags={f"k{n:02}": "" for n in range(60)}))
    assert len(good) == 44
    assert len(bad) == 16


def test_instances_of_auto_mode_are_known_by_node_and_cninode() -> None:
    others = cninode(spec=OTHERS_SPEC)
    assert foreign_instances(NodeView(node=node(instance_id=OTHER_INSTANCE), cninode=others)) == {
        OTHER_INSTANCE,
        INSTANCE,
    }
    assert foreign_instances(NodeView(cninode=others)) == {INSTANCE}
    assert foreign_instances(NodeView(node=node(auto=True))) == {INSTANCE}
    assert foreign_instances(NodeView(node=node(), cninode=cninode())) == frozenset()
