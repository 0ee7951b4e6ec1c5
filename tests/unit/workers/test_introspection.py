"""Introspection in the reference's shapes (golden/linux.json, case observability)."""

import json
from typing import Any

from common.model.ec2 import Subnet
from common.model.ids import (
    AssociationId,
    BranchKey,
    EniId,
    GroupId,
    InstanceId,
    Ipv4,
    NodeName,
    PodUid,
    Prefix,
    SubnetId,
    VlanId,
)
from common.model.ledger import (
    Address,
    AddressState,
    Branch,
    BranchState,
    InstanceFacts,
    Ledger,
    Pool,
    Trunk,
    TrunkState,
)
from common.store import Store, connect, keys
from tests.kit.fake_redis import FakeRedis
from workers.introspection import introspection

NODE, WINDOWS = NodeName("n1"), NodeName("w1")
INSTANCE = InstanceFacts(
    instance_id=InstanceId("i-0123456789abcdef0"),
    instance_type="m5.large",
    vpc_id="vpc-1",
    subnet=Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/19"),
    primary_eni=EniId("eni-0"),
    groups=(GroupId("sg-1"),),
)


def branch(number: int, state: BranchState) -> Branch:
    return Branch(
        key=BranchKey(f"b{number}"),
        state=state,
        instance_id=INSTANCE.instance_id,
        trunk_id=EniId("eni-t"),
        pod_uid=PodUid("u1"),
        ordinal=number,
        vlan=VlanId(number),
        subnet_id=SubnetId("subnet-1"),
        eni_id=None if state in (BranchState.PLANNED, BranchState.CREATING) else EniId(f"eni-{number}"),
        mac="02:00:00:00:00:01",
        private_ip=Ipv4("10.0.0.9"),
        subnet_cidr="10.0.0.0/19",
        association=AssociationId("trunk-assoc-1"),
    )


def ask(ledgers: list[Ledger], path: str) -> Any:
    store = Store.on(FakeRedis(), keys.prefix("c"))
    for ledger in ledgers:
        token = store.lock.acquire(ledger.node, "a", 60)
        assert token is not None
        store.ledgers.save(ledger.node, ledger, "a", token)
    answer = introspection(store)(path)
    return json.loads(answer.body) if answer.status == 200 else answer.status


LINUX = Ledger(
    node=NODE,
    instance=INSTANCE,
    trunk=Trunk(state=TrunkState.READY, eni_id=EniId("eni-t")),
    branches={
        b.key: b
        for b in (
            branch(1, BranchState.ASSIGNED),
            branch(2, BranchState.COOLING),
            branch(3, BranchState.PLANNED),
            branch(4, BranchState.DISASSOCIATED),
        )
    },
)
SECONDARY = Ledger(
    node=WINDOWS,
    instance=INSTANCE,
    pool=Pool(
        addresses={
            Ipv4("10.0.0.5"): Address(ip=Ipv4("10.0.0.5"), state=AddressState.ASSIGNED, pod_uid=PodUid("u2")),
            Ipv4("10.0.0.6"): Address(ip=Ipv4("10.0.0.6")),
            Ipv4("10.0.0.7"): Address(ip=Ipv4("10.0.0.7"), state=AddressState.COOLING, since=1_700_000_000),
        }
    ),
)
SHOWN_BRANCH = {
    "eniId": "eni-1",
    "ifAddress": "02:00:00:00:00:01",
    "privateIp": "10.0.0.9",
    "ipv6Addr": "",
    "vlanId": 1,
    "subnetCidr": "10.0.0.0/19",
    "subnetV6Cidr": "",
    "associationID": "trunk-assoc-1",
}
POD_ENI, PRIVATE, FROM_PREFIX = (
    "vpc.amazonaws.com/pod-eni",
    "vpc.amazonaws.com/PrivateIPv4Address",
    "vpc.amazonaws.com/PrivateIPv4AddressFromPrefix",
)


def test_all_shows_each_node_under_the_resource_that_it_has() -> None:
    shown = ask([LINUX, SECONDARY], "/resources/all")
    assert set(shown) == {POD_ENI, PRIVATE, FROM_PREFIX}
    linux = shown[POD_ENI]
    assert set(linux) == {NODE}
    assert linux[NODE]["PodToBranchENI"] == {"u1": [SHOWN_BRANCH]}
    assert [entry["eniId"] for entry in linux[NODE]["DeleteQueue"]] == ["eni-2", "eni-4"]
    assert linux[NODE]["TrunkENIID"] == "eni-t"
    assert linux[NODE]["InstanceID"] == INSTANCE.instance_id
    assert set(shown[PRIVATE]) == {WINDOWS}
    assert shown[PRIVATE][WINDOWS]["UsedResources"] == {"u2": {"GroupID": "10.0.0.5", "ResourceID": "10.0.0.5"}}
    assert shown[FROM_PREFIX] == {}


def test_summary_counts() -> None:
    shown = ask([LINUX, SECONDARY], "/resources/summary")
    assert shown[POD_ENI][NODE] == {
        "BranchENICount": 1,
        "DeleteQueueLen": 2,
        "TrunkENIID": "eni-t",
        "InstanceID": INSTANCE.instance_id,
    }
    assert shown[PRIVATE][WINDOWS] == {"UsedResourcesCount": 1, "WarmResourcesCount": 1, "CoolingResourcesCount": 1}


def test_addresses_out_of_prefixes_have_a_key_of_their_own() -> None:
    prefix = Prefix("10.0.1.0/28")
    ledger = Ledger(node=WINDOWS, pool=Pool(prefixes={prefix: 1.0}))
    shown = ask([ledger], "/resources/all")
    assert shown[PRIVATE] == {}
    assert set(shown[FROM_PREFIX]) == {WINDOWS}


def test_a_node_is_shown_by_resource_and_an_unknown_one_is_empty() -> None:
    assert ask([LINUX], "/node/n1")[POD_ENI]["PodToBranchENI"] == {"u1": [SHOWN_BRANCH]}
    assert ask([LINUX], "/node/no-such-node") == {POD_ENI: {}, PRIVATE: {}, FROM_PREFIX: {}}


def test_other_paths_and_no_redis() -> None:
    assert ask([], "/") == 404
    assert introspection(Store.on(connect("redis://127.0.0.1:1/0"), "p"))("/resources/all").status == 503
