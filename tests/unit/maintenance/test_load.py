"""Reading instances for many nodes: every node that asked is woken, whatever fails on the way."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from common.model.errors import StoreUnavailable
from common.model.ids import InstanceId, NodeName
from common.model.node import NodeFacts, NodeView
from common.store import Store, keys
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.ec2.scripted import Script, fault, filters_of
from workers.maintenance.load import load_instances

KNOWN = ("m5.large",)


class Published:
    def __init__(self) -> None:
        self.nodes: list[NodeName] = []
        self.loads = 0

    def reconcile(self, node: NodeName, reason: str) -> None:
        self.nodes.append(node)

    def load_instances(self) -> None:
        self.loads += 1


class Cluster:
    """Nodes that ask for their instances, and an EC2 that knows them all."""

    def __init__(self, nodes: int) -> None:
        self.store = Store.on(FakeRedis(), keys.prefix("c"))
        self.clock = VirtualClock()
        self.published = Published()
        self.nodes = {InstanceId(f"i-{n:017x}"): NodeName(f"node-{n}") for n in range(nodes)}
        self.broken: Callable[[list[str]], bool] = lambda _: False
        self.stopping = False

    def ask(self) -> None:
        for instance_id, node in self.nodes.items():
            self.store.snapshots.request(instance_id, node, self.clock.now())

    def load(self, **answers: Any) -> tuple[int, Script]:
        script = Script(
            **{
                "DescribeInstances": self._instances,
                "DescribeSubnets": {"Subnets": []},
                "DescribeNetworkInterfaces": {"NetworkInterfaces": []},
                **answers,
            }
        )
        read = load_instances(
            self.store, script.ec2(), self.published, self.clock, KNOWN, stopping=lambda: self.stopping
        )
        return read, script

    def _instances(self, params: dict[str, Any]) -> dict[str, Any]:
        ids = filters_of(params)["instance-id"]
        self.clock.sleep(0.1)
        if self.broken(ids):
            raise fault("InternalError", 500)
        running = {"InstanceType": "m5.large", "State": {"Name": "running"}, "SubnetId": "subnet-1"}
        return {"Reservations": [{"Instances": [{**running, "InstanceId": one} for one in ids]}]}

    def unread(self) -> set[NodeName]:
        return {node for instance_id, node in self.nodes.items() if self.store.snapshots.read(instance_id) is None}


def test_every_node_is_read_and_woken_once() -> None:
    cluster = Cluster(30)
    cluster.ask()
    read, _ = cluster.load()
    assert (read, cluster.unread()) == (30, set())
    assert sorted(cluster.published.nodes) == sorted(cluster.nodes.values())
    assert all(cluster.store.wakeups.is_dirty(node) for node in cluster.nodes.values())
    assert cluster.published.loads == 0


def test_nothing_asked_for_asks_nobody() -> None:
    read, script = Cluster(0).load()
    assert (read, script.calls) == (0, [])


def test_a_process_that_ends_asks_no_more_and_leaves_the_rest_to_another_task() -> None:
    cluster = Cluster(30)
    cluster.ask()

    def silent(_: dict[str, Any]) -> dict[str, Any]:
        cluster.clock.sleep(20.0)
        cluster.stopping = True
        raise ReadTimeoutError(endpoint_url="http://ec2")

    read, script = cluster.load(DescribeInstances=silent)
    assert (read, [action for action, _ in script.calls]) == (0, ["DescribeInstances"])
    assert cluster.published.loads == 1
    cluster.stopping = False
    assert cluster.load()[0] == 30


def test_a_snapshot_is_as_old_as_the_beginning_of_its_reading() -> None:
    cluster = Cluster(1)
    cluster.ask()

    began = []

    def slow(params: dict[str, Any]) -> dict[str, Any]:
        began.append(cluster.clock.now())
        cluster.clock.sleep(5.0)
        return cluster._instances(params)

    cluster.load(DescribeInstances=slow)
    snapshot = cluster.store.snapshots.read(next(iter(cluster.nodes)))
    assert snapshot is not None
    assert snapshot.taken_at == began[0]


def test_requests_that_come_one_by_one_are_read_together() -> None:
    cluster = Cluster(9)
    coming = list(cluster.nodes.items())
    sleep = cluster.clock.sleep

    def ask_next() -> None:
        instance_id, node = coming.pop()
        cluster.store.snapshots.request(instance_id, node, cluster.clock.now())

    def asked_meanwhile(seconds: float) -> None:
        sleep(seconds)
        if coming:
            ask_next()

    ask_next()
    cluster.clock.sleep = asked_meanwhile  # type: ignore[method-assign]
    read, script = cluster.load()
    assert read == 9
    assert script.count()["DescribeInstances"] == 1


@pytest.mark.parametrize(
    "error",
    [fault("InternalError", 500), fault("RequestLimitExceeded", 503), fault("UnauthorizedOperation", 403)],
    ids=["unsure", "throttled", "denied"],
)
def test_while_ec2_fails_no_request_is_lost_and_another_task_comes_back_after_a_pause(error: Exception) -> None:
    cluster = Cluster(30)
    cluster.ask()
    read, script = cluster.load(DescribeInstances=error)
    assert (read, cluster.published.nodes, cluster.published.loads) == (0, [], 1)
    assert len(script.calls) <= 3
    assert cluster.clock.time >= 1_000_002.0
    read, _ = cluster.load()
    assert (read, cluster.unread()) == (30, set())


def test_where_long_answers_break_short_ones_get_through() -> None:
    cluster = Cluster(150)
    cluster.ask()
    cluster.broken = lambda ids: len(ids) > 40
    read, _ = cluster.load()
    assert (read, cluster.unread(), cluster.published.loads) == (150, set(), 0)


def test_one_instance_that_cannot_be_read_holds_up_no_other_for_good() -> None:
    cluster = Cluster(60)
    poison = next(iter(cluster.nodes))
    cluster.broken = lambda ids: poison in ids
    cluster.ask()
    cluster.load()
    assert cluster.unread() == {cluster.nodes[poison]}
    cluster.broken = lambda _: False
    cluster.load()
    assert cluster.unread() == set()


class Disrupted(Cluster):
    """Three hundred nodes that ask, every third in a zone whose instances EC2 does not answer for."""

    def __init__(self, *, zones_known: bool) -> None:
        super().__init__(300)
        down = {one for number, one in enumerate(self.nodes) if number % 3 == 1}
        self.down = {self.nodes[one] for one in down}
        self.broken = lambda ids: not down.isdisjoint(ids)
        for number, node in enumerate(self.nodes.values()):
            if zones_known:
                facts = NodeFacts(name=node, uid="u", zone=f"us-west-2{'abc'[number % 3]}")
                self.store.desired.write_node(node, NodeView(node=facts))
        self.ask()


def test_in_a_disrupted_zone_the_nodes_of_the_others_are_read_at_once() -> None:
    cluster = Disrupted(zones_known=True)
    read, script = cluster.load()
    assert (read, cluster.unread()) == (200, cluster.down)
    assert script.count()["DescribeInstances"] < 20


def test_where_zones_are_not_known_the_healthy_are_found_down_to_single_ones() -> None:
    cluster = Disrupted(zones_known=False)
    began, tasks = cluster.clock.time, 0
    while cluster.unread() != cluster.down:
        cluster.load()
        tasks += 1
        assert cluster.published.loads == tasks, "another task comes back for the rest"
    assert cluster.clock.time - began < 180


def test_two_that_cannot_be_read_do_not_hide_the_others_for_good() -> None:
    """Those tried alone first are others the next time."""
    cluster = Cluster(60)
    ids = list(cluster.nodes)
    bad = {ids[0], ids[30]}
    cluster.broken = lambda some: not bad.isdisjoint(some)
    cluster.ask()
    cluster.load()
    cluster.load()
    assert cluster.unread() == {cluster.nodes[one] for one in bad}


def test_a_failing_page_leaves_no_snapshot_of_that_batch() -> None:
    cluster = Cluster(2)
    cluster.ask()
    cluster.load(DescribeNetworkInterfaces=[{"NetworkInterfaces": [], "NextToken": "t"}, fault("InternalError", 500)])
    assert cluster.unread() == set(cluster.nodes.values())


def test_a_node_whose_message_cannot_be_published_stays_dirty() -> None:
    cluster = Cluster(3)
    cluster.ask()

    class Broken(Published):
        def reconcile(self, node: NodeName, reason: str) -> None:
            raise StoreUnavailable

    cluster.published = Broken()
    with pytest.raises(StoreUnavailable):
        cluster.load()
    assert cluster.unread() == set()
    assert all(cluster.store.wakeups.is_dirty(node) for node in cluster.nodes.values())
