"""Snapshots of many instances: few calls, nothing of one instance given as another's, all or nothing."""

from typing import Any

import pytest

from common.ec2.snapshots import load_snapshots
from common.model.errors import Unsure
from common.model.ids import InstanceId
from common.model.names import INSTANCE_TAG, TRUNK_TAG
from tests.unit.ec2.scripted import Script, fault, filters_of

KNOWN = ("m5.large",)


def raw_interface(eni: str, **tags: str) -> dict[str, Any]:
    return {
        "NetworkInterfaceId": eni,
        "SubnetId": "subnet-1",
        "InterfaceType": "trunk" if "trunk" in eni else "interface",
        "TagSet": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


class Cloud:
    """Instances with a trunk and branches each, as EC2 would list them."""

    def __init__(self, nodes: int, branches: int, *, trunk_tagged: bool = True, branches_tagged: bool = True) -> None:
        self.ids = [InstanceId(f"i-{n:017x}") for n in range(nodes)]
        self.interfaces: list[dict[str, Any]] = []
        for one in self.ids:
            self.interfaces.append(raw_interface(f"trunk-{one}", **({INSTANCE_TAG: one} if trunk_tagged else {})))
            for n in range(branches):
                tags = {TRUNK_TAG: f"trunk-{one}", **({INSTANCE_TAG: one} if branches_tagged else {})}
                self.interfaces.append(raw_interface(f"eni-{n}-{one}", **tags))

    def instances(self, params: dict[str, Any]) -> dict[str, Any]:
        some = filters_of(params)["instance-id"]
        return {
            "Reservations": [
                {
                    "Instances": [
                        {
                            "InstanceId": one,
                            "InstanceType": "m5.large",
                            "State": {"Name": "running"},
                            "SubnetId": "subnet-1",
                            "NetworkInterfaces": [raw_interface(f"trunk-{one}")],
                        }
                        for one in some
                        if one in self.ids
                    ]
                }
            ]
        }

    def network_interfaces(self, params: dict[str, Any]) -> dict[str, Any]:
        ((name, values),) = filters_of(params).items()
        wanted = set(values)
        if name == "network-interface-id":
            found = [one for one in self.interfaces if one["NetworkInterfaceId"] in wanted]
        else:
            key = name.removeprefix("tag:")
            found = [i for i in self.interfaces if any(t["Key"] == key and t["Value"] in wanted for t in i["TagSet"])]
        start = int(params.get("NextToken", 0))
        end = start + params.get("MaxResults", 1000)
        return {"NetworkInterfaces": found[start:end], **({"NextToken": str(end)} if end < len(found) else {})}

    def script(self, **answers: Any) -> Script:
        subnet = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}
        return Script(
            DescribeInstances=self.instances,
            DescribeSubnets={"Subnets": [subnet]},
            DescribeNetworkInterfaces=self.network_interfaces,
            **answers,
        )


def test_a_thousand_nodes_of_ten_branches_take_few_calls() -> None:
    cloud = Cloud(1000, 10)
    script = cloud.script()
    snapshots = load_snapshots(script.ec2(), cloud.ids, KNOWN, 5.0)
    assert len(snapshots) == 1000
    assert all(len(one.interfaces) == 11 and one.instance and one.subnet for one in snapshots.values())
    assert sum(script.count().values()) < 50


@pytest.mark.parametrize("trunk_tagged", [True, False])
@pytest.mark.parametrize("branches_tagged", [True, False])
def test_interfaces_are_found_by_instance_or_by_trunk(trunk_tagged: bool, branches_tagged: bool) -> None:
    cloud = Cloud(3, 2, trunk_tagged=trunk_tagged, branches_tagged=branches_tagged)
    snapshots = load_snapshots(cloud.script().ec2(), cloud.ids, KNOWN, 5.0)
    for one in cloud.ids:
        names = sorted(i.eni_id for i in snapshots[one].interfaces)
        assert names == sorted([f"trunk-{one}", f"eni-0-{one}", f"eni-1-{one}"])


