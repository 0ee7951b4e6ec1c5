"""A real Prometheus, and a webhook for it to scrape."""

import json
import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kube.certificates import make_certificates
from sandbox.ports import free_port
from tests.integration.rig import Process, Rig

INTERVAL = "1s"
"""Of scrapes and of rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    folder: Path
    port: int

    def scrape(self, ports: Mapping[str, str]) -> None:
        """From now on these metrics ports, by pod."""
        targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"pod": pod}} for pod, port in ports.items()]
        whole = self.folder / "new"
        whole.write_text(json.dumps(targets))
        whole.replace(self.folder / "targets.json")

    def names(self) -> set[str]:
        """Of all samples; none while it does not answer."""
        try:
            return set(self._ask("label/__name__/values"))
        except OSError:
            return set()

    def firing(self) -> set[str]:
        """Alerts."""
        return {one["labels"]["alertname"] for one in self._ask("alerts")["alerts"] if one["state"] == "firing"}

    def quiet(self, seconds: int) -> bool:
        """No alert has fired for so long."""
        expression = f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'
        return not self._ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=5) as answer:
            return json.loads(answer.read())["data"]


@contextmanager
def started(folder: Path, rules: Mapping[str, Any] | None = None) -> Iterator[Prometheus]:
    """Skips the test where there is none. `rules`: as in a file of rules."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("no prometheus")
    folder.mkdir()
    prometheus = Prometheus(folder=folder, port=free_port())
    prometheus.scrape({})
    (folder / "rules.yml").write_text(yaml.safe_dump(rules or {"groups": []}))
    config = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "vpc-rc", "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [found, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{prometheus.port}"], cwd=folder, stderr=log
        )
    try:
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)


def start_webhook(rig: Rig, now: datetime) -> Process:
    """With one review answered. Its certificate, in the rig's folder `tls`, was made `now`, for 30 days."""
    made = make_certificates(rig.folder / "tls", now)
    port = str(free_port())
    webhook = rig.run(
        "webhook", *rig.program, "webhook",
        VPC_RC_METRICS_PORT=str(free_port()), VPC_RC_WEBHOOK_PORT=port,
        VPC_RC_WEBHOOK_CERT_FILE=str(made.certificate), VPC_RC_WEBHOOK_KEY_FILE=str(made.key),
    )  # fmt: skip
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "operation": "UPDATE",
            "userInfo": {"username": "somebody"},
            "object": {},
            "oldObject": {},
        },
    }
    context = ssl.create_default_context(cafile=str(made.authority))
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}/validate-v1-node", json.dumps(review).encode(), {"Content-Type": "application/json"}
    )

    def answered() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    rig.wait("the webhook answers", answered)
    return webhook
