"""A cluster under virtual time: its worlds, its watcher, one worker at a time, and what must hold in it."""

import copy
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import redis
import yaml

from common.ec2.api import Ec2
from common.ec2.gate import OpenGate
from common.kube.api import Kube
from common.model.errors import OutsideError, StoreUnavailable
from common.model.ids import NodeName
from common.model.ledger import BranchState
from common.model.limits import InstanceLimits, load_limits
from common.model.names import POD_ENI, PRIVATE_IPV4
from common.model.notice import Notice
from common.node.state import Options
from common.store import Store, keys
from common.store.heartbeats import BEAT_SECONDS, GONE_SECONDS
from sandbox.ec2.behaviour import Ec2Behaviour
from sandbox.ec2.world import Ec2World
from sandbox.judge import Judge
from sandbox.kube.world import KubeWorld
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.simulation.crashes import Crash, CrashPoints
from tests.simulation.executor import SimulatedExecutor
from tests.simulation.outside import KubeInProcess, TaskQueue, invoker
from tests.simulation.watcher import PumpedWatcher
from workers.build import Terms, Worker, build
from workers.lost_runs import LostRuns
from workers.outages import KnownOutages

CLUSTER = "simulated"
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
LOCK_SECONDS = 15.0
THREADS = 12
"""A worker's: so few that actions are turned away now and then."""
NEVER_SECONDS = 1e9
ACCOUNT = "123456789012"
BRISK = {"latencies": {"describe": (0.05, 0.1), "mutate": (0.05, 0.1)}, "attach_delay": (0.3, 0.6)}
VPC, SUBNET, GROUP = "vpc-0000000000000001", "subnet-0000000000000001", "sg-0000000000000001"
OTHER_SUBNET, OTHER_GROUP = "subnet-0000000000000002", "sg-0000000000000002"
Labels = dict[str, str | None]
MERGE = "application/merge-patch+json"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"


class CountedRedis(FakeRedis):
    """Each command is an outside call of whoever issues it."""

    points: CrashPoints | None = None
    run = "run-0"
    """The server's run: another one after a restart. The fake has no INFO."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        def effect() -> Any:
            if args[0] == "INFO":
                return {"run_id": self.run}
            return FakeRedis.execute_command(self, *args, **options)

        return effect() if self.points is None else self.points.call(f"Redis {args[0]}", effect)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Without a transaction it may end after any of its commands."""
        return super().pipeline(transaction, shard_hint) if transaction else _OneByOne(self)


class _OneByOne:
    """A pipeline whose commands are outside calls one by one."""

    def __init__(self, client: CountedRedis) -> None:
        self._client = client
        self._commands: list[tuple[Any, ...]] = []

    def __enter__(self) -> "_OneByOne":
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.clear()

    def evalsha(self, *args: Any) -> None:
        self._commands.append(("EVALSHA", *args))

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error, "as the store asks for it"
        answers: list[Any] = []
        for command in self._commands:
            try:
                answers.append(self._client.execute_command(*command))
            except redis.exceptions.ResponseError as error:
                answers.append(error)
        return answers


