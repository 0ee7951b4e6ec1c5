"""The product's processes on the sandbox's servers: what integration tests and benchmarks start, look at and kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from common.model.names import CONFIG_MAP, POD_ENI, SYSTEM_NAMESPACE
from common.settings import DEFAULT_EC2_RATES
from sandbox.kube.world import ADMIN
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration.webhook_cluster import Cluster

ROOT = Path(__file__).parents[2]
CLUSTER, VPC, SUBNET, GROUP = "rig", "vpc-0000000000000001", "subnet-0000000000000001", "sg-0000000000000001"
ACCOUNT = "123456789012"
LIFTED_RATES = json.dumps({action: {"burst": 1000, "refill": 1000} for action in DEFAULT_EC2_RATES})
"""VPC_RC_EC2_RATES of an account whose limits are out of the way."""
MERGE = "application/merge-patch+json"
JSON = {"Content-Type": "application/json"}
SERVERS = ("ec2", "kube", "judged")
"""Processes of the sandbox, which say when they are ready."""
WE = "tester"
"""Who asks the API server here; everybody else is the product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the sandbox's judge found so far, a sentence each."""

    broken: list[str]
    """Rules that were broken at any time."""
    lost: list[str]
    """Living pods that have lost what they had."""
    leftovers: list[str]
    """What is there now and nobody's."""

    @property
    def wrong(self) -> list[str]:
        return [*self.broken, *(f"lost: {one}" for one in self.lost)]


@dataclass(slots=True)
class Process:
    """A child of the test, by pid."""

    name: str
    popen: subprocess.Popen[str]
    log: Path
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    supervised: bool = False
    """Started again when it ends, as in a Deployment."""

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(10)

    def pause(self) -> None:
        self.popen.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


