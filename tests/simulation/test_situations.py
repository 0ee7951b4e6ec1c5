"""Situations that last: what must not starve, grow or be repeated in them."""

from collections.abc import Callable

import pytest

from common.model.ids import NodeName
from common.model.names import POD_ENI, PRIVATE_IPV4
from sandbox.ec2.behaviour import FaultRule
from tests.simulation import happenings as it
from tests.simulation import worlds
from tests.simulation.cluster import GROUP, MERGE, SUBNET, VPC, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.happenings import happen
from tests.simulation.worlds import begin, peace, right

Simulate = Callable[..., Cluster]
WINDOWS = {"enable-windows-ipam": "true"}


def served_within(cluster: Cluster, seconds: float, what: str) -> None:
    assert cluster.run(seconds, lambda: not worlds.waiting(cluster)), (
        f"{what}: not served within {seconds:.0f} s: {worlds.waiting(cluster)}"
    )


def comes_to(cluster: Cluster, seconds: float, pod: str) -> bool:
    """Whether it is served within so long, whoever else waits."""
    return cluster.run(seconds, lambda: pod not in worlds.waiting(cluster))


def calls_of(cluster: Cluster, action: str) -> int:
    return len(cluster.ec2.journal.of(action))


def test_finished_pods_that_stay_hold_no_vlan_ids(simulate: Simulate) -> None:
    """130 completed Job pods keep their objects and annotations; the next pod is served."""
    cluster = simulate()
    cluster.configure({"branch-eni-cooldown": "30"})
    begin(cluster, it.NodeJoins("n1", "m5.24xlarge"))
    for first in range(0, 130, 65):
        jobs = [f"job{number}" for number in range(first, first + 65)]
        happen(cluster, *(it.PodComes(job, "n1") for job in jobs))
        served_within(cluster, 120.0, "jobs")
        happen(cluster, *(it.PodFinishes(job) for job in jobs))
        cluster.run(60.0)
    happen(cluster, it.PodComes("next", "n1"))
    served_within(cluster, 60.0, "a pod after 130 finished ones")
    peace(cluster)


def test_without_workers_for_an_hour_one_message_waits_for_each_node(simulate: Simulate) -> None:
    cluster = simulate(longest_pause=1.0)
    begin(cluster, it.NodeJoins("n1"), it.NodeJoins("n2"), it.PodComes("a", "n1"))
    served_within(cluster, 30.0, "a")
    cluster.most_messages = 0
    happen(cluster, it.WorkersAway(3600.0))
    for number in range(6):
        happen(cluster, it.PodComes(f"p{number}", "n1"))
        cluster.run(600.0)
    assert cluster.most_messages <= 1, f"{cluster.most_messages} messages waited for one node"
    served_within(cluster, 30.0, "pods that waited for workers")
    peace(cluster)


def test_a_pod_of_five_does_not_starve_behind_pods_of_one(simulate: Simulate) -> None:
    """A full node on which pods of one interface end and come all the time, three young ones always waiting."""
    cluster = simulate()
    cluster.configure({"branch-eni-cooldown": "30"})
    begin(cluster, it.NodeJoins("n1"), *(it.PodComes(f"p{number}", "n1") for number in range(9)))
    served_within(cluster, 60.0, "nine pods of one")
    happen(cluster, it.PodComes("five", "n1", 5))
    young: list[str] = []
    for number in range(12, 132, 3):
        served = [p for p in cluster.pod_names() if p not in ("five", *worlds.waiting(cluster))]
        gone = [*(p for p in young if p in worlds.waiting(cluster)), *(served[:1] if number % 9 == 0 else ())]
        young = [f"p{number + ahead}" for ahead in range(3)]
        happen(cluster, *(it.PodGoes(p) for p in gone), *(it.PodComes(p, "n1") for p in young))
        if cluster.run(4.0, lambda: "five" not in worlds.waiting(cluster)):
            break
    assert "five" not in worlds.waiting(cluster), "the pod of five starves"
    for name in cluster.pod_names():
        cluster.remove_pod(name)
    peace(cluster)


