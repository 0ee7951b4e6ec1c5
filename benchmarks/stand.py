"""A small cluster with the product's processes on it, ready to be measured."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, per_hundred
from benchmarks.measure import SANDBOX, Journal, Meter, PodWatch, shown
from cli.demo.ideal import level
from common.clock import SystemClock
from common.kube.transport import HttpTransport, Request
from common.kube.transport import connect as connect_kube
from common.model.names import POD_ENI
from common.settings import DEFAULT_EC2_RATES
from sandbox.redis import RedisServer
from tests.e2e.plane import Plane, full_plane
from tests.integration.rig import GROUP, SUBNET, Process, Rig
from tests.integration.standing import shared

WORKERS = 2
"""As in a deployment."""
LIFTED = json.dumps({action: {"burst": 10_000, "refill": 10_000} for action in DEFAULT_EC2_RATES})
LINUX = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false"}
WINDOWS = {"kubernetes.io/os": "windows"}
ROOM = {"cpu": "64", "memory": "256Gi", "pods": "250"}
"""A node's capacity, for the simulated kubelets of a full control plane."""


@dataclass(slots=True)
class Stand:
    """The parts. `own` are the product's processes, in the order of their start."""

    rig: Rig
    redis: RedisServer
    api: HttpTransport
    watch: PodWatch
    own: list[Process]
    judged: bool = False
    """The sandbox's judge follows."""
    plane: Plane | None = None
    """The full control plane, where it is one."""

    # --- processes

    def start_product(self, workers: int = WORKERS, watchers: int = 1) -> None:
        number = sum(process.name.startswith("watcher") for process in self.rig.processes)
        self.own = [
            self.rig.start_watcher(f"watcher{number + each}" if number + each else "watcher")
            for each in range(watchers)
        ]
        self.own += [self.rig.start_worker(f"worker{number}{'abcdefgh'[each]}") for each in range(workers)]

    def stop_product(self) -> None:
        """SIGTERM for all, as when a deployment is scaled to none."""
        for process in self.own:
            process.popen.terminate()
        for process in self.own:
            process.stop()

    def meter(self) -> Meter:
        pids = {process.name: process.popen.pid for process in self.own} | {"redis": self.redis.pid}
        servers = {p.name: p.popen.pid for p in self.rig.processes if p.name in SANDBOX}
        return Meter(pids | servers)

    # --- the cluster

    def add_instances(self, names: Sequence[str], instance_type: str, platform: str | None = None) -> None:
        nodes = [
            {
                "instance_id": instance_id(name),
                "instance_type": instance_type,
                "subnet": SUBNET,
                "groups": [GROUP],
                **({"platform": platform} if platform else {}),
            }
            for name in names
        ]
        self.rig.ec2("POST", "seed", {"nodes": nodes})

    def add_nodes(self, names: Iterable[str], labels: dict[str, str]) -> None:
        """Their Nodes; the instances are there."""
        for name in names:
            node = {
                "metadata": {"name": name, "labels": labels},
                "spec": {"providerID": f"aws:///us-west-2a/{instance_id(name)}"},
                **({"status": {"capacity": ROOM, "allocatable": ROOM}} if self.rig.cluster else {}),
            }
            self.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node})

    @contextmanager
    def arranging(self) -> Iterator[None]:
        """Pods may be made with annotations meanwhile, as if they had been served before."""
        if self.plane is None:
            yield
            return
        self.plane.kubectl("delete", "validatingadmissionpolicybinding", "vpc-rc-annotations")
        probe = pod_body("probe", "nowhere", POD_ENI, "[]")
        asked = Request("POST", "/api/v1/namespaces/default/pods", query={"dryRun": "All"}, body=probe)
        self.rig.wait("pods may be annotated", lambda: self.api.send(asked).status == 201)
        yield
        self.plane.apply_base()

    def add_pods(
        self, placed: Iterable[tuple[str, str]], resource: str = POD_ENI, annotations: dict[str, str] | None = None
    ) -> dict[str, float]:
        """Pods already bound, as name and node; when each was asked for."""
        asked = {}
        for name, node in placed:
            asked[name] = time.monotonic()
            pod = pod_body(name, node, resource, (annotations or {}).get(name))
            self.create("/api/v1/namespaces/default/pods", pod)
        return asked

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.send(Request("POST", path, body=body))
        assert answer.status == 201, f"{path}: {answer.status} {answer.body!r}"
        made: dict[str, Any] = json.loads(answer.body)
        return made

    def wait_capacity(self, amount: int, nodes: int, seconds: float, resource: str = POD_ENI) -> float:
        """Until so many nodes advertise so much; how long it took."""

        def ready() -> bool:
            time.sleep(0.2)
            found = self.rig.kube("GET", "/api/v1/nodes")["items"]
            amounts = [str((n.get("status", {}).get("capacity") or {}).get(resource)) for n in found]
            return amounts.count(str(amount)) >= nodes

        return self.rig.wait(f"{nodes} nodes with {amount} {resource}", ready, seconds)

    def rest(self) -> None:
        """Wait until EC2's buckets, and ours of the limiter, are full again; then forget the calls so far."""
        calls: dict[str, list[float]] = {}
        for call in self.rig.ec2("GET", "journal"):
            calls.setdefault(call["action"], []).append(call["time"])
        now, wait = time.time(), 0.0
        for action, times in calls.items():
            bucket = DEFAULT_EC2_RATES.get(action)
            if bucket is not None:
                # Ours fills a little more slowly, on purpose.
                wait = max(wait, 1.05 * (bucket.burst - level(bucket, times, now)) / bucket.refill)
        time.sleep(wait + 1)
        self.rig.ec2("DELETE", "journal")

    def scale(self, *, buckets: float = 1, latencies: float = 1) -> None:
        """Make EC2 more generous, or slower."""
        present = self.rig.ec2("GET", "behaviour")
        self.rig.behave(
            buckets={
                name: {key: value * buckets for key, value in bucket.items()}
                for name, bucket in present["buckets"].items()
            },
            latencies={name: [each * latencies for each in span] for name, span in present["latencies"].items()},
        )

    # --- the result

    def serve(self, asked: dict[str, float], seconds: float, figures: Figures) -> list[float]:
        """Wait for all of these pods; how long each took. What was not served in time is wrong."""
        missing = self.watch.wait(asked, seconds)
        if missing:
            figures.wrong.append(f"{len(missing)} of {len(asked)} pods not served after {seconds:.0f} s: {missing[:5]}")
        return [self.watch.served[name] - began for name, began in asked.items() if name in self.watch.served]

    def account(self, figures: Figures, meter: Meter, pods: int) -> None:
        """What the processes took, each and together; the sandbox's apart."""
        cpu, peak = meter.cpu_seconds(), meter.peak_mebibytes()
        ours = {name: seconds for name, seconds in cpu.items() if name not in SANDBOX}
        own_peak = {name: mebibytes for name, mebibytes in peak.items() if name not in SANDBOX}
        figures.add(
            cpu_ms_a_pod=1000 * sum(ours.values()) / max(1, pods),
            cpu_s_each=shown(ours, 2),
            peak_mib=sum(own_peak.values()),
            peak_mib_each=shown(own_peak, 0),
            sandbox_cpu_s=shown({name: cpu[name] for name in SANDBOX if name in cpu}, 2),
        )

    def calls(self, figures: Figures) -> Journal:
        """EC2's calls since `rest`."""
        journal = Journal.read(self.rig)
        figures.add(
            ec2_calls=len(journal.calls),
            ec2_calls_each=", ".join(f"{action} {number}" for action, number in sorted(journal.counts().items())),
            throttled=journal.throttled(),
            throttled_per_hundred=per_hundred(journal.throttled(), len(journal.calls)),
        )
        return journal

    def check(self, figures: Figures, *, branches: bool = True) -> None:
        """What must hold after any run. `branches`: pods were given interfaces."""
        if branches:
            figures.wrong += shared(self.rig)
        figures.wrong += self.rig.faults_logged()
        figures.wrong += [f"{process.name} ended by itself" for process in self.own if not process.running]


