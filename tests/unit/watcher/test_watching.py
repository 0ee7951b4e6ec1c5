"""What reaches Redis and the workers, and when."""

import dataclasses
from collections.abc import Iterable

import pytest

from common.kube.transport import Response
from common.model.config import ClusterConfig
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName, PodUid
from common.model.names import POD_ENI
from common.model.node import CniNodeFacts, NodeView
from common.model.pod import PodRequest
from common.store import Store, keys
from common.store.link import Link
from common.store.term import Term
from common.store.wakeups import WakeUps
from tests.kit.api import cluster, cut, node, pod
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.store import broker_model as broker
from tests.unit.watcher.bench import (
    CNINODES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENI_CONFIGS,
    MERGE,
    N1,
    N2,
    NODES,
    NOW_GONE,
    PODS,
    POLICIES,
    Published,
    Watch,
)
from watcher.announcer import Announcer
from watcher.cluster_cache import ClusterCache
from watcher.kinds import NEEDED, Kind
from watcher.writer import CALM_SECONDS, LAST_BACKOFF_SECONDS, LISTED_NODES_A_SECOND, TOGETHER_SECONDS


def cninode(name: str, *features: tuple[str, str]) -> dict[str, object]:
    listed = [{"name": feature, "value": value} for feature, value in features]
    return {"metadata": {"name": name}, "spec": {"features": listed}}


def config_map(**data: str) -> dict[str, object]:
    values = {key.replace("_", "-"): value for key, value in data.items()}
    return {"metadata": {"name": "amazon-vpc-cni"}, "data": values}


@pytest.fixture
def watch() -> Watch:
    """Leads a cluster of one node with one waiting pod."""
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    watch.api.ok("POST", CNINODES, cninode("n1", ("SecurityGroupsForPods", "")))
    watch.api.ok("POST", PODS, pod("p", "n1"))
    watch.lead()
    watch.worked()
    return watch


# --- what is written


def test_a_node_its_cninode_and_its_pods_are_written_and_published() -> None:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    watch.api.ok("POST", CNINODES, cninode("n1", ("SecurityGroupsForPods", "")))
    uid = watch.api.ok("POST", PODS, pod("p", "n1"))["metadata"]["uid"]
    watch.api.ok("POST", PODS, pod("elsewhere", None))
    watch.api.ok("POST", PODS, pod("plain", "n1", asks=0))
    watch.lead()
    desired = watch.desired(N1)
    assert desired.view.node is not None
    assert desired.view.node.instance_id == "i-0123456789abcdef0"
    assert desired.view.cninode is not None
    assert desired.view.cninode.spec.pod_groups
    assert list(desired.pods) == [uid]
    assert desired.config == ClusterConfig()
    assert desired.complete
    assert watch.published.names() == {"n1"}


def test_what_did_not_change_is_neither_written_nor_published(watch: Watch) -> None:
    patch = {"metadata": {"annotations": {"unrelated": "x"}}}
    watch.api.ok("PATCH", f"{PODS}/p", patch, MERGE)
    watch.api.ok("PATCH", f"{NODES}/n1", patch, MERGE)
    watch.api.ok("PATCH", f"{NODES}/n1/status", {"status": {"capacity": {"cpu": "4"}}}, MERGE)
    watch.settle()
    assert watch.published.nodes == []


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        (f"{PODS}/p", {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}),
        (f"{PODS}/p", {"metadata": {"labels": {"app": "other"}}}),
        (f"{PODS}/p/status", {"status": {"phase": "Succeeded"}}),
        (f"{NODES}/n1", {"metadata": {"labels": {"vpc.amazonaws.com/eniConfig": "az"}}}),
        (f"{NODES}/n1/status", {"status": {"capacity": {"vpc.amazonaws.com/pod-eni": "0"}}}),
        (f"{CNINODES}/n1", {"spec": {"features": []}}),
    ],
)
def test_a_change_that_matters_is_published_once(watch: Watch, path: str, patch: dict[str, object]) -> None:
    before = watch.desired(N1)
    watch.api.ok("PATCH", path, patch, MERGE)
    watch.settle()
    watch.clock.sleep(TOGETHER_SECONDS)
    watch.turn(2)
    assert [name for name, _ in watch.published.nodes] == ["n1"]
    assert watch.desired(N1) != before