@pytest.mark.parametrize("count", range(1, 10))
def test_pods_of_any_size_share_a_full_node(count: int, simulate: Simulate) -> None:
    cluster = simulate(seed=count)
    begin(cluster, it.NodeJoins("n1"), *(it.PodComes(f"p{number}", "n1") for number in range(9)))
    served_within(cluster, 60.0, "nine pods of one")
    happen(cluster, it.PodComes("big", "n1", count), *(it.PodGoes(f"p{number}") for number in range(count)))
    served_within(cluster, 120.0, f"a pod of {count}")
    peace(cluster)


def test_an_unknown_instance_is_asked_for_at_growing_intervals(simulate: Simulate) -> None:
    cluster = simulate()
    begin(cluster)
    cluster.put_node("n1", "i-0123456789abcdef0")
    cluster.run(120.0)
    before = calls_of(cluster, "DescribeInstances")
    cluster.run(600.0)
    asked = calls_of(cluster, "DescribeInstances") - before
    assert asked <= 30, f"{asked} DescribeInstances in ten minutes for one stale Node"


def test_a_node_without_an_os_label_is_left_alone(simulate: Simulate) -> None:
    cluster = simulate()
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    begin(cluster)
    body = {"apiVersion": "vpcresources.k8s.aws/v1alpha1", "kind": "CNINode", "metadata": {"name": "n1"}, "spec": {}}
    assert cluster.kube.request("POST", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes", body=body).status == 201
    cluster.put_node("n1", instance, labels={"kubernetes.io/os": None})
    cluster.run(60.0)
    before = len(cluster.points.calls)
    cluster.run(300.0)
    calls = [call for call in cluster.points.calls[before:] if call.startswith("Kubernetes")]
    assert len(calls) <= 10, f"{len(calls)} calls in 300 s, the first {calls[0]}"


def test_pods_do_not_wait_for_redis_clock_to_catch_up(simulate: Simulate) -> None:
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
    served_within(cluster, 30.0, "a")
    happen(cluster, it.RedisClockSteps(-900.0), it.PodComes("b", "n1"))
    served_within(cluster, 60.0, "a pod after Redis' clock went back")
    peace(cluster)


def test_a_sweep_spares_what_came_into_use_after_its_look(simulate: Simulate) -> None:
    """An interface is idle in two passes, because associating fails for half an hour, and comes into use during the
    second one, at every second of its calls."""

    def life(pause_before: int | None) -> Cluster:
        cluster = simulate()
        begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
        served_within(cluster, 30.0, "a")
        happen(cluster, it.Ec2Fails("AssociateTrunkInterface"), it.PodComes("b", "n1"))
        cluster.run(60.0)
        happen(cluster, it.SweepComes())
        cluster.run(1810.0)
        cluster.queue.tasks.clear()
        cluster.points = CrashPoints(pause_before=pause_before)
        cluster.start_worker()
        cluster.points.meanwhile = lambda: meanwhile(cluster)
        cluster.queue.sweep()
        cluster.work()
        moments.append(len(cluster.points.calls))
        peace(cluster)
        return cluster

    moments: list[int] = []

    def meanwhile(cluster: Cluster) -> None:
        cluster.ec2.clear_faults()
        worker, points = cluster.worker, cluster.points
        cluster.points = CrashPoints()
        cluster.start_worker()
        cluster.run(900.0, lambda: not worlds.waiting(cluster))
        cluster.worker, cluster.points = worker, points
        cluster.redis.points = points

    calls = life(None).points.calls[: moments[0]]
    for moment in [n for n, call in enumerate(calls) if call.startswith(("EC2", "Kubernetes"))][::2]:
        life(moment)


def test_a_worker_killed_beside_an_unassign_gives_no_address_twice(simulate: Simulate) -> None:
    """The address that EC2 took back is handed out again at once, to this node's next call or another's."""
    wrong = []
    for seed in range(8):
        cluster = simulate(seed=seed, points=CrashPoints())
        cluster.configure({**WINDOWS, "enable-windows-prefix-delegation": "true", "windows-warm-prefix-target": "1"})
        begin(cluster, it.NodeJoins("w1", windows=True))
        cluster.run(30.0)
        happen(cluster, *(it.PodComes(f"p{number}", "w1") for number in range(20)))
        served_within(cluster, 60.0, "twenty pods")
        happen(cluster, *(it.PodGoes(f"p{number}") for number in range(20)))
        cluster.run(28.0)
        taken = _killed_after(cluster, "UnassignPrivateIpAddresses")
        happen(cluster, *(it.PodComes(f"q{number}", "w1") for number in range(40)))
        cluster.run(60.0)
        if taken and cluster.judge.problems:
            wrong.append((seed, cluster.judge.problems[0]))
        try:
            peace(cluster)
        except AssertionError as error:
            wrong.append((seed, str(error).splitlines()[0]))
    assert not wrong, f"{len(wrong)} of 8: {wrong[0]}"


def _killed_after(cluster: Cluster, action: str) -> bool:
    """Run until a worker was killed right after such a call took effect."""
    points = cluster.points

    def cut() -> None:
        if points.calls[-1] == f"EC2 {action}":
            points.cut = frozenset({2 * len(points.calls) - 1})

    points.before_each = cut
    before = cluster.crashes
    cluster.run(60.0, lambda: cluster.crashes > before)
    points.before_each, points.cut = (lambda: None), frozenset()
    return cluster.crashes > before


def test_a_pod_gets_one_of_the_last_addresses_of_a_subnet(simulate: Simulate) -> None:
    """Two addresses are free; a pod and its node's warm addresses would take more."""
    cluster = simulate()
    small = cluster.ec2.add_subnet(vpc_id=VPC, cidr="10.0.128.0/28")
    cluster.configure(WINDOWS)
    cluster.clock.sleep(10.0)
    instance = cluster.ec2.add_instance(subnet_id=small, groups=[GROUP])
    for _ in range(8):
        cluster.ec2.arrange("CreateNetworkInterface", {"SubnetId": small, "Groups": [GROUP]})
    cluster.put_node("w1", instance, windows=True)
    cluster.run(5.0)
    happen(cluster, it.PodComes("a", "w1"), it.PodComes("b", "w1"))
    served_within(cluster, 180.0, "pods beside the last two addresses")
    right(cluster)


def test_free_addresses_are_given_while_ec2_cannot_be_looked_at(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure(WINDOWS)
    begin(cluster, it.NodeJoins("w1", windows=True))
    cluster.run(30.0, lambda: cluster.held("w1") == (3, 0))
    happen(cluster, it.Ec2Fails("DescribeNetworkInterfaces"))
    cluster.run(1200.0)
    happen(cluster, it.PodComes("a", "w1"))
    served_within(cluster, 30.0, "a pod beside warm addresses")
    peace(cluster)


def test_a_call_with_unknown_outcome_is_repeated_at_a_pace(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure(WINDOWS)
    begin(cluster, it.NodeJoins("w1", windows=True))
    cluster.run(30.0, lambda: cluster.held("w1") == (3, 0))
    cluster.ec2.inject(FaultRule(action="AssignPrivateIpAddresses", code="InternalError", when="before"))
    before = len(cluster.ec2.journal.calls)
    happen(cluster, *(it.PodComes(f"p{number}", "w1") for number in range(5)))
    cluster.run(60.0)
    made = len(cluster.ec2.journal.calls) - before
    assert made <= 60, f"{made} calls in 60 s of an outage for one node"
    peace(cluster)


def test_an_address_that_ec2_shows_late_is_no_loss(simulate: Simulate) -> None:
    """Lag alone is never reported as somebody's interference."""
    cluster = simulate()
    cluster.configure(WINDOWS)
    worlds.LAG.happen(cluster)
    begin(cluster, it.NodeJoins("w1", windows=True))
    for number in range(8):
        happen(cluster, it.PodComes(f"p{number}", "w1"))
        cluster.run(20.0)
    cluster.run(1800.0)
    said = [n for n in cluster.notices if "taken" in str(n).lower()]
    assert not said, said[0]
    peace(cluster)


@pytest.mark.parametrize("windows", [False, True], ids=["linux", "windows"])
def test_two_pods_with_one_annotation_keep_nobody_busy(windows: bool, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure(WINDOWS)
    begin(cluster, it.NodeJoins("n1", windows=windows), it.PodComes("a", "n1"))
    served_within(cluster, 60.0, "a")
    cluster.run(60.0)
    forged = next(cluster.annotation(p, PRIVATE_IPV4 if windows else POD_ENI) for p in cluster.pods())
    assert forged
    happen(cluster, it.PodComes("b", "n1"), it.AnnotationCopied("b", "a"))
    cluster.run(30.0)
    before = len(cluster.ec2.journal.calls), len(cluster.points.calls)
    cluster.run(60.0)
    made = len(cluster.ec2.journal.calls) - before[0], len(cluster.points.calls) - before[1]
    assert made[0] <= 30, f"{made[0]} calls of EC2 per minute"
    assert made[1] <= 300, f"{made[1]} outside calls per minute"
    happen(cluster, it.PodComes("c", "n1"))
    assert cluster.run(90.0, lambda: worlds.waiting(cluster) in ([], ["b"])), "a third pod is not served"
    right(cluster)


def test_a_cninode_of_eks_auto_mode_is_left_alone(simulate: Simulate) -> None:
    cluster = simulate()
    begin(cluster)
    instance = cluster.ec2.add_instance(subnet_id=SUBNET, groups=[GROUP])
    body = {
        "apiVersion": "vpcresources.k8s.aws/v1alpha1",
        "kind": "CNINode",
        "metadata": {"name": "n1"},
        "spec": {"managedBy": "eks-auto-mode", "features": [{"name": "SecurityGroupsForPods"}]},
    }
    answer = cluster.kube.request("POST", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes", body=body)
    assert answer.json()["spec"].get("managedBy") == "eks-auto-mode", "our CRD prunes the field"
    made = cluster.cninode("n1")
    cluster.put_node("n1", instance, labels={"vpc.amazonaws.com/has-trunk-attached": None})
    cluster.run(120.0)
    assert cluster.cninode("n1") == made
    assert not calls_of(cluster, "CreateNetworkInterface"), "nor does its instance get a trunk"
    cluster.delete_node_object("n1")
    cluster.run(120.0)
    assert not cluster.excess
    assert [c for c in cluster.points.calls if "cninodes" in c and not c.startswith("Kubernetes GET")] == []


def test_an_annotation_that_names_another_nodes_interface_takes_nothing(simulate: Simulate) -> None:
    """Forged in every way that a person with the right to patch pods can think of."""
    for forged in _forgeries():
        cluster = simulate()
        begin(cluster, it.NodeJoins("n1"), it.NodeJoins("n2"), it.PodComes("a", "n1"), it.PodComes("other", "n2"))
        served_within(cluster, 60.0, "two pods on two nodes")
        text = forged(cluster)
        happen(cluster, it.PodComes("forged", "n1"), it.Annotated("forged", text))
        cluster.run(120.0)
        happen(cluster, it.PodComes("next", "n1"))
        assert comes_to(cluster, 60.0, "next"), f"nobody is served beside {text}"
        happen(cluster, it.RedisEmptied())
        cluster.run(200.0)
        happen(cluster, it.PodGoes("forged"))
        cluster.run(200.0)
        peace(cluster)


def _forgeries() -> list[Callable[[Cluster], str]]:
    def of_other_node(cluster: Cluster) -> str:
        return annotation_of(cluster, "other")

    def of_own_node(cluster: Cluster) -> str:
        return annotation_of(cluster, "a")

    def invented(_: Cluster) -> str:
        return of_one("eni-0123456789abcdef0", 1)

    def all_vlans(_: Cluster) -> str:
        return f"[{','.join(of_one(f'eni-0123456789abcd{v:03x}', v)[1:-1] for v in range(1, 121))}]"

    def foreign(cluster: Cluster) -> str:
        """An interface of another cluster in the VPC."""
        made = cluster.ec2.arrange("CreateNetworkInterface", {"SubnetId": SUBNET, "Groups": [GROUP]})
        return of_one(made["NetworkInterface"]["NetworkInterfaceId"], 7)

    def junk(_: Cluster) -> str:
        return "[1, {"

    return [of_other_node, of_own_node, invented, foreign, junk, all_vlans]


def annotation_of(cluster: Cluster, pod: str) -> str:
    found = next(p for p in cluster.pods() if p["metadata"]["name"] == pod)
    return str(found["metadata"]["annotations"][POD_ENI])


def of_one(eni: str, vlan: int) -> str:
    return (
        f'[{{"eniId":"{eni}","ifAddress":"02:00:00:00:00:01","privateIp":"10.0.9.9","ipv6Addr":"","vlanId":{vlan},'
        '"subnetCidr":"10.0.0.0/19","subnetV6Cidr":"","associationID":"trunk-assoc-0123456789abcdef0"}]'
    )


def test_a_forged_windows_address_takes_nothing(simulate: Simulate) -> None:
    for text in ("10.0.0.4/19", "10.9.9.9/32", "not an address", "10.0.0.4"):
        cluster = simulate()
        cluster.configure(WINDOWS)
        begin(cluster, it.NodeJoins("w1", windows=True), it.PodComes("a", "w1"))
        served_within(cluster, 60.0, "a")
        happen(cluster, it.PodComes("forged", "w1"), it.Annotated("forged", text, PRIVATE_IPV4))
        cluster.run(120.0)
        happen(cluster, it.PodComes("next", "w1"), it.RedisEmptied())
        assert comes_to(cluster, 120.0, "next"), f"nobody is served beside {text}"
        happen(cluster, it.PodGoes("forged"))
        peace(cluster)


def test_the_groups_of_a_changed_primary_interface_reach_new_pods(simulate: Simulate) -> None:
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
    served_within(cluster, 60.0, "a")
    primary = cluster.ec2.interfaces_of(cluster.instances["n1"])[0]
    other = cluster.ec2.add_security_group(vpc_id=VPC, name="changed")
    change = {"NetworkInterfaceId": primary.id, "Groups": [other]}
    cluster.ec2.arrange("ModifyNetworkInterfaceAttribute", change)
    cluster.run(1900.0)
    happen(cluster, it.PodComes("b", "n1"))
    served_within(cluster, 60.0, "b")
    pod = next(p for p in cluster.pods() if p["metadata"]["name"] == "b")
    made = cluster.ec2.interface(cluster.annotation(pod)[0]["eniId"])
    assert made is not None
    assert made.groups == (other,), f"{made.groups}, not those of the primary interface, {other}"
    peace(cluster)


def test_a_type_changed_while_the_node_stands_changes_its_capacity(simulate: Simulate) -> None:
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1", "m5.4xlarge"), it.PodComes("a", "n1"))
    served_within(cluster, 60.0, "a")
    happen(cluster, it.PodGoes("a"))
    cluster.run(90.0)
    happen(cluster, it.TypeChanged("n1", "m5.large"))
    assert cluster.run(1900.0, lambda: cluster.capacity("n1") == "9"), cluster.capacity("n1")
    assert cluster.plain.ledgers.load(NodeName("n1")) is not None
    peace(cluster)


def test_an_interface_with_an_unreadable_annotation_stays_its_pods(simulate: Simulate) -> None:
    """Somebody garbles a living pod's annotation, and Redis is lost: the interface's tag names the pod."""
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1"), it.PodComes("a", "n1"))
    served_within(cluster, 60.0, "a")
    path = "/api/v1/namespaces/default/pods/a"
    cluster.judge.forged.add("garbled")
    body = {"metadata": {"annotations": {POD_ENI: "garbled"}}}
    assert cluster.kube.request("PATCH", path, body=body, content_type=MERGE).status == 200
    happen(cluster, it.RedisEmptied())
    cluster.run(300.0)
    peace(cluster)


def test_an_instance_that_two_nodes_name_is_replaced_under_one_of_them(simulate: Simulate) -> None:
    """The other Node object goes with the instance, and so do its pods."""
    cluster = simulate()
    begin(cluster, it.NodeJoins("n1"), it.SecondNode("n1-again", "n1"), it.PodComes("z", "n1-again"))
    served_within(cluster, 60.0, "a pod of the other name")
    happen(cluster, it.InstanceReplaced("n1"), it.PodComes("new", "n1"))
    served_within(cluster, 60.0, "a pod on the new instance")
    peace(cluster)
