"""Request limits, latencies, lag, denials and injected faults: what surrounds EC2's rules, on a clock that stands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from botocore.exceptions import ConnectionClosedError

from sandbox.ec2 import Bucket, Denial, Ec2Behaviour, Ec2ConnectionReset, Ec2Fault, Ec2World, FaultRule
from tests.kit.clock import VirtualClock
from tests.sandbox.ec2_fixtures import refused, served, small_world


def _codes(ec2_world: Ec2World, action: str, params: dict[str, Any], times: int) -> list[str]:
    """Outcomes of the same call made several times."""
    outcomes = []
    for _ in range(times):
        try:
            ec2_world.invoke(action, params)
            outcomes.append("ok")
        except Ec2Fault as fault:
            outcomes.append(fault.code)
    return outcomes


BUCKETS: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("describe by filter", "DescribeNetworkInterfaces", {"Filters": [{"Name": "status", "Values": ["x"]}]}, 100, 20),
    ("describe by id", "DescribeInstances", {"InstanceIds": ["<instance>"]}, 100, 20),
    ("describe by page", "DescribeSubnets", {"MaxResults": 5}, 100, 20),
    ("describe without anything", "DescribeSubnets", {}, 50, 10),
    ("create an interface", "CreateNetworkInterface", {"SubnetId": "<subnet>"}, 100, 5),
    ("create tags", "CreateTags", {"Resources": ["<instance>"], "Tags": [{"Key": "a", "Value": "b"}]}, 100, 10),
    ("attach", "AttachNetworkInterface", {"NetworkInterfaceId": "<interface>"}, 50, 5),
    ("detach", "DetachNetworkInterface", {"AttachmentId": "<attachment>"}, 50, 5),
    ("modify", "ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "<interface>"}, 100, 5),
    ("any other change", "DeleteTags", {"Resources": ["<instance>"], "Tags": [{"Key": "a"}]}, 50, 5),
]


@pytest.mark.parametrize(("action", "params", "size", "refill"), [r[1:] for r in BUCKETS], ids=[r[0] for r in BUCKETS])
def test_calls_past_the_bucket_are_refused_until_it_refills(
    action: str, params: dict[str, Any], size: int, refill: int
) -> None:
    ec2 = small_world(Ec2Behaviour(latencies={}))
    known: dict[str, Any] = {"<instance>": ec2.instance, "<subnet>": ec2.subnet}
    asked = {
        name: [known.get(one, one) if isinstance(one, str) else one for one in value]
        if isinstance(value, list)
        else known.get(value, value)
        for name, value in params.items()
    }
    throttled = [code == "RequestLimitExceeded" for code in _codes(ec2.world, action, asked, size + 2)]
    assert throttled == [False] * size + [True] * 2
    ec2.clock.sleep(1.0)
    throttled = [code == "RequestLimitExceeded" for code in _codes(ec2.world, action, asked, refill + 1)]
    assert throttled == [False] * refill + [True]
    assert ec2.world.journal.throttled() == 3


def test_buckets_are_per_action() -> None:
    ec2 = small_world(Ec2Behaviour(latencies={}, buckets={"describe": Bucket(size=1, refill=1)}))
    page = {"MaxResults": 5}
    assert _codes(ec2.world, "DescribeSubnets", page, 2) == ["ok", "RequestLimitExceeded"]
    assert _codes(ec2.world, "DescribeVpcs", page, 1) == ["ok"]


def test_request_limits_can_be_raised_and_lifted() -> None:
    ec2 = small_world(Ec2Behaviour(latencies={}))
    raised = {"buckets": {"CreateTags": {"size": 300, "refill": 1}}}
    ec2.world.behave(ec2.world.behaviour.changed(raised))
    tags = {"Resources": [ec2.instance], "Tags": [{"Key": "a", "Value": "b"}]}
    assert _codes(ec2.world, "CreateTags", tags, 301) == ["ok"] * 300 + ["RequestLimitExceeded"]
    assert ec2.world.behaviour.buckets["describe"] == Bucket(size=100, refill=20)
    ec2.world.behave(ec2.world.behaviour.changed({"throttling": False}))
    assert _codes(ec2.world, "CreateTags", tags, 500) == ["ok"] * 500


def test_a_throttled_call_is_http_503() -> None:
    ec2 = small_world(Ec2Behaviour.instant(throttling=True, buckets={"CreateTags": Bucket(size=0, refill=0)}))
    with served(ec2), refused("RequestLimitExceeded", 503):
        ec2.client.create_tags(Resources=[ec2.instance], Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.parametrize("patch", [{"throtling": True}, {"attach_delay": "soon"}, {"buckets": {"describe": 3}}])
def test_a_wrong_behaviour_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        Ec2Behaviour().changed(patch)


def test_latencies_are_returned_not_slept_and_the_same_in_every_run() -> None:
    def run() -> list[tuple[str, float]]:
        reported: list[tuple[str, float]] = []
        world = Ec2World(
            clock=VirtualClock().now,
            settings=Ec2Behaviour(),
            on_latency=lambda action, seconds: reported.append((action, seconds)),
        )
        subnet = world.add_subnet(vpc_id=world.add_vpc(), cidr="10.0.0.0/24")
        for _ in range(20):
            world.invoke("DescribeSubnets", {"MaxResults": 5})
            world.invoke("CreateNetworkInterface", {"SubnetId": subnet})
        return reported

    reported = run()
    assert reported == run()
    assert all(0.1 <= seconds <= 0.3 for action, seconds in reported if action == "DescribeSubnets")
    assert all(0.2 <= seconds <= 0.6 for action, seconds in reported if action == "CreateNetworkInterface")
    assert len(set(reported)) > 30


def test_the_same_calls_give_the_same_world() -> None:
    def run() -> list[Any]:
        ec2 = small_world()
        trunk = ec2.trunk()
        ec2.branch(trunk, 1)
        return [*ec2.world.interfaces(), *ec2.world.instances(), *ec2.world.associations()]

    assert run() == run()


def test_describe_calls_lag_behind_writes() -> None:
    ec2 = small_world()
    ec2.clock.sleep(60)
    ec2.world.behave(ec2.world.behaviour.changed({"describe_lag": (5.0, 5.0)}))
    trunk = ec2.trunk()
    ids = {"NetworkInterfaceIds": [trunk]}
    assert _codes(ec2.world, "DescribeNetworkInterfaces", ids, 1) == ["InvalidNetworkInterfaceID.NotFound"]
    by_instance = {"Filters": [{"Name": "attachment.instance-id", "Values": [ec2.instance]}]}
    assert len(ec2.world.invoke("DescribeNetworkInterfaces", by_instance)["NetworkInterfaces"]) == 1
    ec2.clock.sleep(5)
    assert len(ec2.world.invoke("DescribeNetworkInterfaces", by_instance)["NetworkInterfaces"]) == 2
    ec2.world.arrange("TerminateInstances", {"InstanceIds": [ec2.instance]})
    (shown,) = ec2.world.invoke("DescribeInstances", {"InstanceIds": [ec2.instance]})["Reservations"]
    assert shown["Instances"][0]["State"]["Name"] == "running"
    assert len(shown["Instances"][0]["NetworkInterfaces"]) == 2


def test_a_later_describe_may_show_an_older_state() -> None:
    ec2 = small_world()
    ec2.clock.sleep(60)
    ec2.world.behave(ec2.world.behaviour.changed({"describe_lag": (0.0, 10.0)}))
    interface = ec2.create()
    ec2.clock.sleep(5)
    ids = {"NetworkInterfaceIds": [interface]}
    seen = _codes(ec2.world, "DescribeNetworkInterfaces", ids, 40)
    assert "InvalidNetworkInterfaceID.NotFound" in seen[seen.index("ok") :]


def test_an_identity_that_may_not_trunk_can_do_everything_else() -> None:
    denied = Denial(action="trunk", identity="own", code="OperationNotPermitted")
    ec2 = small_world(Ec2Behaviour.instant(denials=(denied,)))
    trunk, branch = ec2.trunk(), ec2.permitted()
    associate = {"TrunkInterfaceId": trunk, "BranchInterfaceId": branch, "VlanId": 1}
    create = {"SubnetId": ec2.subnet, "InterfaceType": "trunk"}
    assert _codes(ec2.world, "AssociateTrunkInterface", associate, 1) == ["OperationNotPermitted"]
    assert _codes(ec2.world, "CreateNetworkInterface", create, 1) == ["OperationNotPermitted"]
    assert _codes(ec2.world, "CreateNetworkInterface", {"SubnetId": ec2.subnet}, 1) == ["ok"]
    ec2.world.invoke("AssociateTrunkInterface", associate, identity="other")


def test_a_denied_action_is_http_403() -> None:
    ec2 = small_world(Ec2Behaviour.instant(denials=(Denial(action="Attach*"),)))
    with served(ec2), refused("UnauthorizedOperation", 403):
        ec2.client.attach_network_interface(NetworkInterfaceId=ec2.create(), InstanceId=ec2.instance, DeviceIndex=1)


def test_roles_do_not_see_trunk_associations() -> None:
    ec2 = small_world()
    ec2.world.invoke("DescribeTrunkInterfaceAssociations", {})
    with pytest.raises(Ec2Fault) as caught:
        ec2.world.invoke("DescribeTrunkInterfaceAssociations", {}, identity="role")
    assert caught.value.code == "UnauthorizedOperation"


def test_a_fault_before_the_effect_leaves_nothing_behind() -> None:
    ec2 = small_world()
    ec2.world.inject(FaultRule(action="Create*", code="InternalError", count=2))
    before = len(ec2.world.interfaces())
    create = {"SubnetId": ec2.subnet}
    assert _codes(ec2.world, "CreateNetworkInterface", create, 3) == ["InternalError", "InternalError", "ok"]
    assert len(ec2.world.interfaces()) == before + 1
    assert [call.effect for call in ec2.world.journal.of("CreateNetworkInterface")] == [False, False, True]


def test_a_fault_after_the_effect_is_found_again_by_its_token() -> None:
    ec2 = small_world()
    ec2.world.inject(FaultRule(action="CreateNetworkInterface", code="reset", when="after", count=1))
    create = {"SubnetId": ec2.subnet, "ClientToken": "t"}
    with pytest.raises(Ec2ConnectionReset):
        ec2.world.invoke("CreateNetworkInterface", create)
    newest = ec2.world.interfaces()[-1].id
    again = ec2.world.invoke("CreateNetworkInterface", create)
    assert again["NetworkInterface"]["NetworkInterfaceId"] == newest == ec2.world.interfaces()[-1].id


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reset_is_a_broken_connection_to_the_client(when: Any) -> None:
    ec2 = small_world()
    with served(ec2):
        before = len(ec2.world.interfaces())
        ec2.world.inject(FaultRule(action="CreateNetworkInterface", code="reset", when=when, count=1))
        with pytest.raises(ConnectionClosedError):
            ec2.client.create_network_interface(SubnetId=ec2.subnet)
        assert len(ec2.world.interfaces()) == before + (when == "after")
        ec2.client.create_network_interface(SubnetId=ec2.subnet)


def test_faults_can_be_narrowed_to_parameters_and_identities() -> None:
    ec2 = small_world()
    trunks_only = FaultRule(action="CreateNetworkInterface", match={"InterfaceType": "trunk"}, identity="own")
    ec2.world.inject(trunks_only)
    plain: dict[str, Any] = {"SubnetId": ec2.subnet}
    trunk = plain | {"InterfaceType": "trunk"}
    assert _codes(ec2.world, "CreateNetworkInterface", plain, 1) == ["ok"]
    assert _codes(ec2.world, "CreateNetworkInterface", trunk, 1) == ["InternalError"]
    ec2.world.invoke("CreateNetworkInterface", trunk, identity="role")
    ec2.world.clear_faults()
    assert _codes(ec2.world, "CreateNetworkInterface", trunk, 1) == ["ok"]


def test_a_rate_hits_about_its_share_of_the_calls() -> None:
    ec2 = small_world()
    ec2.world.inject(FaultRule(action="DescribeVpcs", rate=0.3, code="Unavailable"))
    hit = _codes(ec2.world, "DescribeVpcs", {}, 1000).count("Unavailable")
    assert 250 < hit < 350


def test_a_delay_is_added_to_the_latency() -> None:
    ec2 = small_world()
    ec2.world.inject(FaultRule(action="DescribeVpcs", code="none", delay=7.0))
    outcome = ec2.world.call("DescribeVpcs", {})
    assert (outcome.latency, outcome.failure) == (7.0, None)


def test_the_journal_counts_outcomes_by_action() -> None:
    ec2 = small_world()
    _codes(ec2.world, "DescribeVpcs", {}, 2)
    _codes(ec2.world, "DescribeVpcs", {"VpcIds": ["vpc-x"]}, 1)
    assert ec2.world.journal.summary() == {"DescribeVpcs": {"calls": 3, "ok": 2, "InvalidVpcID.NotFound": 1}}


def test_a_call_that_names_what_was_just_made_finds_it_only_after_the_lag() -> None:
    ec2 = small_world()
    ec2.clock.sleep(2.0)
    ec2.world.behave(Ec2Behaviour.instant(write_lag=(2.0, 2.0)))
    made = ec2.world.invoke("CreateNetworkInterface", {"SubnetId": ec2.subnet})["NetworkInterface"]
    group = ec2.world.add_security_group(vpc_id=ec2.vpc, name="young")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("CreateNetworkInterface", {"SubnetId": ec2.subnet, "Groups": [group]}),
        ("DeleteNetworkInterface", {"NetworkInterfaceId": made["NetworkInterfaceId"]}),
    ]
    assert [_codes(ec2.world, *call, 1) for call in calls] == [
        ["InvalidSecurityGroupID.NotFound"],
        ["InvalidNetworkInterfaceID.NotFound"],
    ]
    ec2.clock.sleep(2.0)
    assert [_codes(ec2.world, *call, 1) for call in calls] == [["ok"], ["ok"]]


def test_while_a_zone_is_down_only_ids_of_other_zones_are_answered() -> None:
    ec2 = small_world(Ec2Behaviour.instant(zones_down=("us-west-2b",)))
    elsewhere = ec2.world.add_subnet(vpc_id=ec2.vpc, cidr="10.0.9.0/24", az="us-west-2b")
    down = ec2.world.add_instance(subnet_id=elsewhere)
    asked: list[dict[str, Any]] = [
        {"InstanceIds": [ec2.instance]},
        {"InstanceIds": [ec2.instance, down]},
        {"Filters": [{"Name": "instance-id", "Values": [ec2.instance]}]},
    ]
    assert [_codes(ec2.world, "DescribeInstances", one, 1)[0] for one in asked] == ["ok", "Unavailable", "Unavailable"]


def test_an_instance_that_is_going_can_show_interfaces_without_ids() -> None:
    ec2 = small_world(Ec2Behaviour.instant(terminate_delay=(9.0, 9.0), dying_without_ids=True))
    ec2.world.invoke("TerminateInstances", {"InstanceIds": [ec2.instance]})
    answer = ec2.world.invoke("DescribeInstances", {"InstanceIds": [ec2.instance]})
    (shown,) = answer["Reservations"][0]["Instances"][0]["NetworkInterfaces"]
    assert "NetworkInterfaceId" not in shown
    assert shown["SubnetId"] == ec2.subnet


def test_pages_can_be_cut_before_the_filters() -> None:
    ec2 = small_world(Ec2Behaviour.instant(pages_before_filters=True))
    made = [ec2.create(Description="wanted" if n == 8 else "other") for n in range(12)]
    params: dict[str, Any] = {"MaxResults": 5, "Filters": [{"Name": "description", "Values": ["wanted"]}]}
    pages: list[list[str]] = []
    while not pages or params.get("NextToken"):
        answer = ec2.world.invoke("DescribeNetworkInterfaces", params)
        pages.append([one["NetworkInterfaceId"] for one in answer["NetworkInterfaces"]])
        params["NextToken"] = answer.get("NextToken")
    assert pages == [[], [made[8]], []]
