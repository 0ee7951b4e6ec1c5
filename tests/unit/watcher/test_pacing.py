"""Objects that all nodes depend on, written again and again: each node is looked at once per interval, the last value
is felt in time, whoever leads, and pods that come meanwhile wait for none of it."""

import random
from collections import Counter

import fakeredis
import pytest

from common.model.config import ClusterConfig
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store import Store, keys
from common.store.broker import NODES as QUEUE
from tests.kit.api import node, pod
from tests.kit.fake_redis import FakeRedis
from tests.unit.watcher.bench import CONFIG_MAPS, ENI_CONFIGS, MERGE, N1, NODES, PODS, POLICIES, Watch
from tests.unit.watcher.test_slow_workers import TURN_SECONDS, WAIT_SECONDS, Workers
from watcher.announcer import MESSAGES
from watcher.kinds import Kind
from watcher.pacing import APART_SECONDS, Paced

CONFIG, ENI_CONFIG, POLICY = f"{CONFIG_MAPS}/amazon-vpc-cni", f"{ENI_CONFIGS}/az", f"{POLICIES}/p"
FELT_SECONDS = 15.0
"""A changed value is felt by all nodes."""
CALM = {"status": {"capacity": {"vpc.amazonaws.com/pod-eni": "9"}}}


def cluster_of(count: int) -> tuple[Watch, FakeRedis]:
    """Nodes that have their capacity, a ConfigMap, an ENIConfig that all of them name, a policy."""
    client = FakeRedis(server=fakeredis.FakeServer())
    watch = Watch(store=Store.on(client, keys.prefix("bench")))
    watch.api.ok("POST", CONFIG_MAPS, {"metadata": {"name": "amazon-vpc-cni"}, "data": {"branch-eni-cooldown": "60"}})
    watch.api.ok("POST", ENI_CONFIGS, {"metadata": {"name": "az"}, "spec": {"subnet": "subnet-0"}})
    policy = {"podSelector": {}, "securityGroups": {"groupIds": ["sg-1"]}}
    watch.api.ok("POST", POLICIES, {"metadata": {"name": "p"}, "spec": policy})
    for number in range(count):
        name = f"n{number}"
        labels = {"vpc.amazonaws.com__eniConfig": "az"}
        watch.api.ok("POST", NODES, node(name, f"i-{number:017x}", **labels))
        watch.api.ok("PATCH", f"{NODES}/{name}/status", CALM, MERGE)
    return watch, client


def change(watch: Watch, what: str, number: int) -> None:
    match what:
        case "ConfigMap":
            watch.api.ok("PATCH", CONFIG, {"data": {"branch-eni-cooldown": str(100 + number)}}, MERGE)
        case "ENIConfig":
            watch.api.ok("PATCH", ENI_CONFIG, {"spec": {"subnet": f"subnet-{number}"}}, MERGE)
        case "SecurityGroupPolicy":
            watch.api.ok("PATCH", POLICY, {"spec": {"securityGroups": {"groupIds": [f"sg-{number}"]}}}, MERGE)


# --- when a change is due


def test_the_first_change_is_due_at_once_and_those_that_follow_together_after_an_interval() -> None:
    paced, subject, other = Paced(), (Kind.ENI_CONFIGS, "a"), (Kind.ENI_CONFIGS, "b")
    paced.add(subject, 100.0)
    assert paced.is_due(100.0)
    assert paced.take(100.0) == [subject]
    assert not paced
    for hundredth in range(1, 90):
        moment = 100.0 + APART_SECONDS * hundredth / 100
        paced.add(subject, moment)
        assert not paced.is_due(moment)
    assert paced
    before = 100.0 + APART_SECONDS * 0.9
    paced.add(other, before)
    assert paced.take(before) == [other], "each subject has its own interval"
    assert paced.take(100.0 + APART_SECONDS) == [subject]
    assert paced.take(1e9) == []
    paced.add(subject, 1e9)
    assert paced.take(1e9) == [subject], "at once again, after a quiet time"


def test_no_memory_is_kept_of_subjects_that_are_quiet() -> None:
    paced = Paced()
    for number in range(1_000):
        paced.add((Kind.ENI_CONFIGS, str(number)), float(number))
        paced.take(float(number))
    assert len(paced._free_at) <= APART_SECONDS + 1


# --- what a change costs


@pytest.mark.parametrize("what", ["ConfigMap", "ENIConfig", "SecurityGroupPolicy"])
def test_many_changes_in_a_row_cost_each_node_one_look_per_interval(what: str) -> None:
    watch, _ = cluster_of(3)
    for name in ("n0", "n1", "n2"):
        watch.api.ok("POST", PODS, pod(f"of-{name}", name))
    watch.lead()
    watch.turn(2)
    watch.worked()
    looks: Counter[str] = Counter()
    began = watch.clock.monotonic()
    for number in range(100):
        change(watch, what, number + 1)
        watch.reflect(1)
        watch.turn(2)
        looks.update(watch.published.names())
        watch.worked()
    intervals = (watch.clock.monotonic() - began) / APART_SECONDS
    assert set(looks) == {"n0", "n1", "n2"}
    assert max(looks.values()) <= intervals + 1, "one more: the first is felt at once"
    assert min(looks.values()) >= 0.8 * intervals, "and none is left out: changes go on being felt"


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        pytest.param(CONFIG, {"data": {"unrelated": "x"}}, id="a key of the ConfigMap that is not ours"),
        pytest.param(CONFIG, {"data": {"branch-eni-cooldown": "060"}}, id="the same value in other words"),
        pytest.param(ENI_CONFIG, {"spec": {"unrelated": "x"}}, id="a field of the ENIConfig that is not ours"),
        pytest.param(POLICY, {"metadata": {"annotations": {"a": "b"}}}, id="an annotation of a policy"),
    ],
)
def test_a_change_of_nothing_that_counts_marks_nobody(path: str, patch: dict[str, object]) -> None:
    watch, _ = cluster_of(2)
    watch.api.ok("POST", PODS, pod("waits", "n1"))
    watch.lead()
    watch.hand_out()
    watch.worked()
    watch.api.ok("PATCH", path, patch, MERGE)
    watch.hand_out()
    assert watch.published.nodes == []