def test_pods_that_were_served_or_ended_are_looked_at_together_and_not_late(watch: Watch) -> None:
    for number in range(5):
        watch.api.ok("POST", PODS, pod(f"q{number}", "n1"))
    watch.settle()
    watch.worked()
    annotated = {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}
    for name in ("p", "q0", "q1", "q2", "q3", "q4"):
        watch.api.ok("PATCH", f"{PODS}/{name}", annotated, MERGE)
    watch.settle()
    watch.worked()
    began = watch.clock.monotonic()
    looks = []
    for name in ("q0", "q1", "q2", "q3"):
        watch.api.ok("DELETE", f"{PODS}/{name}", NOW_GONE)
        watch.settle()
        looks += watch.published.nodes
        watch.worked()
    assert looks == []
    assert {each.name for each in watch.desired(N1).pods.values()} == {"p", "q4"}, "it is written at once"
    while not watch.published.nodes:
        watch.turn()
    assert watch.clock.monotonic() - began <= TOGETHER_SECONDS + 0.3
    watch.worked()
    watch.api.ok("DELETE", f"{PODS}/q4", NOW_GONE)
    watch.api.ok("POST", PODS, pod("new", "n1"))
    watch.settle()
    assert watch.published.names() == {"n1"}, "at once, where a pod waits"


def test_a_pod_keeps_the_time_at_which_it_was_first_seen(watch: Watch) -> None:
    (before,) = watch.desired(N1).pods.values()
    watch.clock.sleep(100)
    watch.api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"app": "other"}}}, MERGE)
    watch.settle()
    (after,) = watch.desired(N1).pods.values()
    assert after.labels == {"app": "other"}
    assert after.seen_at == before.seen_at


def test_a_pod_that_went_is_removed_and_its_node_published(watch: Watch) -> None:
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.settle()
    assert watch.desired(N1).pods == {}
    watch.clock.sleep(TOGETHER_SECONDS)
    watch.turn(2)
    assert watch.published.names() == {"n1"}


def test_a_pod_that_neither_asks_nor_has_any_more_is_removed(watch: Watch) -> None:
    """Its annotation was all that made it ours, and somebody who may has taken it away."""
    body = pod("q", "n1", asks=0)
    body["metadata"]["annotations"] = {POD_ENI: "[]"}
    uid = watch.api.ok("POST", PODS, body)["metadata"]["uid"]
    watch.settle()
    assert uid in watch.desired(N1).pods
    watch.api.ok("PATCH", f"{PODS}/q", {"metadata": {"annotations": {POD_ENI: None}}}, MERGE)
    watch.settle()
    assert uid not in watch.desired(N1).pods


def test_a_node_stays_as_long_as_its_node_or_cninode_does(watch: Watch) -> None:
    watch.api.ok("DELETE", f"{NODES}/n1")
    watch.settle()
    view = watch.desired(N1).view
    assert view.node is None
    assert view.cninode is not None
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.worked()
    watch.api.ok("DELETE", f"{CNINODES}/n1")
    watch.settle()
    assert watch.desired(N1).view == NodeView()
    assert watch.published.names() == {"n1"}
    assert watch.store.desired.known_nodes() == set()


def test_pods_outlive_their_node_until_they_are_really_gone(watch: Watch) -> None:
    watch.api.ok("DELETE", f"{NODES}/n1")
    watch.api.ok("DELETE", f"{CNINODES}/n1")
    watch.settle()
    assert len(watch.desired(N1).pods) == 1


