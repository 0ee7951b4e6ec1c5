"""Events as people find them in the cluster."""

from typing import Any

import pytest

from common.kube.events import EventSink
from common.kube.transport import Response
from common.metrics import EVENTS_DROPPED
from common.model.ids import NodeName, PodUid
from common.model.notice import CniNodeNotice, EventReason, NodeNotice, PodNotice, PolicyNotice
from tests.kit.api import InProcess, cluster, cut
from tests.kit.clock import VirtualClock

NODE = NodeNotice(node=NodeName("n1"), reason=EventReason.NODE_TRUNK_INITIATED, message="ready")
POD = PodNotice(namespace="kube-system", name="p", uid=PodUid("u"), reason=EventReason.RESOURCE_ALLOCATED, message="m")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> InProcess:
    return cluster(clock)


@pytest.fixture
def sink(api: InProcess, clock: VirtualClock) -> EventSink:
    return EventSink(api, clock=clock, host="worker-1", queue_limit=3)


def events(api: InProcess, namespace: str = "default") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.ok("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return found


def dropped() -> float:
    return float(EVENTS_DROPPED._value.get())


def test_a_node_event_is_where_kubectl_describe_looks(api: InProcess, sink: EventSink) -> None:
    sink.emit(NODE)
    sink.drain()
    (event,) = events(api)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}
    assert event["source"] == {"component": "vpc-resource-controller", "host": "worker-1"}
    assert event["reportingComponent"] == "vpc-resource-controller"
    assert (event["reason"], event["message"], event["type"], event["count"]) == (
        "NodeTrunkInitiated", "ready", "Normal", 1,
    )  # fmt: skip
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2025-06-15T15:06:40Z"


def test_a_pod_event_lives_in_the_pods_namespace_with_its_uid(api: InProcess, sink: EventSink) -> None:
    sink.emit(POD)
    sink.drain()
    (event,) = events(api, "kube-system")
    assert event["involvedObject"]["uid"] == "u"
    assert event["involvedObject"]["namespace"] == "kube-system"


def test_a_cninode_event_lives_in_default(api: InProcess, sink: EventSink) -> None:
    notice = CniNodeNotice(name=NodeName("n1"), uid="c", reason=EventReason.CNI_NODE_DELETION_FAILED, message="m")
    sink.emit(notice)
    sink.drain()
    (event,) = events(api)
    assert event["involvedObject"]["apiVersion"] == "vpcresources.k8s.aws/v1alpha1"
    assert event["involvedObject"]["kind"] == "CNINode"


def test_the_same_again_raises_the_count_of_one_event(api: InProcess, sink: EventSink, clock: VirtualClock) -> None:
    sink.emit(NODE)
    sink.emit(NODE)
    sink.drain()
    clock.sleep(60)
    sink.emit(NODE)
    sink.drain()
    (event,) = events(api)
    assert event["count"] == 3
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2025-06-15T15:06:40Z", "2025-06-15T15:07:40Z")
    writes = [method for method, _ in api.calls]
    assert writes == ["POST", "PATCH"]


def test_an_event_that_ran_out_is_written_anew(api: InProcess, sink: EventSink) -> None:
    sink.emit(NODE)
    sink.drain()
    api.ok("DELETE", f"/api/v1/namespaces/default/events/{events(api)[0]['metadata']['name']}")
    sink.emit(NODE)
    sink.drain()
    assert [event["count"] for event in events(api)] == [1]


def test_a_full_queue_drops_and_counts(api: InProcess, sink: EventSink) -> None:
    before = dropped()
    for number in range(5):
        sink.emit(NodeNotice(node=NodeName(f"n{number}"), reason=EventReason.UNSUPPORTED, message="m"))
    sink.drain()
    assert len(events(api)) == 3
    assert dropped() - before == 2


def test_a_flood_from_one_namespace_leaves_room_for_others(api: InProcess, clock: VirtualClock) -> None:
    """One who makes policies by the thousand has a fault reported for each."""
    sink = EventSink(api, clock=clock, host="worker-1", queue_limit=10)
    flood = [
        PolicyNotice(namespace="flood", name=f"p{n}", uid="u", reason=EventReason.INVALID_POLICY, message="m")
        for n in range(100)
    ]
    for each in flood:
        sink.emit(each)
    sink.emit(POD)
    sink.emit(NODE)
    for each in flood:
        sink.emit(each)
    api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "flood"}})
    sink.drain()
    assert [one["involvedObject"]["name"] for one in events(api, "kube-system")] == ["p"]
    assert [one["involvedObject"]["name"] for one in events(api)] == ["n1"]
    assert len(events(api, "flood")) == 5
    sink.emit(flood[50])  # What was written makes room again.
    sink.drain()
    assert len(events(api, "flood")) == 6


def test_a_short_failure_is_retried(api: InProcess, sink: EventSink) -> None:
    failures = iter([Response(503, b""), Response(429, b"")])
    api.before = lambda *_: next(failures, None)
    sink.emit(NODE)
    sink.drain()
    assert len(events(api)) == 1


def test_a_long_failure_drops_and_ends(api: InProcess, sink: EventSink) -> None:
    before = dropped()
    api.before = cut
    sink.emit(NODE)
    sink.drain()
    assert dropped() - before == 1
    assert len(api.calls) == 3


def test_a_refusal_is_not_tried_again(api: InProcess, sink: EventSink) -> None:
    sink.emit(PodNotice(namespace="nowhere", name="p", uid=PodUid("u"), reason=EventReason.UNSUPPORTED, message="m"))
    sink.drain()
    assert len(api.calls) == 1


def test_a_long_name_still_makes_a_valid_event(api: InProcess, sink: EventSink) -> None:
    sink.emit(NodeNotice(node=NodeName("n" * 219 + "." + "x" * 33), reason=EventReason.UNSUPPORTED, message="m" * 5000))
    sink.drain()
    (event,) = events(api)
    assert len(event["message"]) == 1024
    assert len(event["metadata"]["name"]) <= 253


def test_its_thread_writes_and_ends_when_stopped(api: InProcess, sink: EventSink) -> None:
    sink.start()
    sink.emit(NODE)
    sink.emit(POD)
    sink.stop()
    assert len(events(api)) == len(events(api, "kube-system")) == 1