@cache
def _definitions() -> list[dict[str, Any]]:
    return [yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*_*.yaml"))]


@dataclass(slots=True)
class Cluster:
    """Everything in one process and one thread. The same seed has the same history."""

    seed: int = 0
    behaviour: Ec2Behaviour = field(default_factory=lambda: Ec2Behaviour().changed(BRISK))
    points: CrashPoints = field(default_factory=CrashPoints)
    clock: VirtualClock = field(default_factory=VirtualClock)
    count_redis: bool = True
    notices: list[Notice] = field(default_factory=list)
    ec2: Ec2World = field(init=False)
    kube: KubeWorld = field(init=False)
    redis: CountedRedis = field(init=False)
    plain: Store = field(init=False)
    queue: TaskQueue = field(default_factory=TaskQueue)
    watcher: PumpedWatcher = field(init=False)
    _peek: Any = field(init=False)
    """Redis, not counted."""
    rng: random.Random = field(init=False)
    worker: Worker = field(init=False)
    crashes: int = 0
    longest_pause: float = 5.0
    """Seconds that pass at most where nothing is to be done."""
    audits: bool = True
    limits: Mapping[str, InstanceLimits] = field(default_factory=load_limits)
    """Limits of the types that the product knows; EC2 has all."""
    redis_lost: bool = False
    left_to_the_sweep: bool = False
    """Something may be left that only two passes of the sweep find: Redis was lost, or an instance was replaced while
    calls for it were under way."""
    eager: bool = False
    """Actions are performed when they are started: what is not recorded by then is lost with a crash."""
    slice_seconds: float = 20.0
    watcher_writes: bool = False
    """What happened reaches Redis at the next outside call of a run, not after the run."""
    judge: Judge = field(init=False)
    excess: list[str] = field(default_factory=list)
    instances: dict[str, str] = field(default_factory=dict)
    """The instance of each node that was added, its Node object deleted or not."""
    labels: dict[str, Labels] = field(default_factory=dict)
    """By node; those that every node has not counted."""
    groups_changed_at: float | None = None
    """When a policy or an ENIConfig was last changed: pods that were there before keep what they have."""
    prefixes_were_on: bool = False
    """The ConfigMap asked for prefixes on Windows nodes at some time."""
    copies_every: float | None = None
    """Seconds between copies of Redis; None: none is made."""
    copies: list[tuple[float, bytes]] = field(default_factory=list)
    workers_away_until: float = 0.0
    warm_target: int = 0
    """Branch interfaces that each trunk may keep idle."""
    on_happening: Callable[[str], None] = lambda _: None
    """Called with the kind of each thing that happens, just before it does."""
    most_messages: int = 0
    """The most that waited for one node."""
    _tended: KnownOutages = field(init=False)
    """What every worker does beside its runs."""
    _beat_at: float = 0.0
    _ticked_at: float = 0.0
    _checked: int = 0
    _pumping: bool = False
    server: fakeredis.FakeServer = field(default_factory=fakeredis.FakeServer)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.ec2 = Ec2World(clock=self.clock.now, settings=self.behaviour, seed=self.seed)
        self.ec2.add_vpc(vpc_id=VPC)
        self.ec2.add_subnet(vpc_id=VPC, cidr="10.0.0.0/19", subnet_id=SUBNET)
        self.ec2.add_subnet(vpc_id=VPC, cidr="10.0.64.0/19", subnet_id=OTHER_SUBNET)
        self.ec2.add_security_group(vpc_id=VPC, name="web", group_id=GROUP)
        self.ec2.add_security_group(vpc_id=VPC, name="other", group_id=OTHER_GROUP)
        self.kube = KubeWorld(clock=self.clock.now, seed=self.seed)
        self.judge = Judge(self.ec2, self.kube, cluster=CLUSTER)
        for definition in _definitions():
            self._post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", copy.deepcopy(definition))
        self.redis = CountedRedis(server=self.server)
        prefix = keys.prefix(CLUSTER)
        self._peek = CountedRedis(server=self.server)
        self.plain = Store.on(self._peek, prefix)
        self._tended = KnownOutages(self.plain.outages, self.clock)
        self.watcher = self._new_watcher()
        self.start_worker()

    # --- workers

    def start_worker(self) -> None:
        """A fresh process: nothing remembered but what the worlds hold."""
        self.worker = self.new_worker()
        self.beat()

    def new_worker(self) -> Worker:
        if self.count_redis:
            self.redis.points = self.points
        if self.watcher_writes:
            self.points.before_each = self.pump
        incarnation = f"worker-{self.rng.getrandbits(32)}"
        worker = build(
            ec2=Ec2(invoker(self.ec2, self.clock, self.points), OpenGate(), vpc=VPC),
            account=ACCOUNT,
            kube=Kube(KubeInProcess(self.kube, self.clock, self.points)),
            store=Store.on(self.redis, keys.prefix(CLUSTER)),
            publisher=self.queue,
            emit=self.notices.append,
            clock=self.clock,
            rng=self.rng,
            incarnation=incarnation,
            options=Options(
                cluster=CLUSTER,
                version="simulated",
                limits=self.limits,
                audit_first=60.0 if self.audits else NEVER_SECONDS,
                audit_longest=900.0 if self.audits else NEVER_SECONDS,
            ),
            terms=Terms(vpc=VPC, threads=THREADS, lock_seconds=LOCK_SECONDS, slice_seconds=self.slice_seconds),
            executor=lambda rooms, perform: SimulatedExecutor(rooms, perform, self.clock, self.rng, eager=self.eager),
        )
        # The heartbeat's thread gives up what was lost: no crash point of the one thread here.
        lost = LostRuns(self.plain, self.queue, self.clock.now, incarnation)
        return replace(worker, reconciler=replace(worker.reconciler, lost=lost))

    def change_worker(self, **fields: Any) -> None:
        """The worker goes on with other fields of its Reconciler."""
        self.worker = replace(self.worker, reconciler=replace(self.worker.reconciler, **fields))

    def overtaken(self) -> None:
        """The worker stands still and sends no heartbeats; another does its work meanwhile."""
        worker, points = self.worker, self.points
        self.points = CrashPoints()
        self.start_worker()
        self.run(GONE_SECONDS + 30.0)
        self.worker, self.points = worker, points
        self.redis.points = points

    def lose_redis(self) -> None:
        """Redis comes back empty."""
        self.redis_lost = self.left_to_the_sweep = True
        self._peek.flushall()

    def restore_redis(self, age: float) -> None:
        """Redis is started anew from the youngest copy that is at least so many seconds old."""
        old = [copied for moment, copied in self.copies if moment <= self.clock.now() - age]
        self.lose_redis()
        self.redis.run = self._peek.run = f"run-{self.clock.now()}"
        if old:
            self._peek.put_back(old[-1])

    def _copy_redis(self) -> None:
        now = self.clock.now()
        if self.copies_every is None or (self.copies and now - self.copies[-1][0] < self.copies_every):
            return
        self.copy_redis()

    def copy_redis(self) -> None:
        """A copy of what Redis has at this moment."""
        self.copies.append((self.clock.now(), self._peek.copied()))

    def _new_watcher(self) -> PumpedWatcher:
        """Its terms are its own."""
        store = Store.on(self._peek, keys.prefix(CLUSTER))
        return PumpedWatcher(self.kube, store, self.queue, self.clock)

    def lead_anew(self) -> PumpedWatcher:
        """Another process leads from now on; the one before it."""
        before, self.watcher = self.watcher, self._new_watcher()
        return before

    def say_gone(self, node: str, *, nodes: bool) -> None:
        """An older view is written to Redis: without the node's pods, and without its Node."""
        name = NodeName(node)
        known = self.plain.desired.read(name)
        self.plain.desired.write_pods(name, [], list(known.pods))
        if nodes:
            self.plain.desired.write_node(name, msgspec.structs.replace(known.view, node=None))
        for one in self.plain.wakeups.mark_dirty([name], self.clock.now()):
            self.queue.reconcile(one, "simulated")

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Let it happen then, and the watcher see it, whatever a worker waits for at that time."""

        def then() -> None:
            event()
            self.pump()

        self.clock.at(self.clock.now() + seconds, then)

    def pump(self) -> None:
        """The watcher works beside the workers: also in the middle of a worker's call."""
        if not self._pumping:
            self._pumping = True
            try:
                self.watcher.pump()
            finally:
                self._pumping = False

    def heal(self) -> None:
        """What disturbs ends."""
        self.points.cut, self.points.pause_before, self.points.when = frozenset(), None, None
        self.points.unanswered = frozenset()
        self.ec2.clear_faults()
        self.ec2.behave(self.behaviour)
        self.watcher.silent.clear()
        self.workers_away_until = 0.0

    def sweep_twice(self) -> None:
        """Two passes of the cluster-wide search for leaks, an interval apart."""
        for _ in range(2):
            self.clock.sleep(1800.0)
            self.queue.sweep()
            self.run(30.0)

    def work(self) -> bool:
        """One message, if there is one. A crash ends the worker; another starts."""
        if self.clock.now() < self.workers_away_until:
            return False
        task = self.queue.take(lambda n: 0)
        if task is None:
            return False
        try:
            self._handle(task)
        except Crash:
            self.crashes += 1
            self.start_worker()
        return True

    def _handle(self, task: tuple[str, ...]) -> None:
        match task:
            case ("reconcile", node):
                self.worker.reconciler.run(NodeName(node))
            # A task that cannot go on ends (workers.tasks); what it was for comes again.
            case ("load",):
                with suppress(OutsideError, StoreUnavailable):
                    self.worker.load_instances()
            case _:
                with suppress(OutsideError, StoreUnavailable):
                    self.worker.sweep_leaks()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let so much time pass, or less where `until` holds sooner; whether it does."""
        end = self.clock.now() + seconds
        while True:
            if self.clock.now() - self._beat_at >= BEAT_SECONDS:
                self.beat()
            self.pump()
            if self.clock.now() > self._ticked_at or not self.queue.tasks:
                self._ticked_at = self.clock.now()
                self.watcher.tick()
            self._copy_redis()
            worked = self.work()
            self.check()
            if until is not None and until():
                return True
            if self.clock.now() >= end:
                return until is None
            if not worked and (not self.queue.tasks or self.clock.now() < self.workers_away_until):
                self.clock.sleep(min(self._until_due(), end - self.clock.now(), self.longest_pause))

    def beat(self) -> None:
        """The worker that lives sends its heartbeats all the time, and Redis hears them without a gap."""
        self._beat_at = self.clock.now()
        self.plain.heartbeats.beat(self.worker.reconciler.owner)
        self.worker.reconciler.lost.give_up()
        self._tended.tend()
        self._peek.persist(keys.heard(keys.prefix(CLUSTER)))

    def _until_due(self) -> float:
        """Seconds to the next wake-up, or, for want of one, longer than anybody waits. Never none at all."""
        next_one = self._peek.zrange(keys.parked(keys.prefix(CLUSTER)), 0, 0, withscores=True)
        return max(0.1, next_one[0][1] - self.clock.now()) if next_one else NEVER_SECONDS

    # --- people and their objects

    def add_node(
        self, name: str, instance_type: str = "m5.large", *, windows: bool = False, labels: Labels | None = None
    ) -> str:
        instance = self.ec2.add_instance(subnet_id=SUBNET, instance_type=instance_type, groups=[GROUP])
        self.put_node(name, instance, windows=windows, labels=labels)
        return instance

    def put_node(
        self,
        name: str,
        instance: str,
        *,
        windows: bool = False,
        labels: Labels | None = None,
        zone: str = "us-west-2a",
    ) -> None:
        self.instances[name] = instance
        # What the node's group gives its nodes, it gives to each that comes back.
        self.labels[name] = labels = {**self.labels.get(name, {}), **(labels or {})}
        os = {"kubernetes.io/os": "windows"} if windows else {"kubernetes.io/os": "linux"}
        trunk: dict[str, str | None] = {} if windows else {"vpc.amazonaws.com/has-trunk-attached": "false"}
        given = {key: value for key, value in {**os, **trunk, **labels}.items() if value is not None}
        self._post(
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": given},
                "spec": {"providerID": f"aws:///{zone}/{instance}"},
            },
        )

    def remove_node(self, name: str, *, terminate: str | None = None) -> None:
        """As the garbage collector does it: what the node owned goes with it."""
        self.delete_node_object(name)
        self.instances.pop(name, None)
        if terminate is not None:
            self.ec2.terminate_instance(terminate)

    def delete_node_object(self, name: str) -> None:
        self.kube.request("DELETE", f"/api/v1/nodes/{name}")
        self.kube.request("DELETE", f"/apis/vpcresources.k8s.aws/v1alpha1/cninodes/{name}")

    def node_there(self, name: str) -> bool:
        return self.kube.request("GET", f"/api/v1/nodes/{name}").status == 200

    def is_windows(self, name: str) -> bool:
        labels = self.kube.request("GET", f"/api/v1/nodes/{name}").json()["metadata"]["labels"]
        return bool(labels["kubernetes.io/os"] == "windows")

    def pod_names(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods()]

    def asked_of(self, node: str) -> dict[str, int]:
        """How many interfaces or addresses each living pod of a node asks for."""
        return {
            pod["metadata"]["name"]: int(next(iter(pod["spec"]["containers"][0]["resources"]["requests"].values())))
            for pod in self.live()
            if pod["spec"].get("nodeName") == node
        }

    def pods_of(self, node: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods() if pod["spec"].get("nodeName") == node]

    def add_pod(self, name: str, node: str, count: int = 1, *, windows: bool = False, **labels: str) -> str:
        resource = PRIVATE_IPV4 if windows else POD_ENI
        amounts = {resource: str(count)}
        made = self._post(
            "/api/v1/namespaces/default/pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels},
                "spec": {
                    "nodeName": node,
                    "containers": [
                        {"name": "main", "image": "i", "resources": {"limits": amounts, "requests": amounts}}
                    ],
                },
            },
        )
        uid: str = made["metadata"]["uid"]
        return uid

    def remove_pod(self, name: str) -> None:
        self.kube.request("DELETE", f"/api/v1/namespaces/default/pods/{name}", {"gracePeriodSeconds": "0"})

    def finish_pod(self, name: str, phase: str = "Succeeded") -> None:
        self.kube.request(
            "PATCH",
            f"/api/v1/namespaces/default/pods/{name}/status",
            body={"status": {"phase": phase}},
            content_type=MERGE,
        )

    def label_node(self, name: str, labels: dict[str, str | None]) -> None:
        self.kube.request("PATCH", f"/api/v1/nodes/{name}", body={"metadata": {"labels": labels}}, content_type=MERGE)

    def cninode(self, name: str) -> dict[str, Any]:
        answer = self.kube.request("GET", f"/apis/vpcresources.k8s.aws/v1alpha1/cninodes/{name}")
        found: dict[str, Any] = answer.json() if answer.status == 200 else {}
        return found

    def patch_cninode(self, name: str, patch: dict[str, Any]) -> None:
        path = f"/apis/vpcresources.k8s.aws/v1alpha1/cninodes/{name}"
        assert self.kube.request("PATCH", path, body=patch, content_type=MERGE).status == 200

    def put_eni_config(self, name: str, subnet: str, groups: list[str]) -> None:
        path = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
        spec = {"subnet": subnet, "securityGroups": groups}
        if self.kube.request("PATCH", f"{path}/{name}", body={"spec": spec}, content_type=MERGE).status == 404:
            kind = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig"}
            self._post(path, {**kind, "metadata": {"name": name}, "spec": spec})

    def put_policy(self, name: str, app: str, groups: list[str]) -> None:
        """A SecurityGroupPolicy for the pods labelled so, in place of one of that name."""
        self.remove_policy(name)
        kind = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy", "metadata": {"name": name}}
        spec = {"podSelector": {"matchLabels": {"app": app}}, "securityGroups": {"groupIds": groups}}
        self._post(POLICIES, {**kind, "spec": spec})

    def remove_policy(self, name: str) -> None:
        self.kube.request("DELETE", f"{POLICIES}/{name}")

    def configured(self) -> dict[str, str]:
        """The ConfigMap's content."""
        answer = self.kube.request("GET", "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni")
        data: dict[str, str] = answer.json().get("data") or {} if answer.status == 200 else {}
        return data

    def configure(self, data: dict[str, str]) -> None:
        """The ConfigMap's whole content."""
        text = data.get("branch-eni-cooldown", "60")
        if text.isdigit():
            self.judge.cooldown = min(self.judge.cooldown, max(30.0, float(text)))
        self.prefixes_were_on |= data.get("enable-windows-prefix-delegation") == "true"
        path = "/api/v1/namespaces/kube-system/configmaps"
        self.kube.request("DELETE", f"{path}/amazon-vpc-cni")
        self.warm_target = int(data.get("branch-eni-warm-target", "0"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "amazon-vpc-cni"}, "data": data}
        self._post(path, body)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.kube.request("POST", path, body=body)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.json()
        return made

    # --- looking

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kube.request("GET", "/api/v1/pods").json()["items"]
        return found

    def annotation(self, pod: dict[str, Any], key: str = POD_ENI) -> Any:
        """None where there is none, and where somebody wrote one that cannot be read."""
        text = pod["metadata"].get("annotations", {}).get(key)
        try:
            return json.loads(text) if text is not None and key == POD_ENI else text
        except ValueError:
            return None

    def live(self) -> list[dict[str, Any]]:
        return [p for p in self.pods() if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")]

    def all_served(self) -> bool:
        return all(self.annotation(p, POD_ENI) or self.annotation(p, PRIVATE_IPV4) for p in self.live())

    def interfaces(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ec2.arrange("DescribeNetworkInterfaces", {})["NetworkInterfaces"]
        return found

    def ours(self, description: str) -> list[dict[str, Any]]:
        return [i for i in self.interfaces() if i.get("Description") == description]

    def idle(self, node: str) -> list[str]:
        """Ids of the branch interfaces that are kept for the next pod, by the node's record."""
        ledger = self.plain.ledgers.load(NodeName(node))
        branches = ledger.branches.values() if ledger is not None else ()
        return sorted(str(b.eni_id) for b in branches if b.state is BranchState.IDLE and not b.unwanted)

    def held(self, node: str) -> tuple[int, int]:
        """Secondary addresses and prefixes of the node's primary interface."""
        answer = self.kube.request("GET", f"/api/v1/nodes/{node}").json()
        instance = answer["spec"]["providerID"].rsplit("/", 1)[-1]
        primary = next(i for i in self.interfaces() if i.get("Attachment", {}).get("InstanceId") == instance)
        return len(primary["PrivateIpAddresses"]) - 1, len(primary.get("Ipv4Prefixes", ()))

    def capacity(self, node: str, resource: str = POD_ENI) -> str | None:
        answer = self.kube.request("GET", f"/api/v1/nodes/{node}").json()
        amount: str | None = answer.get("status", {}).get("capacity", {}).get(resource)
        return amount

    # --- what must hold, always

    @property
    def problems(self) -> list[str]:
        """What was wrong so far, by the histories of EC2 and of the API server (sandbox.judge)."""
        return self.judge.problems + self.excess

    def check(self) -> None:
        """After each step: EC2 was not asked for more than a trunk has places for, unless Redis was lost and EC2 does
        not show yet what was made before."""
        hidden = self.redis_lost and max(self.ec2.behaviour.describe_lag) > 0
        calls = self.ec2.journal.calls
        new = itertools.islice(calls, self._checked, None) if len(calls) > self._checked else ()
        for call in new:
            full = call.outcome == "AttachmentLimitExceeded" and call.action == "AssociateTrunkInterface"
            if full and not hidden:
                self.excess.append("more branches asked for than the trunk has places")
        self._checked = len(calls)
        waiting = Counter(self.queue.tasks)
        self.most_messages = max(self.most_messages, *waiting.values(), 0) if waiting else self.most_messages