def test_a_trunk_that_only_its_instance_shows_yet_is_reported() -> None:
    cloud = Cloud(1, 0)
    cloud.interfaces.clear()
    (snapshot,) = load_snapshots(cloud.script().ec2(), cloud.ids, KNOWN, 5.0).values()
    assert [one.eni_id for one in snapshot.interfaces] == [f"trunk-{cloud.ids[0]}"]


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_a_terminating_instance_is_none_but_its_interfaces_are_reported(state: str) -> None:
    cloud = Cloud(1, 1)

    def terminating(params: dict[str, Any]) -> dict[str, Any]:
        answer = cloud.instances(params)
        answer["Reservations"][0]["Instances"][0]["State"]["Name"] = state
        return answer

    script = Script(DescribeInstances=terminating, DescribeNetworkInterfaces=cloud.network_interfaces)
    snapshot = load_snapshots(script.ec2(), cloud.ids, KNOWN, 5.0)[cloud.ids[0]]
    assert (snapshot.instance, snapshot.subnet, len(snapshot.interfaces)) == (None, None, 2)


def test_an_instance_that_shows_interfaces_without_ids_is_going_and_spoils_no_other() -> None:
    cloud = Cloud(2, 1)

    def dying(params: dict[str, Any]) -> dict[str, Any]:
        answer = cloud.instances(params)
        (item,) = answer["Reservations"][0]["Instances"][0]["NetworkInterfaces"]
        del item["NetworkInterfaceId"]
        return answer

    subnets: dict[str, Any] = {"Subnets": []}
    script = Script(
        DescribeInstances=dying, DescribeSubnets=subnets, DescribeNetworkInterfaces=cloud.network_interfaces
    )
    snapshots = load_snapshots(script.ec2(), cloud.ids, KNOWN, 5.0)
    assert [snapshots[one].instance is None for one in cloud.ids] == [True, False]
    assert len(snapshots[cloud.ids[0]].interfaces) == 2


def test_an_unknown_instance_has_a_snapshot_that_says_so() -> None:
    unknown = InstanceId("i-0123456789abcdef0")
    snapshot = load_snapshots(Cloud(1, 1).script().ec2(), [unknown], KNOWN, 5.0)[unknown]
    assert (snapshot.instance, snapshot.interfaces, snapshot.taken_at) == (None, (), 5.0)


def test_a_failed_page_leaves_no_snapshot_at_all() -> None:
    cloud = Cloud(300, 10)
    script = cloud.script()

    def cut(params: dict[str, Any]) -> dict[str, Any]:
        if "NextToken" in params:
            raise fault("InternalError", 500)
        return cloud.network_interfaces(params)

    script = Script(DescribeInstances=cloud.instances, DescribeSubnets={"Subnets": []}, DescribeNetworkInterfaces=cut)
    with pytest.raises(Unsure):
        load_snapshots(script.ec2(), cloud.ids, KNOWN, 5.0)


TYPE = {
    "InstanceType": "m5.large",
    "Hypervisor": "nitro",
    "NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10},
}


def test_limits_are_asked_for_once_and_only_for_types_that_are_not_known() -> None:
    cloud = Cloud(3, 0)
    script = cloud.script()
    assert all(one.limits is None for one in load_snapshots(script.ec2(), cloud.ids, KNOWN, 5.0).values())
    assert "DescribeInstanceTypes" not in script.count()
    script = cloud.script(DescribeInstanceTypes={"InstanceTypes": [TYPE]})
    limits = {one.limits for one in load_snapshots(script.ec2(), cloud.ids, (), 5.0).values()}
    assert [one.ipv4_per_interface for one in limits if one] == [10]
    assert script.count()["DescribeInstanceTypes"] == 1


def test_limits_that_may_not_be_read_keep_nothing_else_from_being_known() -> None:
    def denied(params: dict[str, Any]) -> dict[str, Any]:
        raise fault("UnauthorizedOperation", 403)

    cloud = Cloud(1, 1)
    (snapshot,) = load_snapshots(cloud.script(DescribeInstanceTypes=denied).ec2(), cloud.ids, (), 5.0).values()
    assert snapshot.limits is None
    assert snapshot.instance is not None
    assert len(snapshot.interfaces) == 2


def test_limits_that_could_not_be_read_now_are_read_with_all_else_later() -> None:
    def unavailable(params: dict[str, Any]) -> dict[str, Any]:
        raise fault("Unavailable", 503)

    cloud = Cloud(1, 1)
    with pytest.raises(Unsure):
        load_snapshots(cloud.script(DescribeInstanceTypes=unavailable).ec2(), cloud.ids, (), 5.0)
