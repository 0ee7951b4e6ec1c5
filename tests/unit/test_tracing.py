"""Spans as OpenTelemetry's exporter gets them; what happens where there is none, and where the collector fails."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from common import spans, tracing
from common.clock import SystemClock
from common.settings import Settings
from common.spans import Finished, Scope, below, span, waited
from common.trace_ids import Place, node_trace, pod_root
from tests.kit.clock import START, VirtualClock

ROOT = Path(__file__).parents[2]
POD = pod_root("a3f2c9bf-9c63-46b9-90f2-44556f25e2a2")


class Sent:
    """What the exporter has got; spans are sent to it meanwhile."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self._tracer = tracing.OpenTelemetry(self._exporter, ratio, {"service.name": "tested"}, SystemClock())
        spans.use(self._tracer)

    def all(self) -> dict[str, ReadableSpan]:
        """By name. Nothing is sent any more."""
        tracing.stop()
        return {one.name: one for one in self._exporter.get_finished_spans()}


@pytest.fixture
def sent() -> Iterator[Sent]:
    yield Sent()
    tracing.stop()


def ids(one: ReadableSpan) -> tuple[int, int, int]:
    """Trace, span and parent."""
    assert one.context is not None
    return one.context.trace_id, one.context.span_id, one.parent.span_id if one.parent is not None else 0


def scope(clock: VirtualClock) -> Scope:
    run = Place(trace=POD.trace, span=77)
    return Scope(root=POD, place=run, began=clock.now(), clock=clock, attributes={"k8s.node.name": "n"})


def test_a_span_has_the_ids_and_times_that_it_was_given(sent: Sent) -> None:
    spans.record(Finished(name="pod", place=POD, parent=0, began=START, ended=START + 1.5))
    below_it = Place(trace=POD.trace, span=5)
    link = node_trace("n", "i-1")
    linked = Place(trace=link.trace, span=9)
    spans.record(
        Finished(name="run", place=below_it, parent=POD.span, began=START, ended=START + 1, link=linked, code="lost")
    )
    found = sent.all()
    assert ids(found["pod"]) == (POD.trace, POD.span, 0)
    assert ids(found["run"]) == (POD.trace, 5, POD.span)
    assert (found["pod"].start_time, found["pod"].end_time) == (int(START * 1e9), int((START + 1.5) * 1e9))
    assert [(one.context.trace_id, one.context.span_id) for one in found["run"].links] == [(link.trace, 9)]
    assert (found["run"].status.status_code, found["run"].status.description) == (StatusCode.ERROR, "lost")
    assert found["pod"].status.status_code is StatusCode.UNSET
    assert found["pod"].resource.attributes["service.name"] == "tested"


def test_what_is_done_within_a_span_hangs_below_it(sent: Sent) -> None:
    clock = VirtualClock()
    with below(scope(clock)), span("CreateBranch") as action:
        clock.sleep(1)
        with span("EC2.CreateNetworkInterface", client=True) as call:
            call.note({"aws.request_id": "r-1"})
            clock.sleep(2)
        action.failed("Refused")
    found = sent.all()
    action_ids, call_ids = ids(found["CreateBranch"]), ids(found["EC2.CreateNetworkInterface"])
    assert action_ids[2] == 77
    assert call_ids[2] == action_ids[1]
    assert found["EC2.CreateNetworkInterface"].kind is SpanKind.CLIENT
    assert found["EC2.CreateNetworkInterface"].attributes == {"k8s.node.name": "n", "aws.request_id": "r-1"}
    assert found["EC2.CreateNetworkInterface"].start_time == int((START + 1) * 1e9)
    assert found["CreateBranch"].end_time == int((START + 3) * 1e9)
    assert found["CreateBranch"].status.description == "Refused"


def test_a_span_that_an_exception_ends_is_an_error_of_its_kind(sent: Sent) -> None:
    with pytest.raises(ZeroDivisionError), below(scope(VirtualClock())), span("step"):
        raise ZeroDivisionError
    assert sent.all()["step"].status.description == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("seconds", "parent"), [(1.0, "the action"), (2.0, "the action"), (30.0, "the root: it began before the action")]
)
def test_a_wait_hangs_where_it_fits(sent: Sent, seconds: float, parent: str) -> None:
    clock = VirtualClock()
    with below(scope(clock)), span("CreateBranch"):
        clock.sleep(2)
        waited("wait", seconds, {"rpc.method": "CreateNetworkInterface"})
    found = sent.all()
    expected = POD.span if "root" in parent else ids(found["CreateBranch"])[1]
    assert ids(found["wait"])[2] == expected
    assert (found["wait"].start_time, found["wait"].end_time) == (
        int((START + 2 - seconds) * 1e9),
        int((START + 2) * 1e9),
    )


