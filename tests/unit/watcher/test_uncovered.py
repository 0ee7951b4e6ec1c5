"""Pods that run without the security groups that policies give them."""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from common.kube.decode import policy as read_policy
from common.kube.transport import Response
from common.metrics import REGISTRY
from common.model.ids import NodeName, PodUid
from common.model.notice import PodNotice, Severity
from common.model.pod import BarePod
from common.model.policy import LabelSelector, Policy
from common.rules.security_groups import PolicySet
from common.rules.unprotected import uncovered_by
from tests.kit.api import node, pod
from tests.kit.clock import VirtualClock
from tests.unit.watcher.bench import MERGE, NODES, NOW_GONE, PODS, POLICIES, Watch
from watcher.leader import BEAT_SECONDS
from watcher.uncovered import FRESH_SECONDS, UncoveredPods

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
IN_SYSTEM = PODS.replace("default", "kube-system")
ALL_ACCOUNTS = "/api/v1/serviceaccounts"
MATCHING = {"podSelector": {"matchLabels": {"app": "p"}}}


def policy(name: str = "web", **selectors: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"securityGroups": {"groupIds": ["sg-1"]}, **(selectors or MATCHING)}}


def bare(name: str = "p", on: str = "n1", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    found = pod(name, on, asks=0, namespace=namespace)
    found["spec"] |= spec
    return found


@pytest.fixture
def watch() -> Watch:
    """Leads a cluster of one node."""
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    return watch.lead()


def found(watch: Watch) -> list[PodNotice]:
    watch.settle()
    watch.turn(3)
    return [notice for notice in watch.notices if isinstance(notice, PodNotice)]


def test_a_pod_that_slipped_past_the_webhook_is_reported_once_and_counted(watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, policy())
    watch.clock.sleep(5)
    uid = watch.api.ok("POST", PODS, bare())["metadata"]["uid"]
    (notice,) = found(watch)
    assert (notice.namespace, notice.name, notice.uid) == ("default", "p", uid)
    assert (notice.reason, notice.severity) == ("SecurityGroupsNotApplied", Severity.WARNING)
    assert "SecurityGroupPolicy web" in notice.message
    watch.api.ok("POST", POLICIES, policy("another", podSelector={}))
    watch.api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"more": "labels"}}}, MERGE)
    assert len(found(watch)) == 1
    watch.clock.sleep(BEAT_SECONDS)
    watch.turn()
    assert REGISTRY.get_sample_value("vpc_rc_pods_without_groups", {"namespace": "default"}) == 1
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    assert len(found(watch)) == 1
    assert watch.cache.uncovered_counts() == {}
    assert watch.published.names() <= {"n1"}


SEEN: dict[str, Callable[[Watch], object]] = {
    "asks for a branch": lambda w: w.api.ok("POST", PODS, pod("p", "n1")),
    "on the host's network": lambda w: w.api.ok("POST", PODS, bare(hostNetwork=True)),
    "not bound": lambda w: w.api.ok("POST", PODS, pod("p", None, asks=0)),
    "on a Windows node": lambda w: w.api.ok("POST", PODS, bare(on="windows")),
    "on a node of auto mode": lambda w: w.api.ok("POST", PODS, bare(on="auto")),
    "on a node that is not there": lambda w: w.api.ok("POST", PODS, bare(on="nowhere")),
    "of other labels": lambda w: w.api.ok("POST", PODS, bare("q")),
    "of another namespace": lambda w: w.api.ok("POST", IN_SYSTEM, bare(namespace="kube-system")),
}


@pytest.mark.parametrize("case", SEEN)
def test_nothing_is_said_of_a_pod(case: str, watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, policy())
    windows = node("windows")
    windows["metadata"]["labels"]["kubernetes.io/os"] = "windows"
    watch.api.ok("POST", NODES, windows)
    watch.api.ok("POST", NODES, node("auto", **{"eks.amazonaws.com__compute-type": "auto"}))
    watch.clock.sleep(5)
    SEEN[case](watch)
    assert found(watch) == []
    watch.api.ok("POST", PODS, bare("slipped") | {"metadata": {"name": "slipped", "labels": {"app": "p"}}})
    assert [notice.name for notice in found(watch)] == ["slipped"]


