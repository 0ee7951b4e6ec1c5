"""Signals to the processes as process 1 of a container, where the kernel has no default action for them."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.ports import free_port
from tests.integration.rig import ROOT
from webhook.certificates import self_signed

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
KUBECONFIG = """\
{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: c}}],
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}], users: [{name: c, user: {token: t}}]}"""
SECONDS = 30.0
"""For what takes one or two on an idle machine."""


def _usable() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*NAMESPACE, "true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _usable(), reason="no right to make a PID namespace")


class First:
    """One of our processes as process 1 of a PID namespace, without anything that it depends on."""

    def __init__(self, folder: Path, role: str) -> None:
        (folder / "kubeconfig").write_text(KUBECONFIG)
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("w") as out:
            self.parent = subprocess.Popen(
                [*NAMESPACE, sys.executable, "-m", "cli", role],
                cwd=ROOT, env=os.environ | self._settings(folder, role), stdout=out, stderr=out,
            )  # fmt: skip
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        wait_until(lambda: bool(children.read_text().split()), self)
        self.pid = int(children.read_text().split()[0])

    def _settings(self, folder: Path, role: str) -> dict[str, str]:
        settings = {
            "VPC_RC_CLUSTER_NAME": "c",
            "VPC_RC_VPC_ID": "vpc-0000000000000001",
            "VPC_RC_REDIS_URL": "redis://127.0.0.1:1/0",
            "VPC_RC_KUBECONFIG": str(folder / "kubeconfig"),
            "VPC_RC_HEALTH_PORT": str(self.port),
            "VPC_RC_METRICS_PORT": "0",
            "VPC_RC_INTROSPECTION_PORT": "0",
        }
        if role == "webhook":
            pair = self_signed(["localhost"], datetime.now(UTC))
            (folder / "tls.crt").write_bytes(pair.certificate)
            (folder / "tls.key").write_bytes(pair.key)
            settings |= {
                "VPC_RC_WEBHOOK_CERT_FILE": str(folder / "tls.crt"),
                "VPC_RC_WEBHOOK_KEY_FILE": str(folder / "tls.key"),
                "VPC_RC_METRICS_PORT": str(self.port),
            }
        return settings

    @property
    def catches_sigterm(self) -> bool:
        (mask,) = (
            line.split()[1]
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            if line.startswith("SigCgt")
        )
        return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

    @property
    def serves(self) -> bool:
        path = "metrics" if "webhook" in self.parent.args else "healthz"  # type: ignore[operator]  # a list
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5):
            return True
        return False


def wait_until(holds: Callable[[], bool], first: First) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert first.parent.poll() is None, first.log.read_text()
        assert time.monotonic() < deadline, first.log.read_text()
        time.sleep(0.005)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], First]]:
    started: list[First] = []

    def make(role: str) -> First:
        started.append(First(tmp_path, role))
        return started[-1]

    yield make
    for first in started:
        # With it goes the namespace.
        first.parent.kill()
        first.parent.wait(10)


@pytest.mark.parametrize("role", ["watcher", "worker", "webhook"])
def test_sigterm_in_the_middle_of_the_start_ends_the_process(role: str, start: Callable[[str], First]) -> None:
    first = start(role)
    wait_until(lambda: first.catches_sigterm, first)
    os.kill(first.pid, signal.SIGTERM)
    assert first.parent.wait(SECONDS) == 128 + signal.SIGTERM
    assert first.log.read_text() == "", "neither a stack trace nor a start of the work"


@pytest.mark.parametrize("role", ["watcher", "worker", "webhook"])
def test_ctrl_c_ends_a_role_as_sigterm_does(role: str, start: Callable[[str], First]) -> None:
    first = start(role)
    wait_until(lambda: first.serves, first)
    os.kill(first.pid, signal.SIGINT)
    assert first.parent.wait(SECONDS) == 0, first.log.read_text()
    assert "Traceback" not in first.log.read_text()