def test_a_value_that_is_back_before_it_was_written_marks_nobody() -> None:
    watch, _ = cluster_of(2)
    watch.lead()
    watch.hand_out()
    change(watch, "ConfigMap", 1)
    watch.hand_out()
    watch.worked()
    change(watch, "ConfigMap", 2)
    watch.reflect(1)
    change(watch, "ConfigMap", 1)
    watch.hand_out()
    assert watch.published.nodes == []


def test_nodes_where_pods_wait_come_first() -> None:
    watch, _ = cluster_of(2 * MESSAGES)
    watch.api.ok("POST", PODS, pod("waits", f"n{2 * MESSAGES - 1}"))
    watch.lead()
    watch.hand_out()
    watch.worked()
    change(watch, "ConfigMap", 1)
    watch.reflect(1)
    while not watch.published.nodes:
        watch.turn()
    assert watch.published.nodes[0][0] == f"n{2 * MESSAGES - 1}"


@pytest.mark.parametrize(
    ("data", "felt"),
    [
        pytest.param({"windows-warm-ip-target": "7"}, {"windows", "shared", "unlabelled"}, id="Windows addresses"),
        pytest.param({"branch-eni-cooldown": "77"}, {"linux", "windows", "shared", "unlabelled"}, id="cool-down"),
    ],
)
def test_a_change_is_felt_by_the_nodes_that_it_concerns(data: dict[str, str], felt: set[str]) -> None:
    watch, _ = cluster_of(0)
    systems = {"linux": "linux", "windows": "windows", "shared": "linux", "unlabelled": ""}
    for number, (name, system) in enumerate(systems.items()):
        # `windows` and `shared` name the same instance.
        instance = f"i-{number if name != 'shared' else 1:017x}"
        watch.api.ok("POST", NODES, node(name, instance, **{"kubernetes.io__os": system}))
    watch.lead()
    watch.hand_out()
    watch.worked()
    watch.api.ok("PATCH", CONFIG, {"data": data}, MERGE)
    watch.hand_out()
    assert watch.published.names() == felt


# --- pods that come meanwhile


@pytest.mark.parametrize("what", ["ConfigMap", "ENIConfig"])
def test_new_pods_do_not_wait_while_what_all_nodes_depend_on_changes_all_the_time(what: str) -> None:
    watch, client = cluster_of(150)
    workers = Workers(watch, client)
    watch.published.reconcile = workers.publish  # type: ignore[method-assign]
    watch.lead()
    while client.llen(QUEUE) or workers.running:
        workers.work(1.0)
    rng, waits, workers.most = random.Random(0), [], 0
    for number in range(6):
        name = NodeName(f"n{rng.randrange(150)}")
        came = watch.clock.now()
        watch.api.ok("POST", PODS, pod(f"p{number}", name))
        for turn in range(round(WAIT_SECONDS / TURN_SECONDS)):
            change(watch, what, 1_000 * number + turn)
            workers.work(TURN_SECONDS)
        waits.append(workers.began[name] - came)
    changed = watch.clock.now()
    workers.work(FELT_SECONDS)
    assert min(waits) >= 0, "one was not looked at"
    assert max(waits) <= WAIT_SECONDS
    assert workers.most < 2 * MESSAGES, f"{workers.most} messages stood before it"
    last = watch.desired(N1)
    assert last.config is not None
    assert last.view.eni_config is not None
    number = 5_000 + round(WAIT_SECONDS / TURN_SECONDS) - 1
    assert number in (last.config.cooldown - 100, int(last.view.eni_config.subnet.removeprefix("subnet-")))
    assert min(workers.began.values()) > changed - APART_SECONDS, "a node has not felt the last change"


# --- nothing is lost


@pytest.mark.parametrize("commands", range(12))
def test_a_leader_that_dies_at_any_command_leaves_a_change_that_every_node_feels(commands: int) -> None:
    watch, client = cluster_of(2)
    watch.lead()
    watch.hand_out()
    watch.worked()
    change(watch, "ConfigMap", 1)
    watch.reflect(1)
    looked: set[str] = set()
    with pytest.MonkeyPatch.context() as patched:
        left = iter(range(commands))

        def cut(*args: object, **options: object) -> object:
            if next(left, None) is None:
                raise StoreUnavailable("the process is dead")
            return before(*args, **options)

        before = client.execute_command
        patched.setattr(client, "execute_command", cut)
        watch.turn()
    felt = watch.desired(N1).config == ClusterConfig(cooldown=101.0)
    looked |= watch.published.names() if felt else set()
    for name in watch.published.names():
        watch.store.wakeups.clear_dirty(NodeName(name))
    watch.clock.sleep(1.0)
    again = Watch(watch.api, store=watch.store, clock=watch.clock)
    again.lead()
    again.turn(round(FELT_SECONDS / 0.1) - 20)
    assert again.desired(N1).config == ClusterConfig(cooldown=101.0)
    assert looked | again.published.names() == {"n0", "n1"}
