"""A ledger that cannot be understood stops no node: it is set aside and said so, and the node is adopted anew. Living
pods keep what they have, new ones are served, and nothing leaks."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.metrics import REGISTRY
from common.model.ids import BranchKey, NodeName, Prefix
from common.model.ledger import BranchState, Ledger, Pool, TrunkState
from common.model.names import PRIVATE_IPV4
from common.model.notice import NodeNotice
from common.store import keys
from tests.simulation.cluster import CLUSTER, Cluster
from tests.simulation.lives import leave, served

N1 = NodeName("n1")
Simulate = Callable[..., Cluster]
replace = msgspec.structs.replace


def without_trunk_id(of: Ledger) -> Ledger:
    return replace(of, trunk=replace(of.trunk, eni_id=None))


def created_without_id(of: Ledger) -> Ledger:
    return replace(of, trunk=replace(of.trunk, state=TrunkState.CREATED, eni_id=None))


def under_other_keys(of: Ledger) -> Ledger:
    """Each branch says another key than the one it is kept by."""
    odd = {
        BranchKey(f"odd-{key}"): replace(branch, state=BranchState.ASSOCIATED, unwanted=True)
        for key, branch in of.branches.items()
    }
    return replace(of, branches=odd)


def set_aside_so_far() -> float:
    return REGISTRY.get_sample_value("vpc_rc_ledgers_set_aside_total") or 0.0


def put(cluster: Cluster, body: bytes) -> None:
    cluster._peek.set(keys.ledger(keys.prefix(CLUSTER), N1), body)
    for node in cluster.plain.wakeups.mark_dirty([N1], cluster.clock.now()):
        cluster.queue.reconcile(node, "test")


def said(cluster: Cluster) -> list[Any]:
    return [n for n in cluster.notices if isinstance(n, NodeNotice) and n.reason == "LedgerSetAside"]


@pytest.mark.parametrize("breaks", [without_trunk_id, created_without_id, under_other_keys])
def test_a_ledger_that_cannot_be_planned_from_is_set_aside(
    breaks: Callable[[Ledger], Ledger], simulate: Simulate
) -> None:
    broken_and_healed(simulate(), lambda of: msgspec.msgpack.encode(breaks(of)))


@pytest.mark.parametrize(
    "body",
    [b"\xc1", b"\x81\xa4node\x05", b'{"node":"n1"}', msgspec.msgpack.encode({"node": "n1", "trunk": {"state": 9}})],
)
def test_a_ledger_that_cannot_be_read_is_set_aside(body: bytes, simulate: Simulate) -> None:
    broken_and_healed(simulate(), lambda _: body)


def broken_and_healed(cluster: Cluster, breaks: Callable[[Ledger], bytes]) -> None:
    instance = cluster.add_node("n1")
    cluster.add_pod("a", "n1")
    cluster.add_pod("ends", "n1")
    served(cluster)
    cluster.run(10)
    before, count = cluster.plain.ledgers.load(N1), set_aside_so_far()
    assert before is not None
    put(cluster, breaks(before))
    cluster.add_pod("b", "n1")
    cluster.remove_pod("ends")
    served(cluster)
    assert len(said(cluster)) == 1
    assert set_aside_so_far() == count + 1
    cluster.run(150)
    assert len(said(cluster)) == 1
    leave(cluster, instance, "a", "b")


def test_a_windows_pool_that_cannot_be_understood_is_set_aside(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"})
    instance = cluster.add_node("n1", windows=True)
    cluster.add_pod("a", "n1", windows=True)
    served(cluster)
    before = cluster.plain.ledgers.load(N1)
    assert before is not None
    odd = Pool(prefixes={Prefix("no-prefix"): 0.0}, suspect=False)
    put(cluster, msgspec.msgpack.encode(replace(before, pool=odd)))
    cluster.add_pod("b", "n1", windows=True)
    served(cluster)
    assert len(said(cluster)) == 1
    assert all(cluster.annotation(pod, PRIVATE_IPV4) for pod in cluster.live())
    leave(cluster, instance, "a", "b")
