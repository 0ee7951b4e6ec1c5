"""Runs that are cut short all the time get on as others do, and repeat nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from common.metrics import RECONCILES
from common.model.names import BRANCH_DESCRIPTION
from common.store import keys
from sandbox.ec2.behaviour import Ec2Behaviour
from tests.simulation.cluster import CLUSTER, Cluster
from tests.simulation.lives import clean, done, forgotten, served
from workers.node_run import Ending

SLICE_SECONDS = 0.2
CREATE, OTHERS = "CreateNetworkInterface", 400
EVEN = {"latencies": {"describe": (0.3, 0.3), "mutate": (0.3, 0.3)}, "attach_delay": (0.3, 0.3)}
"""Calls that began together end together, the last ones of a slice too."""


@pytest.mark.parametrize("pods", [8])
def test_each_call_is_made_once(pods: int, simulate: Callable[..., Cluster]) -> None:
    cluster = simulate(behaviour=Ec2Behaviour().changed(EVEN))
    cluster.change_worker(slice_seconds=SLICE_SECONDS)
    instance = cluster.add_node("n1")
    for number in range(pods):
        cluster.add_pod(f"p{number}", "n1")
    served(cluster)
    for action in ("AssociateTrunkInterface", "CreateNetworkInterfacePermission", "CreateNetworkInterface"):
        calls = len(cluster.ec2.journal.of(action))
        assert calls <= pods + 1, f"{calls} calls of {action}"
    for number in range(pods):
        cluster.remove_pod(f"p{number}")
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    assert len(cluster.ec2.journal.of("DisassociateTrunkInterface")) == pods
    cluster.remove_node("n1", terminate=instance)
    forgotten(cluster)
    clean(cluster)


def test_a_place_in_the_limiters_line_is_kept_over_the_ends_of_slices(simulate: Callable[..., Cluster]) -> None:
    """Nine pods stand in a line behind others, and the runs that hold their node are cut short all the time."""
    cluster = simulate()
    cluster.add_node("n1")
    assert cluster.run(120, lambda: cluster.capacity("n1") == "9")
    cluster.change_worker(slice_seconds=0.0)
    for other in range(OTHERS):
        cluster.plain.limiter.reserve(CREATE, f"other-{other}")
    tickets: dict[str, float] = {}
    cut_while_waiting = 0

    def look() -> None:
        nonlocal cut_while_waiting
        line: Any = cluster.redis.zrange(keys.rate_line(keys.prefix(CLUSTER), CREATE), 0, -1, withscores=True)
        now: dict[str, float] = {who.decode(): ticket for who, ticket in line if who.startswith(b"branch/")}
        behind = {who for who, ticket in now.items() if ticket > tickets.get(who, ticket)}
        assert not behind, f"{behind} went to the end of the line"
        tickets.update(now)
        sliced = RECONCILES.labels(Ending.SLICED)._value.get()
        cut_while_waiting += len(now) * (sliced - look_before[0] > 0)
        look_before[0] = sliced

    look_before = [RECONCILES.labels(Ending.SLICED)._value.get()]
    for number in range(9):
        cluster.add_pod(f"p{number}", "n1")
    for _ in range(600):
        cluster.run(0.1)
        look()
        if cluster.all_served():
            break
    assert cluster.all_served()
    assert len(tickets) == 9
    assert cut_while_waiting, "no slice ended meanwhile"
    assert len(cluster.ec2.journal.of(CREATE)) == 1 + 9, "each is asked for once, the trunk too"


def test_a_run_whose_reading_alone_outlasts_its_slice_gets_on(simulate: Callable[..., Cluster]) -> None:
    cluster = simulate()
    cluster.change_worker(slice_seconds=0.0)
    cluster.add_node("n1")
    cluster.add_pod("p", "n1")
    served(cluster)