def test_nothing_is_said_of_fargate_pods_and_of_finished_ones(watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, policy(podSelector={}))
    fargate = bare("fargate")
    fargate["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"] = ""
    fargate["spec"]["nodeName"] = "fargate-ip-10-0-0-9"
    on_fargate = node("fargate-ip-10-0-0-9", instance="0a1b-2c3d/fargate-ip-10-0-0-9")
    watch.api.ok("POST", NODES, on_fargate)
    watch.api.ok("POST", PODS, fargate)
    watch.api.ok("POST", PODS, bare("done"))
    watch.api.ok("PATCH", f"{PODS}/done/status", {"status": {"phase": "Succeeded"}}, MERGE)
    assert found(watch) == []


@pytest.mark.parametrize("spec", [{"securityGroups": {"groupIds": ["sg-1"]}}, {"podSelector": {}}])
def test_an_invalid_policy_covers_nothing(spec: dict[str, Any], watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, {"metadata": {"name": "invalid"}, "spec": spec})
    watch.api.ok("POST", PODS, bare())
    assert found(watch) == []


def test_a_policy_made_after_the_pod_is_for_pods_to_come(watch: Watch) -> None:
    watch.api.ok("POST", PODS, bare())
    watch.settle()
    watch.clock.sleep(5)
    watch.api.ok("POST", POLICIES, policy())
    assert found(watch) == []
    watch.api.ok("POST", PODS, bare("q") | {"metadata": {"name": "q", "labels": {"app": "p"}}})
    assert [notice.name for notice in found(watch)] == ["q"]


def test_the_label_of_fargate_does_not_hide_a_pod_on_an_instance(watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, policy())
    watch.clock.sleep(5)
    labelled = bare()
    labelled["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"] = "web"
    watch.api.ok("POST", PODS, labelled)
    (notice,) = found(watch)
    assert (notice.name, notice.reason) == ("p", "SecurityGroupsNotApplied")
    assert "its node is no Fargate node" in notice.message
    assert watch.cache.uncovered_counts() == {"default": 1}