@pytest.mark.parametrize("by", ["label", "feature", "both"])
def test_the_eni_config_is_found_by_label_else_by_feature(by: str) -> None:
    watch = Watch()
    labels = {"vpc.amazonaws.com__eniConfig": "labelled"} if by != "feature" else {}
    watch.api.ok("POST", NODES, node("n1", **labels))
    features = [("CustomNetworking", "featured")] if by != "label" else []
    watch.api.ok("POST", CNINODES, cninode("n1", *features))
    for name in ("labelled", "featured"):
        watch.api.ok("POST", ENI_CONFIGS, {"metadata": {"name": name}, "spec": {"subnet": f"subnet-{name}"}})
    watch.lead()
    config = watch.desired(N1).view.eni_config
    assert config is not None
    assert config.name == ("featured" if by == "feature" else "labelled")


def test_an_eni_config_reaches_the_nodes_that_name_it_and_no_others() -> None:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1", vpc__amazonaws="x"))
    watch.api.ok("POST", NODES, node("n2", **{"vpc.amazonaws.com__eniConfig": "az"}))
    watch.lead()
    watch.worked()
    watch.api.ok("POST", ENI_CONFIGS, {"metadata": {"name": "az"}, "spec": {"subnet": "subnet-1"}})
    watch.hand_out()
    assert watch.published.names() == {"n2"}
    config = watch.desired(N2).view.eni_config
    assert config is not None
    watch.worked()
    watch.api.ok("DELETE", f"{ENI_CONFIGS}/az")
    watch.hand_out()
    assert watch.published.names() == {"n2"}
    assert watch.desired(N2).view.eni_config is None


def test_a_policy_wakes_the_nodes_of_pods_that_wait_in_its_namespace(watch: Watch) -> None:
    watch.api.ok("POST", NODES, node("n2"))
    watch.api.ok("POST", PODS, pod("served", "n2"))
    annotated = {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}
    watch.api.ok("PATCH", f"{PODS}/served", annotated, MERGE)
    watch.settle()
    watch.worked()
    policy = {"podSelector": {}, "securityGroups": {"groupIds": ["sg-1"]}}
    watch.api.ok("POST", POLICIES, {"metadata": {"name": "p"}, "spec": policy})
    watch.hand_out()
    assert watch.published.nodes == [("n1", "policy")]
    watch.worked()
    elsewhere = POLICIES.replace("default", "kube-system")
    watch.api.ok("POST", elsewhere, {"metadata": {"name": "p"}, "spec": policy})
    watch.hand_out()
    assert watch.published.nodes == []


# --- the ConfigMap


def test_the_config_map_is_written_and_wakes_every_node(watch: Watch) -> None:
    watch.api.ok("POST", NODES, node("n2"))
    watch.settle()
    watch.worked()
    watch.api.ok("POST", CONFIG_MAPS, config_map(branch_eni_cooldown="90"))
    watch.hand_out()
    assert watch.desired(N1).config == ClusterConfig(cooldown=90.0)
    assert watch.published.names() == {"n1", "n2"}
    watch.worked()
    watch.api.ok("PATCH", f"{CONFIG_MAPS}/amazon-vpc-cni", {"data": {"unrelated": "x"}}, MERGE)
    watch.hand_out()
    assert watch.published.nodes == []
    watch.api.ok("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni")
    watch.settle()
    assert watch.desired(N1).config == ClusterConfig()


def test_values_that_cannot_be_used_are_reported_once(watch: Watch) -> None:
    watch.api.ok("POST", CONFIG_MAPS, config_map(branch_eni_cooldown="90"))
    watch.settle()
    watch.api.ok("PATCH", f"{CONFIG_MAPS}/amazon-vpc-cni", {"data": {"branch-eni-cooldown": "soon"}}, MERGE)
    watch.settle()
    watch.writer.rewrite("test")
    watch.settle()
    assert watch.desired(N1).config == ClusterConfig(cooldown=90.0)
    assert len(watch.problems) == 1


def test_the_config_map_is_known_by_its_uid(watch: Watch) -> None:
    assert watch.cache.config_map_uid == ""
    uid = watch.api.ok("POST", CONFIG_MAPS, config_map(branch_eni_cooldown="90"))["metadata"]["uid"]
    watch.settle()
    assert watch.cache.config_map_uid == uid
    watch.api.ok("DELETE", f"{CONFIG_MAPS}/amazon-vpc-cni")
    watch.settle()
    assert watch.cache.config_map_uid == ""