def instance_id(node: str) -> str:
    """Derived from a name that ends in digits: one each."""
    return f"i-{int.from_bytes(node.encode()[-7:], 'big'):017x}"


def pod_body(name: str, node: str, resource: str, annotation: str | None = None) -> dict[str, Any]:
    amounts = {resource: "1"}
    container = {"name": "main", "image": "i", "resources": {"limits": amounts, "requests": amounts}}
    metadata: dict[str, Any] = {"name": name}
    if annotation is not None:
        metadata["annotations"] = {resource: annotation}
    spec = {"nodeName": node, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def spread_over(pods: int, nodes: Sequence[str], prefix: str = "p") -> list[tuple[str, str]]:
    """Names of pods with their nodes, in turns."""
    return [(f"{prefix}{number:04}", nodes[number % len(nodes)]) for number in range(pods)]


def named(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{each:04}" for each in range(number)]


def _use(plane: Plane, rig: Rig) -> None:
    """With what we ship in it, and each role under its own account."""
    plane.apply_base()
    (rig.folder / "kubeconfig").write_text(plane.kubeconfig.read_text())
    rig.kubeconfigs = {role: plane.kubeconfig_of(role) for role in ("watcher", "worker")}
    rig.cluster = plane.api
    rig.start_ec2()
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    rig.wait("the default service account", lambda: plane.api("GET", account).status == 200)


@contextmanager
def standing(
    figures: Figures,
    *,
    workers: int = WORKERS,
    lifted: bool = False,
    judged: bool = False,
    config: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stand]:
    """Sandbox and product up, without nodes; `workers` 0: nothing of the product yet. `lifted`: neither EC2 nor the
    limiter limits calls. `judged`: the sandbox's judge follows, with a cool-down of 30 s, and Redis keeps a log; in a
    full control plane only the end is judged. Logs are kept where the result is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="vpc-rc-bench-"))
    with RedisServer(aof=judged) as redis, ExitStack() as outside:
        rig, plane = Rig(folder=folder, redis_port=redis.port), None
        try:
            if figures.full_plane:
                plane = outside.enter_context(full_plane(folder / "plane"))
                _use(plane, rig)
            elif judged:
                rig.start_judged()
            else:
                rig.start_ec2()
                rig.start_kube()
            rig.behave(throttling=not lifted)
            if config:
                rig.set_config(**config)
            rig.configure(**({"VPC_RC_EC2_RATES": LIFTED} if lifted else {}), **(settings or {}))
            api = connect_kube(kubeconfig=folder / "kubeconfig", context="", clock=SystemClock())
            stand = Stand(
                rig=rig,
                redis=redis,
                api=api,
                watch=PodWatch(api),
                own=[],
                judged=judged and not figures.full_plane,
                plane=plane,
            )
            if workers:
                stand.start_product(workers)
            yield stand
        except AssertionError as error:
            figures.wrong.append(str(error).splitlines()[0])
        finally:
            rig.stop()
    if figures.wrong:
        figures.add(logs=str(folder))
    else:
        shutil.rmtree(folder)
