"""What is too thin for unit tests is tried by unkind company: a watcher that writes at every outside call, views that
are old, an executor that does not wait, slices that are short. Each test says what must hold, and then that it notices
the deliberate fault that takes it away."""

import contextlib
from collections.abc import Callable

import pytest

from common.model.actions import Action, CleanDeparted, DeleteCniNode
from common.model.errors import StaleTerm
from common.model.ids import InstanceId, NodeName
from common.model.outcome import Done
from common.store import Store, keys
from sandbox.ec2.behaviour import Ec2Behaviour
from tests.simulation import faults, lives, worlds
from tests.simulation import happenings as it
from tests.simulation.cluster import BRISK, CLUSTER, Cluster, CountedRedis
from tests.simulation.crashes import CrashPoints
from tests.simulation.happenings import Happening, happen
from tests.simulation.watcher import PumpedWatcher
from tests.simulation.worlds import begin, peace, right
from watcher.kinds import Kind
from workers.steps import carry_out

Simulate = Callable[..., Cluster]
Try = Callable[[Simulate, int | None], Cluster]
BRISK_SECONDS = 12.0
"""Within which a pod is served that nothing stands in the way of."""
NODES = 60
"""More than the watcher writes in one batch."""


def wake_up(simulate: Simulate, moment: int | None) -> Cluster:
    """A pod comes, and is written, at any outside call of a run: it does not wait for the next look."""
    cluster = simulate(points=CrashPoints(pause_before=moment), watcher_writes=True)
    cluster.points.meanwhile = lambda: happen(cluster, it.PodComes("meanwhile", "n1"))
    begin(cluster, it.NodeJoins("n1"))
    cluster.run(6.0)
    happen(cluster, it.PodComes("a", "n1"))
    cluster.run(6.0)
    assert cluster.run(BRISK_SECONDS, lambda: not worlds.waiting(cluster)), worlds.waiting(cluster)
    return cluster


def intent(simulate: Simulate, moment: int | None) -> Cluster:
    """A worker is killed at any call beside an executor that does not wait: what it began is known."""
    cut = frozenset() if moment is None else frozenset({2 * moment + 1})
    cluster = simulate(points=CrashPoints(cut=cut), eager=True)
    lives.brief_life(cluster)
    return cluster


def _stale(*happenings: Happening) -> Try:
    def lived(simulate: Simulate, moment: int | None) -> Cluster:
        cluster = simulate(points=CrashPoints(pause_before=moment))
        cluster.points.meanwhile = lambda: happen(cluster, *happenings)
        worlds.linux(cluster)
        return cluster

    return lived


def _back_unseen(*pods: Happening) -> Try:
    """The Node object was away for 30 s, and the watch shows its end only. Its CNINode stayed all the time."""

    def lived(simulate: Simulate, _: int | None) -> Cluster:
        cluster = simulate()
        begin(cluster, it.NodeJoins("n1"), *pods)
        cluster.run(30.0)
        uid = cluster.cninode("n1")["metadata"]["uid"]
        cluster.kube.request("DELETE", "/api/v1/nodes/n1")
        cluster.run(3.0)
        happen(cluster, it.WatchSilent(100.0, (Kind.NODES,)))
        cluster.run(30.0)
        cluster.put_node("n1", cluster.instances["n1"])
        cluster.run(110.0)
        assert cluster.cninode("n1")["metadata"]["uid"] == uid, "the CNINode of a living node was deleted"
        peace(cluster)
        return cluster

    return lived


def node_back_at_the_look(simulate: Simulate, moment: int | None) -> Cluster:
    """A Node object and its CNINode are deleted just after pods got their interfaces, which EC2 does not show as in
    use yet. The Node is back before the worker that cleans up looks at it."""
    cluster = simulate()
    slow = {"latencies": {"mutate": [1.0, 1.0]}, "describe_lag": [0.5, 1.5]}
    cluster.ec2.behave(cluster.behaviour.changed(slow))
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
    cluster.run(30.0, cluster.all_served)
    instance = cluster.instances["n1"]
    cluster.points = CrashPoints(pause_before=moment)
    cluster.points.meanwhile = lambda: cluster.put_node("n1", instance)
    cluster.start_worker()
    cluster.delete_node_object("n1")
    cluster.run(1.0)
    calls = list(cluster.points.calls)
    if moment is not None:
        peace(cluster)
    cluster.points.calls[:] = calls
    return cluster


def clean_up_planned_before_the_node_was_back(simulate: Simulate, _: int | None) -> Cluster:
    """Steps that were planned while the Node object was away, and are carried out after it came back."""
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1"))
    cluster.run(30.0)
    name, cninode = NodeName("n1"), cluster.cninode("n1")["metadata"]
    steps: list[Action] = [
        CleanDeparted(
            subject="cninode",
            node=name,
            cninode_uid=cninode["uid"],
            instance_id=InstanceId(cluster.instances["n1"]),
            gone_since=cluster.clock.now() - 120.0,
            rest=0.0,
        ),
        DeleteCniNode(subject="cninode", node=name),
    ]
    for step in steps:
        assert carry_out(step, cluster.worker.ports) == Done()
    left = cluster.cninode("n1")["metadata"]
    assert left.get("finalizers") == cninode["finalizers"], "the finalizer of a living node's CNINode was taken away"
    assert "deletionTimestamp" not in left, "the CNINode of a living node was deleted"
    return cluster


