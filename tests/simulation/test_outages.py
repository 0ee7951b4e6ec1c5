"""What fails for all is known once: while it lasts hardly a call is made for it, and when it is over everybody goes on
at once. What fails for one holds nobody else."""

from collections.abc import Callable
from typing import Any

import pytest

from common.metrics import UNAVAILABLE
from common.model.errors import Unsure
from common.model.ids import NodeName
from common.model.notice import NodeNotice
from common.rules.scopes import CREATE
from common.store.outages import LONGEST_SECONDS
from sandbox.ec2.behaviour import FaultRule
from tests.simulation.cluster import OTHER_SUBNET, SUBNET, Cluster
from tests.simulation.lives import done, served

Simulate = Callable[..., Cluster]
NODES, PODS = 3, 6
LONG = 300.0
SOON = 15.0


def ready(cluster: Cluster) -> Cluster:
    for number in range(NODES):
        cluster.add_node(f"n{number}")
    done(cluster, lambda: all(cluster.capacity(f"n{n}") == "9" for n in range(NODES)), "capacity")
    return cluster


def add_pods(cluster: Cluster, prefix: str = "p", app: str = "none") -> None:
    for number in range(PODS):
        cluster.add_pod(f"{prefix}{number}", f"n{number % NODES}", app=app)


def outages(cluster: Cluster) -> list[str]:
    return [outage.scope for outage in cluster.plain.outages.read()]


def events(cluster: Cluster, reason: str) -> list[str]:
    return [n.message for n in cluster.notices if isinstance(n, NodeNotice) and n.reason == reason]


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [
        ("CreateNetworkInterface", "InternalError", 500),
        ("CreateNetworkInterface", "reset", None),
        ("CreateNetworkInterface", "UnauthorizedOperation", 403),
        ("CreateNetworkInterface", "InsufficientFreeAddressesInSubnet", 400),
        ("CreateNetworkInterface", "NetworkInterfaceLimitExceeded", 400),
        ("CreateNetworkInterfacePermission", "UnauthorizedOperation", 403),
        ("AssociateTrunkInterface", "Unavailable", 503),
        ("AssociateTrunkInterface", "UnauthorizedOperation", 403),
    ],
)
def test_while_it_lasts_one_asks_and_then_all_go_on(
    action: str, code: str, status: int | None, simulate: Simulate
) -> None:
    cluster = ready(simulate())
    cluster.ec2.inject(FaultRule(action=action, code=code, status=status))
    before = len(cluster.ec2.journal.of(action))
    add_pods(cluster)
    cluster.run(LONG)
    asked = len(cluster.ec2.journal.of(action)) - before
    assert asked <= LONG / LONGEST_SECONDS + 2 * PODS, f"{asked} calls in {LONG:.0f} s"
    assert len(outages(cluster)) == 1
    assert len(events(cluster, "Unavailable")) == 1
    cluster.heal()
    assert cluster.run(SOON, cluster.all_served)
    assert outages(cluster) == []
    assert len(events(cluster, "AvailableAgain")) == 1
    assert not cluster.problems


def test_pods_that_come_meanwhile_make_no_call_each(simulate: Simulate) -> None:
    cluster = ready(simulate())
    cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code="InternalError", status=500))
    add_pods(cluster)
    cluster.run(60)
    before = len(cluster.ec2.journal.of("CreateNetworkInterface"))
    add_pods(cluster, "more")
    cluster.run(10)
    assert len(cluster.ec2.journal.of("CreateNetworkInterface")) - before <= 10
    cluster.heal()
    assert cluster.run(SOON, cluster.all_served)


def test_a_group_that_does_not_exist_holds_only_those_who_ask_for_it(simulate: Simulate) -> None:
    cluster = ready(simulate())
    cluster.put_policy("bad", "bad", ["sg-0dead0000000beef"])
    add_pods(cluster, "bad", app="bad")
    cluster.run(60)
    assert len(outages(cluster)) == 1
    before = len(cluster.ec2.journal.of("CreateNetworkInterface"))
    for number in range(NODES):
        cluster.add_pod(f"good{number}", f"n{number}")
    assert cluster.run(5, lambda: sum(cluster.annotation(p) is not None for p in cluster.pods()) == NODES)
    cluster.run(60)
    assert len(cluster.ec2.journal.of("CreateNetworkInterface")) - before <= NODES + 65 / LONGEST_SECONDS + 1
    cluster.put_policy("bad", "bad", ["sg-0000000000000002"])
    assert cluster.run(SOON, cluster.all_served), "another policy is felt"


