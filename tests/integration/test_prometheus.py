"""A real Prometheus scrapes the product at work: every documented metric has a sample."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.metrics import REGISTRY
from tests.integration.rig import running
from tests.integration.scraped import Prometheus, start_webhook, started

ROOT = Path(__file__).parents[2]
ONLY_IN_TROUBLE = {
    "vpc_rc_ec2_throttled_total",
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


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    with started(tmp_path / "prometheus") as found:
        yield found


def test_every_documented_metric_has_a_sample(prometheus: Prometheus, tmp_path: Path) -> None:
    folder = tmp_path / "rig"
    folder.mkdir()
    with running(folder, VPC_RC_SWEEP_SECONDS="2") as (rig, _):
        webhook = start_webhook(rig, datetime.now(UTC))
        rig.add_node("n1")
        rig.wait("the trunk is ready", lambda: rig.capacity("n1") is not None)
        rig.add_pod("p1", "n1")
        rig.wait_for_none("pods are served", rig.unserved)
        scraped = [each for each in rig.processes if each.name.startswith(("watcher", "worker"))] + [webhook]
        prometheus.scrape({each.name: each.environment["VPC_RC_METRICS_PORT"] for each in scraped})
        wanted = documented() - ONLY_IN_TROUBLE
        deadline = time.monotonic() + 40
        while (missing := wanted - prometheus.names()) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert missing == set()
    assert len(wanted) > 30
