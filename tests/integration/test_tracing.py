"""Spans of the real processes, as a collector gets them; and pods are served whatever the collector does."""

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from common.trace_ids import node_trace
from common.tracing import SAID_SECONDS
from tests.integration.rig import ROOT, Rig, running
from tests.kit.collector import Collector, Span, collecting
from watcher.pod_trace import WRITE
from workers.run_trace import QUEUE, RUN

APART_SECONDS = 0.1
"""How much the clocks of two processes, which follow Redis', may differ on a busy machine."""
STEPS = ("ResolvePod", "CreateBranch", "PermitBranch", "AssociateBranch", "Annotate")
CALLS = {
    "EC2.CreateNetworkInterface": "CreateBranch",
    "EC2.CreateNetworkInterfacePermission": "PermitBranch",
    "EC2.AssociateTrunkInterface": "AssociateBranch",
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def served(rig: Rig, *pods: str) -> None:
    rig.add_node("n1")
    rig.wait("the trunk is ready", lambda: rig.capacity("n1") is not None)
    for name in pods:
        rig.add_pod(name, "n1")
    rig.wait_for_none("pods are served", rig.unserved)


def trace_of(rig: Rig, pod: str) -> str:
    uid: str = rig.pod(pod)["metadata"]["uid"]
    return uid.replace("-", "")


def whole(rig: Rig, collector: Collector, trace: str) -> dict[str, Span]:
    """The pod's spans by name, once the last of them has come."""
    wanted = {"pod", WRITE, QUEUE, RUN, *STEPS, *CALLS}
    rig.wait_for_none("all spans have come", lambda: sorted(wanted - {one.name for one in collector.of(trace)}))
    found = collector.of(trace)
    assert sorted(one.name for one in found) == sorted(wanted), "each once"
    return {one.name: one for one in found}


def test_the_trace_of_one_pod_shows_its_whole_way(collector: Collector, tmp_path: Path) -> None:
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT=collector.url) as (rig, _):
        served(rig)
        # No run is under way when the pod comes: its message waits for the next worker.
        (before,) = (process for process in rig.processes if process.name == "worker0")
        before.supervised = False
        assert before.stop() == 0
        rig.add_pod("p1", "n1")
        trace = trace_of(rig, "p1")
        rig.wait("the watcher has announced it", lambda: [one.name for one in collector.of(trace)] == [WRITE])
        rig.start_worker("worker1")
        rig.wait_for_none("the pod is served", rig.unserved)
        found = whole(rig, collector, trace)
        node = f"{node_trace('n1', instance_of(rig)).trace:032x}"
        rig.wait("the trunk's spans have come", lambda: "AwaitTrunk" in {one.name for one in collector.of(node)})
        of_node = collector.of(node)
    pod, run = found["pod"], found[RUN]
    parents = {
        "pod": "",
        **dict.fromkeys((WRITE, QUEUE, RUN), pod.span),
        **dict.fromkeys(STEPS, run.span),
        **{call: found[step].span for call, step in CALLS.items()},
    }
    assert {name: span.parent for name, span in found.items()} == parents
    watched, queue = found[WRITE], found[QUEUE]
    assert {name: span.service for name, span in found.items()} == {
        **dict.fromkeys(found, "vpc-rc-worker"),
        WRITE: "vpc-rc-watcher",
    }
    by_span = {span.span: span for span in found.values()}
    for name, span in found.items():
        assert span.began <= span.ended, name
        if span.parent:
            assert by_span[span.parent].began - APART_SECONDS <= span.began, name
            assert span.ended <= by_span[span.parent].ended + APART_SECONDS, name
    assert watched.began == pod.began
    assert queue.began <= watched.ended + APART_SECONDS
    assert queue.ended == run.began > watched.ended, "the worker came after the message"
    assert pod.ended - pod.began < 60
    for earlier, later in pairwise(STEPS):
        assert found[earlier].ended <= found[later].began, f"{earlier} before {later}"
    assert found["Annotate"].ended <= run.ended == pod.ended
    assert {span.attributes["k8s.pod.name"] for span in found.values()} == {"p1"}
    for call in CALLS:
        told = found[call].attributes
        assert (told["rpc.method"], told["vpc_rc.code"]) == (call.removeprefix("EC2."), "OK")
        assert told["aws.request_id"]
    runs = {span.span for span in of_node if span.name == RUN}
    assert all(span.parent == "" for span in of_node if span.name == RUN)
    (trunk,) = (span for span in of_node if span.name == "CreateTrunk")
    assert trunk.parent in runs
    assert "EC2.AttachNetworkInterface" in {span.name for span in of_node}


