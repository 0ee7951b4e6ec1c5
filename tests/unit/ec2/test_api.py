"""What is asked of EC2, what its answers become, and which of its errors are none."""

from typing import Any

import pytest

from common.ec2.api import Ec2
from common.ec2.gate import Deferred, OpenGate
from common.model.errors import Invalid, LimitExceeded, NotFound, SubnetExhausted, Throttled, Unsure
from common.model.ids import (
    AssociationId,
    AttachmentId,
    ClientToken,
    EniId,
    GroupId,
    InstanceId,
    SubnetId,
    VlanId,
)
from tests.unit.ec2.scripted import Script, fault, filters_of
from tests.unit.node.builders import leave

ENI = EniId("eni-1")
TRUNK = EniId("eni-trunk")
INTERFACE: dict[str, Any] = {
    "NetworkInterfaceId": "eni-1",
    "SubnetId": "subnet-1",
    "VpcId": "vpc-1",
    "Status": "in-use",
    "InterfaceType": "branch",
    "Description": "aws-k8s-branch-eni",
    "MacAddress": "02:00:00:00:00:01",
    "PrivateIpAddress": "10.0.0.5",
    "PrivateIpAddresses": [
        {"Primary": True, "PrivateIpAddress": "10.0.0.5"},
        {"Primary": False, "PrivateIpAddress": "10.0.0.6"},
    ],
    "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.0/28"}],
    "Ipv6Addresses": [{"Ipv6Address": "2001:db8::5"}],
    "Groups": [{"GroupId": "sg-1", "GroupName": "a"}, {"GroupId": "sg-2", "GroupName": "b"}],
    "TagSet": [
        {"Key": "vpcresources.k8s.aws/vlan-id", "Value": "7"},
        {"Key": "vpcresources.k8s.aws/trunk-eni-id", "Value": "eni-trunk"},
    ],
    "Attachment": {
        "AttachmentId": "eni-attach-1",
        "InstanceId": "i-1",
        "DeviceIndex": 2,
        "NetworkCardIndex": 1,
        "Status": "attached",
        "DeleteOnTermination": True,
    },
}


def create(script: Script, **more: Any) -> Any:
    return script.ec2().create_network_interface(
        subnet=SubnetId("subnet-1"),
        groups=[GroupId("sg-1")],
        description="d",
        tags={"a": "b"},
        token=ClientToken("t"),
        **more,
    )


