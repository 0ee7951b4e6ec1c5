"""Lives of nodes: scripts that the simulation runs, whole, cut and disturbed, and what must hold at their end."""

import random
from collections.abc import Callable
from typing import Any

from common.model.ids import NodeName
from common.model.names import BRANCH_DESCRIPTION, POD_ENI, PRIVATE_IPV4, TRUNK_DESCRIPTION
from sandbox.ec2.behaviour import FaultRule
from tests.simulation.cluster import GROUP, OTHER_GROUP, OTHER_SUBNET, SUBNET, Cluster
from watcher.pacing import APART_SECONDS

Life = Callable[[Cluster], None]

TRUNK_AND_BRANCHES = 8
"""What five pods, one made again and one asking for two, cost in EC2: a crash never makes one more."""
PATIENCE = 400.0
"""Virtual seconds within which a step of a life must be over, crashes and all."""


def linux_life(cluster: Cluster) -> None:
    """Join, five pods, one replaced by a pod of the same name, one asking for two, all end, leave."""
    instance = cluster.add_node("n1")
    cluster.add_pod("early", "n1", app="web")
    for name in ("a", "b", "c"):
        cluster.add_pod(name, "n1", app="web")
    served(cluster)
    cluster.add_pod("two", "n1", 2)
    cluster.remove_pod("a")
    cluster.add_pod("a", "n1", app="web")
    served(cluster)
    cluster.finish_pod("b")
    for name in ("early", "a", "c", "two"):
        cluster.remove_pod(name)
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    assert len(cluster.ours(TRUNK_DESCRIPTION)) == 1
    assert cluster.capacity("n1", POD_ENI) == "9"
    made = sum(call.effect for call in cluster.ec2.journal.of("CreateNetworkInterface"))
    assert cluster.redis_lost or made == TRUNK_AND_BRANCHES, f"{made} interfaces were made"
    cluster.remove_node("n1", terminate=instance)
    forgotten(cluster)
    clean(cluster)


def forgotten(cluster: Cluster) -> None:
    done(cluster, lambda: cluster.plain.ledgers.load(NodeName("n1")) is None, "the record ends")


def brief_life(cluster: Cluster) -> None:
    """A pod is deleted while its interface is made. No audit helps: what was begun is known from its intent."""
    cluster.audits = False
    cluster.start_worker()
    instance = cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    cluster.add_pod("brief", "n1")
    done(cluster, lambda: bool(cluster.ours(BRANCH_DESCRIPTION)), "its interface is made")
    cluster.remove_pod("brief")
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "it is taken back")
    leave(cluster, instance)


def lagging_life(cluster: Cluster) -> None:
    """Calls that name what was just made find nothing for up to a second. Nothing is made twice for it, no audit
    helps, and nothing that was begun is forgotten."""
    cluster.audits = False
    cluster.start_worker()
    instance = cluster.add_node("n1")
    cluster.clock.sleep(1.0)
    cluster.ec2.behave(cluster.behaviour.changed({"write_lag": [0.0, 1.0]}))
    for name in ("a", "b"):
        cluster.add_pod(name, "n1")
    served(cluster)
    cluster.add_pod("brief", "n1")
    done(cluster, lambda: len(cluster.ours(BRANCH_DESCRIPTION)) == 3, "its interface is made")
    cluster.remove_pod("brief")
    done(cluster, lambda: len(cluster.ours(BRANCH_DESCRIPTION)) == 2, "it is taken back")
    made = sum(call.effect for call in cluster.ec2.journal.of("CreateNetworkInterface"))
    assert made == 4, f"{made} interfaces were made"
    leave(cluster, instance, "a", "b")


def outage_life(cluster: Cluster) -> None:
    """No interface can be made; a call gets through, and then none again, until all is well."""
    instance = cluster.add_node("n1")
    done(cluster, lambda: cluster.capacity("n1") == "9", "capacity")
    away = FaultRule(action="CreateNetworkInterface", code="InternalError", status=500)
    cluster.ec2.inject(away)
    for name in ("a", "b", "c"):
        cluster.add_pod(name, "n1")
    cluster.run(12.0)
    cluster.ec2.clear_faults()
    done(cluster, lambda: bool(cluster.ours(BRANCH_DESCRIPTION)), "one gets through")
    cluster.ec2.inject(away)
    cluster.run(12.0)
    cluster.ec2.clear_faults()
    served(cluster)
    leave(cluster, instance, "a", "b", "c")


