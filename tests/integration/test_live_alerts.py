"""Each alert fires once in a live system, by a planted fault, and ends when that is mended.

The rules are those of `deploy`, with all durations of a rule divided by the same number, so that its shortest one is
ten seconds: thresholds and rates stay as they are. What else may fire meanwhile is named with the fault.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.arranged import OURS, interfaces
from common.model.names import BRANCH_DESCRIPTION, INSTANCE_TAG
from sandbox.kube.certificates import make_certificates
from sandbox.ports import free_port
from tests.integration.refusing import REFUSED
from tests.integration.rig import GROUP, Process, Rig, running
from tests.integration.scraped import Prometheus, start_webhook, started

ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/components/monitoring/rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
SHORTEST_SECONDS = 10.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?<=\[)(\d+)([smh])(?=\])|(?<=offset )(\d+)([smh])\b")
FIRES_SECONDS, ENDS_SECONDS = 300.0, 150.0
QUIET_SECONDS = 10
"""Longer than a rule stops firing for a moment while its fault lasts."""
NODE, OTHER, BIG = "n0", "n1", "m5.4xlarge"
SMALL_SUBNET = "subnet-0000000000000002"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"


def shortened(rule: dict[str, Any]) -> dict[str, Any]:
    """With its durations divided."""
    pause = re.fullmatch(r"(\d+)([smh])", rule["for"])
    assert pause is not None
    found = [int(a or c) * UNITS[b or d] for a, b, c, d in DURATION.findall(rule["expr"])]
    found += [int(pause[1]) * UNITS[pause[2]]]
    by = min(each for each in found if each) / SHORTEST_SECONDS if any(found) else 1.0

    def shorter(match: re.Match[str]) -> str:
        number, unit = [group for group in match.groups() if group]
        return f"{round(int(number) * UNITS[unit] / by * 1000)}ms"

    whole = re.sub(r"(\d+)([smh])", shorter, rule["for"])
    return {**rule, "for": whole, "expr": DURATION.sub(shorter, rule["expr"])}


@dataclass(slots=True, kw_only=True)
class Live:
    rig: Rig
    prometheus: Prometheus
    watcher: Process
    worker: Process
    odd_port: str = field(default_factory=lambda: str(free_port()))
    """Metrics of a second watcher, while there is one."""
    table: list[tuple[str, str, float, set[str]]] = field(default_factory=list)

    def again(self, process: Process) -> Process:
        """The same once more, on the same ports."""
        return self.rig.run(process.name, *process.command, **process.environment)

    def pods(self, *names: str) -> None:
        for name in names:
            self.rig.add_pod(name, NODE)

    def without(self, *names: str) -> None:
        for name in names:
            self.rig.remove_pod(name)

    def fault(self, **rule: Any) -> None:
        self.rig.ec2("POST", "faults", [rule])

    def end_faults(self) -> None:
        self.rig.ec2("DELETE", "faults")

    def certificate(self, made: timedelta) -> None:
        """The webhook has one that was made so long ago."""
        make_certificates(self.rig.folder / "tls", datetime.now(UTC) - made)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "rig").mkdir()
    rules = {"groups": [{**group, "rules": [shortened(one) for one in group["rules"]]} for group in RULES["groups"]]}
    with (
        started(folder / "prometheus", rules) as prometheus,
        running(folder / "rig", watchers=0, VPC_RC_SWEEP_SECONDS="4", VPC_RC_NODE_RELEASE_SECONDS="2") as (rig, _),
    ):
        # Who takes in no object of one name.
        script = str(Path(__file__).with_name("refusing.py"))
        watcher = rig.run("watcher", sys.executable, script, "watcher", VPC_RC_METRICS_PORT=str(free_port()))
        worker = next(one for one in rig.processes if one.name == "worker0")
        worker.supervised = False
        webhook = start_webhook(rig, datetime.now(UTC))
        found = Live(rig=rig, prometheus=prometheus, watcher=watcher, worker=worker)
        ports = {one.name: one.environment["VPC_RC_METRICS_PORT"] for one in (watcher, worker, webhook)}
        prometheus.scrape({**ports, "odd": found.odd_port})
        for node in (NODE, OTHER):
            rig.add_node(node, BIG)
        rig.wait("the nodes", lambda: rig.capacity(NODE) == rig.capacity(OTHER) == "54")
        found.pods("first")
        rig.wait_for_none("pods", rig.unserved)
        try:
            yield found
        finally:
            print(f"\n{'alert':32} {'s':>4}  planted fault; what fired beside")
            for alert, planted, seconds, beside in found.table:
                print(f"{alert:32} {seconds:4.0f}  {planted}" + (f"; {', '.join(sorted(beside))}" if beside else ""))


def stop_watcher(live: Live) -> None:
    live.watcher.kill()


def start_watcher(live: Live) -> None:
    live.watcher = live.again(live.watcher)


def second_leader(live: Live) -> None:
    """On one Redis there are none: the earlier one is refused its writes, and ends."""
    live.rig.start_watcher(
        "odd", VPC_RC_LEASE_NAME="odd", VPC_RC_REDIS_URL=f"redis://127.0.0.1:{live.rig.redis_port}/1",
        VPC_RC_METRICS_PORT=live.odd_port,
    )  # fmt: skip


def no_second_leader(live: Live) -> None:
    next(one for one in live.rig.processes if one.name == "odd").stop()


def stop_worker(live: Live) -> None:
    live.worker.kill()
    live.pods("late")


def start_worker(live: Live) -> None:
    live.worker = live.again(live.worker)
    live.rig.wait_for_none("pods", live.rig.unserved)
    live.without("late")


MANY = [f"q{number}" for number in range(120)]


def many_nodes(live: Live) -> None:
    live.worker.kill()
    for name in MANY:
        live.rig.add_node(name)


def no_more_nodes(live: Live) -> None:
    for name in MANY:
        live.rig.kube("DELETE", f"/api/v1/nodes/{name}")
    live.worker = live.again(live.worker)


def full_subnet(live: Live) -> None:
    live.fault(action="CreateNetworkInterface", code="InsufficientFreeAddressesInSubnet")
    live.pods("waits")


def room_again(live: Live) -> None:
    live.end_faults()
    live.rig.wait_for_none("pods", live.rig.unserved)
    live.without("waits")


def past_the_webhook(live: Live) -> None:
    spec = {"podSelector": {"matchLabels": {"role": "db"}}, "securityGroups": {"groupIds": [GROUP]}}
    kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
    live.rig.kube("POST", POLICIES, {**kind, "metadata": {"name": "db"}, "spec": spec})
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "labels": {"role": "db"}},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "i"}]},
    }
    live.rig.kube("POST", "/api/v1/namespaces/default/pods", body)


def gone_again(live: Live) -> None:
    live.without("bare")
    live.rig.kube("DELETE", f"{POLICIES}/db")


def denied(live: Live) -> None:
    live.fault(action="AssociateTrunkInterface", code="UnauthorizedOperation")
    live.pods("waits")


def failing(live: Live) -> None:
    live.fault(action="CreateNetworkInterface", code="InternalError")
    live.pods("waits")


SOME = [f"some-{number}" for number in range(40)]
CROWD = [f"crowd-{number}" for number in range(100)]


def throttled(live: Live) -> None:
    live.fault(action="CreateNetworkInterface", code="RequestLimitExceeded", rate=0.3)
    live.pods(*SOME)


def all_served(live: Live) -> None:
    live.end_faults()
    live.without(*SOME)


def low_limit(live: Live) -> None:
    live.rig.behave(throttling=True, buckets={"CreateNetworkInterface": {"size": 5, "refill": 1.2}})
    for number, name in enumerate(CROWD):
        live.rig.add_pod(name, (NODE, OTHER)[number % 2])


def raised_again(live: Live) -> None:
    live.rig.behave(throttling=False)
    live.without(*CROWD)


def leak(live: Live) -> None:
    """One more, of somebody who made it and went."""
    interfaces(live.rig, [{**OURS, INSTANCE_TAG: "i-0123456789abcdef0"}], BRANCH_DESCRIPTION)


ENDED = [f"e{number}" for number in range(8)]


def clean_up_fails(live: Live) -> None:
    for name in ENDED:
        live.rig.add_node(name)
    live.rig.wait("the nodes", lambda: all(live.rig.capacity(name) for name in ENDED))
    live.fault(action="DescribeNetworkInterfaces", code="InternalError")
    for name in ENDED:
        live.rig.kube("DELETE", f"/api/v1/nodes/{name}")


def small_subnet(live: Live) -> None:
    live.rig.ec2("POST", "seed", {"subnets": [{"cidr": "10.0.250.0/28", "id": SMALL_SUBNET, "az": "us-west-2a"}]})
    live.rig.add_node("small", subnet=SMALL_SUBNET)


def not_understood(live: Live) -> None:
    live.rig.register(REFUSED, "aws:///us-west-2a/i-0123456789abcdef0")


def understood(live: Live) -> None:
    live.rig.kube("DELETE", f"/api/v1/nodes/{REFUSED}")


def nothing(_: Live) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    alert: str
    planted: str
    """In words: a row of the table in docs/operations.md."""
    plant: Callable[[Live], None]
    mend: Callable[[Live], None] = nothing
    beside: frozenset[str] = frozenset()
    """What may fire as well."""
    again: bool = False
    """It is planted again every two seconds."""
    stays: bool = False
    """It cannot be mended."""


WAIT = frozenset({"VpcRcPodsWait"})
# Sweeps are seconds apart here, not half an hour: an interface that waits for EC2's limits looks leaked to two of them.
FAULTS = [
    Fault(alert="VpcRcNoLeader", planted="the only watcher is killed", plant=stop_watcher, mend=start_watcher),
    Fault(alert="VpcRcTwoLeaders", planted="a second watcher runs with a lease and a Redis of its own",
          plant=second_leader, mend=no_second_leader),
    Fault(alert="VpcRcTasksNotServed", planted="the only worker is killed, and a pod comes",
          plant=stop_worker, mend=start_worker, beside=WAIT),
    Fault(alert="VpcRcQueueGrows", planted="the only worker is killed, and 120 nodes join",
          plant=many_nodes, mend=no_more_nodes, beside=frozenset({"VpcRcTasksNotServed"})),
    Fault(alert="VpcRcPodsWait", planted="EC2 answers CreateNetworkInterface with `InsufficientFreeAddressesInSubnet`",
          plant=full_subnet, mend=room_again),
    Fault(alert="VpcRcPodsWithoutGroups", planted="a pod that a policy selects is made without the webhook",
          plant=past_the_webhook, mend=gone_again),
    Fault(alert="VpcRcEc2Denied", planted="EC2 answers AssociateTrunkInterface with `UnauthorizedOperation`",
          plant=denied, mend=room_again, beside=WAIT),
    Fault(alert="VpcRcEc2Fails", planted="EC2 answers CreateNetworkInterface with `InternalError`",
          plant=failing, mend=room_again, beside=WAIT),
    Fault(alert="VpcRcEc2LimitReached", planted="EC2 allows 1.2 CreateNetworkInterface a second; 100 pods come",
          plant=low_limit, mend=raised_again, beside=WAIT | {"VpcRcEc2Throttled", "VpcRcLeaksKeepComing"}),
    Fault(alert="VpcRcEc2Throttled", planted="EC2 refuses 30 of 100 CreateNetworkInterface, at any rate; 40 pods come",
          plant=throttled, mend=all_served, beside=WAIT | {"VpcRcEc2LimitReached", "VpcRcLeaksKeepComing"}),
    Fault(alert="VpcRcLeaksKeepComing", planted="somebody makes an interface with our tags every two seconds",
          plant=leak, again=True),
    Fault(alert="VpcRcCleanUpFails", planted="eight nodes end while EC2 answers DescribeNetworkInterfaces with "
          "`InternalError`", plant=clean_up_fails, mend=Live.end_faults, beside=frozenset({"VpcRcEc2Fails"})),
    Fault(alert="VpcRcWebhookCertificateEnds", planted="the webhook gets a certificate with ten days left",
          plant=lambda live: live.certificate(timedelta(days=20)), mend=lambda live: live.certificate(timedelta())),
    Fault(alert="VpcRcWebhookCertificateExpired", planted="the webhook gets a certificate that ended yesterday",
          plant=lambda live: live.certificate(timedelta(days=31)), mend=lambda live: live.certificate(timedelta()),
          beside=frozenset({"VpcRcWebhookCertificateEnds"})),
    Fault(alert="VpcRcNotUnderstood", planted="the watcher cannot take a Node in",
          plant=not_understood, mend=understood),
    Fault(alert="VpcRcSubnetFull", planted="a node joins in a subnet of eleven addresses", plant=small_subnet,
          stays=True),
]  # fmt: skip


def test_every_alert_is_planted() -> None:
    assert {fault.alert for fault in FAULTS} == ALERTS


def test_the_table_of_planted_faults_is_documented() -> None:
    text = (ROOT / "docs/operations.md").read_text().partition("### Tried in a live system")[2]
    rows = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (.*?) \|", text, re.MULTILINE)
    assert rows == [(fault.alert, fault.planted) for fault in FAULTS]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.alert)
def test_an_alert_fires_by_its_fault_and_ends_with_it(live: Live, fault: Fault) -> None:
    live.rig.wait("nothing fires before", lambda: live.prometheus.quiet(QUIET_SECONDS), ENDS_SECONDS)
    began = planted = time.monotonic()
    fault.plant(live)
    beside: set[str] = set()

    def fires() -> bool:
        nonlocal planted
        if fault.again and time.monotonic() - planted > 2:
            planted = time.monotonic()
            fault.plant(live)
        firing = live.prometheus.firing()
        beside.update(firing - {fault.alert})
        return fault.alert in firing

    try:
        live.rig.wait(fault.alert, fires, FIRES_SECONDS)
    finally:
        fault.mend(live)
    live.table.append((fault.alert, fault.planted, time.monotonic() - began, beside))
    assert beside <= fault.beside
    if not fault.stays:
        live.rig.wait("it ends", lambda: not live.prometheus.firing(), ENDS_SECONDS)
