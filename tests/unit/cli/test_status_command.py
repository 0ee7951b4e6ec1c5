"""`vpc-rc status` of the cluster, a node and a pod, out of a real Redis."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from cli.status.alarms import Member, alarms
from cli.status.choose import choose
from cli.status.command import status
from cli.status.read import read_cluster, read_node, read_pod
from cli.status.show_detail import render_node, render_pod
from common.model.ec2 import Subnet
from common.model.ids import BranchKey, EniId, GroupId, InstanceId, Ipv4, NodeName, PodUid, SubnetId, VlanId
from common.model.ledger import (
    LEDGER_VERSION,
    Backoff,
    Branch,
    BranchState,
    Claim,
    InstanceFacts,
    Ledger,
    Trunk,
    TrunkState,
)
from common.model.limits import load_limits
from common.model.node import NodeView
from common.model.pod import PodRequest
from common.store import Store, connect, keys
from sandbox.redis import RedisServer

NODE, OTHER = (NodeName(f"ip-10-0-0-{n}.us-west-2.compute.internal") for n in (1, 2))
SUBNET = Subnet(subnet_id=SubnetId("subnet-0123456789abcdef0"), vpc_id="vpc-1", cidr="10.0.0.0/24")
GROUP = GroupId("sg-0123456789abcdef0")
ALIVE = 3600.0
"""Seconds: longer than any test waits. A process started here must find them alive however late it comes to read."""
CLAIM = Claim(pod_uid=PodUid("uid-served"), namespace="shop", name="served", groups=(GROUP,))


def request(name: str, **more: object) -> PodRequest:
    values = {"uid": PodUid(f"uid-{name}"), "namespace": "shop", "name": name, "branches": 1, "scheduled_at": 1.0}
    return PodRequest(**(values | more))  # type: ignore[arg-type]


def branch(vlan: int, pod: str, state: BranchState) -> Branch:
    return Branch(
        key=BranchKey(f"uid-{pod}.0.0"), state=state, instance_id=InstanceId("i-0123456789abcdef0"),
        trunk_id=EniId("eni-0aaaaaaaaaaaaaaa0"), pod_uid=PodUid(f"uid-{pod}"), pod_namespace="shop", pod_name=pod,
        vlan=VlanId(vlan), subnet_id=SUBNET.subnet_id, groups=(GROUP,), eni_id=EniId(f"eni-0bbbbbbbbbbbbbb{vlan:02}"),
        private_ip=Ipv4("10.0.0.117"), since=1.0,
    )  # fmt: skip


def ledger() -> Ledger:
    facts = InstanceFacts(
        instance_id=InstanceId("i-0123456789abcdef0"), instance_type="m5.large", vpc_id="vpc-1", subnet=SUBNET,
        primary_eni=EniId("eni-1"), groups=(GROUP,),
    )  # fmt: skip
    branches = [
        branch(7, "served", BranchState.ASSIGNED),
        branch(8, "stuck", BranchState.PLANNED),
        branch(9, "gone", BranchState.COOLING),
    ]
    return Ledger(
        node=NODE,
        instance=facts,
        trunk=Trunk(state=TrunkState.READY, eni_id=EniId("eni-0aaaaaaaaaaaaaaa0")),
        branches={one.key: one for one in branches},
        claims={PodUid("uid-served"): CLAIM},
        backoffs={
            "branch/uid-stuck.0.0": Backoff(
                code="InsufficientFreeAddressesInSubnet", message="The subnet has no free addresses.", attempts=3,
                not_before=2.0,
            )
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def store(redis: RedisServer) -> Store:
    client = connect(redis.url)
    client.flushall()
    store = Store.on(client, keys.prefix("demo"))
    for name in (NODE, OTHER):
        store.desired.write_node(name, NodeView())
    store.desired.write_pods(NODE, [request("served", eni_annotation="[]"), request("stuck")], [])
    store.desired.write_pods(OTHER, [request("waiting")], [])
    token = store.lock.acquire(NODE, "w", 60)
    assert token is not None
    store.ledgers.save(NODE, ledger(), "w", token)
    store.desired.begin_full_list()
    store.desired.finish_full_list()
    store.members.beat("watcher", "a", {"leader": "true", "synced": "true", "started": "5"}, ALIVE)
    store.members.beat("worker", "w", {"started": "6"}, ALIVE)
    return store


def run(redis: RedisServer, *arguments: str) -> Result:
    environment = {"VPC_RC_CLUSTER_NAME": "demo", "VPC_RC_REDIS_URL": redis.url}
    return CliRunner().invoke(status, arguments, env=environment)


def test_json_has_numbers_and_booleans(redis: RedisServer, store: Store) -> None:
    found = json.loads(run(redis, "-o", "json").stdout)
    leader = found["watchers"]["a"]
    assert (leader["leader"], leader["synced"], leader["started"], leader["stale"]) == (True, True, 5.0, False)
    assert found["workers"]["w"]["started"] == 6.0
    assert (found["complete"], found["alarms"]) == (True, [])


def test_a_node_is_found_without_its_domain_and_shown_in_full(redis: RedisServer, store: Store) -> None:
    text = run(redis, "ip-10-0-0-1").stdout
    step = "branch of shop/stuck: InsufficientFreeAddressesInSubnet, 3 times: The subnet has no free addresses."
    for words in (
        NODE,
        "i-0123456789abcdef0 m5.large",
        "used 1, cooling 1, in the making 1, free 6",
        "shop/served",
        step,
    ):
        assert words in text, words


def test_a_pod_says_why_it_waits(redis: RedisServer, store: Store) -> None:
    text = run(redis, "shop/stuck").stdout
    assert "waits: InsufficientFreeAddressesInSubnet, 3 times" in text
    served = json.loads(run(redis, "shop/served", "-o", "json").stdout)
    assert (served["annotated"], served["why"], served["node"]) == (True, "", NODE)
    assert served["branches"][0]["interface"] == "eni-0bbbbbbbbbbbbbb07"


def test_a_pod_that_is_gone_shows_what_it_left(redis: RedisServer, store: Store) -> None:
    gone = json.loads(run(redis, "shop/gone", "-o", "json").stdout)
    assert (gone["uid"], gone["branches"][0]["state"]) == ("", "cooling")


@pytest.mark.parametrize("what", ["nowhere", "shop/nobody"])
def test_what_is_not_there_is_said(redis: RedisServer, store: Store, what: str) -> None:
    result = run(redis, what)
    assert result.exit_code != 0
    assert what in str(result.exception)


def test_nodes_are_chosen_and_sorted(store: Store) -> None:
    status = read_cluster(store, load_limits())
    assert [node.node for node in choose(status, ("waiting",), "name").nodes] == [NODE, OTHER]
    assert [node.node for node in choose(status, (), "free").nodes] == [OTHER, NODE]
    assert choose(status, ("trouble",), "name").nodes == ()


def test_a_pipe_is_written_at_once(redis: RedisServer, store: Store) -> None:
    """`status --watch | grep` sees each second as it comes, not at the end."""
    environment = {**os.environ, "VPC_RC_CLUSTER_NAME": "demo", "VPC_RC_REDIS_URL": redis.url}
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "status", "--watch"],
        stdout=subprocess.PIPE, env=environment, cwd=root, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        shown = (line for line in process.stdout if "Watchers" in line)
        seen = [next(shown, ""), next(shown, "")]
        process.terminate()
    assert all("Watchers 1, leader a" in line for line in seen), seen


@pytest.mark.parametrize("width", [80, 100, 160])
def test_details_fit_the_terminal(store: Store, width: int) -> None:
    node = render_node(read_node(store, load_limits(), NODE), 100.0, width)
    pod = render_pod(read_pod(store, "shop/stuck"), 100.0, width)
    out = io.StringIO()
    Console(width=width, file=out).print(node, pod)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for words in ("eni-0bbbbbbbbbbbbbb07", "assigned", "shop/served", "InsufficientFreeAddressesInSubnet, 3 times"):
        assert words in text, words


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(
            {"node": OTHER, "version": LEDGER_VERSION + 1}, "left to newer workers: it has version", id="newer version"
        ),
        pytest.param({"node": 5}, "the ledger cannot be read:", id="unreadable"),
    ],
)
def test_a_node_whose_ledger_this_version_cannot_read_says_so(
    redis: RedisServer, store: Store, body: dict[str, object], said: str
) -> None:
    client, prefix = connect(redis.url), keys.prefix("demo")
    client.set(keys.ledger(prefix, OTHER), msgspec.msgpack.encode(body))
    client.sadd(keys.ledgers(prefix), OTHER)
    (node,) = [node for node in read_cluster(store, load_limits()).nodes if node.node == OTHER]
    assert said in node.problem
    assert [pod.why for pod in node.waiting] == [node.problem]
    assert said in run(redis, OTHER).stdout.partition("Pods that wait")[0]
    assert said in run(redis, "shop/waiting").stdout
    assert said in run(redis).stdout


LEADER, STANDBY = Member(leader=True), Member()


@pytest.mark.parametrize(
    ("watchers", "workers", "said"),
    [
        pytest.param({"a": LEADER, "b": STANDBY}, {"w": Member()}, [], id="all is well"),
        pytest.param({}, {"w": Member()}, ["No watcher runs"], id="no watcher"),
        pytest.param({"a": LEADER}, {}, ["No worker runs"], id="no worker"),
        pytest.param({"a": STANDBY}, {"w": Member()}, ["No watcher leads"], id="no leader"),
        pytest.param({"a": LEADER, "b": LEADER}, {"w": Member()}, ["2 watchers lead: a, b"], id="two leaders"),
        pytest.param({"a": Member(leader=True, stale=True, age=14.0), "b": LEADER}, {"w": Member()},
                     ["Watcher a has not beaten for 14 s"], id="a killed leader's last beat is no second leader"),
        pytest.param({"a": Member(holder="b"), "b": LEADER}, {"w": Member()}, [], id="a standby of ours"),
        pytest.param({"a": Member(holder="reference")}, {"w": Member()}, ["held by reference,"], id="foreign lease"),
        pytest.param({"a": Member(holder="reference", holder_since="2026-11-28T09:00:00Z")}, {"w": Member()},
                     ["held by reference since 2026-11-28T09:00:00Z"], id="foreign lease, and since when"),
    ],
)  # fmt: skip
def test_alarms(watchers: Mapping[str, Member], workers: Mapping[str, Member], said: list[str]) -> None:
    found = alarms(watchers, workers, complete=True)
    assert len(found) == len(said)
    assert all(words in one for words, one in zip(said, found, strict=True)), found


def test_a_beat_that_is_missed_is_stale(redis: RedisServer, store: Store) -> None:
    client = connect(redis.url)
    client.pexpire(keys.member(keys.prefix("demo"), "worker", "w"), round((ALIVE - 28) * 1000))  # 28 s are over
    found = read_cluster(store, load_limits())
    assert found.workers["w"].stale
    assert found.alarms == ("Worker w has not beaten for 28 s.",)