def served(cluster: Cluster) -> None:
    done(cluster, cluster.all_served, "all pods are served")


def done(cluster: Cluster, until: Callable[[], bool], what: str) -> None:
    if not cluster.run(PATIENCE, until) and cluster.redis_lost:
        cluster.sweep_twice()
    assert cluster.run(PATIENCE, until), f"not within {PATIENCE:.0f} s: {what}; {cluster.problems}"


def clean(cluster: Cluster) -> None:
    """Nothing of ours is left, and nothing was wrong on the way. What was lost with Redis is the sweeps' to find."""
    if cluster.redis_lost:
        cluster.sweep_twice()
    left = [i for i in cluster.interfaces() if i["Description"].startswith("aws-k8s-")]
    assert not left, left
    assert not cluster.problems, cluster.problems[:3]
    assert not cluster.kube.request("GET", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes").json()["items"]


def replaced_life(cluster: Cluster) -> None:
    """A node is replaced by another instance under the same name while pods have interfaces."""
    old = cluster.add_node("n1")
    cluster.add_pod("a", "n1")
    cluster.add_pod("b", "n1")
    served(cluster)
    cluster.remove_node("n1", terminate=old)
    cluster.remove_pod("a")
    cluster.remove_pod("b")
    new = cluster.add_node("n1", "c5.xlarge")
    cluster.add_pod("c", "n1")
    served(cluster)
    done(cluster, lambda: cluster.capacity("n1") == "18", "the new instance's capacity")
    done(cluster, lambda: len(cluster.ours(BRANCH_DESCRIPTION)) == 1, "the old instance's branches are gone")
    leave(cluster, new, "c")


def leave(cluster: Cluster, instance: str, *pods: str) -> None:
    for name in pods:
        cluster.remove_pod(name)
    cluster.remove_node("n1", terminate=instance)
    forgotten(cluster)
    clean(cluster)


def cninode_life(cluster: Cluster) -> None:
    """Somebody deletes the CNINode of a living node, with a living pod."""
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    cluster.put_node("n1", instance, labels={"vpc.amazonaws.com/has-trunk-attached": None})
    done(cluster, lambda: bool(cluster.cninode("n1")), "the CNINode is made")
    cluster.patch_cninode("n1", {"spec": {"features": [{"name": "SecurityGroupsForPods"}], "tags": {"team": "a"}}})
    cluster.add_pod("a", "n1")
    served(cluster)
    before = cluster.cninode("n1")
    cluster.kube.request("DELETE", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes/n1")
    done(
        cluster,
        lambda: (
            cluster.cninode("n1").get("metadata", {}).get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]
        ),
        "it is made again",
    )
    assert cluster.cninode("n1")["spec"] == before["spec"]
    cluster.add_pod("b", "n1")
    served(cluster)
    assert all({"Key": "team", "Value": "a"} in i["TagSet"] for i in cluster.ours(BRANCH_DESCRIPTION))
    leave(cluster, instance, "a", "b")


def eniconfig_life(cluster: Cluster) -> None:
    """Custom networking: the ENIConfig's subnet and groups, changed while pods run."""
    cluster.put_eni_config("config", OTHER_SUBNET, [OTHER_GROUP])
    instance = cluster.add_node("n1", labels={"vpc.amazonaws.com/eniConfig": "config"})
    cluster.add_pod("a", "n1")
    served(cluster)
    assert placed(cluster) == {"a": (OTHER_SUBNET, [OTHER_GROUP])}
    cluster.put_eni_config("config", OTHER_SUBNET, [GROUP])
    cluster.add_pod("b", "n1")
    served(cluster)
    assert placed(cluster) == {"a": (OTHER_SUBNET, [OTHER_GROUP]), "b": (OTHER_SUBNET, [GROUP])}
    done(cluster, lambda: group_ids(cluster.ours(TRUNK_DESCRIPTION)[0]) == [GROUP], "the trunk's groups follow")
    leave(cluster, instance, "a", "b")


def placed(cluster: Cluster) -> dict[str, tuple[str, list[str]]]:
    """Subnet and groups of each pod's first interface."""
    shown = {i["NetworkInterfaceId"]: i for i in cluster.interfaces()}
    first = {p["metadata"]["name"]: shown[cluster.annotation(p)[0]["eniId"]] for p in cluster.live()}
    return {name: (i["SubnetId"], group_ids(i)) for name, i in first.items()}


def group_ids(interface: dict[str, Any]) -> list[str]:
    return [group["GroupId"] for group in interface["Groups"]]


def unmanaged_life(cluster: Cluster) -> None:
    """A node leaves management and comes back: living pods keep what they have, ended ones give it back."""
    instance = cluster.add_node("n1")
    cluster.add_pod("stays", "n1")
    cluster.add_pod("ends", "n1")
    served(cluster)
    cluster.label_node("n1", {"vpc.amazonaws.com/has-trunk-attached": None})
    cluster.remove_pod("ends")
    done(cluster, lambda: len(cluster.ours(BRANCH_DESCRIPTION)) == 1, "the ended pod's branch is released")
    cluster.add_pod("waits", "n1")
    cluster.run(30)
    assert not cluster.all_served()
    cluster.label_node("n1", {"vpc.amazonaws.com/has-trunk-attached": "true"})
    served(cluster)
    assert len(cluster.ours(TRUNK_DESCRIPTION)) == 1
    leave(cluster, instance, "stays", "waits")


def reuse_life(cluster: Cluster) -> None:
    """Two idle interfaces are kept on a trunk that carries four: pods come, end and come again, with the same and with
    other groups; one wants all that the trunk carries; then none is kept any more."""
    keep_idle(cluster, 2)
    cluster.put_policy("web", "web", [OTHER_GROUP])
    instance = cluster.add_node("n1", "m6g.medium")
    cluster.add_pod("a", "n1", 2)
    cluster.add_pod("b", "n1", 2)
    served(cluster)
    cluster.remove_pod("a")
    cluster.remove_pod("b")
    kept(cluster, 2)
    before = set(cluster.idle("n1"))
    cluster.add_pod("same", "n1")
    cluster.add_pod("other", "n1", app="web")
    served(cluster)
    shown = placed(cluster)
    assert shown == {"same": (SUBNET, [GROUP]), "other": (SUBNET, [OTHER_GROUP])}, shown
    given = {cluster.annotation(pod)[0]["eniId"] for pod in cluster.live()}
    assert cluster.crashes or cluster.redis_lost or given & before, "they have none of those that were idle"
    cluster.remove_pod("same")
    cluster.finish_pod("other")
    cluster.add_pod("all", "n1", 4)
    served(cluster)
    cluster.remove_pod("all")
    kept(cluster, 2)
    keep_idle(cluster, 0)
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    leave(cluster, instance)


def keep_idle(cluster: Cluster, count: int) -> None:
    cluster.configure({"branch-eni-warm-target": str(count), "branch-eni-cooldown": "30"})


def kept(cluster: Cluster, count: int) -> None:
    """Everything has rested, and so many are idle."""
    done(
        cluster,
        lambda: len(cluster.idle("n1")) == count == len(cluster.ours(BRANCH_DESCRIPTION)) - branches_used(cluster),
        f"{count} are kept",
    )


def branches_used(cluster: Cluster) -> int:
    return sum(len(cluster.annotation(pod) or ()) for pod in cluster.live())


def windows_life(cluster: Cluster) -> None:
    """A Windows node's pool of secondary addresses as pods come and go."""
    cluster.configure({"enable-windows-ipam": "true"})
    _windows_pods(cluster, idle=(3, 0))


def prefix_life(cluster: Cluster) -> None:
    """The same with prefixes."""
    cluster.configure({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"})
    _windows_pods(cluster, idle=(0, 1))


def _windows_pods(cluster: Cluster, idle: tuple[int, int]) -> None:
    instance = cluster.add_node("n1", windows=True)
    done(cluster, lambda: cluster.held("n1") == idle, f"an idle pool of {idle}")
    for name in ("a", "b", "c", "d"):
        cluster.add_pod(name, "n1", windows=True)
    served(cluster)
    cluster.remove_pod("a")
    cluster.remove_pod("b")
    cluster.add_pod("a", "n1", windows=True)
    served(cluster)
    for name in ("a", "c", "d"):
        cluster.remove_pod(name)
    done(cluster, lambda: cluster.held("n1") == idle, f"the pool is {idle} again")
    leave(cluster, instance)


def switch_life(cluster: Cluster) -> None:
    """From secondary addresses to prefixes and back with pods running: they keep what they have."""
    cluster.configure({"enable-windows-ipam": "true"})
    instance = cluster.add_node("n1", windows=True)
    for name in ("a", "b"):
        cluster.add_pod(name, "n1", windows=True)
    served(cluster)
    cluster.configure({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"})
    done(cluster, lambda: cluster.capacity("n1", PRIVATE_IPV4) == "144", "capacity of prefixes")
    cluster.add_pod("c", "n1", windows=True)
    served(cluster)
    done(cluster, lambda: cluster.held("n1") == (2, 1), "the old mode's free addresses are given back")
    cluster.configure({"enable-windows-ipam": "true"})
    cluster.run(APART_SECONDS)  # A pod that comes before the change is felt still takes an address of the prefix.
    cluster.remove_pod("c")
    cluster.add_pod("e", "n1", windows=True)
    served(cluster)
    done(cluster, lambda: cluster.held("n1")[1] == 0, "the prefix is given back")
    leave(cluster, instance, "a", "b", "e")


def troubled_history(cluster: Cluster) -> None:
    """Some minutes in which everything goes wrong, then peace."""
    rng = random.Random(cluster.seed)
    cluster.configure({"enable-windows-ipam": "true"})
    instances = {"n1": cluster.add_node("n1"), "n2": cluster.add_node("n2", windows=True)}
    cluster.ec2.behave(cluster.behaviour.changed({"describe_lag": [0.0, 3.0]}))
    cluster.clock.sleep(10.0)  # The seed itself is seen late.
    for code, when in (("InternalError", "before"), ("Unavailable", "after"), ("reset", "after")):
        cluster.ec2.inject(FaultRule(rate=0.1, code=code, when=when))  # type: ignore[arg-type]
    names: list[tuple[str, bool]] = []
    for turn in range(30):
        cluster.points.cut |= {2 * len(cluster.points.calls) + rng.randrange(1, 120)}
        if rng.random() < 0.6 or not names:
            name, windows = f"p{turn}", rng.random() < 0.4
            cluster.add_pod(name, "n2" if windows else "n1", 1 if windows else rng.choice((1, 1, 2)), windows=windows)
            names.append((name, windows))
        else:
            name, windows = names.pop(rng.randrange(len(names)))
            cluster.remove_pod(name)
            if rng.random() < 0.3:
                cluster.add_pod(name, "n2" if windows else "n1", windows=windows)
                names.append((name, windows))
        if rng.random() < 0.1:
            cluster.overtaken()
        if rng.random() < 0.05:
            cluster.lose_redis()
        cluster.run(rng.choice((0.5, 5.0, 40.0)))
    cluster.points.cut = frozenset()
    cluster.ec2.clear_faults()
    cluster.ec2.behave(cluster.behaviour)
    while sum(1 for _, windows in names if not windows) > 4 or len(names) > 9:
        cluster.remove_pod(names.pop(0)[0])
    served(cluster)
    for name, _ in names:
        cluster.remove_pod(name)
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    for name, instance in instances.items():
        cluster.remove_node(name, terminate=instance)
    done(cluster, lambda: not cluster.plain.ledgers.all(), "all records end")
    cluster.redis_lost = True
    clean(cluster)
