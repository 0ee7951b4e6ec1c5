"""The product's processes on the sandbox's servers: what integration tests and benchmarks start, look at and kill."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.model.names import POD_ENI

ROOT = Path(__file__).parents[2]
CLUSTER, VPC, SUBNET, GROUP = "rig", "vpc-0000000000000001", "subnet-0000000000000001", "sg-0000000000000001"
ACCOUNT = "123456789012"


@dataclass(slots=True)
class Process:
    """A child of the test, by pid."""

    name: str
    popen: subprocess.Popen[str]
    log: Path

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(10)

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

    # --- processes

    def spawn(self, name: str, *command: str, **environment: str) -> Process:
        log = self.folder / f"{name}.log"
        with log.open("a") as out:
            popen = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name in ("ec2", "kube") else out,
                stderr=out,
                text=True,
                start_new_session=True,
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def start_ec2(self, *arguments: str, seed: dict[str, Any] | None = None) -> None:
        file = self.folder / "seed.json"
        file.write_text(
            json.dumps(
                {
                    "vpc_id": VPC,
                    "subnets": [{"cidr": "10.0.0.0/16", "id": SUBNET, "az": "us-west-2a"}],
                    "groups": [{"name": "web", "id": GROUP}],
                    "nodes": [],
                    **(seed or {}),
                }
            )
        )
        self.ec2_url = self._ready(self.spawn("ec2", "-m", "sandbox.ec2", "--seed", str(file), *arguments))

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

    @staticmethod
    def _ready(process: Process) -> str:
        assert process.popen.stdout is not None
        line = process.popen.stdout.readline()
        assert line.startswith("ready "), f"{process.name}: {line!r}\n{process.log.read_text()[-2000:]}"
        return line.split()[1]

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
        return self.spawn(name, "-m", "cli.main", "watcher", **environment)

    def start_worker(self, name: str = "worker", **environment: str) -> Process:
        return self.spawn(name, "-m", "cli.main", "worker", **environment)

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()
            if process.popen.stdout is not None:
                process.popen.stdout.close()

    # --- EC2

    def ec2(self, method: str, path: str, body: Any = None) -> Any:
        return _http(method, f"{self.ec2_url}/_sandbox/{path}", body)

    def interfaces(self, description: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ec2("GET", "state")["interfaces"]
        return [i for i in found if i.get("description", i.get("Description")) == description]

    # --- Kubernetes

    def kube(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        return _http(method, f"{self.kube_url}{path}", body, content_type)

    def add_node(self, name: str, instance_type: str = "m5.large", **labels: str) -> str:
        number = int.from_bytes(name.encode()[-7:], "big")
        instance = f"i-{number:017x}"
        self.ec2(
            "POST",
            "seed",
            {"nodes": [{"instance_id": instance, "instance_type": instance_type, "subnet": SUBNET, "groups": [GROUP]}]},
        )
        default = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false"}
        self.kube(
            "POST",
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {**default, **labels}},
                "spec": {"providerID": f"aws:///us-west-2a/{instance}"},
            },
        )
        return instance

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
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.logs()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.log.read_text()[-1500:]}" for p in self.processes)


def _http(method: str, url: str, body: Any = None, content_type: str = "application/json") -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None
