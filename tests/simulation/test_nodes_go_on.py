"""Worlds in which a node or a pod would never be served again: finished pods that stay, an instance that changes, odd
annotations, an instance that EC2 does not know, CNINodes of another controller."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from common.model.actions import Action, CleanDeparted, DeleteCniNode, DropFinalizer
from common.model.ids import NodeName
from common.model.names import BRANCH_DESCRIPTION, POD_ENI, PRIVATE_IPV4, TRUNK_DESCRIPTION
from common.model.notice import PodNotice
from common.model.outcome import Done
from tests.simulation.cluster import GROUP, MERGE, OTHER_GROUP, SUBNET, Cluster
from tests.simulation.lives import done, group_ids, leave, served
from workers.steps import carry_out

Simulate = Callable[..., Cluster]
AUDIT_SECONDS = 1200.0
"""What an audit takes to come, at the longest, and some."""
STRIDE = 4
"""Every fourth outside call."""
ODD = '[{"eniId":"eni-odd","ifAddress":"","privateIp":"10.0.0.99","vlanId":7}]'


def annotate(cluster: Cluster, pod: str, value: str | None) -> None:
    """By somebody else."""
    if value is not None:
        cluster.judge.forged.add(value)
    body = {"metadata": {"annotations": {POD_ENI: value}}}
    path = f"/api/v1/namespaces/default/pods/{pod}"
    assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200


def events(cluster: Cluster, pod: str) -> list[str]:
    return [n.reason for n in cluster.notices if isinstance(n, PodNotice) and n.name == pod]


def test_pods_are_served_after_120_have_finished_and_stay(simulate: Simulate) -> None:
    """Completed pods of Jobs keep their annotations for as long as the Job is there."""
    cluster = simulate()
    cluster.configure({"branch-eni-cooldown": "30"})
    instance = cluster.add_node("n1")
    for batch in range(14):
        names = [f"job-{batch}-{n}" for n in range(9)]
        for name in names:
            cluster.add_pod(name, "n1")
        served(cluster)
        for name in names:
            cluster.finish_pod(name)
    cluster.add_pod("last", "n1")
    served(cluster)
    for pod in cluster.pods():
        cluster.remove_pod(pod["metadata"]["name"])
    leave(cluster, instance)


@pytest.mark.parametrize("asks", [2, 4, 9])
def test_a_pod_that_asks_for_many_is_served_while_younger_ones_come_and_go(asks: int, simulate: Simulate) -> None:
    """A full node; each pod that ends is followed by one that asks for one interface."""
    cluster = simulate()
    instance = cluster.add_node("n1")
    names = [f"one-{n}" for n in range(9)]
    for name in names:
        cluster.add_pod(name, "n1")
    served(cluster)
    cluster.add_pod("many", "n1", asks)

    def many_is_served() -> bool:
        pod = cluster.kube.request("GET", "/api/v1/namespaces/default/pods/many").json()
        return cluster.annotation(pod) is not None

    for turn in range(60):
        if names and cluster.run(10, many_is_served):
            break
        cluster.remove_pod(names.pop(0))
        names.append(f"young-{turn}")
        cluster.add_pod(names[-1], "n1")
    assert many_is_served()
    for name in (*names, "many"):
        cluster.remove_pod(name)
    leave(cluster, instance)


def change_instance(cluster: Cluster, instance: str, **fields: Any) -> None:
    """As after stop, change, start."""
    state = cluster.ec2._state
    before = state.instances.get(instance)
    assert before is not None
    state.instances.put(dataclasses.replace(before, **fields), state.now)


@pytest.mark.parametrize(
    ("windows", "resource", "before", "after"),
    [
        (False, POD_ENI, "54", "9"),
        (True, PRIVATE_IPV4, "29", "9"),
    ],
)
def test_a_change_of_type_changes_capacity(
    windows: bool, resource: str, before: str, after: str, simulate: Simulate
) -> None:
    cluster = simulate()
    cluster.configure({"enable-windows-ipam": "true"})
    instance = cluster.add_node("n1", "m5.4xlarge", windows=windows)
    cluster.add_pod("a", "n1", windows=windows)
    served(cluster)
    done(cluster, lambda: cluster.capacity("n1", resource) == before, "the first type's capacity")
    change_instance(cluster, instance, instance_type="m5.large")
    assert cluster.run(AUDIT_SECONDS, lambda: cluster.capacity("n1", resource) == after)
    cluster.add_pod("b", "n1", windows=windows)
    served(cluster)
    leave(cluster, instance, "a", "b")


@pytest.mark.parametrize(("windows", "resource"), [(False, POD_ENI), (True, PRIVATE_IPV4)])
def test_a_type_is_changed_at_any_moment_of_a_nodes_first_interfaces(
    windows: bool, resource: str, simulate: Simulate
) -> None:
    def live(number: int | None) -> list[str]:
        cluster = simulate()
        cluster.configure({"enable-windows-ipam": "true"})
        instance = cluster.add_node("n1", "m5.4xlarge", windows=windows)
        cluster.points.pause_before = number
        cluster.points.meanwhile = lambda: change_instance(cluster, instance, instance_type="m5.large")
        cluster.add_pod("a", "n1", windows=windows)
        served(cluster)
        if number is not None:
            assert cluster.run(AUDIT_SECONDS, lambda: cluster.capacity("n1", resource) == "9"), number
            leave(cluster, instance, "a")
        return cluster.points.calls

    calls = live(None)
    for number in [n for n, call in enumerate(calls) if not call.startswith("Redis")][::STRIDE]:
        live(number)


def test_a_type_that_could_not_trunk_is_changed_for_one_that_can(simulate: Simulate) -> None:
    cluster = simulate()
    instance = cluster.add_node("n1", "t3.large")
    cluster.add_pod("a", "n1")
    cluster.run(60)
    assert not cluster.all_served()
    change_instance(cluster, instance, instance_type="m5.large")
    assert cluster.run(AUDIT_SECONDS, cluster.all_served)
    leave(cluster, instance, "a")


def test_changed_groups_of_the_primary_interface_reach_pods_without_a_policy(simulate: Simulate) -> None:
    cluster = simulate()
    instance = cluster.add_node("n1")
    cluster.add_pod("a", "n1")
    served(cluster)
    (primary,) = [i for i in cluster.interfaces() if i.get("Attachment", {}).get("DeviceIndex") == 0]
    call = {"NetworkInterfaceId": primary["NetworkInterfaceId"], "Groups": [OTHER_GROUP]}
    cluster.ec2.arrange("ModifyNetworkInterfaceAttribute", call)
    cluster.run(AUDIT_SECONDS)
    cluster.add_pod("b", "n1")
    served(cluster)
    made_for = {tag["Value"]: i for i in cluster.ours(BRANCH_DESCRIPTION) for tag in i["TagSet"]}
    uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.live()}
    assert [group_ids(made_for[uids[name]]) for name in ("a", "b")] == [[GROUP], [OTHER_GROUP]]
    leave(cluster, instance, "a", "b")


def test_what_is_made_for_a_pod_that_somebody_else_annotates_holds_no_place(simulate: Simulate) -> None:
    """Whenever the other's annotation comes; and when it is taken away the pod is served."""
    for moment in range(1, 12):
        cluster = simulate()
        instance = cluster.add_node("n1")
        done(cluster, lambda cluster=cluster: cluster.capacity("n1") == "9", "capacity")  # type: ignore[misc]
        before = len(cluster.points.calls)
        cluster.points.pause_before = before + 3 * moment

        def meanwhile(cluster: Cluster = cluster) -> None:
            pod = cluster.kube.request("GET", "/api/v1/namespaces/default/pods/a").json()
            if cluster.annotation(pod) is None:
                annotate(cluster, "a", ODD)
                cluster.watcher.pump()

        cluster.points.meanwhile = meanwhile
        cluster.add_pod("a", "n1")
        served(cluster)
        (pod,) = cluster.live()
        if cluster.annotation(pod)[0]["eniId"] != "eni-odd":
            cluster.problems.clear()
            continue
        done(cluster, lambda cluster=cluster: not cluster.ours(BRANCH_DESCRIPTION), f"ours are released ({moment})")  # type: ignore[misc]
        annotate(cluster, "a", None)
        served(cluster)
        (pod,) = cluster.live()
        assert cluster.annotation(pod)[0]["eniId"] != "eni-odd"
        cluster.problems.clear()  # The odd one never was.
        leave(cluster, instance, "a")