def test_windows_is_off_while_the_legacy_controller_is_there(watch: Watch) -> None:
    watch.api.ok("POST", CONFIG_MAPS, config_map(enable_windows_ipam="true"))
    watch.settle()
    config = watch.desired(N1).config
    assert config is not None
    assert config.windows_ipam
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    watch.api.ok("POST", DEPLOYMENTS, {"metadata": {"name": "vpc-resource-controller"}, "spec": spec})
    watch.settle()
    config = watch.desired(N1).config
    assert config is not None
    assert not config.windows_ipam
    watch.api.ok("DELETE", f"{DEPLOYMENTS}/vpc-resource-controller")
    watch.settle()
    config = watch.desired(N1).config
    assert config is not None
    assert config.windows_ipam


# --- absence of information


@pytest.mark.parametrize("path", [NODES, "/api/v1/pods", CNINODES, ENI_CONFIGS, CONFIG_MAPS, DEPLOYMENTS])
def test_nothing_is_written_before_every_list_is_complete(path: str) -> None:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    watch.api.ok("POST", CNINODES, cninode("n1"))
    watch.api.before = lambda _method, asked, _query: Response(500, b"") if asked == path else None
    watch.leader.lead()
    for _ in range(20):
        watch.reflect()
        watch.turn()
    assert watch.store.desired.known_nodes() == set()
    assert not watch.store.desired.is_complete()
    watch.api.before = lambda *_: None
    watch.settle()
    assert watch.store.desired.is_complete()
    assert watch.desired(N1).view.cninode is not None


def test_policies_that_cannot_be_listed_hold_nothing_up() -> None:
    watch = Watch()
    watch.api.ok("POST", NODES, node("n1"))
    watch.api.before = lambda _m, asked, _q: Response(403, b"") if "securitygrouppolicies" in asked else None
    watch.lead()
    assert watch.store.desired.is_complete()


def test_missing_definitions_count_as_empty() -> None:
    clock = VirtualClock()
    watch = Watch(cluster(clock, definitions=False), clock=clock)
    watch.api.ok("POST", NODES, node("n1"))
    watch.lead()
    assert watch.store.desired.is_complete()


# --- takeovers and losses


def test_a_restart_publishes_every_node_and_keeps_what_was_seen(watch: Watch) -> None:
    before = watch.desired(N1)
    watch.clock.sleep(500)
    again = Watch(watch.api, watch.redis, watch.clock).lead()
    assert again.published.nodes == [("n1", "takeover")]
    assert again.desired(N1) == before
    again.api.ok("PATCH", f"{PODS}/p", {"metadata": {"labels": {"app": "other"}}}, MERGE)
    again.settle()
    (pod_after,) = again.desired(N1).pods.values()
    (pod_before,) = before.pods.values()
    assert pod_after.seen_at == pod_before.seen_at


