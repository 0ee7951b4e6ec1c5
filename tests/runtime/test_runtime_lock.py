"""The product from an environment with the runtime lock and nothing else, as in the image; EC2, Kubernetes and the
tests themselves run in the tests' own."""

import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import COMMANDS
from common.model.names import POD_ENI
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration.rig import Rig

VARIABLE = "VPC_RC_TEST_RUNTIME"
"""Names the environment's folder."""
OF_THE_SANDBOX = ("cli.demo", "cli.sandbox")
"""They need the extra `sandbox`."""
IMPORT_ALL = """
import importlib, json, pkgutil, sys
names = []
for top in ("cli", "common", "watcher", "workers", "webhook"):
    package = importlib.import_module(top)
    names += [top, *(found.name for found in pkgutil.walk_packages(package.__path__, f"{top}."))]
wanted = [name for name in names if not name.startswith(tuple(sys.argv[1:]))]
for name in wanted:
    importlib.import_module(name)
print(json.dumps([wanted, sys.modules["common"].__file__]))
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no environment: make runtime")
    return Path(folder)


def ran(*command: str | Path, folder: Path) -> str:
    """Standard output. Started where no checkout is, so that nothing is imported from one."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("VPC_RC_", "PYTHON"))}
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_module_can_be_imported(environment: Path, tmp_path: Path) -> None:
    names, origin = json.loads(
        ran(environment / "bin/python", "-c", IMPORT_ALL, *OF_THE_SANDBOX, folder=tmp_path).splitlines()[-1]
    )
    assert origin.startswith(str(environment))
    assert {"common.store.transport", "workers.run", "watcher.run", "webhook.run", "workers.flower"} <= set(names)


@pytest.mark.parametrize("command", [name for name in COMMANDS if f"cli.{name}" not in OF_THE_SANDBOX])
def test_every_command_explains_itself(command: str, environment: Path, tmp_path: Path) -> None:
    assert f"vpc-rc {command}" in ran(environment / "bin/vpc-rc", command, "--help", folder=tmp_path)


@pytest.fixture
def rig(environment: Path, tmp_path: Path) -> Iterator[Rig]:
    with RedisServer() as redis:
        found = Rig(folder=tmp_path, redis_port=redis.port, program=(str(environment / "bin/vpc-rc"),))
        try:
            found.start_ec2()
            found.start_kube()
            found.behave(attach_delay=[0.1, 0.2])
            found.configure()
            yield found
        finally:
            found.stop()


def test_a_pod_is_served_and_every_role_answers(environment: Path, rig: Rig) -> None:
    program = rig.program[0]
    rig.start_watcher()
    rig.start_worker()
    flower, webhook = free_port(), free_port()
    rig.run("flower", program, "flower", "--port", str(flower), FLOWER_UNAUTHENTICATED_API="true")
    certificates = ("webhook", "certificates", "--folder", str(rig.folder), "--name", "127.0.0.1")
    subprocess.run([program, *certificates], check=True, capture_output=True, timeout=60)
    rig.run(
        "webhook",
        program,
        "webhook",
        VPC_RC_WEBHOOK_PORT=str(webhook),
        VPC_RC_WEBHOOK_CERT_FILE=str(rig.folder / "tls.crt"),
        VPC_RC_WEBHOOK_KEY_FILE=str(rig.folder / "tls.key"),
    )
    rig.add_node("n1")
    rig.wait("capacity", lambda: rig.capacity("n1") == "9")
    rig.add_pod("p", "n1")
    rig.wait("the pod is served", lambda: rig.unserved() == [])
    (entry,) = json.loads(rig.pod("p")["metadata"]["annotations"][POD_ENI])
    assert entry["eniId"].startswith("eni-")
    rig.wait("Flower shows the worker", lambda: bool(_flower(flower)))
    rig.wait("the webhook is ready", lambda: _listens(rig, webhook))
    status = subprocess.run(
        [program, "status", "--json"],
        env={**os.environ, **rig.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (node,) = json.loads(status.stdout)["nodes"]
    assert (node["node"], node["used"]) == ("n1", 1)
    assert rig.faults_logged() == []
    assert all(process.running for process in rig.processes), rig.logs()


def _flower(port: int) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/workers?refresh=true", timeout=10) as answer:
            found: dict[str, object] = json.loads(answer.read())
    except OSError:
        return {}
    return found


def _listens(rig: Rig, port: int) -> bool:
    context = ssl.create_default_context(cafile=str(rig.folder / "ca.crt"))
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/readyz", context=context, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