def test_an_instance_that_ec2_does_not_know_is_asked_about_less_and_less_until_its_node_changes(
    simulate: Simulate,
) -> None:
    cluster = simulate(longest_pause=60.0)
    cluster.put_node("n1", "i-0123456789abcdef0")
    cluster.run(3600)
    looks = len(cluster.ec2.journal.of("DescribeInstances"))
    assert looks < 50, looks  # Two calls a look: eight at growing intervals, then every five minutes.
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    cluster.kube.request("DELETE", "/api/v1/nodes/n1")
    cluster.put_node("n1", instance)
    assert cluster.run(30, lambda: cluster.capacity("n1") == "9"), "a changed node is looked for at once"


def test_a_node_without_an_os_label_costs_no_call_a_second(simulate: Simulate) -> None:
    cluster = simulate()
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    cluster.put_node("n1", instance, labels={"kubernetes.io/os": None, "beta.kubernetes.io/os": "linux"})
    cluster.add_pod("a", "n1")
    served(cluster)
    cluster.run(30)
    before = len(cluster.points.calls)
    cluster.run(60)
    calls = [call for call in cluster.points.calls[before:] if "cninodes" in call]
    assert calls == []


def of_auto_mode(cluster: Cluster, **metadata: Any) -> None:
    kind = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode"}
    spec = {"managedBy": "eks-auto-mode", "features": [{"name": "SecurityGroupsForPods"}]}
    body = {**kind, "metadata": {"name": "n1", **metadata}, "spec": spec}
    cluster._post("/apis/vpcresources.k8s.aws/v1alpha1/cninodes", body)