def test_a_takeover_looks_at_nodes_where_nobody_waits_within_a_minute_and_not_all_at_once(watch: Watch) -> None:
    watch.api.ok("PATCH", f"{NODES}/n1/status", {"status": {"capacity": {"vpc.amazonaws.com/pod-eni": "9"}}}, MERGE)
    annotated = {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[]"}}}
    watch.api.ok("PATCH", f"{PODS}/p", annotated, MERGE)
    watch.settle()
    watch.worked()
    again = Watch(watch.api, watch.redis, watch.clock).lead()
    assert again.published.nodes == []
    assert again.store.wakeups.due(again.clock.now() + CALM_SECONDS, 10) == ["n1"]


def test_after_a_loss_of_redis_nodes_of_waiting_pods_are_announced_and_the_others_looked_at_by_and_by(
    watch: Watch,
) -> None:
    served = LISTED_NODES_A_SECOND // 5
    for number in range(served):
        watch.api.ok("POST", NODES, node(f"served-{number}"))
        watch.api.ok(
            "PATCH",
            f"{NODES}/served-{number}/status",
            {"status": {"capacity": {"vpc.amazonaws.com/pod-eni": "9"}}},
            MERGE,
        )
    watch.settle()
    FakeRedis(server=watch.redis).flushall()
    watch.published.nodes.clear()
    while not watch.store.desired.is_complete():
        watch.turn()
    watch.turn()
    watch.clock.sleep(served / LISTED_NODES_A_SECOND)
    watch.turn(5)
    assert watch.published.nodes[0] == ("n1", "redis lost")
    assert set(watch.published.nodes[1:]) == {(f"served-{number}", "redis lost") for number in range(served)}


def test_a_takeover_comes_to_nodes_with_waiting_pods_before_all_others(watch: Watch) -> None:
    for number in range(20):
        watch.api.ok("POST", NODES, node(f"idle-{number}"))
    watch.settle()
    again = Watch(watch.api, watch.redis, watch.clock)
    again.reflect(4)
    again.cache.lead(True)
    again.cache.write_everything([], "takeover")
    first, second = again.cache.take(1), again.cache.take(1)
    assert [change.name for change in first.changes] == [N1]
    assert second.changes[0].name.startswith("idle-")


def test_a_takeover_after_a_change_of_the_configuration_looks_at_every_node_at_once(watch: Watch) -> None:
    test_a_takeover_looks_at_nodes_where_nobody_waits_within_a_minute_and_not_all_at_once(watch)
    watch.worked()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "amazon-vpc-cni"}}
    watch.api.ok("POST", CONFIG_MAPS, {**body, "data": {"branch-eni-cooldown": "45"}})
    again = Watch(watch.api, watch.redis, watch.clock).lead()
    again.turn(2)
    assert again.published.nodes == [("n1", "configuration")]


def test_what_ended_while_nobody_watched_is_removed_at_the_takeover(watch: Watch) -> None:
    watch.api.ok("POST", NODES, node("n2"))
    watch.api.ok("POST", PODS, pod("q", "n2"))
    watch.settle()
    watch.worked()
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.api.ok("DELETE", f"{PODS}/q", NOW_GONE)
    watch.api.ok("DELETE", f"{NODES}/n2")
    again = Watch(watch.api, watch.redis, watch.clock)
    again.lead()
    assert again.desired(N1).pods == {}
    assert again.desired(N2).view == NodeView()
    assert again.desired(N2).pods == {}
    assert again.published.names() == {"n1", "n2"}, "workers clean up after n2"


def test_a_standby_writes_nothing_and_is_warm_when_it_takes_over(watch: Watch) -> None:
    standby = Watch(watch.api, watch.redis, watch.clock)
    standby.reflect()
    standby.turn()
    watch.api.ok("POST", PODS, pod("late", "n1"))
    standby.reflect()
    standby.turn()
    assert standby.published.nodes == []
    assert len(standby.desired(N1).pods) == 1
    standby.api.before = cut
    standby.leader.lead()
    standby.turn(2)
    assert len(standby.desired(N1).pods) == 2
    assert standby.published.names() == {"n1"}


def test_a_leader_without_its_lease_writes_nothing(watch: Watch) -> None:
    watch.held = False
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.reflect()
    watch.turn(20)
    assert len(watch.desired(N1).pods) == 1
    assert watch.published.nodes == []


def test_an_emptied_redis_is_filled_again_and_the_mark_comes_last(watch: Watch) -> None:
    before = watch.desired(N1)
    FakeRedis(server=watch.redis).flushall()
    assert not watch.desired(N1).complete
    watch.turn(15)
    assert watch.desired(N1) == before
    assert watch.published.names() == {"n1"}


def test_redis_emptied_again_while_it_is_filled(watch: Watch) -> None:
    client = FakeRedis(server=watch.redis)
    client.flushall()
    for number in range(120):
        watch.api.ok("POST", NODES, node(f"m{number}", f"i-{number:017x}"))
    watch.reflect()
    watch.clock.sleep(2)
    watch.writer.check_redis()
    watch.writer.flush(batches=1)
    assert not watch.store.desired.is_complete()
    client.flushall()
    watch.settle()
    watch.turn(15)
    assert watch.store.desired.is_complete()
    assert len(watch.store.desired.known_nodes()) == 121