def annotated_by_others(simulate: Simulate, moment: int | None) -> Cluster:
    cluster = simulate(points=CrashPoints(pause_before=moment))
    cluster.points.meanwhile = lambda: happen(cluster, it.Annotated("b", "by somebody else"))
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"), it.PodComes("b", "n1"))
    cluster.run(20.0)
    right(cluster)
    return cluster


def short_slices(simulate: Simulate, _: int | None) -> Cluster:
    """Slices that end in the middle of everything cost no time and no call."""
    cluster = simulate(slice_seconds=0.2, behaviour=Ec2Behaviour().changed(BRISK))
    begin(cluster, it.NodeJoins("n1"), *(it.PodComes(f"p{number}", "n1") for number in range(4)))
    assert cluster.run(BRISK_SECONDS, lambda: not worlds.waiting(cluster)), worlds.waiting(cluster)
    made = sum(call.effect for call in cluster.ec2.journal.of("CreateNetworkInterface"))
    associated = len(cluster.ec2.journal.of("AssociateTrunkInterface"))
    assert (made, associated) == (5, 4)
    peace(cluster)
    return cluster


def undisturbed(simulate: Simulate, _: int | None) -> Cluster:
    cluster = simulate()
    worlds.linux(cluster)
    return cluster


def deposed_leader(simulate: Simulate, moment: int | None) -> Cluster:
    """A leader stands still at one of its writes; another leads meanwhile, and the old one goes on."""
    cluster = simulate()
    client = CountedRedis(server=cluster.server)
    old_store = Store.on(client, keys.prefix(CLUSTER))
    for number in range(NODES):
        cluster.put_node(f"n{number}", cluster.ec2.add_instance(subnet_id="subnet-0000000000000001"))
        cluster.add_pod(f"p{number}", f"n{number}")
    cluster.queue.tasks.clear()

    def meanwhile() -> None:
        for number in range(NODES):
            cluster.remove_pod(f"p{number}")
        PumpedWatcher(cluster.kube, cluster.plain, cluster.queue, cluster.clock).pump()

    old = PumpedWatcher(cluster.kube, old_store, cluster.queue, cluster.clock)
    client.points = CrashPoints(pause_before=moment, meanwhile=meanwhile)
    with contextlib.suppress(StaleTerm):
        old.pump()
    cluster.points.calls[:] = client.points.calls
    if moment is not None:
        ghosts = [n for n in range(NODES) if cluster.plain.desired.read(NodeName(f"n{n}")).pods]
        assert not ghosts, f"{len(ghosts)} nodes have pods that are gone"
    return cluster


LAYERS: dict[str, tuple[Try, str, int]] = {
    "wake-up": (wake_up, "Redis ZREM", 1),
    "intent": (intent, "EC2", 1),
    "pods said to be gone": (_stale(it.SaidGone("n1", seconds=75.0)), "", 40),
    "node said to be gone": (_stale(it.SaidGone("n1", nodes=True, seconds=75.0)), "", 40),
    "successor": (_stale(it.PodReplaced("c"), it.PodReplaced("d")), "Kubernetes", 1),
    "idle node back unseen": (_back_unseen(), "-", 1),
    "node back unseen": (_back_unseen(it.PodComes("a", "n1")), "-", 1),
    "node back at the look": (node_back_at_the_look, "Kubernetes GET /api/v1/nodes", 1),
    "clean-up planned before": (clean_up_planned_before_the_node_was_back, "-", 1),
    "annotated by others": (annotated_by_others, "Kubernetes", 1),
    "short slices": (short_slices, "-", 1),
    "undisturbed": (undisturbed, "-", 1),
    "deposed leader": (deposed_leader, "Redis", 9),
}
"""What is tried, at which calls (by the beginning of their names), and every how many of those."""

FAULTS: list[tuple[faults.Fault, str]] = [
    (faults.mark_cleared_after_the_read, "wake-up"),
    (faults.intents_saved_after_the_start, "intent"),
    (faults.every_node_is_gone, "node said to be gone"),
    (faults.every_pod_is_gone, "pods said to be gone"),
    (faults.departed_without_a_look, "clean-up planned before"),
    (faults.cninode_deleted_without_a_look, "clean-up planned before"),
    (faults.annotation_overwritten, "annotated by others"),
    (faults.successor_taken_for_the_pod, "successor"),
    (faults.sliced_run_not_published, "short slices"),
    (faults.trunk_tag_not_written, "undisturbed"),
    (faults.delete_on_termination_not_set, "undisturbed"),
    (faults.terms_not_compared, "deposed leader"),
]


def moments(name: str, simulate: Simulate) -> list[int | None]:
    trial, where, stride = LAYERS[name]
    calls = trial(simulate, None).points.calls
    return [None, *[n for n, call in enumerate(calls) if call.startswith(where)][::stride]]


@pytest.mark.parametrize("name", LAYERS)
def test_the_thin_layer_holds(name: str, simulate: Simulate) -> None:
    for moment in moments(name, simulate):
        try:
            LAYERS[name][0](simulate, moment)
        except AssertionError as error:
            raise AssertionError(f"at call {moment}: {error}") from error


@pytest.mark.parametrize(("fault", "name"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_is_noticed(
    fault: faults.Fault, name: str, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faultless product passes the same trial (the test above)."""
    with monkeypatch.context() as patch:
        fault(patch)
        assert noticed(name, simulate), f"{fault.__name__} changes nothing in `{name}`"


def noticed(name: str, simulate: Simulate) -> bool:
    try:
        for moment in moments(name, simulate):
            LAYERS[name][0](simulate, moment)
    except AssertionError:
        return True
    return False
