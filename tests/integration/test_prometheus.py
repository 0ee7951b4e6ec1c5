"""A real Prometheus scrapes the product at work: every documented metric has a sample."""

import json
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.metrics import REGISTRY
from sandbox.kube.certificates import make_certificates
from sandbox.redis import free_port
from tests.integration.rig import Process, Rig, running

ROOT = Path(__file__).parents[2]
ONLY_IN_TROUBLE = {
    "vpc_rc_ec2_throttled_total",
    "vpc_rc_objects_set_aside_total",
    "vpc_rc_watch_restarts_total",
    "vpc_rc_pods_without_groups",
    "vpc_rc_unavailable",
}
"""With labels that nothing has while all is well."""


def documented() -> set[str]:
    """Names of samples: of a histogram, its count."""
    text = (ROOT / "docs/operations.md").read_text().partition("## Metrics")[2]
    names = set(re.findall(r"^\| `(\w+)` \| .*\.", text, re.MULTILINE))
    histograms = {one.name for one in REGISTRY.collect() if one.type == "histogram"}
    return (names - histograms) | {f"{name}_count" for name in histograms}


def start_webhook(rig: Rig) -> Process:
    """With one review answered."""
    made = make_certificates(rig.folder / "tls", datetime.now(UTC))
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


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Any]:
    """Starts one for these ports; what it gives asks for the names of all samples."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("no prometheus")
    started: list[subprocess.Popen[bytes]] = []
    port = free_port()

    def names() -> set[str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/label/__name__/values", timeout=5) as answer:
                return set(json.loads(answer.read())["data"])
        except OSError:
            return set()

    def start(ports: list[str]) -> Any:
        targets = [f"127.0.0.1:{each}" for each in ports]
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "vpc-rc", "static_configs": [{"targets": targets}]}],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [found, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        started.append(
            subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
        )
        return names

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def test_every_documented_metric_has_a_sample(prometheus: Any, tmp_path: Path) -> None:
    folder = tmp_path / "rig"
    folder.mkdir()
    with running(folder, VPC_RC_SWEEP_SECONDS="2") as (rig, _):
        webhook = start_webhook(rig)
        rig.add_node("n1")
        rig.wait("the trunk is ready", lambda: rig.capacity("n1") is not None)
        rig.add_pod("p1", "n1")
        rig.wait_for_none("pods are served", rig.unserved)
        scraped = [each for each in rig.processes if each.name.startswith(("watcher", "worker"))] + [webhook]
        names = prometheus([each.environment["VPC_RC_METRICS_PORT"] for each in scraped])
        wanted = documented() - ONLY_IN_TROUBLE
        deadline = time.monotonic() + 40
        while (missing := wanted - names()) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert missing == set()
    assert len(wanted) > 30