def test_nodes_of_a_full_list_are_published_when_it_is_complete(watch: Watch) -> None:
    """A run before that sees that absence means nothing yet, leaves everything and asks for no other."""
    for number in range(120):
        watch.api.ok("POST", NODES, node(f"m{number}", f"i-{number:017x}"))
    watch.reflect()
    FakeRedis(server=watch.redis).flushall()
    watch.clock.sleep(2)
    watch.writer.check_redis()
    watch.writer.flush(batches=1)
    assert watch.store.desired.known_nodes()
    assert not watch.store.desired.is_complete()
    assert watch.published.nodes == []
    watch.settle()
    assert watch.store.desired.is_complete()
    assert watch.published.nodes[0] == ("n1", "redis lost"), "a pod waits there"
    watch.turn(10)
    assert len(watch.published.names()) == 121


def test_nothing_is_lost_while_redis_is_away(watch: Watch) -> None:
    watch.redis.connected = False
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.api.ok("POST", NODES, node("n2"))
    watch.api.ok("POST", PODS, pod("q", "n2"))
    watch.reflect()
    watch.turn(100)
    watch.redis.connected = True
    watch.clock.sleep(LAST_BACKOFF_SECONDS)
    watch.settle()
    assert watch.desired(N1).pods == {}
    assert len(watch.desired(N2).pods) == 1
    assert watch.published.names() == {"n1", "n2"}


def test_nothing_is_lost_while_the_broker_is_away(watch: Watch) -> None:
    watch.published.away = True
    watch.api.ok("DELETE", f"{PODS}/p", NOW_GONE)
    watch.api.ok("POST", NODES, node("n2"))
    watch.reflect()
    watch.turn(100)
    assert watch.desired(N1).pods == {}
    watch.published.away = False
    watch.clock.sleep(LAST_BACKOFF_SECONDS)
    watch.settle()
    assert watch.published.names() == {"n1", "n2"}


# --- the clock


def test_a_parked_node_is_published_when_its_time_comes(watch: Watch) -> None:
    watch.store.wakeups.park(N1, watch.clock.now() + 3)
    watch.turn(25)
    assert watch.published.nodes == []
    watch.turn(10)
    assert watch.published.nodes == [("n1", "due")]
    assert watch.store.wakeups.is_dirty(N1)


def test_a_dirty_node_that_nobody_published_is_published_within_two_seconds(watch: Watch) -> None:
    watch.store.wakeups.mark_dirty([N1], watch.clock.now())
    assert watch.published.nodes == [], "who marked it ended before it published"
    # Two looks, each of which may begin a turn late: turns of a tenth of a second do not add up exactly.
    watch.turn(25)
    assert watch.published.nodes == [("n1", "overdue")]


def test_a_due_node_is_not_forgotten_while_the_broker_is_away(watch: Watch) -> None:
    watch.store.wakeups.park(N1, watch.clock.now())
    watch.published.away = True
    watch.turn(30)
    watch.published.away = False
    watch.turn(30)
    assert "n1" in watch.published.names()


def test_a_node_whose_message_was_lost_is_published_again(watch: Watch) -> None:
    client = FakeRedis(server=watch.redis)
    watch.store.wakeups.mark_dirty([N1], watch.clock.now())
    assert broker.put(client, N1, "m1")
    assert broker.pop(client) == "m1", "a worker takes it, and dies"
    watch.turn(10)
    assert watch.published.nodes == []
    watch.turn(35)
    assert ("n1", "lost") in watch.published.nodes
    assert broker.put(client, N1, "m2")


def test_a_node_whose_message_waits_gets_no_other_however_long(watch: Watch) -> None:
    client = FakeRedis(server=watch.redis)
    watch.store.wakeups.mark_dirty([N1], watch.clock.now())
    assert broker.put(client, N1, "m1")
    watch.store.wakeups.park(N1, watch.clock.now() + 30)
    watch.turn(1000)
    assert watch.published.nodes == []


