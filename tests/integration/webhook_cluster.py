"""An API server, the sandbox's or a real one, and the webhook as a process of its own, registered there by URL."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.integration.redis_server import free_port
from tests.kit.control_plane import control_plane
from tests.kit.waiting import until
from webhook.certificates import self_signed

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/{}/securitygrouppolicies"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/{}configurations"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class Cluster:
    """An administrator's client."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server, self._token = cluster["server"], user["token"]
        self._pool = urllib3.PoolManager(ca_certs=cluster.get("certificate-authority"), retries=False)

    def __call__(
        self, method: str, path: str, body: Any = None, *, user: str = "", content_type: str = "application/json"
    ) -> Answer:
        """`user`: impersonated, with all rights, so that only the webhook can refuse."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        if user:
            headers |= {"Impersonate-User": user, "Impersonate-Group": "system:masters"}
        data = json.dumps(body).encode() if body is not None else None
        answer = self._pool.request(method, self._server + path, body=data, headers=headers, timeout=30)
        return Answer(answer.status, json.loads(answer.data) if answer.data.startswith(b"{") else {})

    def make(self, path: str, body: Any, *, user: str = "") -> Any:
        answer = self("POST", path, body, user=user)
        assert answer.status == 201, answer
        return answer.body

    def merge(self, path: str, body: Any, *, user: str = "") -> Answer:
        return self("PATCH", path, body, user=user, content_type="application/merge-patch+json")

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """With its default service account: there may be no controller that makes it."""
        self.make("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        account = self("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
        assert account.status in (201, 409)
        return name

    def install_crds(self) -> None:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for file in sorted((ROOT / "deploy" / "crds").glob("*_*.yaml")):
            assert self("POST", path, yaml.safe_load(file.read_text())).status in (201, 409)
        until(lambda: self("GET", POLICIES.format("default")).status == 200)


@contextmanager
def cluster(kind: str, folder: Path) -> Iterator[Cluster]:
    """`sandbox` or `real`; skips where there is no real one."""
    if kind == "real":
        with control_plane(folder / "plane") as real:
            yield Cluster(real)
        return
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "sandbox.kube", "--kubeconfig", str(kubeconfig)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:1] == ["ready"]
        yield Cluster(kubeconfig)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


class WebhookProcess:
    def __init__(self, api: Cluster, folder: Path) -> None:
        pair = self_signed(("127.0.0.1",), datetime.now(UTC))
        self.port, self.ca = free_port(), pair.ca
        (folder / "tls.crt").write_bytes(pair.certificate)
        (folder / "tls.key").write_bytes(pair.key)
        (folder / "ca.crt").write_bytes(pair.ca)
        self._pool = urllib3.PoolManager(ca_certs=str(folder / "ca.crt"), retries=False)
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(api.kubeconfig),
            "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
            "VPC_RC_WEBHOOK_PORT": str(self.port),
            "VPC_RC_WEBHOOK_CERT_FILE": str(folder / "tls.crt"),
            "VPC_RC_WEBHOOK_KEY_FILE": str(folder / "tls.key"),
            "VPC_RC_METRICS_PORT": "0",
            "VPC_RC_HEALTH_PORT": "0",
        }
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "cli.main", "webhook"], cwd=ROOT, env=self._environment)
        try:
            until(lambda: self.get("/readyz") == 200, START_SECONDS, "the webhook is not ready")
        except AssertionError:
            self.kill()
            raise

    def get(self, path: str) -> int:
        try:
            return self._pool.request("GET", f"https://127.0.0.1:{self.port}{path}", timeout=5).status
        except urllib3.exceptions.HTTPError:
            return 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def register(self, api: Cluster, *files: str) -> None:
        """The configurations that we ship, with a URL in place of the Service."""
        for file in files:
            configuration = yaml.safe_load((ROOT / "deploy" / "webhook" / file).read_text())
            for webhook in configuration["webhooks"]:
                path = webhook["clientConfig"]["service"]["path"]
                url = f"https://127.0.0.1:{self.port}{path}"
                webhook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(self.ca).decode()}
            kind = configuration["kind"].removesuffix("Configuration").lower()
            api.make(CONFIGURATIONS.format(kind), configuration)
