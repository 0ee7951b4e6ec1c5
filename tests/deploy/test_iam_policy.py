"""The IAM policy allows the calls that the product makes, each by the statements named here, and no others.

What IAM decides is worked out by this file from AWS's rules (every resource of a call must be allowed); it was not
tried on AWS. Which resources EC2 checks for each action, and which condition keys it knows for them, is in
ec2_authorization.json, from AWS's Service Authorization Reference: a condition on another key never holds.
"""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from common.model.names import POD_UID_TAG

ROOT = Path(__file__).resolve().parents[2]
POLICY = json.loads((ROOT / "deploy" / "iam" / "policy.json").read_text())
REFERENCE = json.loads((Path(__file__).parent / "ec2_authorization.json").read_text())
GLOBAL_KEYS = {"aws:RequestedRegion": "String"}
"""Known for every action: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
NO_RESOURCE = "any"
ARN = "arn:aws:ec2:us-west-2:111122223333:"
INTERFACE, INSTANCE, SUBNET, GROUP = (
    f"{ARN}{kind}" for kind in ("network-interface/eni-1", "instance/i-1", "subnet/subnet-1", "security-group/sg-1")
)
OWNER, CLUSTER = "eks:eni:owner", "kubernetes.io/cluster/my-cluster"
OURS = {OWNER: "eks-vpc-resource-controller", CLUSTER: "owned"}
CNIS = {OWNER: "amazon-vpc-cni", "cluster.k8s.amazonaws.com/name": "my-cluster"}
NODE = {CLUSTER: "owned"}
VPC = {"ec2:Vpc": f"{ARN}vpc/vpc-0123456789abcdef0"}
OTHER_VPC = {"ec2:Vpc": f"{ARN}vpc/vpc-0fedcba9876543210"}
HERE = {"aws:RequestedRegion": "us-west-2"}
NOTHING: dict[str, str] = {}


def has(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def gives(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def allowing(action: str, resource: str, context: Mapping[str, str]) -> list[str]:
    """Sids of the statements that allow it."""
    context = {**HERE, **context}
    return [one["Sid"] for one in POLICY["Statement"] if _matches(one, f"ec2:{action}", resource, context)]


def _matches(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    resources = statement["Resource"]
    patterns = [resources] if isinstance(resources, str) else resources
    return (
        action in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in patterns)
        and all(
            context.get(key) == value
            for operator, wanted in statement.get("Condition", {}).items()
            for key, value in wanted.items()
            if operator in ("StringEquals", "ArnEquals")
        )
    )


ALLOWED = [
    ("DescribeInstances", "*", NOTHING, "Look"),
    ("DescribeInstanceTypes", "*", NOTHING, "Look"),
    ("DescribeNetworkInterfaces", "*", NOTHING, "Look"),
    ("DescribeSubnets", "*", NOTHING, "Look"),
    ("DescribeTrunkInterfaceAssociations", "*", NOTHING, "Look"),
    ("CreateNetworkInterface", INTERFACE, gives(OURS), "CreateInterfacesWithOurTags"),
    ("CreateNetworkInterface", SUBNET, VPC, "CreateThemInThisVpc"),
    ("CreateNetworkInterface", GROUP, VPC, "CreateThemInThisVpc"),
    ("CreateTags", INTERFACE, {"ec2:CreateAction": "CreateNetworkInterface"}, "TagThemWhenCreated"),
    ("CreateTags", INTERFACE, {**has(OURS), f"aws:RequestTag/{POD_UID_TAG}": ""}, "EmptyThePodTagOfOurs"),
    (
        "CreateNetworkInterfacePermission",
        INTERFACE,
        {**has(OURS), "ec2:Permission": "INSTANCE-ATTACH"},
        "PermitAttachingOurs",
    ),
    ("AttachNetworkInterface", INTERFACE, has(OURS), "AttachChangeAndDeleteOurs"),
    ("AttachNetworkInterface", INSTANCE, has(NODE), "AttachToInstancesOfTheCluster"),
    ("DetachNetworkInterface", INTERFACE, has(OURS), "AttachChangeAndDeleteOurs"),
    ("DetachNetworkInterface", INSTANCE, has(NODE), "AttachToInstancesOfTheCluster"),
    ("ModifyNetworkInterfaceAttribute", INTERFACE, has(OURS), "AttachChangeAndDeleteOurs"),
    ("ModifyNetworkInterfaceAttribute", INSTANCE, has(NODE), "AttachToInstancesOfTheCluster"),
    ("ModifyNetworkInterfaceAttribute", GROUP, VPC, "ChangeGroupsWithinThisVpc"),
    ("DeleteNetworkInterface", INTERFACE, has(OURS), "AttachChangeAndDeleteOurs"),
    ("DeleteNetworkInterface", INTERFACE, has(CNIS), "DeleteWhatTheVpcCniLeaked"),
    ("AssignPrivateIpAddresses", INTERFACE, VPC, "AddressesOfWindowsNodes"),
    ("UnassignPrivateIpAddresses", INTERFACE, VPC, "AddressesOfWindowsNodes"),
    ("AssociateTrunkInterface", "*", NOTHING, "Trunking"),
    ("DisassociateTrunkInterface", "*", NOTHING, "Trunking"),
]
"""Action, one of the resources that EC2 checks it against, what is known of the call, and the statement."""
CASES = [pytest.param(*case, id=f"{case[0]} {case[1].rpartition(':')[2]} {case[3]}") for case in ALLOWED]


@pytest.mark.parametrize(("action", "resource", "context", "sid"), CASES)
def test_each_call_is_allowed_by_one_statement(
    action: str, resource: str, context: Mapping[str, str], sid: str
) -> None:
    assert allowing(action, resource, context) == [sid]


@pytest.mark.parametrize(("action", "resource", "context", "sid"), CASES)
def test_without_any_one_thing_that_is_asked_for_it_is_refused(
    action: str, resource: str, context: Mapping[str, str], sid: str
) -> None:
    for key in context:
        assert not allowing(action, resource, {**context, key: "another"}), key
        assert not allowing(action, resource, {name: value for name, value in context.items() if name != key}), key


@pytest.mark.parametrize("sid", ["Look", "Trunking"])
def test_what_names_no_resource_holds_in_its_region_only(sid: str) -> None:
    """EC2 has no condition on their resources: the region is all that binds them."""
    actions = [action for action, *_, by in ALLOWED if by == sid]
    assert actions
    for action in actions:
        assert not allowing(action, "*", {"aws:RequestedRegion": "eu-west-1"})


def test_no_statement_is_without_use() -> None:
    assert {sid for *_, sid in ALLOWED} == {one["Sid"] for one in POLICY["Statement"]}
    assert {action for action, *_ in ALLOWED} == {
        name.removeprefix("ec2:") for one in POLICY["Statement"] for name in one["Action"]
    }


def test_the_actions_are_those_that_the_product_calls() -> None:
    """CreateTags goes with CreateNetworkInterface: EC2 asks for it where a call gives tags."""
    source = (ROOT / "common" / "ec2" / "api.py").read_text()
    called = set(re.findall(r'(?:operation = |_call\()"([A-Za-z]+)"', source))
    assert "DeleteNetworkInterface" in called
    assert called | {"CreateTags"} == {action for action, *_ in ALLOWED}


CHANGES = ("AttachNetworkInterface", "DetachNetworkInterface", "ModifyNetworkInterfaceAttribute")
FOREIGN = {
    "of nobody": NOTHING,
    "of nobody in our VPC": VPC,
    "of another cluster": {**has({OWNER: OURS[OWNER], "kubernetes.io/cluster/other": "owned"}), **VPC},
    "only shared with our cluster": {**has({**OURS, CLUSTER: "shared"}), **VPC},
    "with the cluster's tag and another owner": {**has({**OURS, OWNER: "somebody"}), **VPC},
    "of the VPC CNI of another cluster": {**has({**CNIS, "cluster.k8s.amazonaws.com/name": "other"}), **VPC},
}


@pytest.mark.parametrize("whose", FOREIGN)
@pytest.mark.parametrize("action", [*CHANGES, "DeleteNetworkInterface", "CreateNetworkInterfacePermission"])
def test_a_stolen_role_changes_no_interface_that_is_not_ours(action: str, whose: str) -> None:
    context = {**FOREIGN[whose], "ec2:Permission": "INSTANCE-ATTACH"}
    assert not allowing(action, INTERFACE, context)


@pytest.mark.parametrize("action", CHANGES)
def test_a_stolen_role_only_deletes_interfaces_of_the_vpc_cni(action: str) -> None:
    assert not allowing(action, INTERFACE, {**has(CNIS), **VPC})


def test_a_stolen_role_takes_no_addresses_in_another_vpc() -> None:
    for action in ("AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"):
        assert not allowing(action, INTERFACE, {**has(OURS), **OTHER_VPC})


def test_tags_are_given_only_to_what_is_being_made() -> None:
    """Else a stolen role makes any interface ours, and then deletes it."""
    assert not allowing("CreateTags", INTERFACE, {**has(OURS), **VPC})
    assert not allowing("CreateTags", INTERFACE, {"ec2:CreateAction": "RunInstances"})
    assert not allowing("CreateTags", INSTANCE, {"ec2:CreateAction": "CreateNetworkInterface"})


def test_of_our_interfaces_only_the_pod_tag_may_be_emptied() -> None:
    emptied = {f"aws:RequestTag/{POD_UID_TAG}": ""}
    (one,) = [each for each in POLICY["Statement"] if each["Sid"] == "EmptyThePodTagOfOurs"]
    assert one["Condition"]["ForAllValues:StringEquals"] == {"aws:TagKeys": [POD_UID_TAG]}
    for whose in FOREIGN.values():
        assert not allowing("CreateTags", INTERFACE, {**whose, **emptied})


def test_only_looking_and_trunking_name_no_resource() -> None:
    """EC2 has no resources for them. What is Disassociated is not bound to our tags."""
    assert {one["Sid"] for one in POLICY["Statement"] if one["Resource"] == "*"} == {"Look", "Trunking"}


def resource_types(statement: Mapping[str, Any]) -> set[str]:
    resources = statement["Resource"]
    patterns = [resources] if isinstance(resources, str) else resources
    return {NO_RESOURCE if pattern == "*" else pattern.rpartition(":")[2].partition("/")[0] for pattern in patterns}


def conditions(statement: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Operator and key; of a key that holds a tag's name, what is before that name."""
    return [
        (operator, key if "Tag/" not in key else key.partition("/")[0] + "/")
        for operator, wanted in statement["Condition"].items()
        for key in wanted
    ]