def test_every_node_is_looked_at_again_once_in_a_while(watch: Watch) -> None:
    watch.clock.sleep(1800 * 1.2)
    watch.turn(3)
    assert ("n1", "resync") in watch.published.nodes
    watch.worked()
    watch.turn(10)
    assert watch.published.nodes == []


def test_sweeps_are_published_at_their_interval(watch: Watch) -> None:
    until = watch.clock.time + 4 * 1800
    while watch.clock.time < until:
        watch.turn()
        watch.clock.sleep(30)
    assert 4 <= watch.published.sweeps <= 5


def test_processes_say_whether_they_lead(watch: Watch) -> None:
    watch.turn(60)
    (about,) = watch.store.members.alive("watcher").values()
    assert (about["leader"], about["synced"]) == ("true", "true")


def test_the_values_of_a_desired_state_are_the_projected_ones(watch: Watch) -> None:
    """Whatever the store does with them on the way."""
    desired = watch.desired(N1)
    assert isinstance(desired.view.cninode, CniNodeFacts)
    assert all(isinstance(request, PodRequest) for request in desired.pods.values())
    assert all(isinstance(uid, str) for uid in map(PodUid, desired.pods))
    assert NodeName("n1") in watch.store.desired.known_nodes()


# --- one safeguard at a time


def test_nothing_is_handed_out_while_one_needed_kind_is_unknown() -> None:
    cache = ClusterCache(clock=VirtualClock())
    cache.lead(True)
    cache.apply(Kind.NODES, "ADDED", node("n1"))
    for kind in sorted(NEEDED):
        assert not cache.take(10)
        cache.synced(kind)
    assert cache.take(10)


def test_the_deletion_of_an_earlier_node_of_the_name_is_not_the_nodes() -> None:
    cache = ClusterCache(clock=VirtualClock())
    for kind, path in ((Kind.NODES, node("n1")), (Kind.CNINODES, cninode("n1"))):
        old, new = (path | {"metadata": {"name": "n1", "uid": uid}} for uid in ("old", "new"))
        cache.apply(kind, "ADDED", new)
        cache.apply(kind, "DELETED", old)
    view = cache.view(N1)
    assert view is not None
    assert view.node is not None
    assert view.cninode is not None


def test_a_leader_without_its_lease_publishes_no_due_nodes(watch: Watch) -> None:
    watch.held = False
    watch.store.wakeups.park(N1, watch.clock.now())
    watch.turn(20)
    assert watch.published.nodes == []


class ForgetfulWakeUps(WakeUps):
    """Takes the next mark, and the answer is lost on the way."""

    loses = False

    def mark_dirty(self, names: Iterable[NodeName], now: float) -> list[NodeName]:
        marked = super().mark_dirty(names, now)
        if self.loses:
            self.loses = False
            raise StoreUnavailable("injected")
        return marked


def test_a_node_whose_mark_was_taken_but_not_answered_is_published_all_the_same() -> None:
    client, prefix = FakeRedis(), keys.prefix("bench")
    link = Link(client)
    wakeups = ForgetfulWakeUps(link, Term(link, prefix), prefix)
    store = dataclasses.replace(Store.on(client, prefix), wakeups=wakeups)
    published = Published()
    announcer = Announcer(store, published, VirtualClock())
    wakeups.loses = True
    announcer.add([(N1, "pod")])
    with pytest.raises(StoreUnavailable):
        announcer.catch_up()
    announcer.catch_up()
    assert published.nodes == [("n1", "pod")]
    assert announcer.settled


def test_what_a_crashed_redis_lost_of_its_last_second_is_written_again(watch: Watch) -> None:
    before = watch.desired(N1)
    watch.redis.connected = False
    watch.turn(30)
    watch.redis.connected = True
    watch.store.desired.write_pods(N1, [], before.pods)
    watch.clock.sleep(LAST_BACKOFF_SECONDS)
    watch.settle()
    assert watch.desired(N1) == before