def test_a_group_that_is_made_is_felt(simulate: Simulate) -> None:
    cluster = ready(simulate())
    cluster.put_policy("late", "late", ["sg-00000000000000aa"])
    add_pods(cluster, app="late")
    cluster.run(120)
    vpc = cluster.ec2.arrange("DescribeSubnets", {"SubnetIds": [SUBNET]})["Subnets"][0]["VpcId"]
    cluster.ec2.add_security_group(vpc_id=vpc, name="late", group_id="sg-00000000000000aa")
    assert cluster.run(SOON, cluster.all_served)


def test_one_pod_that_is_denied_alone_holds_nobody_and_costs_less_and_less(simulate: Simulate) -> None:
    cluster = ready(simulate())
    uid = cluster.add_pod("denied", "n0")
    rule = FaultRule(
        action="CreateNetworkInterface",
        match={"TagSpecifications": f"*{uid}*"},
        code="UnauthorizedOperation",
        status=403,
    )
    cluster.ec2.inject(rule)
    slowest = 0.0
    for number in range(60):
        name = f"p{number}"
        cluster.add_pod(name, f"n{number % NODES}")
        began = cluster.clock.now()
        assert cluster.run(10, lambda name=name: served_pod(cluster, name))  # type: ignore[misc]
        slowest = max(slowest, cluster.clock.now() - began)
        cluster.run(3)
        cluster.remove_pod(name)
    assert slowest < 3.0, "no other pod waits for it"
    calls = [c for c in cluster.ec2.journal.of("CreateNetworkInterface") if uid in str(c.params)]
    assert len(calls) <= 20, len(calls)
    cluster.heal()
    assert cluster.run(90, lambda: served_pod(cluster, "denied"))


def served_pod(cluster: Cluster, name: str) -> bool:
    pod = cluster.kube.request("GET", f"/api/v1/namespaces/default/pods/{name}").json()
    return cluster.annotation(pod) is not None


@pytest.mark.parametrize("seed", range(5))
def test_several_that_are_denied_by_a_condition_hold_others_for_a_moment_only(simulate: Simulate, seed: int) -> None:
    """Also those on the nodes of the denied ones."""
    cluster = ready(simulate(seed=seed))
    uids = [cluster.add_pod(f"denied{n}", f"n{n % NODES}") for n in range(4)]
    for uid in uids:
        cluster.ec2.inject(
            FaultRule(
                action="CreateNetworkInterface",
                match={"TagSpecifications": f"*{uid}*"},
                code="UnauthorizedOperation",
                status=403,
            )
        )
    cluster.run(30)
    for number in range(20):
        name = f"p{number}"
        cluster.add_pod(name, f"n{number % NODES}")
        assert cluster.run(3, lambda name=name: served_pod(cluster, name)), name  # type: ignore[misc]
        cluster.run(10)
        cluster.remove_pod(name)


def test_it_works_once_and_fails_again(simulate: Simulate) -> None:
    cluster = ready(simulate())
    for _ in range(3):
        cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code="InternalError", status=500))
        add_pods(cluster)
        cluster.run(20)
        assert outages(cluster) == ["CreateNetworkInterface"]
        cluster.ec2.clear_faults()
        made = len(cluster.ours("aws-k8s-branch-eni"))
        cluster.run(SOON, lambda made=made: len(cluster.ours("aws-k8s-branch-eni")) > made)  # type: ignore[misc]
        cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code="InternalError", status=500))
        cluster.run(20)
        cluster.heal()
        assert cluster.run(SOON, cluster.all_served)
        for pod in cluster.pod_names():
            cluster.remove_pod(pod)
        cluster.run(120)
    assert not cluster.problems


def test_a_worker_that_dies_while_it_asks_holds_nobody_for_ever(simulate: Simulate) -> None:
    cluster = ready(simulate())
    cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code="InternalError", status=500))
    add_pods(cluster)
    cluster.run(20)
    asker = cluster.plain.outages.read()[0]
    assert cluster.plain.outages.held_by([asker.scope], asker.asker, "anybody", asker.ask_at) is None
    cluster.start_worker()
    cluster.heal()
    assert cluster.run(45, cluster.all_served)


def test_redis_lost_in_an_outage(simulate: Simulate) -> None:
    cluster = ready(simulate())
    cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code="InternalError", status=500))
    add_pods(cluster)
    cluster.run(20)
    cluster.lose_redis()
    cluster.run(30)
    assert outages(cluster) == ["CreateNetworkInterface"], "it is known anew"
    cluster.heal()
    assert cluster.run(SOON, cluster.all_served)


