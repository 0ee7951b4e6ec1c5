"""The image that the Dockerfile makes: what it starts by default, and the compose file's services as processes."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.ports import free_port
from tests.kit.waiting import until
from tests.runtime.image import CONTEXT, below, steps, variables
from tests.runtime.test_runtime_lock import VARIABLE

COMPOSE: dict[str, Any] = yaml.safe_load((CONTEXT / "docker-compose.yml").read_text())["services"]
ONLY_ONE_MACHINE = {f"VPC_RC_{name}_PORT": "0" for name in ("HEALTH", "METRICS", "INTROSPECTION")}
"""Containers have these ports each for itself."""
READY_SECONDS = 60.0


@pytest.fixture(scope="module")
def root() -> Path:
    """The image's."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no environment: make runtime")
    return Path(folder).parents[1]


def of_the_last_stage(root: Path) -> dict[str, Any]:
    """ENTRYPOINT, CMD, WORKDIR and variables."""
    found: dict[str, Any] = {"ENV": {"PATH": os.environ["PATH"]}}
    for name, rest in steps():
        if name == "FROM":
            found = {"ENV": {"PATH": os.environ["PATH"]}}
        elif name == "ENV":
            found["ENV"] |= variables(root, rest, found["ENV"])
        elif name in ("ENTRYPOINT", "CMD"):
            found[name] = json.loads(rest)
        elif name == "WORKDIR":
            found[name] = Path(below(root, rest))
    return found


def test_the_image_explains_itself_where_no_command_is_given(root: Path) -> None:
    image = of_the_last_stage(root)
    started = subprocess.run(
        [*image["ENTRYPOINT"], *image["CMD"]],
        cwd=image["WORKDIR"], env=image["ENV"], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (started.returncode, started.stderr) == (0, "")
    assert "vpc-rc" in started.stdout
    assert Path(image["ENV"]["HOME"]).is_dir()


class Services:
    """The compose file's, as processes of the image on this machine."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._image = of_the_last_stage(root)
        self._folder = folder
        self.ports = {name: free_port() for name in ("redis", "ec2", "kube", "flower")}
        self._started: list[subprocess.Popen[bytes]] = []
        sandbox = self.ports["ec2"], self.ports["kube"]
        self._moved = {
            "redis://redis:6379": f"redis://127.0.0.1:{self.ports['redis']}",
            "http://sandbox:4566": f"http://127.0.0.1:{sandbox[0]}",
            "--listen=0.0.0.0": "--listen=127.0.0.1",
            "--advertise=sandbox": "--advertise=127.0.0.1",
            "--ec2-port=4566": f"--ec2-port={sandbox[0]}",
            "--kube-port=6443": f"--kube-port={sandbox[1]}",
            "/crds": str(CONTEXT / "deploy/crds"),
            "/sandbox/": f"{folder}/sandbox/",
            "--folder=/sandbox": f"--folder={folder}/sandbox",
        }
        """What is elsewhere than in the containers."""

    def _here(self, text: str) -> str:
        for there, here in self._moved.items():
            text = text.replace(there, here)
        return text

    def environment(self, service: str) -> dict[str, str]:
        given = {name: self._here(value) for name, value in COMPOSE[service].get("environment", {}).items()}
        return {**self._image["ENV"], **given, **ONLY_ONE_MACHINE}

    def start(self, service: str, *more: str) -> None:
        """`more` arguments give it a port of its own."""
        entrypoint = self._image["ENTRYPOINT"] if "build" in COMPOSE[service] else []
        command = [*entrypoint, *map(self._here, COMPOSE[service]["command"]), *more]
        for number in range(COMPOSE[service].get("deploy", {}).get("replicas", 1)):
            with (self._folder / f"{service}{number}.log").open("wb") as log:
                self._started.append(
                    subprocess.Popen(
                        command, cwd=self._folder, env=self.environment(service), stdout=log, stderr=subprocess.STDOUT
                    )
                )

    def healthy(self, service: str) -> bool:
        _, *command = COMPOSE[service]["healthcheck"]["test"]
        port = ["-p", str(self.ports["redis"])] if service == "redis" else []
        command = [command[0], *port, *map(self._here, command[1:])]
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0

    def asked(self, *arguments: str) -> Any:
        """What a command of the image answers in JSON."""
        reported = subprocess.run(
            [*self._image["ENTRYPOINT"], *arguments],
            cwd=self._folder, env=self.environment("worker"), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return json.loads(reported.stdout) if reported.returncode == 0 else {}

    def end(self) -> list[int]:
        """Exit statuses, of what was started last first."""
        for process in reversed(self._started):
            process.terminate()
        return [process.wait(60) for process in reversed(self._started)]

    def logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in sorted(self._folder.glob("*.log")))


@pytest.fixture
def services(root: Path, tmp_path: Path) -> Iterator[Services]:
    found = Services(root, tmp_path)
    yield found
    found.end()


def test_the_compose_files_services_bring_a_cluster_up(services: Services, tmp_path: Path) -> None:
    port = str(services.ports["redis"])
    services.start("redis", "--port", port, "--bind", "127.0.0.1", "--dir", str(tmp_path))
    services.start("sandbox")
    for name in ("redis", "sandbox"):
        until(lambda name=name: services.healthy(name), READY_SECONDS, f"{name} is healthy")  # type: ignore[misc]
    services.start("watcher")
    services.start("worker")
    services.start("flower", "--port", str(services.ports["flower"]))

    def all_ready() -> bool:
        nodes = services.asked("status", "--json").get("nodes", [])
        return len(nodes) == 20 and all(node["trunk"] == "ready" for node in nodes)

    try:
        until(all_ready, READY_SECONDS)
    except AssertionError:
        pytest.fail(f"nodes are not ready\n{services.asked('status', '--json')}\n{services.logs()}")
    with urllib.request.urlopen(f"http://127.0.0.1:{services.ports['flower']}/healthcheck", timeout=10) as answer:
        assert answer.status == 200
    assert set(services.end()) == {0}
