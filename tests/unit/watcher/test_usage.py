"""Branch interfaces by state, and what nodes offer: gauges of the leader."""

import threading

from common import metrics
from common.model.ids import BranchKey, EniId, InstanceId, NodeName, PodUid, SubnetId, VlanId
from common.model.ledger import Branch, BranchState, Ledger
from common.model.names import POD_ENI
from common.store import Store, keys
from tests.kit.fake_redis import FakeRedis
from tests.unit.watcher.bench import NODES, Watch
from watcher import usage

A, B = NodeName("a"), NodeName("b")


def ledger(node: NodeName, *states: BranchState) -> Ledger:
    branches = {
        BranchKey(f"{number}"): Branch(
            key=BranchKey(f"{number}"),
            state=state,
            instance_id=InstanceId("i-1"),
            trunk_id=EniId("eni-1"),
            pod_uid=PodUid(""),
            vlan=VlanId(number),
            subnet_id=SubnetId("subnet-1"),
        )
        for number, state in enumerate(states, 1)
    }
    return Ledger(node=node, branches=branches)


def test_branches_of_all_nodes_are_counted_by_state() -> None:
    found = usage.by_state(
        [
            ledger(A, BranchState.ASSIGNED, BranchState.COOLING),
            ledger(B, BranchState.ASSIGNED),
            Ledger(node=NodeName("c")),
        ]
    )
    assert {state: number for state, number in found.items() if number} == {
        BranchState.ASSIGNED: 2,
        BranchState.COOLING: 1,
    }
    assert set(found) == set(BranchState), "a state that nothing is in shows 0"


def shown(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


class Ended(threading.Event):
    """Set at the second look."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def wait(self, timeout: float | None = None) -> bool:
        self._looks += 1
        return self._looks > 1


def test_only_the_leader_shows_them() -> None:
    store = Store.on(FakeRedis(), keys.prefix("c"))
    token = store.lock.acquire(A, "w/1", 60.0)
    assert token is not None
    store.ledgers.save(A, ledger(A, BranchState.COOLING), "w/1", token)
    usage.keep(store.ledgers, lambda: True, Ended())
    assert shown("vpc_rc_branches", state="cooling") == 1
    usage.keep(store.ledgers, lambda: False, Ended())
    assert shown("vpc_rc_branches", state="cooling") is None


def test_what_nodes_offer_is_the_sum_of_their_capacity() -> None:
    watch = Watch()
    for name, amount in (("a", "9"), ("b", "18"), ("c", None), ("d", "9k")):
        status = {"capacity": {POD_ENI: amount}} if amount else {}
        watch.api.ok("POST", NODES, {"metadata": {"name": name}, "status": status})
    watch.lead()
    watch.turn(10)
    assert shown("vpc_rc_branch_capacity") == 27


def test_a_capacity_beyond_any_number_is_none() -> None:
    """The API server takes quantities of hundreds of digits, which no float holds; Python reads none of 5,000."""
    watch = Watch()
    for number, amount in enumerate(("9" * 400, "9" * 5_000, "5")):
        node = {"metadata": {"name": f"n{number}"}, "status": {"capacity": {POD_ENI: amount}}}
        watch.api.ok("POST", NODES, {"apiVersion": "v1", "kind": "Node", **node})
    watch.lead()
    watch.turn(60)
    assert shown("vpc_rc_branch_capacity") == 5
