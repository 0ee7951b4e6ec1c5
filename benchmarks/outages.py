"""What each role does when what it depends on fails: `python -m benchmarks.outages [ROLE] [DEPENDENCY] [FAULT]`.

A case starts two processes of the role with the fault in place, looks at the probes of the first, and ends it. It ends
the fault, waits until the second is ready, brings the fault back, looks again, and ends that one while the fault lasts.
A process that ends by itself is started again, as in a Deployment. Prints the rows of the table in docs/reliability.md.
"""

import json
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.proxy import Mode, Proxy
from common.masking import mask
from common.model.names import SYSTEM_NAMESPACE
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration.rig import Process, Rig
from webhook.certificates import self_signed

FAULTS: tuple[Mode, ...] = ("refused", "silent", "slow", "wrong")
DEPENDENCIES = {
    "watcher": ("redis", "api"),
    "worker": ("redis", "api", "ec2", "sts", "imds"),
    "webhook": ("api",),
}
GRACE_SECONDS = {"watcher": 30.0, "worker": 60.0, "webhook": 30.0}
"""From SIGTERM to SIGKILL, by the manifests."""
START_SECONDS, WORK_SECONDS = 12.0, 26.0
"""How long a fault lasts before the look: longer than any readiness takes to show it. A leader without API server has
given up its lease by then."""
READY_SECONDS = 60.0
LOOK_SECONDS = 0.25
PODS = 8
"""That want service during the fault, and that end."""
YES, NO_ANSWER = "yes", "no answer"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One process at one moment under one fault."""

    moment: str
    ready: str
    """`yes`, or why not."""
    healthy: str
    after: float | None
    """Seconds from the fault's begin to the first answer that it is not ready; None: none came."""
    log: str
    """The last warning or error, and how often the process ended by itself."""
    back: float | None = None
    """Seconds from the fault's end until it was ready; None where that was not asked."""
    ended_after: float
    """Seconds from SIGTERM to the end."""
    status: int


class Case:
    """A role on one failing dependency; everything else works."""

    def __init__(self, rig: Rig, role: str, dependency: str, fault: Mode) -> None:
        self.rig, self.role, self.fault = rig, role, fault
        port = {"redis": rig.redis_port, "api": urlsplit(rig.kube_url).port}.get(dependency, urlsplit(rig.ec2_url).port)
        assert port is not None
        self.proxy = Proxy(port)
        self._environment = self._behind(dependency) | (self._serving() if role == "webhook" else {})

    def _behind(self, dependency: str) -> dict[str, str]:
        """Settings that put the proxy before the dependency."""
        url = f"http://127.0.0.1:{self.proxy.port}"
        match dependency:
            case "redis":
                return {"VPC_RC_REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0"}
            case "api":
                config = self.rig.folder / "kubeconfig-proxied"
                text = (self.rig.folder / "kubeconfig").read_text()
                config.write_text(text.replace(self.rig.kube_url, url))
                return {"VPC_RC_KUBECONFIG": str(config)}
            case "ec2":
                return {"AWS_ENDPOINT_URL_EC2": url}
            case "sts":
                token = self.rig.folder / "token"
                token.write_text("a.web.token")
                role = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/own"}
                keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "VPC_RC_ACCOUNT_ID": ""}
                return {**role, **keys, "AWS_ENDPOINT_URL_STS": url}
            case _:
                keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "VPC_RC_AWS_REGION": ""}
                return {**keys, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}/"}

    def _serving(self) -> dict[str, str]:
        """A certificate."""
        pair = self_signed(["localhost"], datetime.now(UTC))
        certificate, key = self.rig.folder / "tls.crt", self.rig.folder / "tls.key"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        return {"VPC_RC_WEBHOOK_CERT_FILE": str(certificate), "VPC_RC_WEBHOOK_KEY_FILE": str(key)}

    def _start(self, name: str) -> "Subject":
        port = free_port()
        setting = "VPC_RC_WEBHOOK_PORT" if self.role == "webhook" else "VPC_RC_HEALTH_PORT"
        process = self.rig.run(name, *self.rig.program, self.role, **self._environment, **{setting: str(port)})
        process.supervised = True
        scheme = "https" if self.role == "webhook" else "http"
        return Subject(self.rig, name, f"{scheme}://127.0.0.1:{port}")

    def run(self, work_seconds: float) -> Iterator[Row]:
        self.proxy.set(self.fault)
        first, second = self._start("first"), self._start("second")
        self.rig.wait("probes are answered", first.answers, READY_SECONDS)
        yield first.row("start", START_SECONDS)
        self.proxy.set("works")
        back = second.until_ready()
        if self.role == "worker":
            for number in range(PODS):
                self.rig.add_pod(f"first-{number}", "n0")
            self.rig.wait_for_none("pods", self.rig.unserved, READY_SECONDS)
        if self.role == "watcher":
            self.rig.wait("it leads", self._leads, READY_SECONDS)
        self.proxy.set(self.fault)
        if self.role == "worker":
            for number in range(PODS):
                self.rig.add_pod(f"more-{number}", "n0")
                self.rig.remove_pod(f"first-{number}")
        yield second.row("work", work_seconds, back)

    def _leads(self) -> bool:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases"
        return any(lease["spec"].get("holderIdentity") for lease in self.rig.kube("GET", path)["items"])


