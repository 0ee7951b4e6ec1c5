"""Worlds: a scripted life, and what happens to it at every moment. Each ends in peace, and then everything must be as
goal, stay so, and go away with its pods and nodes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.model.names import BRANCH_DESCRIPTION, POD_ENI, PRIVATE_IPV4
from tests.kit.clock import START
from tests.simulation import happenings as it
from tests.simulation.cluster import OTHER_GROUP, Cluster
from tests.simulation.happenings import Happening, happen
from tests.simulation.lives import Life
from watcher.kinds import Kind

PATIENCE_SECONDS = 400.0
"""Within which a cluster without trouble must be as desired."""
STEADY_SECONDS = 120.0
STEADY_CALLS = 30
"""Looks at EC2 that a settled cluster may make meanwhile; no call that changes anything."""
QUIET_SECONDS = 20.0
"""What the watcher's clockwork may skip in peace."""
LAG = it.Ec2Behaves("describe_lag", [0.0, 3.0])
LAG_MEMORY_SECONDS = 10.0
"""The VPC itself must be older than what EC2 shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A life, and what happens to it at one of its outside calls."""

    life: Life
    happening: tuple[Happening, ...]
    also: dict[str, Any] = field(default_factory=dict)
    """Fields of the cluster."""
    lag: bool = True
    moments: int = 6
    """So many of the life's calls, spread evenly, are such a moment; `slow` takes all."""


# --- lives


def linux(cluster: Cluster) -> None:
    """A node joins, pods come, one ends, one is replaced, one comes late."""
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"), it.PodComes("b", "n1"))
    cluster.run(20.0, cluster.all_served)
    happen(cluster, it.PodGoes("a"), it.PodComes("c", "n1", 2))
    cluster.run(5.0)
    happen(cluster, it.PodComes("d", "n1"), it.PodFinishes("b"))
    cluster.run(70.0)
    peace(cluster)


def reuse(cluster: Cluster) -> None:
    """As `linux`, beside idle interfaces: pods take them with the same and with other groups, and one wants more."""
    cluster.configure({"branch-eni-warm-target": "2", "branch-eni-cooldown": "30"})
    cluster.put_policy("web", "web", [OTHER_GROUP])
    begin(cluster, it.NodeJoins("n1", "m6g.medium"), it.PodComes("a", "n1", 2), it.PodComes("b", "n1"))
    cluster.run(20.0, cluster.all_served)
    happen(cluster, it.PodGoes("a"), it.WebPodComes("c", "n1"))
    cluster.run(36.0)
    happen(cluster, it.WebPodComes("d", "n1"), it.PodFinishes("b"))
    cluster.run(5.0)
    happen(cluster, it.PodReplaced("c"), it.PodGoes("d"))
    cluster.run(45.0)
    happen(cluster, it.PodComes("e", "n1", 2))
    cluster.run(20.0)
    peace(cluster)


def windows(cluster: Cluster) -> None:
    cluster.configure({"enable-windows-ipam": "true"})
    _windows(cluster)