def test_a_node_whose_cninode_auto_mode_manages_is_left_alone_in_life_and_death(simulate: Simulate) -> None:
    cluster = simulate()
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    of_auto_mode(cluster, finalizers=["networking.k8s.aws/resource-cleanup"])
    cluster.put_node("n1", instance)
    cluster.add_pod("a", "n1")
    tags = [
        {"Key": "eks:eni:owner", "Value": "eks-vpc-resource-controller"},
        {"Key": "kubernetes.io/cluster/simulated", "Value": "owned"},
        {"Key": "node.k8s.amazonaws.com/instance_id", "Value": instance},
    ]
    specification = [{"ResourceType": "network-interface", "Tags": tags}]
    call = {"SubnetId": SUBNET, "Groups": [GROUP], "Description": BRANCH_DESCRIPTION}
    cluster.ec2.arrange("CreateNetworkInterface", {**call, "TagSpecifications": specification})
    before = cluster.cninode("n1")
    cluster.run(300)
    cluster.sweep_twice()
    assert not cluster.ours(TRUNK_DESCRIPTION)
    assert len(cluster.ours(BRANCH_DESCRIPTION)) == 1
    assert cluster.cninode("n1") == before
    cluster.kube.request("DELETE", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes/n1")
    cluster.run(300)
    assert cluster.cninode("n1")["metadata"]["finalizers"] == before["metadata"]["finalizers"]
    cluster.kube.request("DELETE", "/api/v1/nodes/n1")
    cluster.run(300)
    assert cluster.cninode("n1")["metadata"]["finalizers"] == before["metadata"]["finalizers"]
    assert len(cluster.ours(BRANCH_DESCRIPTION)) == 1
    assert cluster.plain.ledgers.load(NodeName("n1")) is None
    assert not cluster.ec2.journal.of("DeleteNetworkInterface")


def test_a_clean_up_that_was_planned_before_auto_mode_took_the_cninode_does_nothing(simulate: Simulate) -> None:
    cluster = simulate()
    finalizers = ["networking.k8s.aws/resource-cleanup"]
    of_auto_mode(cluster, finalizers=finalizers)
    uid, name = cluster.cninode("n1")["metadata"]["uid"], NodeName("n1")
    cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    steps: list[Action] = [
        CleanDeparted(subject="cninode", node=name, cninode_uid=uid, instance_id=None, gone_since=0.0, rest=60.0),
        DropFinalizer(subject="cninode", node=name, uid=uid),
        DeleteCniNode(subject="cninode", node=name),
    ]
    for step in steps:
        assert carry_out(step, cluster.worker.ports) == Done()
    assert cluster.cninode("n1")["metadata"]["finalizers"] == finalizers
    assert "deletionTimestamp" not in cluster.cninode("n1")["metadata"]