def page(*interfaces: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    return {"NetworkInterfaces": list(interfaces), **({"NextToken": token} if token else {})}


def test_every_field_of_an_interface_arrives() -> None:
    (one,) = Script(DescribeNetworkInterfaces=page(INTERFACE)).ec2().describe_interfaces(ids=[ENI])
    assert (one.eni_id, one.subnet_id, one.vpc_id, one.status, one.type) == (
        "eni-1", "subnet-1", "vpc-1", "in-use", "branch",
    )  # fmt: skip
    assert (one.mac, one.primary_ip, one.secondary_ips) == ("02:00:00:00:00:01", "10.0.0.5", ("10.0.0.6",))
    assert (one.prefixes, one.ipv6, one.groups) == (("10.0.1.0/28",), "2001:db8::5", ("sg-1", "sg-2"))
    assert (one.vlan_tag, one.trunk_tag, one.description) == (7, TRUNK, "aws-k8s-branch-eni")
    assert (one.instance_id, one.attachment_id, one.attachment_status) == ("i-1", "eni-attach-1", "attached")
    assert (one.device_index, one.network_card, one.delete_on_termination) == (2, 1, True)


def test_an_interface_without_attachment_has_none() -> None:
    raw = {key: value for key, value in INTERFACE.items() if key not in ("Attachment", "InterfaceType")}
    (one,) = Script(DescribeNetworkInterfaces=page(raw)).ec2().describe_interfaces(ids=[ENI])
    assert (one.instance_id, one.attachment_id, one.device_index, one.type) == (None, None, None, "interface")


def test_ids_are_asked_for_as_ids() -> None:
    script = Script(DescribeNetworkInterfaces=page())
    assert script.ec2().describe_interfaces(ids=[ENI], filters={"status": ["available"]}) == []
    assert script.params["NetworkInterfaceIds"] == ["eni-1"]
    assert filters_of(script.params) == {"network-interface-id": ["eni-1"], "status": ["available"]}


def test_an_unknown_id_does_not_hide_the_others() -> None:
    unknown = fault("InvalidNetworkInterfaceID.NotFound", 400)
    script = Script(DescribeNetworkInterfaces=[unknown, page(INTERFACE)])
    assert [one.eni_id for one in script.ec2().describe_interfaces(ids=[ENI, EniId("eni-9")])] == ["eni-1"]
    assert "NetworkInterfaceIds" not in script.params
    assert filters_of(script.params) == {"network-interface-id": ["eni-1", "eni-9"]}
    assert script.params["MaxResults"] == 1000


def test_asking_for_nothing_asks_nobody() -> None:
    script = Script()
    ec2 = script.ec2()
    assert ec2.describe_interfaces(ids=[]) == []
    assert ec2.describe_interfaces(filters={"tag:x": []}) == []
    assert ec2.describe_instances([]) == {}
    assert ec2.describe_subnets([]) == {}
    assert script.calls == []


def test_long_filters_are_asked_for_two_hundred_values_of_all_filters_at_a_time() -> None:
    script = Script(DescribeNetworkInterfaces=page())
    values = [f"i-{n}" for n in range(401)]
    script.ec2().describe_interfaces(filters={"status": ["available"], "tag:x": [*values, "i-0"]})
    asked = [filters_of(params) for _, params in script.calls]
    assert [len(one["tag:x"]) for one in asked] == [199, 199, 3]
    assert [value for one in asked for value in one["tag:x"]] == values
    assert all(one["status"] == ["available"] for one in asked)


def test_queries_by_tag_ask_for_our_vpc_and_those_by_id_need_not() -> None:
    script = Script(DescribeNetworkInterfaces=page())
    ec2 = Ec2(script, OpenGate(), vpc="vpc-1").with_gate(OpenGate())
    ec2.describe_interfaces(filters={"tag:x": [f"i-{n}" for n in range(400)]})
    asked = [filters_of(params) for _, params in script.calls]
    assert [(len(one["tag:x"]), one["vpc-id"]) for one in asked] == [
        (199, ["vpc-1"]), (199, ["vpc-1"]), (2, ["vpc-1"]),
    ]  # fmt: skip
    ec2.describe_interfaces(filters={"tag:x": ["y"], "vpc-id": ["vpc-2"]})
    assert filters_of(script.params)["vpc-id"] == ["vpc-2"]
    ec2.describe_interfaces(ids=[ENI])
    assert "vpc-id" not in filters_of(script.params)


def test_a_single_id_that_is_not_found_costs_no_second_call() -> None:
    script = Script(DescribeInstances=fault("InvalidInstanceID.NotFound"))
    assert script.ec2().describe_instances([InstanceId("i-1")]) == {}
    assert len(script.calls) == 1


def test_empty_pages_with_a_token_are_followed() -> None:
    script = Script(DescribeNetworkInterfaces=[page(token="t"), page(INTERFACE, token="u"), page()])
    assert [one.eni_id for one in script.ec2().describe_interfaces(filters={"tag:x": ["y"]})] == ["eni-1"]
    assert len(script.calls) == 3


@pytest.mark.parametrize(("groups", "kind"), [(6, LimitExceeded), (5, Invalid)])
def test_a_parameter_that_ec2_refuses_of_many_groups_is_their_number(groups: int, kind: type[Exception]) -> None:
    script = Script(CreateNetworkInterface=fault("InvalidParameterValue"))
    with pytest.raises(kind):
        script.ec2().create_network_interface(
            subnet=SubnetId("subnet-1"),
            groups=[GroupId(f"sg-{n}") for n in range(groups)],
            description="d",
            tags={},
            token=ClientToken("t"),
        )


def test_a_parameter_that_ec2_refuses_of_a_prefix_is_a_full_subnet() -> None:
    script = Script(AssignPrivateIpAddresses=fault("InvalidParameterValue"))
    with pytest.raises(SubnetExhausted) as refused:
        script.ec2().assign_ipv4_prefixes(ENI, 1)
    assert refused.value.code == "InsufficientCidrBlocks"
    assert "InvalidParameterValue" in refused.value.message
    with pytest.raises(Invalid):
        script.ec2().assign_private_ip_addresses(ENI, 1)


@pytest.mark.parametrize("named", [True, False], ids=["alive", "dying"])
def test_an_instance_whose_interfaces_have_no_ids_is_an_incomplete_answer(named: bool) -> None:
    item = {key: value for key, value in INTERFACE.items() if named or key != "NetworkInterfaceId"}
    raw = {"InstanceId": "i-1", "InstanceType": "m5.large", "State": {"Name": "running"}, "NetworkInterfaces": [item]}
    script = Script(DescribeInstances={"Reservations": [{"Instances": [raw]}]})
    (one,) = script.ec2().describe_instances([InstanceId("i-1")]).values()
    assert (one.whole, len(one.interfaces)) == (named, int(named))


def test_all_pages_are_read_with_the_same_filters() -> None:
    second = {**INTERFACE, "NetworkInterfaceId": "eni-2"}
    script = Script(DescribeNetworkInterfaces=[page(INTERFACE, token="t"), page(INTERFACE, second)])
    found = script.ec2().describe_interfaces(filters={"vpc-id": ["vpc-1"]})
    assert [one.eni_id for one in found] == ["eni-1", "eni-2"]
    assert script.params == {**script.calls[0][1], "NextToken": "t"}


def test_a_failing_page_fails_the_whole_list() -> None:
    script = Script(DescribeNetworkInterfaces=[page(INTERFACE, token="t"), fault("InternalError", 500)])
    with pytest.raises(Unsure):
        script.ec2().describe_interfaces(filters={"vpc-id": ["vpc-1"]})


@pytest.mark.parametrize(
    "answer",
    [{}, {"ResponseMetadata": {"HTTPStatusCode": 200}}, page({"NetworkInterfaceId": "eni-1"})],
    ids=["empty", "not EC2's", "an interface cut short"],
)
def test_an_incomplete_answer_is_not_an_empty_one(answer: dict[str, Any]) -> None:
    with pytest.raises(Unsure):
        Script(DescribeNetworkInterfaces=answer).ec2().describe_interfaces(ids=[ENI])


def test_an_answer_of_ec2_without_the_list_is_an_empty_list() -> None:
    script = Script(DescribeNetworkInterfaces={"ResponseMetadata": {"RequestId": "r"}})
    assert script.ec2().describe_interfaces(ids=[ENI]) == []


def test_instances_come_with_their_interfaces_whatever_their_state() -> None:
    instance = {
        "InstanceId": "i-1",
        "InstanceType": "m5.large",
        "State": {"Name": "terminated"},
        "NetworkInterfaces": [
            {
                "NetworkInterfaceId": "eni-0",
                "SubnetId": "subnet-1",
                "Attachment": {"AttachmentId": "eni-attach-0", "DeviceIndex": 0, "Status": "attached"},
            }
        ],
    }
    script = Script(DescribeInstances={"Reservations": [{"Instances": [instance]}]})
    found = script.ec2().describe_instances([InstanceId("i-1"), InstanceId("i-unknown")])
    assert list(found) == ["i-1"]
    assert found[InstanceId("i-1")].state == "terminated"
    primary = found[InstanceId("i-1")].primary
    assert primary is not None
    assert (primary.eni_id, primary.instance_id, primary.network_card) == ("eni-0", "i-1", 0)
    assert filters_of(script.params) == {"instance-id": ["i-1", "i-unknown"]}


def test_a_subnet_has_its_first_associated_ipv6_block() -> None:
    blocks = [
        {"Ipv6CidrBlock": "2001:db8:1::/64", "Ipv6CidrBlockState": {"State": "disassociated"}},
        {"Ipv6CidrBlock": "2001:db8:2::/64", "Ipv6CidrBlockState": {"State": "associated"}},
    ]
    raw = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/19", "Ipv6CidrBlockAssociationSet": blocks}
    found = Script(DescribeSubnets={"Subnets": [raw]}).ec2().describe_subnets([SubnetId("subnet-1")])
    assert (found[SubnetId("subnet-1")].cidr, found[SubnetId("subnet-1")].ipv6_cidr) == (
        "10.0.0.0/19", "2001:db8:2::/64",
    )  # fmt: skip


def test_an_instance_type_has_the_limits_of_its_default_card() -> None:
    network = {
        "MaximumNetworkInterfaces": 15,
        "Ipv4AddressesPerInterface": 50,
        "MaximumNetworkCards": 2,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [
            {"NetworkCardIndex": 1, "MaximumNetworkInterfaces": 7},
            {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 8},
        ],
    }
    raw = {"InstanceType": "p4d.24xlarge", "Hypervisor": "nitro", "BareMetal": False, "NetworkInfo": network}
    script = Script(DescribeInstanceTypes={"InstanceTypes": [raw]})
    limits = script.ec2().describe_instance_types(["p4d.24xlarge"])["p4d.24xlarge"]
    assert (limits.max_interfaces, limits.default_card_interfaces, limits.network_cards) == (15, 8, 2)
    assert (limits.ipv4_per_interface, limits.nitro, limits.bare_metal) == (50, True, False)
    assert limits.max_branch_interfaces == 0
    assert "MaxResults" not in script.params  # EC2 allows at most 100 here
    assert Script(DescribeInstanceTypes={"InstanceTypes": []}).ec2().describe_instance_types(["x"]) == {}


@pytest.mark.parametrize(
    ("said", "nitro"),
    [({"Hypervisor": "nitro"}, True), ({"Hypervisor": "xen"}, False), ({"BareMetal": True}, True), ({}, False)],
)
def test_only_nitro_and_bare_metal_can_have_prefixes(said: dict[str, Any], nitro: bool) -> None:
    network = {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10}
    raw = {"InstanceType": "x", "NetworkInfo": network, **said}
    limits = Script(DescribeInstanceTypes={"InstanceTypes": [raw]}).ec2().describe_instance_types(["x"])["x"]
    assert limits.nitro is nitro


def test_a_branch_is_made_as_an_ordinary_interface_with_its_tags() -> None:
    script = Script(CreateNetworkInterface={"NetworkInterface": INTERFACE})
    made = create(script)
    assert (made.eni_id, made.ipv6) == ("eni-1", "2001:db8::5")
    assert script.params == {
        "SubnetId": "subnet-1",
        "Groups": ["sg-1"],
        "Description": "d",
        "ClientToken": "t",
        "TagSpecifications": [{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
    }


def test_only_a_trunk_names_its_type() -> None:
    script = Script(CreateNetworkInterface={"NetworkInterface": INTERFACE})
    create(script, trunk=True)
    assert script.params["InterfaceType"] == "trunk"


@pytest.mark.parametrize("missing", ["NetworkInterfaceId", "MacAddress", "PrivateIpAddress"])
def test_a_made_interface_without_what_a_pod_needs_is_unsure(missing: str) -> None:
    raw = {
        key: value for key, value in INTERFACE.items() if key not in (missing, "PrivateIpAddresses", "Ipv6Addresses")
    }
    with pytest.raises(Unsure):
        create(Script(CreateNetworkInterface={"NetworkInterface": raw}))


def test_a_permission_that_is_there_is_success() -> None:
    script = Script(CreateNetworkInterfacePermission=fault("InvalidPermission.Duplicate"))
    script.ec2().create_network_interface_permission(ENI, "123456789012")
    assert script.params == {
        "NetworkInterfaceId": "eni-1",
        "AwsAccountId": "123456789012",
        "Permission": "INSTANCE-ATTACH",
    }
    with pytest.raises(Invalid):
        Script(
            CreateNetworkInterfacePermission=fault("InvalidParameterValue")
        ).ec2().create_network_interface_permission(ENI, "x")


def test_a_trunk_is_attached_to_the_default_card() -> None:
    script = Script(AttachNetworkInterface={"AttachmentId": "eni-attach-1"})
    assert script.ec2().attach_network_interface(ENI, InstanceId("i-1"), 3) == "eni-attach-1"
    assert script.params == {
        "NetworkInterfaceId": "eni-1",
        "InstanceId": "i-1",
        "DeviceIndex": 3,
        "NetworkCardIndex": 0,
    }


def test_an_association_is_made_and_ended_with_our_tokens() -> None:
    script = Script(
        AssociateTrunkInterface={"InterfaceAssociation": {"AssociationId": "trunk-assoc-1"}},
        DisassociateTrunkInterface={"Return": True},
    )
    ec2 = script.ec2()
    token = ClientToken("t")
    assert ec2.associate_trunk_interface(branch=ENI, trunk=TRUNK, vlan=VlanId(7), token=token) == "trunk-assoc-1"
    assert script.params == {
        "BranchInterfaceId": "eni-1",
        "TrunkInterfaceId": "eni-trunk",
        "VlanId": 7,
        "ClientToken": "t",
    }
    ec2.disassociate_trunk_interface(leave(EniId("eni-1")), AssociationId("trunk-assoc-1"), token)
    assert script.params == {"AssociationId": "trunk-assoc-1", "ClientToken": "t"}


def test_associations_of_all_pages_are_listed() -> None:
    raw = {"BranchInterfaceId": "eni-1", "TrunkInterfaceId": "eni-t", "VlanId": 3, "AssociationId": "a-1"}
    script = Script(
        DescribeTrunkInterfaceAssociations=[
            {"InterfaceAssociations": [raw], "NextToken": "t"},
            {"InterfaceAssociations": []},
        ]
    )
    assert script.ec2().trunk_associations() == [("eni-1", "eni-t", 3, "a-1")]
    assert len(script.calls) == 2


def test_addresses_and_prefixes_are_returned_as_ec2_gives_them() -> None:
    given = {
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.7"}],
        "AssignedIpv4Prefixes": [{"Ipv4Prefix": "10.0.1.0/28"}],
    }
    script = Script(AssignPrivateIpAddresses=given)
    assert script.ec2().assign_private_ip_addresses(ENI, 1) == ("10.0.0.7",)
    assert script.params == {"NetworkInterfaceId": "eni-1", "SecondaryPrivateIpAddressCount": 1}
    assert script.ec2().assign_ipv4_prefixes(ENI, 1) == ("10.0.1.0/28",)
    assert script.params == {"NetworkInterfaceId": "eni-1", "Ipv4PrefixCount": 1}
    with pytest.raises(Unsure):
        Script(AssignPrivateIpAddresses={}).ec2().assign_private_ip_addresses(ENI, 1)


def test_an_attribute_is_changed_alone() -> None:
    script = Script(ModifyNetworkInterfaceAttribute={}, CreateTags={})
    script.ec2().modify_delete_on_termination(ENI, AttachmentId("eni-attach-1"))
    assert script.params == {
        "NetworkInterfaceId": "eni-1",
        "Attachment": {"AttachmentId": "eni-attach-1", "DeleteOnTermination": True},
    }
    script.ec2().modify_groups(ENI, [GroupId("sg-1")])
    assert script.params == {"NetworkInterfaceId": "eni-1", "Groups": ["sg-1"]}
    script.ec2().create_tags(ENI, {"a": ""})
    assert script.params == {"Resources": ["eni-1"], "Tags": [{"Key": "a", "Value": ""}]}


class Recorder:
    """A gate that notes what it hears, and lets `passes` calls through."""

    def __init__(self, passes: int = 100) -> None:
        self.entered: list[str] = []
        self.slowed: list[str] = []
        self._passes = passes

    def enter(self, action: str) -> None:
        if len(self.entered) == self._passes:
            raise Deferred(9.0)
        self.entered.append(action)

    def throttled(self, action: str) -> None:
        self.slowed.append(action)


def test_the_gate_hears_of_throttling_and_of_nothing_else() -> None:
    gate = Recorder()
    with pytest.raises(Throttled):
        Ec2(Script(DeleteNetworkInterface=fault("RequestLimitExceeded", 503)), gate).delete_network_interface(
            leave(ENI)
        )
    with pytest.raises(NotFound):
        Ec2(Script(DeleteNetworkInterface=fault("InvalidNetworkInterfaceID.NotFound")), gate).delete_network_interface(
            leave(ENI)
        )
    assert gate.slowed == ["DeleteNetworkInterface"]


def test_every_page_passes_the_gate_and_a_deferred_one_is_not_asked_for() -> None:
    script = Script(DescribeNetworkInterfaces=[page(INTERFACE, token="t"), page(INTERFACE)])
    with pytest.raises(Deferred):
        script.ec2().with_gate(Recorder(passes=1)).describe_interfaces(ids=[ENI])
    assert len(script.calls) == 1


def test_a_bug_in_a_call_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        Script(DeleteNetworkInterface=ZeroDivisionError()).ec2().delete_network_interface(leave(ENI))