def test_a_policy_changed_after_the_pod_counts_from_its_change() -> None:
    entries = [{"manager": "kubectl", "time": "2026-01-01T00:00:10Z"}, {"time": "2026-01-01T00:00:05Z"}]
    made = {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
    changed = read_policy(policy() | {"metadata": {**made, "managedFields": entries}})
    unchanged = read_policy(policy() | {"metadata": made})
    assert changed is not None
    assert unchanged is not None
    assert changed.changed_at - unchanged.changed_at == 10


@pytest.mark.parametrize(
    ("age", "names"), [(-1.0, ("old",)), (0.0, ("old", "web")), (1.0, ("old", "web"))], ids=["before", "same", "after"]
)
def test_policies_count_for_pods_made_after_them(age: float, names: tuple[str, ...]) -> None:
    policies = PolicySet(
        Policy(namespace="n", name=name, pod_selector=LabelSelector(), groups=("sg-1",), changed_at=at)  # type: ignore[arg-type]
        for name, at in (("web", 100.0), ("old", 1.0))
    )
    assert uncovered_by(policies, {}, {}, 100.0 + age) == names


def test_a_pod_may_be_seen_before_the_policy_that_was_there_first(watch: Watch) -> None:
    watch.api.ok("POST", POLICIES, policy())
    watch.clock.sleep(5)
    watch.api.before = lambda _m, path, _q: Response(500, b"") if "securitygrouppolicies" in path else None
    watch.api.ok("POST", PODS, bare())
    watch.settle()
    watch.clock.sleep(FRESH_SECONDS - 10)
    assert found(watch) == []
    watch.api.before = lambda *_: None
    assert len(found(watch)) == 1


def test_pods_are_kept_only_where_policies_are(watch: Watch) -> None:
    for number in range(5):
        watch.api.ok("POST", PODS, bare(f"p{number}"))
    watch.settle()
    watch.turn()
    assert len(watch.cache._uncovered) == 5
    watch.clock.sleep(FRESH_SECONDS + 1)
    watch.turn()
    assert len(watch.cache._uncovered) == 0
    again = Watch(watch.api, watch.redis, watch.clock).lead()
    assert len(again.cache._uncovered) == 0


def test_pods_are_forgotten_by_and_by() -> None:
    """A hundred thousand at once would hold up everybody who waits for the cache's lock."""
    watch = Watch()
    for number in range(60):
        watch.api.ok("POST", PODS, bare(f"p{number}"))
    watch.reflect(40)
    watch.clock.sleep(FRESH_SECONDS + 1)
    for left in (40, 20, 0):
        watch.cache.uncovered(20)
        assert len(watch.cache._uncovered._fresh) == left


LINES_A_POD = 40
"""Of ours, to forget it."""


def steps(call: Callable[[], object]) -> int:
    """Lines of Python that the call executes."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_what_a_look_does_is_bounded_however_many_pods_are_kept() -> None:
    """In steps of ours; and relative to itself for those of the containers beneath: a plain dict searches for its first
    entry behind all that were removed."""
    clock, pods, limit = VirtualClock(), 100_000, 2_000
    kept = UncoveredPods(clock)
    kept.policies_known()
    for number in range(pods):
        uid = PodUid(str(number))
        one = BarePod(uid=uid, namespace="default", name=f"p{number}", labels={"app": "p"}, created_at=clock.now())
        kept.put_pod(uid, (NodeName("n1"), one))
    clock.sleep(FRESH_SECONDS + 1)
    assert steps(lambda: kept.look({}, limit)) < LINES_A_POD * limit
    seconds = list[float]()
    while len(kept) > limit:
        before = time.thread_time()
        kept.look({}, limit)
        seconds.append(time.thread_time() - before)
    assert steps(lambda: kept.look({}, limit)) < LINES_A_POD * limit
    assert len(kept) == 0
    first, last = sorted(seconds[:10])[5], sorted(seconds[-10:])[5]
    print(f"{pods} pods forgotten in {sum(seconds):.2f} s of CPU, {max(seconds) * 1000:.1f} ms a look at most")
    assert last < 4 * first


def test_service_accounts_are_followed_only_while_a_policy_selects_by_them(watch: Watch) -> None:
    for name, labels in (("pays", {"team": "pay"}), ("default", {})):
        watch.api.ok("POST", ACCOUNTS, {"metadata": {"name": name, "labels": labels}})
    watch.api.ok("POST", POLICIES, policy())
    watch.settle()
    assert ALL_ACCOUNTS not in {path for _, path in watch.api.calls}
    watch.api.ok("POST", POLICIES, policy("accounts", serviceAccountSelector={"matchLabels": {"team": "pay"}}))
    watch.api.ok("POST", PODS, bare("payer", serviceAccountName="pays"))
    watch.api.ok("POST", PODS, bare("other", serviceAccountName="default"))
    assert [notice.name for notice in found(watch)] == ["payer"]
    watch.api.ok("PATCH", f"{ACCOUNTS}/default", {"metadata": {"labels": {"team": "pay"}}}, MERGE)
    assert [notice.name for notice in found(watch)] == ["payer", "other"]
    watch.api.ok("DELETE", f"{POLICIES}/accounts")
    found(watch)
    assert watch.cache.uncovered_counts() == {}
    watch.api.calls.clear()
    watch.settle()
    assert ALL_ACCOUNTS not in {path for _, path in watch.api.calls}