SIDS = [one["Sid"] for one in POLICY["Statement"]]


@pytest.mark.parametrize("sid", SIDS)
def test_ec2_knows_each_condition_for_each_action_and_resource_of_its_statement(sid: str) -> None:
    statement = next(one for one in POLICY["Statement"] if one["Sid"] == sid)
    for action in statement["Action"]:
        known = REFERENCE["actions"][action.removeprefix("ec2:")]["resources"]
        for resource in resource_types(statement):
            assert resource in known, f"{action} is not checked against {resource}"
            keys = {*GLOBAL_KEYS, *known[resource]["keys"], *known[NO_RESOURCE]["keys"]}
            for _, key in conditions(statement):
                assert key in keys, f"{action} on {resource} has no {key}: the statement never allows it"


@pytest.mark.parametrize("sid", SIDS)
def test_each_condition_compares_as_its_key_wants(sid: str) -> None:
    statement = next(one for one in POLICY["Statement"] if one["Sid"] == sid)
    operators = {"String": "StringEquals", "ARN": "ArnEquals", "ArrayOfString": "ForAllValues:StringEquals"}
    for operator, key in conditions(statement):
        assert operator == operators[{**GLOBAL_KEYS, **REFERENCE["types"]}[key]], key


@pytest.mark.parametrize("action", REFERENCE["actions"])
def test_each_resource_that_ec2_demands_is_allowed_by_a_statement(action: str) -> None:
    """One that is left out refuses the whole call."""
    of_action = [one for one in POLICY["Statement"] if f"ec2:{action}" in one["Action"]]
    resources = REFERENCE["actions"][action]["resources"]
    demanded = {name for name, found in resources.items() if found["required"]}
    if set(resources) == {NO_RESOURCE}:
        demanded = {NO_RESOURCE}
    assert demanded <= {name for one in of_action for name in resource_types(one)}
    actions = {name for one in POLICY["Statement"] for name in one["Action"]}
    assert set(REFERENCE["actions"][action]["needs"]) <= actions


def test_the_reference_covers_the_actions_of_the_policy() -> None:
    assert set(REFERENCE["actions"]) == {action for action, *_ in ALLOWED}
