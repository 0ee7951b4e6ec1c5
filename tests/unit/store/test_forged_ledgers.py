"""A ledger that cannot be this node's is not worked with, whoever wrote it."""

from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import msgspec
import pytest

from common.model.ec2 import Subnet
from common.model.errors import LedgerUnreadable
from common.model.ids import (
    AssociationId,
    AttachmentId,
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
    Backoff,
    Branch,
    BranchState,
    Claim,
    InstanceFacts,
    Ledger,
    Pool,
    Trunk,
    TrunkState,
)
from common.store import Store, keys
from tests.kit.fake_redis import FakeRedis

NODE = NodeName("n1")
P = keys.prefix("c")
KEY = BranchKey("u.0.0")
TRUNK, PRIMARY, ENI = EniId("eni-0a"), EniId("eni-0b"), EniId("eni-0c")
replace = msgspec.structs.replace
BRANCH = Branch(
    key=KEY,
    state=BranchState.ASSIGNED,
    instance_id=InstanceId("i-0123456789abcdef0"),
    trunk_id=TRUNK,
    pod_uid=PodUid("u"),
    vlan=VlanId(1),
    subnet_id=SubnetId("subnet-1"),
    groups=(GroupId("sg-1"),),
    eni_id=ENI,
    association=AssociationId("trunk-assoc-0c"),
)
HONEST = Ledger(
    node=NODE,
    instance=InstanceFacts(
        instance_id=InstanceId("i-0123456789abcdef0"),
        instance_type="m5.large",
        vpc_id="vpc-1",
        subnet=Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/24"),
        primary_eni=PRIMARY,
        groups=(GroupId("sg-1"),),
    ),
    trunk=Trunk(state=TrunkState.READY, eni_id=TRUNK, attachment_id=AttachmentId("eni-attach-1")),
    branches={KEY: BRANCH},
    claims={PodUid("u"): Claim(pod_uid=PodUid("u"), namespace="d", name="p", groups=(GroupId("sg-1"),))},
    pool=Pool(
        addresses={Ipv4("10.0.0.9"): Address(ip=Ipv4("10.0.0.9"))},
        prefixes={Prefix("10.0.0.16/28"): 1.0},
    ),
    backoffs={"trunk": Backoff(not_before=5)},
    suspects=(EniId("eni-0d"),),
)


def branch(**changes: Any) -> Ledger:
    return replace(HONEST, branches={KEY: replace(BRANCH, **changes)})


def instance(**changes: Any) -> Ledger:
    assert HONEST.instance is not None
    return replace(HONEST, instance=replace(HONEST.instance, **changes))


FORGED: dict[str, Callable[[], Ledger]] = {
    "another node's": lambda: replace(HONEST, node=NodeName("n2")),
    "a branch that is the node's primary interface": lambda: branch(eni_id=PRIMARY),
    "a branch that is its own trunk": lambda: branch(eni_id=TRUNK),
    "one interface as two branches": lambda: replace(
        HONEST, branches={KEY: BRANCH, BranchKey("x"): replace(BRANCH, key=BranchKey("x"))}
    ),
    "a branch under another's name": lambda: replace(HONEST, branches={BranchKey("x"): BRANCH}),
    "a branch that is an instance": lambda: branch(eni_id=EniId("i-0123456789abcdef0")),
    "a branch with more than an id": lambda: branch(eni_id=EniId("eni-0c&Force=true")),
    "an association that is none": lambda: branch(association=AssociationId("eipassoc-1")),
    "VLAN -1": lambda: branch(vlan=VlanId(-1)),
    "VLAN 121": lambda: branch(vlan=VlanId(121)),
    "a branch from a time that never comes": lambda: branch(since=float("nan")),
    "an attachment that is none": lambda: replace(
        HONEST, trunk=replace(HONEST.trunk, attachment_id=AttachmentId("vol-1"))
    ),
    "an instance that is none": lambda: instance(instance_id=InstanceId("*")),
    "a primary interface that is none": lambda: instance(primary_eni=EniId("all")),
    "a group that is none": lambda: instance(groups=(GroupId("everything"),)),
    "an address that is none": lambda: replace(
        HONEST, pool=Pool(addresses={Ipv4("10.0.0"): Address(ip=Ipv4("10.0.0"))})
    ),
    "an address under another's name": lambda: replace(
        HONEST, pool=Pool(addresses={Ipv4("10.0.0.9"): Address(ip=Ipv4("10.0.0.10"))})
    ),
    "a prefix of a whole subnet": lambda: replace(HONEST, pool=Pool(prefixes={Prefix("10.0.0.0/16"): 1.0})),
    "a claim of another pod": lambda: replace(HONEST, claims={PodUid("v"): HONEST.claims[PodUid("u")]}),
    "a wait without end": lambda: replace(HONEST, backoffs={"trunk": Backoff(not_before=float("inf"))}),
    "a suspect that is none": lambda: replace(HONEST, suspects=(EniId("vpc-1"),)),
}


@pytest.fixture
def client() -> Iterator[Any]:
    with FakeRedis(server=fakeredis.FakeServer()) as made:
        yield made


def write(client: Any, body: bytes) -> Store:
    client.set(keys.ledger(P, NODE), body)
    client.sadd(keys.ledgers(P), NODE)
    return Store.on(client, P)


def test_an_honest_one_is_read(client: Any) -> None:
    assert write(client, msgspec.msgpack.encode(HONEST)).ledgers.load(NODE) == HONEST


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_one_is_not(client: Any, what: str) -> None:
    store = write(client, msgspec.msgpack.encode(FORGED[what]()))
    with pytest.raises(LedgerUnreadable):
        store.ledgers.load(NODE)
    # People are shown the others.
    assert store.ledgers.all() == {}


JUNK = b"\xff\xfe junk"


def test_names_that_are_no_text_stop_nobody(client: Any) -> None:
    """Wherever names and ids are listed."""
    store = Store.on(client, P)
    for index in (keys.desired_nodes(P), keys.ledgers(P), keys.seen_available(P), keys.members(P, "worker")):
        client.sadd(index, JUNK, "n1")
    client.zadd(keys.parked(P), {JUNK: 0.0, "n2": 0.0})
    client.zadd(keys.dirty(P), {JUNK: 0.0, "n3": 0.0})
    client.hset(keys.waiting(), JUNK, JUNK)
    assert NODE in store.desired.known_nodes()
    assert "n1" in store.sweep.read()
    assert "n2" in store.wakeups.due(1.0, 10)
    assert "n3" in store.wakeups.overdue(100.0, 10.0)
    assert store.ledgers.all() == {}


@pytest.mark.parametrize("body", [JUNK, b"\x01", msgspec.msgpack.encode({"pid": 1})])
def test_a_process_that_says_nothing_readable_of_itself_does_not_hide_the_others(client: Any, body: bytes) -> None:
    store = Store.on(client, P)
    store.members.beat("worker", "honest", {"pid": "1"}, 60)
    client.sadd(keys.members(P, "worker"), "odd")
    client.set(keys.member(P, "worker", "odd"), body)
    assert {name: about["pid"] for name, about in store.members.alive("worker").items()} == {"honest": "1"}
