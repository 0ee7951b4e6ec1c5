"""The whole sandbox: Redis, EC2 and the Kubernetes API, each a process of its own, so that load is measured apart."""

import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sandbox.ec2.seed import Seed
from sandbox.nodes import REGION, VPC, join, plant
from sandbox.ports import free_port
from sandbox.redis import RedisServer

START_SECONDS = 30.0
STOP_SECONDS = 5.0
CRDS = Path(__file__).resolve().parent.parent / "deploy" / "crds"
"""In a checkout. An image has no such folder: there an option names it."""
CLUSTER = "demo"
ACCOUNT = "123456789012"
FACTS = "sandbox.json"
KUBECONFIG = "kubeconfig"
"""Files in the sandbox's folder; the facts are written last, when everything is ready."""


class SandboxFailed(Exception):
    """A part did not start, or ended by itself."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts are. None: that part was not wanted."""

    redis_url: str | None
    ec2_url: str | None
    kube_url: str | None
    kubeconfig: str | None
    pids: dict[str, int]
    nodes: list[str]

    def environment(self) -> dict[str, str]:
        """Variables that point the product, and any AWS SDK and kubectl, at the sandbox."""
        variables = {"VPC_RC_CLUSTER_NAME": CLUSTER, "VPC_RC_VPC_ID": VPC, "VPC_RC_ACCOUNT_ID": ACCOUNT}
        if self.redis_url:
            variables["VPC_RC_REDIS_URL"] = self.redis_url
        if self.ec2_url:
            variables |= {
                "AWS_ENDPOINT_URL_EC2": self.ec2_url,
                "AWS_ENDPOINT_URL_STS": self.ec2_url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "sandbox",
                "AWS_SECRET_ACCESS_KEY": "sandbox",
            }
        if self.kubeconfig:
            variables["KUBECONFIG"] = self.kubeconfig
        return variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which parts, and where. A port of 0 takes a free one, None leaves the part out."""

    folder: Path
    listen: str = "127.0.0.1"
    advertise: str = "127.0.0.1"
    """The host by which others call the parts. Redis is on loopback always."""
    redis_port: int | None = 0
    ec2_port: int | None = 0
    kube_port: int | None = 0
    crds: Path = CRDS
    seed: Seed | None = None
    with_kubelet: bool = False


class Sandbox:
    """Running parts; a context manager that ends them. Logs and the kubeconfig are in the folder."""

    def __init__(self, wanted: Wanted) -> None:
        """Raises SandboxFailed, and calls.Refused for a seed that EC2 does not take."""
        self._wanted = wanted
        self._parts: dict[str, subprocess.Popen[str]] = {}
        self._redis: RedisServer | None = None
        wanted.folder.mkdir(parents=True, exist_ok=True)
        (wanted.folder / FACTS).unlink(missing_ok=True)
        try:
            self.facts = self._start()
        except BaseException:
            self.close()
            raise
        _write(wanted.folder / FACTS, msgspec.json.encode(self.facts))

    def _start(self) -> Facts:
        wanted = self._wanted
        if wanted.redis_port is not None:
            # Its data goes with it: what EC2 and the API server hold does, too.
            self._redis = RedisServer(wanted.redis_port, aof=True, with_us=True)
        ec2 = None if wanted.ec2_port is None else self._part("ec2", wanted.ec2_port)
        kube = None
        if wanted.kube_port is not None:
            more = ["--with-kubelet"] if wanted.with_kubelet else []
            if not wanted.crds.is_dir():
                raise SandboxFailed(f"{wanted.crds}: there is no such folder; name the CustomResourceDefinitions'")
            kube = self._part("kube", wanted.kube_port, "--crds", str(wanted.crds), *more)
        nodes: list[str] = []
        if ec2 and wanted.seed:
            instances = plant(self._local(ec2), wanted.seed)
            nodes = join(self._local(ec2), self._local(kube), instances) if kube else []
        return Facts(
            redis_url=self._redis.url if self._redis else None,
            ec2_url=self._url(ec2) if ec2 else None,
            kube_url=self._url(kube) if kube else None,
            kubeconfig=str(self._write_kubeconfig(self._url(kube))) if kube else None,
            pids={name: process.pid for name, process in self._parts.items()}
            | ({"redis": _process_id(self._redis.port)} if self._redis else {}),
            nodes=nodes,
        )

    def ended(self) -> str | None:
        """The name of a part that ended by itself."""
        return next((name for name, process in self._parts.items() if process.poll() is not None), None)

    def close(self) -> None:
        """End every part."""
        for process in self._parts.values():
            process.terminate()
        for process in self._parts.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        if self._redis:
            self._redis.close()
        (self._wanted.folder / FACTS).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _part(self, name: str, port: int, *options: str) -> int:
        """Start a part; its port."""
        port = port or free_port()
        command = [sys.executable, "-m", "sandbox.part", name, "--listen", self._wanted.listen, "--port", str(port)]
        log = self._wanted.folder / f"{name}.log"
        with log.open("wb") as file:
            # A session of its own: Ctrl-C in a terminal reaches us, and we end the parts in order.
            process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._parts[name] = process
        if not _said_ready(process):
            tail = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise SandboxFailed(f"{name} did not start: {tail[0] if tail else 'no word from it'} (see {log})")
        return port

    def _local(self, port: int) -> str:
        host = self._wanted.listen if self._wanted.listen not in ("0.0.0.0", "::") else "127.0.0.1"
        return f"http://{host}:{port}"

    def _url(self, port: int) -> str:
        return f"http://{self._wanted.advertise}:{port}"

    def _write_kubeconfig(self, url: str) -> Path:
        """JSON, which is YAML. It names a token, or kubectl would ask for a password."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": url}}],
            "users": [{"name": "sandbox", "user": {"token": "anyone"}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
        }
        path = self._wanted.folder.resolve() / KUBECONFIG
        _write(path, json.dumps(config).encode())
        return path


def _said_ready(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline and process.poll() is None:
            if selector.select(timeout=0.2):
                return process.stdout.readline() == "ready\n"
    return False


def _process_id(redis_port: int) -> int:
    """As that Redis itself says."""
    with socket.create_connection(("127.0.0.1", redis_port), timeout=START_SECONDS) as connection:
        connection.sendall(b"INFO server\r\n")
        answer = b""
        while (found := re.search(rb"process_id:(\d+)\r\n", answer)) is None:
            if not (more := connection.recv(1 << 12)):
                raise SandboxFailed("redis-server closed the connection")
            answer += more
    return int(found[1])


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: others wait for the file."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