def instance_of(rig: Rig) -> str:
    """The instance of the node."""
    provider: str = rig.kube("GET", "/api/v1/nodes/n1")["spec"]["providerID"]
    return provider.rpartition("/")[2]


def test_a_refused_call_is_an_error_in_the_picture(collector: Collector, tmp_path: Path) -> None:
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT=collector.url) as (rig, _):
        rig.add_node("n1")
        rig.wait("the trunk is ready", lambda: rig.capacity("n1") is not None)
        rig.behave(faults=[{"action": "AssociateTrunkInterface", "code": "RequestLimitExceeded", "count": 1}])
        rig.add_pod("p1", "n1")
        rig.wait_for_none("the pod is served", rig.unserved)
        trace = trace_of(rig, "p1")
        rig.wait("the trace is whole", lambda: "pod" in {one.name for one in collector.of(trace)})
        calls = [one for one in collector.of(trace) if one.name == "EC2.AssociateTrunkInterface"]
    assert [one.error for one in calls] == ["RequestLimitExceeded", ""]
    assert [one.attributes["vpc_rc.code"] for one in calls] == ["RequestLimitExceeded", "OK"]


def test_pods_are_served_and_processes_end_in_time_while_the_collector_hangs(
    collector: Collector, tmp_path: Path
) -> None:
    collector.hang.set()
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT=collector.url) as (rig, _):
        served(rig, "p1", "p2")
        rig.wait("the collector was asked", lambda: collector.requests >= 2)
        for process in [one for one in rig.processes if one.supervised]:
            process.supervised = False
            began = time.monotonic()
            assert process.stop() == 0, process.name
            assert time.monotonic() - began < 30, "the grace period of the watcher"
        assert rig.faults_logged() == []
    assert collector.spans == []


@pytest.mark.parametrize("status", [400, 503], ids=["refuses", "is overloaded"])
def test_pods_are_served_where_the_collector_does_not_take_spans(
    status: int, collector: Collector, tmp_path: Path
) -> None:
    collector.status = status
    began = time.monotonic()
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT=collector.url) as (rig, _):
        served(rig, "p1", "p2")
        rig.wait("the collector was asked", lambda: collector.requests >= 4)
        logs = {one.name: one.log.read_text() for one in rig.processes if one.supervised}
    assert sum("spans_not_sent" in log for log in logs.values()) >= 1
    minutes = (time.monotonic() - began) // SAID_SECONDS
    assert all(log.count("spans_not_sent") <= 1 + minutes for log in logs.values())


def test_pods_are_served_where_nobody_listens(tmp_path: Path) -> None:
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT="http://127.0.0.1:1") as (rig, _):
        served(rig, "p1")
        rig.wait("it is said", lambda: "spans_not_sent" in rig.logs())
        assert all(process.running for process in rig.processes)


def test_a_pod_outside_of_the_ratio_is_served_without_spans(collector: Collector, tmp_path: Path) -> None:
    with running(tmp_path, VPC_RC_TRACING_ENDPOINT=collector.url, VPC_RC_TRACING_RATIO="0") as (rig, _):
        served(rig, "p1")
        assert all(process.stop() == 0 for process in rig.processes if process.supervised)
    assert collector.requests == 0


WHAT_IS_LOADED = """
import sys
from common.clock import SystemClock
from common import spans, tracing
from common.settings import load_settings
import watcher.run, workers.run, workers.tasks
tracing.start(load_settings(), "worker", SystemClock())
found = {name.partition(".")[0] for name in sys.modules}
print("spans", spans.on(), *sorted(found & {"google", "opentelemetry", "requests"}))
tracing.stop()
"""


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [("", "spans False"), ("http://127.0.0.1:1", "spans True google opentelemetry requests")],
    ids=["off", "on"],
)
def test_opentelemetry_is_imported_only_with_an_endpoint(endpoint: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WHAT_IS_LOADED],
        cwd=ROOT,
        env={"VPC_RC_TRACING_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == said