def test_a_span_never_ends_before_it_began(sent: Sent) -> None:
    spans.record(Finished(name="pod", place=POD, parent=0, began=START, ended=START - 1))
    assert sent.all()["pod"].end_time == int(START * 1e9)


@pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_none_raises_nothing(sent: Sent, at: float) -> None:
    spans.record(Finished(name="pod", place=POD, parent=0, began=at, ended=at))
    assert sent.all()["pod"].start_time == 0


def test_traces_outside_of_the_ratio_are_not_sent() -> None:
    sent = Sent(ratio=0.0)
    with below(scope(VirtualClock())), span("CreateBranch"):
        waited("wait", 1.0, {})
    assert not spans.samples(POD)
    assert sent.all() == {}


def test_a_thread_without_a_scope_and_a_process_without_a_tracer_send_nothing(sent: Sent) -> None:
    with span("without a scope") as open_span:
        open_span.note({"a": 1})
        open_span.failed("x")
    waited("without a scope", 1.0, {})
    assert sent.all() == {}
    assert not spans.on()
    spans.record(Finished(name="late", place=POD, parent=0, began=START, ended=START))


class Hanging(SpanExporter):
    """Of a collector that does not answer."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.go_on.wait()
        return SpanExportResult.FAILURE


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    exporter = Hanging()
    yield exporter
    exporter.go_on.set()


def test_a_collector_that_hangs_holds_up_nobody_and_no_end(hanging: Hanging) -> None:
    clock = SystemClock()
    spans.use(tracing.OpenTelemetry(hanging, 1.0, {}, clock))
    began = clock.monotonic()
    for number in range(3 * tracing.QUEUE):
        place = Place(trace=POD.trace, span=number + 1)
        spans.record(Finished(name="x", place=place, parent=0, began=START, ended=START))
    assert hanging.asked.wait(60), "the queue was offered to the collector"
    recorded = clock.monotonic()
    tracing.stop()
    ended = clock.monotonic()
    assert recorded - began < 30, "a wait for each would take for ever"
    assert tracing.STOP_SECONDS <= ended - recorded < tracing.STOP_SECONDS + 20


def test_trouble_is_logged_once_a_minute_with_how_much_was_left_out() -> None:
    clock = VirtualClock()
    handler = tracing.Seldom(clock)
    record = logging.LogRecord("opentelemetry", logging.ERROR, "", 0, "Failed to export: %s", ("refused",), None)
    with structlog.testing.capture_logs() as logged:
        for _ in range(100):
            handler.handle(record)
            clock.sleep(1.0)
    assert [(one["event"], one["why"], one["left_out"]) for one in logged] == [
        ("spans_not_sent", "Failed to export: refused", 0),
        ("spans_not_sent", "Failed to export: refused", 59),
    ]


def test_without_an_endpoint_nothing_is_started() -> None:
    tracing.start(Settings(), "worker", SystemClock())
    assert not spans.on()


WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry"] = None  # as where it is not installed
from cli.main import main
main([sys.argv[1]])
"""


@pytest.mark.parametrize("role", ["watcher", "worker"])
def test_an_endpoint_without_the_extra_is_one_line_at_the_start(role: str) -> None:
    environment = {
        "VPC_RC_CLUSTER_NAME": "c",
        "VPC_RC_VPC_ID": "vpc-0000000000000001",
        "VPC_RC_REDIS_URL": "redis://127.0.0.1:1/0",
        "VPC_RC_KUBECONFIG": "/nowhere/kubeconfig",
        "VPC_RC_TRACING_ENDPOINT": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-c", WITHOUT_EXTRA, role]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("vpc-rc: VPC_RC_TRACING_ENDPOINT=http://127.0.0.1:1: needs OpenTelemetry: pip install ")