@pytest.mark.parametrize("code", ["InternalError", "UnauthorizedOperation", "InsufficientFreeAddressesInSubnet"])
def test_nodes_that_join_in_an_outage_are_ready_soon_after(code: str, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.ec2.inject(FaultRule(action="CreateNetworkInterface", code=code, status=400))
    for number in range(NODES):
        cluster.add_node(f"n{number}")
    cluster.run(LONG)
    assert len(cluster.ec2.journal.of("CreateNetworkInterface")) <= LONG / LONGEST_SECONDS + 2 * NODES
    cluster.heal()
    assert cluster.run(SOON, lambda: all(cluster.capacity(f"n{n}") == "9" for n in range(NODES)))


def test_an_eniconfig_with_another_subnet_is_felt(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.put_eni_config("zone", SUBNET, [])
    for number in range(NODES):
        cluster.add_node(f"n{number}", labels={"vpc.amazonaws.com/eniConfig": "zone"})
    done(cluster, lambda: all(cluster.capacity(f"n{n}") == "9" for n in range(NODES)), "capacity")
    full = FaultRule(
        action="CreateNetworkInterface",
        match={"SubnetId": SUBNET},
        code="InsufficientFreeAddressesInSubnet",
        status=400,
    )
    cluster.ec2.inject(full)
    add_pods(cluster)
    cluster.run(60)
    assert outages(cluster) == [f"CreateNetworkInterface in {SUBNET}"]
    cluster.put_eni_config("zone", OTHER_SUBNET, [])
    assert cluster.run(SOON, cluster.all_served)


def test_the_api_server_that_answers_500_to_annotations(simulate: Simulate) -> None:
    cluster = ready(simulate())
    kube: Any = cluster.worker.ports.kube
    real = kube.annotate_pod
    calls = 0

    def fails(*args: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        raise Unsure("InternalError", "away")

    kube.annotate_pod = fails
    add_pods(cluster)
    cluster.run(120)
    assert calls <= 120 / LONGEST_SECONDS + 2 * PODS
    assert outages(cluster) == ["Kubernetes API"]
    kube.annotate_pod = real
    assert cluster.run(SOON, cluster.all_served)


def test_windows_addresses(simulate: Simulate) -> None:
    """A subnet without addresses: nobody asks for more and more, and all go on when there are some."""
    cluster = simulate()
    cluster.configure({"enable-windows-ipam": "true"})
    for number in range(NODES):
        cluster.add_node(f"n{number}", windows=True)
    done(
        cluster,
        lambda: all(cluster.capacity(f"n{n}", "vpc.amazonaws.com/PrivateIPv4Address") for n in range(NODES)),
        "",
    )
    cluster.run(30)
    cluster.ec2.inject(
        FaultRule(action="AssignPrivateIpAddresses", code="InsufficientFreeAddressesInSubnet", status=400)
    )
    for number in range(NODES * 5):
        cluster.add_pod(f"p{number}", f"n{number % NODES}", windows=True)
    cluster.run(60)
    before = len(cluster.ec2.journal.of("AssignPrivateIpAddresses"))
    cluster.run(LONG)
    asked = len(cluster.ec2.journal.of("AssignPrivateIpAddresses")) - before
    assert asked <= LONG / LONGEST_SECONDS + 2 * NODES, asked
    cluster.heal()
    assert cluster.run(SOON, cluster.all_served)
    assert cluster.plain.ledgers.load(NodeName("n0")) is not None


def test_everything_is_served_where_every_second_call_fails(simulate: Simulate) -> None:
    cluster = ready(simulate(seed=3))
    cluster.ec2.inject(FaultRule(rate=0.5, code="InternalError", status=500))
    add_pods(cluster)
    served(cluster)
    cluster.heal()
    assert not cluster.problems


def test_groups_that_one_thinks_up_are_one_series_of_the_metric(simulate: Simulate) -> None:
    cluster = ready(simulate())
    for number in range(PODS):
        cluster.put_policy(f"bad{number}", f"bad{number}", [f"sg-invented{number}"])
        cluster.add_pod(f"bad{number}", f"n{number % NODES}", app=f"bad{number}")
    cluster.add_pod("good", "n0")
    done(cluster, lambda: any(cluster.annotation(pod) for pod in cluster.live()), "who has real ones is served")
    done(cluster, lambda: sum("sg-invented" in scope for scope in outages(cluster)) == PODS, "each failed")
    cluster.run(5.0)
    series = [sample.labels["scope"] for metric in UNAVAILABLE.collect() for sample in metric.samples]
    assert f"{CREATE} with groups" in series
    assert not any("sg-invented" in scope for scope in series)