def prefixes(cluster: Cluster) -> None:
    cluster.configure({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"})
    _windows(cluster)


def _windows(cluster: Cluster) -> None:
    begin(cluster, it.NodeJoins("w1", windows=True), it.PodComes("a", "w1"), it.PodComes("b", "w1"))
    cluster.run(20.0, cluster.all_served)
    happen(cluster, it.PodGoes("a"), *(it.PodComes(name, "w1") for name in ("c", "d", "e")))
    cluster.run(5.0)
    happen(cluster, it.PodGoes("d"), it.PodGoes("e"))
    cluster.run(70.0)
    peace(cluster)


def joining(cluster: Cluster) -> None:
    """The moments in which a trunk and the first branches are made."""
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"), it.PodComes("b", "n1"))
    cluster.run(8.0)
    happen(cluster, it.PodComes("c", "n1"))
    peace(cluster)


def windows_joining(cluster: Cluster) -> None:
    cluster.configure({"enable-windows-ipam": "true"})
    begin(cluster, it.NodeJoins("w1", windows=True), it.PodComes("a", "w1"), it.PodComes("b", "w1"))
    cluster.run(8.0)
    happen(cluster, it.PodComes("c", "w1"))
    peace(cluster)


def full(cluster: Cluster) -> None:
    """A full node on which pods of one make room for larger ones."""
    cluster.configure({"branch-eni-cooldown": "30"})
    begin(cluster, it.NodeJoins("n1"), *(it.PodComes(f"p{number}", "n1") for number in range(9)))
    cluster.run(20.0, cluster.all_served)
    for count in (5, 9):
        happen(cluster, *(it.PodGoes(name) for name in cluster.pod_names()[:count]))
        happen(cluster, it.PodComes(f"of-{count}", "n1", count))
        cluster.run(60.0, cluster.all_served)
        happen(cluster, *(it.PodGoes(name) for name in cluster.pod_names() if count == 5 and name != "of-5"))
    peace(cluster)


def beside_finished(cluster: Cluster) -> None:
    """All VLAN ids stand in annotations of pods that are done."""
    begin(cluster, it.NodeJoins("n1"), it.FinishedPodsStay("n1", 120), it.PodComes("a", "n1"))
    cluster.run(20.0, cluster.all_served)
    happen(cluster, it.PodGoes("a"), it.PodComes("b", "n1", 2), it.PodFinishes("done1"))
    cluster.run(70.0)
    peace(cluster)


def hour(cluster: Cluster) -> None:
    """A life that goes on for more than an hour, with pods that come, end and are replaced meanwhile."""
    begin(cluster, it.NodeJoins("n1"), it.NodeJoins("n2"), it.PodComes("a", "n1"), it.PodComes("b", "n2"))
    cluster.run(20.0, cluster.all_served)
    for number in range(6):
        happen(
            cluster,
            it.PodComes(f"p{number}", ("n1", "n2")[number % 2]),
            it.PodReplaced("a"),
            it.PodGoes(f"p{number - 3}"),
        )
        cluster.run(620.0)
    assert cluster.most_messages <= 1, f"{cluster.most_messages} messages waited for one node"
    peace(cluster)


def swept(cluster: Cluster) -> None:
    """An interface is idle in two passes of the sweep, for associating fails, and comes into use beside the second."""
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
    cluster.run(20.0, cluster.all_served)
    happen(cluster, it.Ec2Fails("AssociateTrunkInterface"), it.PodComes("b", "n1"))
    cluster.run(30.0)
    happen(cluster, it.SweepComes())
    cluster.run(1810.0)
    happen(cluster, it.SweepComes())
    cluster.ec2.clear_faults()
    cluster.run(30.0)
    peace(cluster)


def begin(cluster: Cluster, *happenings: Happening) -> None:
    cluster.clock.sleep(LAG_MEMORY_SECONDS)
    happen(cluster, *happenings)


# --- the end of every life


def peace(cluster: Cluster, at_rest: Callable[[Cluster], None] = lambda _: None) -> None:
    """Disturbances end. Whoever lives is served and nothing is wrong or changes any more; `at_rest` looks at that. Then
    all go, and nothing is left."""
    cluster.heal()
    cluster.longest_pause = QUIET_SECONDS
    within(cluster, lambda: not waiting(cluster), "all pods are served", lambda: str(waiting(cluster)))
    within(cluster, lambda: only_what_is_used(cluster), "ended pods' interfaces are released")
    right(cluster)
    steady(cluster)
    at_rest(cluster)
    if cluster.warm_target:
        cluster.configure({**cluster.configured(), "branch-eni-warm-target": "0"})
    for name in cluster.pod_names():
        cluster.remove_pod(name)
    within(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    for node, instance in list(cluster.instances.items()):
        cluster.remove_node(node, terminate=instance)
    within(cluster, lambda: not cluster.plain.ledgers.all(), "all records end")
    if cluster.left_to_the_sweep:
        cluster.sweep_twice()
    left = cluster.judge.leftovers()
    assert not left, left
    right(cluster)


def within(cluster: Cluster, until: Callable[[], bool], what: str, say: Callable[[], str] = str) -> None:
    if not cluster.run(PATIENCE_SECONDS, until) and cluster.left_to_the_sweep:
        cluster.sweep_twice()
    assert cluster.run(PATIENCE_SECONDS, until), f"not within {PATIENCE_SECONDS:.0f} s: {what}; {say()}"


def right(cluster: Cluster) -> None:
    """No rule was broken so far. The story of the first that was is in the error."""
    if cluster.judge.violations:
        first = cluster.judge.violations[0]
        raise AssertionError(f"{first.text}\n{cluster.judge.story(first, START)}")
    assert not cluster.excess, cluster.excess[0]


def waiting(cluster: Cluster) -> list[str]:
    """Living pods without an annotation: somebody else's is never overwritten."""
    served = {pod.uid for pod in cluster.judge.holdings.living() if pod.accepted}
    return [
        pod["metadata"]["name"]
        for pod in cluster.live()
        if pod["metadata"]["uid"] not in served
        and not {POD_ENI, PRIVATE_IPV4} & (pod["metadata"].get("annotations") or {}).keys()
    ]


def only_what_is_used(cluster: Cluster) -> bool:
    """What was made for a living pod whose annotation somebody spoiled may stay: nobody can tell that it is unused. So
    may what is kept for the next pod, up to the target, and what was, while a living pod's annotation names it or some
    living pod's tells nothing of what that pod has."""
    idle = [cluster.idle(node) for node in cluster.instances]
    if any(len(one) > cluster.warm_target for one in idle):
        return False
    living = list(cluster.judge.holdings.living())
    held = {thing for pod in living for thing in pod.held}.union(*idle)
    forged = [pod for pod in living if pod.shown.get(POD_ENI) in cluster.judge.forged]
    if forged and cluster.configured().get("branch-eni-warm-target", "0") != "0":
        return True
    spoiled = {pod.uid for pod in forged}
    return all(
        i["NetworkInterfaceId"] in held or not spoiled.isdisjoint(tag["Value"] for tag in i["TagSet"])
        for i in cluster.ours(BRANCH_DESCRIPTION)
    )


def steady(cluster: Cluster) -> None:
    """Once it has come to rest it stays there: nothing is changed, and hardly anything asked."""
    cluster.run(STEADY_SECONDS)  # Warm addresses and looks that were due.
    before = len(cluster.ec2.journal.calls)
    cluster.run(STEADY_SECONDS)
    calls = [call.action for call in list(cluster.ec2.journal.calls)[before:]]
    assert all(action.startswith("Describe") for action in calls), f"a settled cluster changes EC2: {calls}"
    assert len(calls) <= STEADY_CALLS * len(cluster.instances), f"a settled cluster makes {len(calls)} calls"
    capacity = {node: cluster.capacity(node) for node in cluster.instances if cluster.node_there(node)}
    for node, amount in capacity.items():
        if amount is not None:
            kind = cluster.ec2.instance(cluster.instances[node])
            assert kind is not None
            most = str(cluster.limits[kind.instance_type].max_branch_interfaces)
            assert amount == most, f"{node} ({kind.instance_type}) has {POD_ENI}: {amount}"


# --- the worlds

OTHERS: dict[str, Happening] = {
    "a-silent-watch": it.WatchSilent(100.0),
    "an-old-leader": it.LeaderOvertaken(5.0),
    "an-old-worker": it.WorkerOvertaken(),
}
"""Who knows, or does, what is not so any more."""


def beside_others() -> dict[str, World]:
    """Redis comes back empty or older, and before or after that a process goes on with what it knew."""
    found: dict[str, World] = {}
    for other, also in OTHERS.items():
        for age in (None, 1.0, 5.0, 60.0):
            redis: Happening = it.RedisEmptied() if age is None else it.RedisRestored(age)
            what = "redis-lost" if age is None else f"redis-{age:.0f}s-old"
            copies = {} if age is None else {"copies_every": min(age, 5.0)}
            found[f"{what}-beside-{other}"] = World(
                life=linux, happening=(also, it.Later(2.0, redis)), also=copies, moments=1
            )
            if age == 5.0:
                found[f"{what}-before-{other}"] = World(life=linux, happening=(redis, also), also=copies, moments=1)
                found[f"windows-{what}-beside-{other}"] = World(
                    life=windows, happening=(also, it.Later(2.0, redis)), also=copies, moments=1
                )
    return found


def of_reuse() -> dict[str, World]:
    """What can make a record wrong about who has an interface, where interfaces are given on."""
    young, old = {"copies_every": 1.0}, {"copies_every": 5.0}
    return {
        "reuse-undisturbed": World(life=reuse, happening=(), moments=1),
        "reuse-redis-lost": World(life=reuse, happening=(it.RedisEmptied(),)),
        "reuse-redis-restored-1s-old": World(life=reuse, happening=(it.RedisRestored(1.0),), also=young),
        "reuse-redis-restored-60s-old": World(life=reuse, happening=(it.RedisRestored(60.0),), also=old, moments=12),
        "reuse-redis-lost-beside-a-silent-watch": World(
            life=reuse, happening=(it.WatchSilent(100.0), it.Later(5.0, it.RedisEmptied()))
        ),
        "reuse-redis-60s-old-beside-a-silent-watch": World(
            life=reuse, happening=(it.WatchSilent(40.0), it.Later(2.0, it.RedisRestored(60.0))), also=old
        ),
        "reuse-overtaken": World(life=reuse, happening=(it.WorkerOvertaken(),), moments=24),
        "reuse-idle-named": World(life=reuse, happening=(it.PodComes("forger", "n1"), it.IdleNamed("forger"))),
        "reuse-idle-named-then-redis-lost": World(
            life=reuse,
            happening=(it.PodComes("forger", "n1"), it.IdleNamed("forger"), it.Later(20.0, it.RedisEmptied())),
        ),
        "reuse-junk-then-redis-lost": World(
            life=reuse, happening=(it.Annotated("c", JUNK), it.RedisEmptied(), it.Later(90.0, it.PodGoes("c")))
        ),
        "reuse-pods-said-to-be-gone": World(life=reuse, happening=(it.SaidGone("n1"),)),
        "reuse-node-away-2s": World(life=reuse, happening=(it.NodeAway("n1"),)),
        "reuse-instance-replaced": World(life=reuse, happening=REPLACED),
        "reuse-two-nodes-one-instance": World(
            life=reuse, happening=(it.SecondNode("n1-again", "n1"), it.PodComes("z", "n1-again"))
        ),
    }


REPLACED = (it.InstanceReplaced("n1"), it.PodComes("new", "n1"))
JUNK = "what is this"
WORLDS: dict[str, World] = {
    "undisturbed": World(life=linux, happening=(), moments=1),
    "node-away-2s": World(life=linux, happening=(it.NodeAway("n1"),), moments=32),
    "windows-node-away-2s": World(life=windows, happening=(it.NodeAway("w1"),)),
    "two-nodes-one-instance": World(
        life=linux, happening=(it.SecondNode("n1-again", "n1"), it.PodComes("z", "n1-again"))
    ),
    "two-windows-nodes-one-instance": World(
        life=windows, happening=(it.SecondNode("w1-again", "w1"), it.PodComes("z", "w1-again"))
    ),
    "instance-replaced": World(life=joining, happening=REPLACED, moments=24),
    "instance-replaced-in-slow-calls": World(
        life=joining,
        happening=(it.Ec2Behaves("latencies", {"describe": [1.0, 3.0], "mutate": [2.0, 5.0]}), *REPLACED),
    ),
    "windows-instance-replaced": World(
        life=windows_joining, happening=(it.InstanceReplaced("w1"), it.PodComes("new", "w1"))
    ),
    "type-changed": World(life=joining, happening=(it.TypeChanged("n1", "c5.xlarge"),)),
    "redis-lost-with-lag": World(life=linux, happening=(it.RedisEmptied(),)),
    "windows-redis-lost-with-lag": World(life=windows, happening=(it.RedisEmptied(),)),
    "redis-restored-5s-old": World(life=linux, happening=(it.RedisRestored(5.0),), also={"copies_every": 1.0}),
    "redis-restored-60s-old": World(life=linux, happening=(it.RedisRestored(60.0),), also={"copies_every": 5.0}),
    "windows-redis-restored-5s-old": World(
        life=windows, happening=(it.RedisRestored(5.0),), also={"copies_every": 1.0}
    ),
    "windows-redis-restored-60s-old-and-pods-come-and-go": World(
        life=windows,
        happening=(it.RedisRestored(60.0), it.PodComes("z", "w1"), it.Later(1.0, it.PodReplaced("c"))),
        also={"copies_every": 5.0},
    ),
    "redis-lost-beside-a-silent-watch": World(life=linux, happening=(it.WatchSilent(100.0), it.RedisEmptied())),
    "redis-lost-some-seconds-into-a-silent-watch": World(
        life=linux, happening=(it.WatchSilent(150.0), it.Later(5.0, it.RedisEmptied())), moments=24
    ),
    "silent-watch": World(life=linux, happening=(it.WatchSilent(100.0),)),
    "redis-clock-back": World(life=linux, happening=(it.RedisClockSteps(-900.0),)),
    "redis-clock-forward": World(life=linux, happening=(it.RedisClockSteps(900.0),)),
    "pods-said-to-be-gone": World(life=linux, happening=(it.SaidGone("n1"),)),
    "node-said-to-be-gone": World(life=linux, happening=(it.SaidGone("n1", nodes=True),)),
    "node-said-to-be-gone-for-90s": World(life=linux, happening=(it.SaidGone("n1", nodes=True, seconds=90.0),)),
    "windows-pods-said-to-be-gone": World(life=windows, happening=(it.SaidGone("w1"),)),
    "successor": World(life=linux, happening=(it.PodReplaced("c"), it.PodReplaced("b"))),
    "forged-junk": World(life=joining, happening=(it.Annotated("a", JUNK),)),
    "forged-then-redis-lost": World(life=linux, happening=(it.Annotated("c", JUNK), it.RedisEmptied())),
    "annotation-copied": World(life=linux, happening=(it.AnnotationCopied("d", "c"),)),
    "windows-annotation-copied": World(life=windows, happening=(it.AnnotationCopied("c", "b"),)),
    "overtaken": World(life=linux, happening=(it.WorkerOvertaken(),)),
    "leader-overtaken": World(life=linux, happening=(it.LeaderOvertaken(5.0),), moments=2),
    "windows-type-changed": World(life=windows_joining, happening=(it.TypeChanged("w1", "c5.xlarge"),), moments=4),
    "windows-instance-replaced-beside-a-silent-watch": World(
        life=windows,
        happening=(it.WatchSilent(60.0, (Kind.NODES,)), it.InstanceReplaced("w1"), it.PodComes("new", "w1")),
        moments=4,
    ),
    "full-node": World(life=full, happening=(it.PodReplaced("of-5"), it.PodGoes("p8")), moments=2),
    "finished-pods-stay": World(life=beside_finished, happening=(it.RedisEmptied(),), moments=2),
    "no-workers-for-an-hour": World(life=hour, happening=(it.WorkersAway(3600.0),), moments=1),
    "sweep-beside-recovery": World(life=swept, happening=(it.RedisEmptied(), it.SweepComes()), moments=2),
    **beside_others(),
    **of_reuse(),
}
