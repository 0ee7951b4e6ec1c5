"""Lives of nodes: scripts that the simulation runs, whole, cut and disturbed, and what must hold at their end."""

from collections.abc import Callable
from typing import Any

from common.model.ids import NodeName
from common.model.names import BRANCH_DESCRIPTION, POD_ENI, PRIVATE_IPV4, TRUNK_DESCRIPTION
from tests.simulation.cluster import GROUP, OTHER_GROUP, OTHER_SUBNET, SUBNET, Cluster

Life = Callable[[Cluster], None]

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
    cluster.remove_node("n1", terminate=instance)
    forgotten(cluster)
    clean(cluster)


def forgotten(cluster: Cluster) -> None:
    done(cluster, lambda: cluster.plain.load_ledger(NodeName("n1")) is None, "the record ends")


def served(cluster: Cluster) -> None:
    done(cluster, cluster.all_served, "all pods are served")


def done(cluster: Cluster, until: Callable[[], bool], what: str) -> None:
    assert cluster.run(PATIENCE, until), f"not within {PATIENCE:.0f} s: {what}; {cluster.problems}"


def clean(cluster: Cluster) -> None:
    """Nothing of ours is left, and nothing was wrong on the way."""
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
    assert [(i["SubnetId"], group_ids(i)) for i in cluster.ours(BRANCH_DESCRIPTION)] == [(OTHER_SUBNET, [OTHER_GROUP])]
    cluster.put_eni_config("config", OTHER_SUBNET, [GROUP])
    cluster.add_pod("b", "n1")
    served(cluster)
    assert sorted(group_ids(i)[0] for i in cluster.ours(BRANCH_DESCRIPTION)) == sorted([OTHER_GROUP, GROUP])
    done(cluster, lambda: group_ids(cluster.ours(TRUNK_DESCRIPTION)[0]) == [GROUP], "the trunk's groups follow")
    leave(cluster, instance, "a", "b")


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
    cluster.remove_pod("c")
    cluster.add_pod("e", "n1", windows=True)
    served(cluster)
    done(cluster, lambda: cluster.held("n1")[1] == 0, "the prefix is given back")
    leave(cluster, instance, "a", "b", "e")
