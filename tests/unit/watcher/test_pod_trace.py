"""The watcher's span of a pod: once, from the event that showed the pod bound to the announcement of its node."""

from common.trace_ids import pod_root
from tests.kit.api import pod
from tests.kit.recorded import recording
from tests.unit.watcher.bench import MERGE, N1, PODS, Watch
from watcher.pod_trace import WRITE


def test_a_pod_that_waits_has_a_span_from_its_event_to_the_message() -> None:
    with recording() as recorded:
        watch = Watch().lead()
        uid = watch.api.ok("POST", PODS, pod("p", N1))["metadata"]["uid"]
        watch.reflect()
        seen = watch.clock.now()
        watch.clock.sleep(0.25)
        watch.settle()
        (span,) = recorded.spans
        assert (span.name, span.place.trace, span.parent) == (WRITE, pod_root(uid).trace, pod_root(uid).span)
        assert (span.began, span.ended) == (seen, seen + 0.25)
        assert span.attributes["k8s.pod.name"] == "p"
        assert span.attributes["vpc_rc.published"] is True


def test_what_changes_of_it_later_has_no_span_and_a_second_pod_has_one() -> None:
    with recording() as recorded:
        watch = Watch().lead()
        watch.api.ok("POST", PODS, pod("p", N1))
        watch.settle()
        watch.api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, MERGE)
        watch.settle()
        assert len(recorded.spans) == 1
        assert watch.store.lock.acquire(N1, "w/1", 60.0) is not None
        watch.api.ok("POST", PODS, pod("q", N1))
        watch.settle()
        assert [span.attributes["k8s.pod.name"] for span in recorded.spans] == ["p", "q"]
        assert recorded.spans[1].attributes["vpc_rc.published"] is False, "the run under way sees it"


def test_one_that_has_its_annotation_when_it_is_seen_first_has_none() -> None:
    with recording() as recorded:
        watch = Watch().lead()
        watch.api.ok("POST", PODS, pod("p", N1) | {"metadata": {**pod("p", N1)["metadata"], "annotations": SERVED}})
        watch.settle()
        assert recorded.spans == []


SERVED = {"vpc.amazonaws.com/pod-eni": "[]"}


def test_a_broker_that_is_away_makes_the_span_longer() -> None:
    with recording() as recorded:
        watch = Watch().lead()
        watch.published.away = True
        watch.api.ok("POST", PODS, pod("p", N1))
        watch.reflect()
        seen = watch.clock.now()
        watch.turn(5)
        assert recorded.spans == []
        watch.published.away = False
        while not recorded.spans:
            watch.turn()
        (span,) = recorded.spans
        assert span.began == seen
        assert span.ended > seen + 0.3


def test_nothing_is_kept_of_pods_where_no_spans_are_sent() -> None:
    watch = Watch().lead()
    watch.api.ok("POST", PODS, pod("p", N1))
    watch.settle()
    with recording() as recorded:
        watch.worked()
        watch.api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, MERGE)
        watch.settle()
        assert [span.attributes["k8s.pod.name"] for span in recorded.spans] == ["p"], "the first that is known of it"


def test_a_leader_that_finds_it_written_by_another_makes_no_second_span() -> None:
    with recording() as recorded:
        first = Watch().lead()
        first.api.ok("POST", PODS, pod("p", N1))
        first.settle()
        Watch(first.api, first.redis, first.clock).lead()
        assert len(recorded.spans) == 1
