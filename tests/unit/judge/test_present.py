"""The checker of a present state notices each way in which an annotation or EC2 can be wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common.model.names import INSTANCE_TAG, OWNER_OURS, OWNER_TAG, POD_ENI, POD_UID_TAG
from sandbox.judge.present import Ec2State, Given, annotated_pods, leftovers, problems

GROUPS = ("sg-1", "sg-2")
State = dict[str, list[dict[str, Any]]]


def state() -> State:
    """Two instances, each with a trunk, and a branch on each trunk."""
    made: State = {
        "interfaces": [],
        "associations": [],
        "subnets": [{"id": "s", "cidr": "10.0.0.0/18", "ipv6_cidr": None}],
    }
    for n in (1, 2):
        ours = {OWNER_TAG: OWNER_OURS, INSTANCE_TAG: f"i-{n}"}
        common = {"subnet_id": "s", "groups": list(GROUPS), "ipv6": [], "status": "in-use", "tags": ours}
        attachment = {"instance_id": f"i-{n}", "device_index": 0}
        made["interfaces"] += [
            {**common, "id": f"eni-p{n}", "interface_type": "interface", "attachment": attachment, "tags": {}},
            {**common, "id": f"eni-t{n}", "interface_type": "trunk", "attachment": {**attachment, "device_index": 3}},
            {
                **common,
                "id": f"eni-b{n}",
                "interface_type": "interface",
                "attachment": None,
                "mac": f"02:{n}",
                "primary_ip": f"10.0.0.{n}",
                "tags": {**ours, POD_UID_TAG: str(n)},
            },
        ]
        made["associations"].append(
            {"id": f"trunk-assoc-{n}", "trunk_id": f"eni-t{n}", "branch_id": f"eni-b{n}", "vlan_id": 7}
        )
    return made


def entry(n: int, **changes: object) -> dict[str, object]:
    return {
        "eniId": f"eni-b{n}",
        "ifAddress": f"02:{n}",
        "privateIp": f"10.0.0.{n}",
        "ipv6Addr": "",
        "vlanId": 7,
        "subnetCidr": "10.0.0.0/18",
        "subnetV6Cidr": "",
        "associationID": f"trunk-assoc-{n}",
    } | changes


def given(n: int, *entries: dict[str, object]) -> Given:
    return Given(pod=f"d/{n}", uid=str(n), instance_id=f"i-{n}", annotation=json.dumps(entries or [entry(n)]))


def test_what_is_right_has_no_problem() -> None:
    pods = [given(1), given(2)]
    assert problems(pods, Ec2State(state()), GROUPS) == []
    assert leftovers(pods, Ec2State(state()), 2) == []


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        pytest.param([Given(pod="d/1", uid="1", instance_id="i-1", annotation="{")], "no JSON list", id="no JSON"),
        pytest.param([given(1, entry(1), entry(2))], "2 interfaces for 1", id="one too many"),
        pytest.param([given(1, entry(1, more=1))], "fields more differ", id="unknown field"),
        pytest.param([given(1, {"eniId": "eni-b1"})], "differ", id="missing fields"),
        pytest.param([given(1, entry(1, vlanId="7"))], "vlanId of the wrong type", id="text for a number"),
        pytest.param([given(1, entry(1, vlanId=121))], "VLAN 121 is not in 1..120", id="VLAN too high"),
        pytest.param([given(1, entry(1, vlanId=8))], "vlanId is 8, in EC2 7", id="another VLAN than EC2's"),
        pytest.param([given(1, entry(1, eniId="eni-x"))], "no associated interface eni-x", id="unknown interface"),
        pytest.param([given(1, entry(1, ifAddress="02:9"))], "ifAddress is '02:9'", id="wrong MAC"),
        pytest.param([given(1, entry(1, privateIp="10.0.0.9"))], "privateIp", id="wrong address"),
        pytest.param([given(1, entry(1, subnetCidr="10.0.0.0/19"))], "subnetCidr", id="wrong subnet"),
        pytest.param([given(1, entry(1, associationID=""))], "associationID", id="no association"),
        pytest.param([given(1, entry(2))], "is not on its node's instance i-1", id="another node's trunk"),
        pytest.param([given(1), given(2, entry(1))], "were both given eni-b1", id="one interface twice"),
        pytest.param([replace(given(1), uid="9")], "eni-b1 was made for another pod", id="another pod's interface"),
        pytest.param([replace(given(1), asked=2)], "1 interfaces for 2 asked for", id="one too few"),
    ],
)
def test_each_wrong_annotation_is_noticed(pods: list[Given], says: str) -> None:
    assert any(says in problem for problem in problems(pods, Ec2State(state()), GROUPS))


def test_wrong_groups_are_noticed() -> None:
    assert "has the groups sg-1, sg-2" in problems([given(1)], Ec2State(state()), ("sg-1",))[0]


def test_a_shared_vlan_is_noticed() -> None:
    changed = state()
    changed["associations"][1]["trunk_id"] = "eni-t1"
    assert any("share VLAN 7 of eni-t1" in one for one in problems([given(1), given(2)], Ec2State(changed), GROUPS))


def _lose_branch(changed: State) -> None:
    changed["interfaces"] = [one for one in changed["interfaces"] if one["id"] != "eni-b1"]


def _second_trunk(changed: State) -> None:
    changed["interfaces"].append({**changed["interfaces"][1], "id": "eni-t3"})


def _loose_trunk(changed: State) -> None:
    changed["interfaces"][1] |= {"attachment": None, "status": "available"}


def _loose_interface(changed: State) -> None:
    changed["interfaces"].append({**changed["interfaces"][2], "id": "eni-l"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(_lose_branch, "eni-b1 of d/1 is gone", id="a live pod's branch is gone"),
        pytest.param(_second_trunk, "EC2 has 3 trunks for 2 nodes", id="one trunk too many"),
        pytest.param(_second_trunk, "i-1 has 2 trunks", id="two trunks of an instance"),
        pytest.param(_loose_trunk, "trunk eni-t1 is available", id="a trunk that is not attached"),
        pytest.param(_loose_interface, "eni-l belongs to no live pod", id="leaked interface"),
    ],
)
def test_what_ec2_holds_too_much_or_too_little_is_noticed(change: Callable[[State], None], says: str) -> None:
    changed = state()
    change(changed)
    assert says in leftovers([given(1), given(2)], Ec2State(changed), 2)


def test_interfaces_of_others_and_of_other_instances_are_not_counted() -> None:
    changed = state()
    changed["interfaces"][5]["tags"][OWNER_TAG] = "amazon-vpc-cni"
    assert leftovers([given(1)], Ec2State(changed, {"i-1"})) == []
    assert leftovers([given(1)], Ec2State(changed)) == []


def test_pods_that_live_and_are_annotated_are_taken_from_the_api_servers_objects() -> None:
    def pod(name: str, phase: str, limits: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
        return {
            "metadata": {"namespace": "d", "name": name, "uid": name, "annotations": annotations},
            "spec": {"nodeName": "n1", "containers": [{"resources": {"limits": limits}}]},
            "status": {"phase": phase},
        }

    asks, annotated = {POD_ENI: "2"}, {POD_ENI: "[]"}
    pods = [pod("a", "Running", asks, annotated), pod("b", "Succeeded", asks, annotated), pod("c", "Pending", asks, {})]
    nodes = [{"metadata": {"name": "n1"}, "spec": {"providerID": "aws:///z/i-1"}}]
    assert annotated_pods(pods, nodes) == [Given(pod="d/a", uid="a", instance_id="i-1", annotation="[]", asked=2)]
