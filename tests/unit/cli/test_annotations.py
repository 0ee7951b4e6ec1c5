"""The demo's verdict notices each way in which an annotation or EC2 can be wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli.demo.annotations import Given, World, leftovers, problems

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
        common = {"subnet_id": "s", "groups": list(GROUPS), "ipv6": [], "status": "in-use"}
        attachment = {"instance_id": f"i-{n}", "device_index": 0}
        made["interfaces"] += [
            {**common, "id": f"eni-p{n}", "interface_type": "interface", "attachment": attachment},
            {**common, "id": f"eni-t{n}", "interface_type": "trunk", "attachment": {**attachment, "device_index": 3}},
            {
                **common,
                "id": f"eni-b{n}",
                "interface_type": "interface",
                "attachment": None,
                "mac": f"02:{n}",
                "primary_ip": f"10.0.0.{n}",
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
    assert problems(pods, World(state()), GROUPS) == []
    assert leftovers(pods, World(state()), 2) == []


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        pytest.param([Given(pod="d/1", uid="1", instance_id="i-1", annotation="{")], "no JSON list", id="no JSON"),
        pytest.param([given(1, entry(1), entry(2))], "2 interfaces for one", id="one too many"),
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
    ],
)
def test_each_wrong_annotation_is_noticed(pods: list[Given], says: str) -> None:
    assert any(says in problem for problem in problems(pods, World(state()), GROUPS))


def test_wrong_groups_are_noticed() -> None:
    assert "has the groups sg-1, sg-2" in problems([given(1)], World(state()), ("sg-1",))[0]


def test_a_shared_vlan_is_noticed() -> None:
    changed = state()
    changed["associations"][1]["trunk_id"] = "eni-t1"
    assert any("share VLAN 7 of eni-t1" in one for one in problems([given(1), given(2)], World(changed), GROUPS))


def _lose_branch(changed: State) -> None:
    changed["interfaces"] = [one for one in changed["interfaces"] if one["id"] != "eni-b1"]


def _second_trunk(changed: State) -> None:
    changed["interfaces"].append({**changed["interfaces"][1], "id": "eni-t3"})


def _loose_interface(changed: State) -> None:
    changed["interfaces"].append({**changed["interfaces"][2], "id": "eni-l"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(_lose_branch, "eni-b1 of d/1 is gone", id="a live pod's branch is gone"),
        pytest.param(_second_trunk, "EC2 has 3 trunks for 2 nodes", id="one trunk too many"),
        pytest.param(_loose_interface, "eni-l belongs to no live pod", id="leaked interface"),
    ],
)
def test_what_ec2_holds_too_much_or_too_little_is_noticed(change: Callable[[State], None], says: str) -> None:
    changed = state()
    change(changed)
    assert says in leftovers([given(1), given(2)], World(changed), 2)
