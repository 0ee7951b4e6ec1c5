"""What each role does when what it depends on fails: `python -m benchmarks.outages [ROLE] [DEPENDENCY] [FAULT]`.

A case starts a process with the fault in place, looks at its probes, ends the fault, waits until the process is ready,
brings the fault back, looks again, and ends the process with SIGTERM while the fault lasts. Prints the rows of the
table in docs/reliability.md.
"""

import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.proxy import Mode, Proxy
from common.masking import mask
from sandbox.redis import RedisServer, free_port
from tests.integration.rig import Process, Rig

FAULTS: tuple[Mode, ...] = ("refused", "silent", "slow", "wrong")
DEPENDENCIES = {
    "watcher": ("redis", "api"),
    "worker": ("redis", "api", "ec2", "sts", "imds"),
}
LOOK_SECONDS = 9.0
"""After which probes show a fault."""
READY_SECONDS = 60.0
PODS = 8


@dataclass(frozen=True)
class Look:
    ready: str
    healthy: str
    log: str


class Case:
    """One process of a role on one failing dependency; everything else works."""

    def __init__(self, rig: Rig, role: str, dependency: str, fault: Mode) -> None:
        self.rig, self.role, self.fault = rig, role, fault
        self.health = free_port()
        port = {"redis": rig.redis_port, "api": urlsplit(rig.kube_url).port}.get(dependency, urlsplit(rig.ec2_url).port)
        assert port is not None
        self.proxy = Proxy(port)
        self.environment = self._environment(dependency)
        self.process: Process | None = None

    def _environment(self, dependency: str) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.proxy.port}"
        health = {"VPC_RC_HEALTH_PORT": str(self.health)}
        match dependency:
            case "redis":
                return {**health, "VPC_RC_REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0"}
            case "api":
                config = self.rig.folder / "kubeconfig-proxied"
                text = (self.rig.folder / "kubeconfig").read_text()
                config.write_text(text.replace(self.rig.kube_url, url))
                return {**health, "VPC_RC_KUBECONFIG": str(config)}
            case "ec2":
                return {**health, "AWS_ENDPOINT_URL_EC2": url}
            case "sts":
                token = self.rig.folder / "token"
                token.write_text("a.web.token")
                role = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/own"}
                keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "VPC_RC_ACCOUNT_ID": ""}
                return {**health, **role, **keys, "AWS_ENDPOINT_URL_STS": url}
            case _:
                keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "VPC_RC_AWS_REGION": ""}
                return {**health, **keys, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}/"}

    def run(self) -> list[tuple[str, ...]]:
        self.proxy.set(self.fault)
        self.process = self.rig.run(self.role, *self.rig.program, self.role, **self.environment)
        time.sleep(LOOK_SECONDS)
        at_start = self._look()
        self.proxy.set("works")
        began = time.monotonic()
        back = self._until_ready(began)
        if self.role == "worker":
            for number in range(PODS):
                self.rig.add_pod(f"first-{number}", "n0")
            self.rig.wait_for_none("pods", self.rig.unserved, READY_SECONDS)
        self.proxy.set(self.fault)
        if self.role == "worker":
            for number in range(PODS):
                self.rig.add_pod(f"more-{number}", "n0")
                self.rig.remove_pod(f"first-{number}")
        time.sleep(LOOK_SECONDS)
        at_work = self._look()
        began = time.monotonic()
        self.process.popen.terminate()
        status = self.process.popen.wait(120)
        end = f"{time.monotonic() - began:.1f} s, status {status}"
        return [
            ("start", at_start.ready, at_start.healthy, at_start.log, back, ""),
            ("work", at_work.ready, at_work.healthy, at_work.log, "", end),
        ]

    def _look(self) -> Look:
        assert self.process is not None
        if not self.process.running:
            return Look("-", "-", f"ended with status {self.process.popen.returncode}: {self._last_line()}")
        return Look(self._probe("/readyz"), self._probe("/healthz"), self._last_line())

    def _probe(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}{path}", timeout=3):
                return "yes"
        except urllib.error.HTTPError as error:
            return f"no: {_short(error.read().decode().strip())}"
        except OSError as error:
            return f"no answer ({type(error).__name__})"

    def _last_line(self) -> str:
        """The last warning or error."""
        assert self.process is not None
        last = ""
        for line in self.process.log.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                if not self.process.running:
                    last = line or last
                continue
            if entry.get("level") in ("warning", "error"):
                shown = {"level", "timestamp", "logger", "event", "worker"}
                more = " ".join(f"{key}={value}" for key, value in entry.items() if key not in shown)
                last = f"{entry['event']} {more}"
        return _short(last)

    def _until_ready(self, began: float) -> str:
        assert self.process is not None
        while time.monotonic() - began < READY_SECONDS:
            if self._probe("/readyz") == "yes":
                return f"{time.monotonic() - began:.1f} s"
            if not self.process.running:
                return "by a restart"
            time.sleep(0.1)
        return f"not in {READY_SECONDS:.0f} s"


def _short(text: str) -> str:
    one_line = mask(" ".join(text.split())).replace("|", "/")
    return one_line if len(one_line) <= 110 else one_line[:107] + "..."


def measure(role: str, dependency: str, fault: Mode) -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder, RedisServer() as redis:
        rig = Rig(folder=Path(folder), redis_port=redis.port)
        try:
            rig.start_ec2()
            rig.start_kube()
            rig.behave(throttling=False, attach_delay=[0.2, 0.5])
            rig.set_config(branch_eni_cooldown="30")
            rig.configure()
            if role == "worker":
                rig.start_watcher()
                rig.add_node("n0", "m5.2xlarge")
            return Case(rig, role, dependency, fault).run()
        finally:
            rig.stop()


def main(arguments: list[str]) -> None:
    wanted = (*arguments, "", "", "")[:3]
    print("| role | dependency | fault | moment | ready | healthy | last warning | ready again after | SIGTERM |")
    print("|---|---|---|---|---|---|---|---|---|")
    for role, dependencies in DEPENDENCIES.items():
        for dependency in dependencies:
            for fault in FAULTS:
                if all(not want or want == is_ for want, is_ in zip(wanted, (role, dependency, fault), strict=True)):
                    for row in measure(role, dependency, fault):
                        print(f"| {role} | {dependency} | {fault} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
