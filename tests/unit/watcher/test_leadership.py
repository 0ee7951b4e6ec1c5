"""Two watchers that both believe to lead: the one that was deposed writes nothing, and ends."""

import random
from typing import Any

import pytest

from common.kube.lease import Lease, LeaseTerms
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store import Store, keys
from tests.kit.api import node, pod
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.watcher.bench import N1, NODES, NOW_GONE, PODS, Published, Watch
from watcher.announcer import NODES_A_CALL
from watcher.writer import BATCHES

MANY = 300
"""Nodes: several turns' worth."""
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


@pytest.fixture
def old() -> Watch:
    """Leads a cluster of one node with one pod."""
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    watch.api.ok("POST", PODS, pod("p", "n1"))
    return watch.lead()


def successor(old: Watch) -> Watch:
    return Watch(api=old.api, redis=old.redis, clock=old.clock, seed=1)


def test_a_deposed_leaders_late_batch_is_not_written(old: Watch) -> None:
    """It knew of the pod's end only after its successor did, and of a later pod before."""
    old.api.ok("POST", PODS, pod("late", "n1"))
    old.reflect()
    for name in ("p", "late"):
        old.api.ok("DELETE", f"{PODS}/{name}", NOW_GONE)
    new = successor(old).lead()
    assert new.desired(N1).pods == {}
    old.turn()
    assert new.desired(N1).pods == {}, "pods that are gone were written"
    assert old.deposed == 1
    old.reflect()
    old.turn(20)
    assert new.desired(N1).pods == {}
    assert old.deposed == 1
    new.api.ok("POST", PODS, pod("next", "n1"))
    new.settle()
    assert len(new.desired(N1).pods) == 1
    assert new.deposed == 0


def test_two_that_hold_the_lease_after_it_was_deleted_do_no_harm(old: Watch) -> None:
    def lease(identity: str) -> Lease:
        return Lease(
            old.api, namespace="kube-system", name="l", identity=identity, terms=LeaseTerms(), clock=old.clock,
            rng=random.Random(0),
        )  # fmt: skip

    first, second = lease("a"), lease("b")
    assert first.attempt()
    old.api.ok("DELETE", f"{LEASES}/l")
    assert second.attempt()
    assert first.held(), "two leaders, until the next renewal"
    assert second.held()
    new = successor(old).lead()
    for number in range(20):
        old.api.ok("POST", PODS, pod(f"q{number}", "n1"))
        for watch in (old, new) if number % 2 else (new, old):
            watch.reflect()
            watch.turn()
    new.settle()
    assert len(new.desired(N1).pods) == 21
    assert (old.deposed, new.deposed) == (1, 0)


def test_a_leader_that_cannot_take_over_tries_again(old: Watch) -> None:
    new = successor(old)
    new.reflect()
    new.redis.connected = False
    new.leader.lead()
    new.turn(10)
    assert [new.leader.leading, bool(new.leader.trouble)] == [False, True]
    new.redis.connected = True
    new.turn(10)
    assert new.leader.leading
    old.turn(60)
    assert old.deposed == 1


def test_a_lease_lost_while_taking_over_writes_nothing(old: Watch) -> None:
    before = old.desired(N1)
    old.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    new = successor(old)
    new.held = False
    new.leader.lead()
    new.reflect()
    new.turn(20)
    assert old.desired(N1) == before


# --- one turn is short


def test_a_turn_announces_so_many_nodes_and_no_more() -> None:
    watch = Watch()
    for number in range(MANY):
        watch.api.ok("POST", NODES, node(f"n{number}"))
        watch.api.ok("POST", PODS, pod(f"p{number}", f"n{number}"))
    watch.reflect()
    watch.leader.lead()
    longest, before = 0, 0
    for _ in range(200):
        watch.turn()
        published = len(watch.published.nodes)
        longest, before = max(longest, published - before), published
        if watch.writer.settled:
            break
    assert before == MANY
    assert longest <= (BATCHES + 1) * NODES_A_CALL, "the writer's and the ticker's share"


class SlowRedis(FakeRedis):
    """Takes a millisecond for each command, of the test's clock."""

    clock: VirtualClock

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.clock.sleep(0.001)
        return super().execute_command(*args, **options)

    def pipeline(self, *args: Any, **options: Any) -> Any:
        piped, clock = super().pipeline(*args, **options), self.clock
        execute = piped.execute

        def slow(*given: Any, **more: Any) -> Any:
            clock.sleep(0.001 * (len(piped.command_stack) + 2))
            return execute(*given, **more)

        piped.execute = slow  # type: ignore[method-assign]
        return piped