class Subject:
    """A process that is looked at."""

    def __init__(self, rig: Rig, name: str, url: str) -> None:
        self._rig, self._name, self._url = rig, name, url
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    @property
    def _process(self) -> Process:
        (found,) = (process for process in self._rig.processes if process.name == self._name)
        return found

    def row(self, moment: str, seconds: float, back: float | None = None) -> Row:
        """After the fault has lasted for so long; then it is asked to end."""
        began, after = time.monotonic(), None
        while time.monotonic() - began < seconds:
            self._rig.supervise()
            if after is None and self._probe("/readyz") != YES:
                after = time.monotonic() - began
            time.sleep(LOOK_SECONDS)
        ready, healthy, log = self._probe("/readyz"), self._probe("/healthz"), self._last_line()
        process = self._process
        process.supervised = False
        asked = time.monotonic()
        process.popen.terminate()
        status = process.popen.wait(120)
        return Row(
            moment=moment, ready=ready, healthy=healthy, after=after, log=log, back=back,
            ended_after=time.monotonic() - asked, status=status,
        )  # fmt: skip

    def answers(self) -> bool:
        return not self._probe("/healthz").startswith(NO_ANSWER)

    def until_ready(self) -> float:
        """Seconds until it is. Raises AssertionError where it does not become so."""
        return self._rig.wait(f"{self._name} is ready", lambda: self._probe("/readyz") == YES, READY_SECONDS)

    def _probe(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=3, context=self._tls):
                return YES
        except urllib.error.HTTPError as error:
            return _short(error.read().decode().strip())
        except OSError as error:
            return f"{NO_ANSWER} ({type(error).__name__})"

    def _last_line(self) -> str:
        last = ""
        for line in self._process.log.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("level") in ("warning", "error"):
                shown = {"level", "timestamp", "logger", "event", "worker"}
                more = " ".join(f"{key}={value}" for key, value in entry.items() if key not in shown)
                last = f"{entry['event']} {more}"
        restarts = [each.partition(": ")[2] for each in self._rig.restarts if each.startswith(f"{self._name}: ")]
        ended = f"(ended by itself, status {', '.join(restarts)}; started again) " if restarts else ""
        return ended + _short(last)


def _short(text: str) -> str:
    one_line = mask(" ".join(text.split())).replace("|", "/")
    return one_line if len(one_line) <= 110 else one_line[:107] + "..."


def measure(role: str, dependency: str, fault: Mode, work_seconds: float = WORK_SECONDS) -> list[Row]:
    """The rows of one case: start and work. `work_seconds`: how long the fault of the second lasts."""
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
            return list(Case(rig, role, dependency, fault).run(work_seconds))
        finally:
            rig.stop()


def _cells(row: Row) -> tuple[str, ...]:
    back = "" if row.back is None else f"{row.back:.1f} s"
    ready = row.ready if row.ready == YES else f"no: {row.ready}"
    if row.moment == "work" and row.after is not None:
        ready += f" (after {row.after:.1f} s)"
    healthy = row.healthy if row.healthy == YES else f"no: {row.healthy}"
    return (row.moment, ready, healthy, row.log, back, f"{row.ended_after:.1f} s, status {row.status}")


def main(arguments: list[str]) -> None:
    wanted = (*arguments, "", "", "")[:3]
    print("| role | dependency | fault | moment | ready | healthy | last warning | ready again after | SIGTERM |")
    print("|---|---|---|---|---|---|---|---|---|")
    for role, dependencies in DEPENDENCIES.items():
        for dependency in dependencies:
            for fault in FAULTS:
                if all(not want or want == is_ for want, is_ in zip(wanted, (role, dependency, fault), strict=True)):
                    for row in measure(role, dependency, fault):
                        print(f"| {role} | {dependency} | {fault} | " + " | ".join(_cells(row)) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