@dataclass(slots=True)
class Rig:
    """Everything of one small cluster, each part a process of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    ec2_url: str = ""
    kube_url: str = ""
    redis_port: int = 0
    program: tuple[str, ...] = (sys.executable, "-m", "cli.main")
    """How the product is started."""
    restarts: list[str] = field(default_factory=list)
    """Processes that ended by themselves and were started again: name and exit status."""
    cluster: Cluster | None = None
    """A real API server in place of the sandbox's."""
    kubeconfigs: dict[str, Path] = field(default_factory=dict)
    """A role's own; the other roles have the administrator's."""

    # --- processes

    def spawn(self, name: str, *arguments: str, **environment: str) -> Process:
        """Python, in the environment of the tests."""
        return self.run(name, sys.executable, *arguments, **environment)

    def run(self, name: str, *command: str, **environment: str) -> Process:
        log = self.folder / f"{name}.log"
        with log.open("a") as out:
            popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name in SERVERS else out,
                stderr=out,
                text=True,
                start_new_session=True,
            )
        process = Process(name, popen, log, command, environment)
        self.processes.append(process)
        return process

    def supervise(self) -> None:
        """Start again what ended by itself."""
        for process in [p for p in self.processes if p.supervised and not p.running]:
            self.restarts.append(f"{process.name}: {process.popen.returncode}")
            self.processes.remove(process)
            self.run(process.name, *process.command, **process.environment).supervised = True

    def start_ec2(self, *arguments: str, seed: dict[str, Any] | None = None) -> None:
        file = self._write_seed(seed or {})
        self.ec2_url = self._ready(self.spawn("ec2", "-m", "sandbox.ec2", "--seed", str(file), *arguments))

    def _write_seed(self, more: dict[str, Any]) -> Path:
        file = self.folder / "seed.json"
        first = {"cidr": "10.0.0.0/16", "id": SUBNET, "az": "us-west-2a"}
        seed = {"vpc_id": VPC, "subnets": [first], "groups": [{"name": "web", "id": GROUP}], "nodes": [], **more}
        file.write_text(json.dumps(seed))
        return file

    def start_kube(self, *arguments: str) -> None:
        self.kube_url = self._ready(
            self.spawn(
                "kube",
                "-m",
                "sandbox.kube",
                "--kubeconfig",
                str(self.folder / "kubeconfig"),
                "--crds",
                str(ROOT / "deploy" / "crds"),
                *arguments,
            )
        )

    def start_judged(self, cooldown: float = 30.0) -> None:
        """EC2 and the API server in one process, whose every change is judged."""
        file = self._write_seed({})
        process = self.spawn(
            "judged",
            *("-m", "sandbox.judge", "--cluster", CLUSTER, "--cooldown", str(cooldown), "--seed", str(file)),
            *("--kubeconfig", str(self.folder / "kubeconfig"), "--crds", str(ROOT / "deploy" / "crds")),
        )
        self.ec2_url, self.kube_url = self._said(process)

    @classmethod
    def _ready(cls, process: Process) -> str:
        return cls._said(process)[0]

    @staticmethod
    def _said(process: Process) -> list[str]:
        assert process.popen.stdout is not None
        line = process.popen.stdout.readline()
        assert line.startswith("ready "), f"{process.name}: {line!r}\n{process.log.read_text()[-2000:]}"
        return line.split()[1:]

    def configure(self, **settings: str) -> None:
        self.environment |= {
            "VPC_RC_CLUSTER_NAME": CLUSTER,
            "VPC_RC_VPC_ID": VPC,
            "VPC_RC_AWS_REGION": "us-west-2",
            "VPC_RC_ACCOUNT_ID": ACCOUNT,
            "VPC_RC_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "VPC_RC_KUBECONFIG": str(self.folder / "kubeconfig"),
            "AWS_ENDPOINT_URL_EC2": self.ec2_url,
            "AWS_ENDPOINT_URL_STS": self.ec2_url,
            "AWS_ACCESS_KEY_ID": "own",
            "AWS_SECRET_ACCESS_KEY": "own",
            "VPC_RC_HEALTH_PORT": "0",
            "VPC_RC_METRICS_PORT": "0",
            "VPC_RC_INTROSPECTION_PORT": "0",
            **settings,
        }

    def start_watcher(self, name: str = "watcher", **environment: str) -> Process:
        return self._product(name, "watcher", environment)

    def start_worker(self, name: str = "worker", **environment: str) -> Process:
        return self._product(name, "worker", environment)

    def _product(self, name: str, role: str, environment: dict[str, str]) -> Process:
        own = {"VPC_RC_KUBECONFIG": str(self.kubeconfigs[role])} if role in self.kubeconfigs else {}
        environment = {"VPC_RC_METRICS_PORT": str(free_port()), **own, **environment}
        return self.run(name, *self.program, role, **environment)

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()
            if process.popen.stdout is not None:
                process.popen.stdout.close()

    # --- what processes say

    def judgement(self) -> Judgement:
        """What the judge of `start_judged` found."""
        return Judgement(**self.ec2("GET", "judgement"))

    def faults_logged(self) -> list[str]:
        """Lines of the product's logs that tell of an exception nobody foresaw."""
        names = {p.name for p in self.processes} - {*SERVERS}
        logs = {name: (self.folder / f"{name}.log").read_text() for name in sorted(names)}
        return [f"{name}: {line}" for name, log in logs.items() for line in log.splitlines() if "Traceback" in line]

    def metric(self, process: Process, name: str, **labels: str) -> float:
        """Sum over the series of a process that was started by `start_worker` or `start_watcher`; 0 while it does not
        answer."""
        url = f"http://127.0.0.1:{process.environment['VPC_RC_METRICS_PORT']}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = (re.fullmatch(rf"{name}(\{{.*\}})? (\S+)", line) for line in lines)
        return sum(float(m[2]) for m in found if m and all(each in (m[1] or "") for each in wanted))

    # --- EC2

    def ec2(self, method: str, path: str, body: Any = None) -> Any:
        return _http(method, f"{self.ec2_url}/_sandbox/{path}", body)

    def behave(self, **changes: Any) -> None:
        self.ec2("PUT", "behaviour", changes)

    def interfaces(self, description: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ec2("GET", "state")["interfaces"]
        return [i for i in found if i.get("description", i.get("Description")) == description]

    # --- Kubernetes

    def kube(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        if self.cluster is not None:
            answer = self.cluster(method, path, body, content_type=content_type)
            if answer.status >= 400:
                raise urllib.error.HTTPError(path, answer.status, answer.message, Message(), None)
            return answer.body
        return _http(method, f"{self.kube_url}{path}", body, {"Content-Type": content_type, "Impersonate-User": WE})

    def kube_fault(self, effect: int | str, rate: float = 1.0, count: int | None = None, **match: str) -> None:
        """Requests of the product that match meet it; ours do not."""
        rule = {"match": {"user": ADMIN.name, **match}, "effect": effect, "rate": rate, "count": count}
        self.kube("POST", "/_sandbox/faults", rule)

    def end_kube_faults(self) -> None:
        self.kube("DELETE", "/_sandbox/faults")

    def add_node(self, name: str, instance_type: str = "m5.large", subnet: str = SUBNET, **labels: str) -> str:
        """An instance and its Node."""
        number = int.from_bytes(name.encode()[-7:], "big")
        instance = f"i-{number:017x}"
        self.ec2(
            "POST",
            "seed",
            {"nodes": [{"instance_id": instance, "instance_type": instance_type, "subnet": subnet, "groups": [GROUP]}]},
        )
        default = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false"}
        self.register(name, f"aws:///us-west-2a/{instance}", **{**default, **labels})
        return instance

    def register(self, name: str, provider_id: str, **labels: str) -> None:
        """A Node without an instance of its own."""
        node = {"metadata": {"name": name, "labels": labels}, "spec": {"providerID": provider_id}}
        self.kube("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node})

    def capacity(self, node: str, resource: str = POD_ENI) -> str | None:
        found: dict[str, Any] = self.kube("GET", f"/api/v1/nodes/{node}")
        amount: str | None = found.get("status", {}).get("capacity", {}).get(resource)
        return amount

    def set_config(self, **values: str) -> None:
        """The ConfigMap holds these values; `_` in a name stands for `-`."""
        data = {key.replace("_", "-"): value for key, value in values.items()}
        path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}, "data": data}
        try:
            self.kube("PUT", f"{path}/{CONFIG_MAP}", body)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            self.kube("POST", path, body)

    def events(self, about: str = "", reason: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kube("GET", "/api/v1/events")["items"]
        return [e for e in found if about in ("", e["involvedObject"]["name"]) and reason in ("", e["reason"])]

    def add_pod(self, name: str, node: str, count: int = 1, resource: str = POD_ENI, **labels: str) -> None:
        amounts = {resource: str(count)}
        container = {"name": "main", "image": "i", "resources": {"limits": amounts, "requests": amounts}}
        self.kube(
            "POST",
            "/api/v1/namespaces/default/pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels},
                "spec": {"nodeName": node, "containers": [container]},
            },
        )

    def pod(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube("GET", f"/api/v1/namespaces/default/pods/{name}")
        return found

    def annotate(self, name: str, value: str | None, key: str = POD_ENI) -> None:
        path = f"/api/v1/namespaces/default/pods/{name}"
        self.kube("PATCH", path, {"metadata": {"annotations": {key: value}}}, MERGE)

    def remove_pod(self, name: str) -> None:
        self.kube("DELETE", f"/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kube("GET", "/api/v1/pods")["items"]
        return found

    def unserved(self, annotation: str = POD_ENI) -> list[str]:
        return [p["metadata"]["name"] for p in self.pods() if annotation not in p["metadata"].get("annotations", {})]

    def wait(self, what: str, until: Callable[[], bool], seconds: float = 60.0) -> float:
        """Seconds until it holds."""
        began = time.monotonic()
        while not until():
            self.supervise()
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.logs()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_none(self, what: str, left: Callable[[], list[str]], seconds: float = 60.0) -> float:
        """Seconds until nothing is left; what is left then is in the error."""
        last: list[str] = []

        def none() -> bool:
            last[:] = left()
            return not last

        try:
            return self.wait(what, none, seconds)
        except AssertionError as error:
            raise AssertionError(f"{what}: left are {last}\n{error}") from None

    def holds(self, what: str, check: Callable[[], bool], seconds: float) -> None:
        """It is so all the time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            assert check(), f"{what}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log.read_text()[-1500:]}" for p in self.processes)


@contextmanager
def running(
    folder: Path,
    *,
    workers: int = 1,
    watchers: int = 1,
    aof: bool = False,
    ec2: tuple[str, ...] = (),
    judged: bool = False,
    **settings: str,
) -> Iterator[tuple[Rig, RedisServer]]:
    """A cluster without nodes, all parts up, buckets lifted, cool-down 30 s. Supervised, as in a Deployment. `judged`:
    the sandbox's judge follows."""
    with RedisServer(aof=aof) as redis:
        rig = Rig(folder=folder, redis_port=redis.port)
        try:
            if judged:
                rig.start_judged()
            else:
                rig.start_ec2(*ec2)
                rig.start_kube()
            rig.behave(throttling=False, attach_delay=[0.2, 0.5])
            rig.set_config(branch_eni_cooldown="30")
            rig.configure(
                VPC_RC_EC2_RATES=LIFTED_RATES,
                VPC_RC_KUBE_QPS="200",
                VPC_RC_KUBE_BURST="200",
                VPC_RC_AUDIT_MIN_SECONDS="5",
                **settings,
            )
            for number in range(watchers):
                rig.start_watcher(f"watcher{number}").supervised = True
            for number in range(workers):
                rig.start_worker(f"worker{number}").supervised = True
            yield rig, redis
        finally:
            rig.stop()


def _http(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method, headers=headers or JSON)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None