class SlowPublished(Published):
    """As a publication over Celery: three commands."""

    clock: VirtualClock

    def reconcile(self, node: NodeName, reason: str) -> None:
        self.clock.sleep(0.003)
        super().reconcile(node, reason)


def test_no_turn_takes_longer_than_half_a_second_where_each_command_takes_a_millisecond() -> None:
    """Lease, stop and probes are looked at between two turns."""
    clock = VirtualClock()
    client = SlowRedis()
    client.clock = clock
    watch = Watch(clock=clock, store=Store.on(client, keys.prefix("bench")))
    watch.published.__class__, watch.published.clock = SlowPublished, clock  # type: ignore[attr-defined]
    for number in range(MANY):
        watch.api.ok("POST", NODES, node(f"n{number}"))
    watch.reflect()
    watch.leader.lead()
    turns = []
    for _ in range(150):
        began = clock.monotonic()
        watch.leader.turn()
        turns.append(clock.monotonic() - began)
        clock.sleep(0.1)  # Nodes where nobody waits are announced by and by.
    print(f"longest turn {max(turns):.3f} s")
    assert len(watch.published.nodes) == MANY
    assert 0.1 < max(turns) < 0.5


def test_a_full_list_into_an_emptied_redis_takes_little_more_than_a_command_for_each_node() -> None:
    clock, client = VirtualClock(), SlowRedis()
    client.clock = clock
    watch = Watch(clock=clock, store=Store.on(client, keys.prefix("bench")))
    for number in range(MANY):
        watch.api.ok("POST", NODES, node(f"n{number}"))
    watch.reflect()
    watch.leader.lead()
    took = 0.0
    while not watch.store.desired.is_complete():
        began = clock.monotonic()
        watch.leader.turn()
        took += clock.monotonic() - began
    print(f"{MANY} nodes listed in {took:.2f} s")
    assert took < 0.002 * MANY


def test_a_leader_that_is_behind_does_not_wait_for_the_next_tick() -> None:
    watch = Watch()
    for number in range(MANY):
        watch.api.ok("POST", NODES, node(f"n{number}"))
    watch.reflect()
    watch.leader.lead()
    assert watch.leader.turn()
    while watch.leader.turn():
        pass
    assert watch.writer.settled
    watch.redis.connected = False
    watch.writer.rewrite("test")
    assert not watch.leader.turn(), "it backs off"


def test_a_name_that_could_not_be_announced_is_announced_later() -> None:
    watch = Watch()
    watch.announcer.add([(NodeName("a"), "x"), (NodeName("b"), "x")])
    watch.published.away = True
    with pytest.raises(StoreUnavailable):
        watch.announcer.catch_up()
    assert not watch.announcer.settled
    watch.published.away = False
    watch.announcer.catch_up()
    assert watch.published.names() == {"a", "b"}
    assert watch.announcer.settled


# --- lists that are not complete


def known_to(old: Watch, identity: str, synced: str) -> None:
    old.store.members.beat("watcher", identity, {"leader": "false", "synced": synced, "started": "0"}, 15)


@pytest.mark.parametrize(
    ("others", "gives_up"),
    [
        pytest.param({"other": "true"}, True, id="another is synced"),
        pytest.param({"other": "false"}, False, id="another is not synced either"),
        pytest.param({}, False, id="nobody else lives"),
        pytest.param({"w": "true"}, False, id="only its own earlier word"),
    ],
)
def test_a_leader_that_cannot_finish_its_lists_gives_up_to_one_that_has(others: dict[str, str], gives_up: bool) -> None:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    for identity, synced in others.items():
        known_to(watch, identity, synced)
    watch.leader.lead()
    watch.turn(60)
    assert not watch.cache.complete
    assert watch.deposed == (1 if gives_up else 0)
    assert watch.leader.leading is not gives_up


def test_a_leader_whose_machines_clock_is_wrong_gives_up(old: Watch) -> None:
    wrong: list[str | None] = [None]
    old.leader._ask_time = lambda: wrong[0]
    old.turn(60)
    assert old.deposed == 0
    wrong[0] = "this machine's clock is +3.0 s off redis' clock"
    old.turn(60)
    assert old.deposed == 1
    assert not old.leader.leading


def test_a_leader_that_knows_the_cluster_keeps_the_lease(old: Watch) -> None:
    known_to(old, "other", "true")
    old.turn(60)
    assert old.deposed == 0
    assert old.leader.leading
