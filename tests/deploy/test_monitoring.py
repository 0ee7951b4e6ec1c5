"""The monitoring component: rules that promtool accepts, each alert fires, dashboards ask for metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from common import metrics

ROOT = Path(__file__).resolve().parents[2]
COMPONENT = ROOT / "deploy" / "components" / "monitoring"
RULES: dict[str, Any] = yaml.safe_load((COMPONENT / "rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
DASHBOARDS = sorted((COMPONENT / "dashboards").glob("*.json"))
HEALTHY = {
    'vpc_rc_leader{pod="watcher-a"}': "1+0x400",
    'vpc_rc_leader{pod="watcher-b"}': "0+0x400",
    'vpc_rc_queue_depth{queue="nodes"}': "3+0x400",
    "vpc_rc_reconciles_total": "0+60x400",
    'vpc_rc_pods_waiting{resource="vpc.amazonaws.com/pod-eni"}': "0+0x400",
    'vpc_rc_ec2_calls_total{operation="CreateNetworkInterface", code="OK"}': "0+300x400",
    'vpc_rc_ec2_throttled_total{operation="CreateNetworkInterface"}': "0+0x400",
    'vpc_rc_ec2_wait_seconds_bucket{operation="CreateNetworkInterface", le="1"}': "0+300x400",
    'vpc_rc_ec2_wait_seconds_bucket{operation="CreateNetworkInterface", le="60"}': "0+300x400",
    'vpc_rc_ec2_wait_seconds_bucket{operation="CreateNetworkInterface", le="+Inf"}': "0+300x400",
    'vpc_rc_subnet_free_addresses{subnet="subnet-1"}': "4000+0x400",
    "vpc_rc_leaked_found_total": "5+0x400",
    "node_termination_eni_cleanup_failures_total": "2+0x400",
    'vpc_rc_webhook_certificate_days_left{pod="webhook"}': "60+0x400",
    'vpc_rc_webhook_certificate_days_left{pod="worker"}': "NaN+0x400",
    'vpc_rc_objects_set_aside_total{kind="pods"}': "0+0x400",
}
"""A sample a minute."""
CREATE = 'operation="CreateNetworkInterface"'
FAULTS: dict[str, dict[str, str]] = {
    "VpcRcNoLeader": {'vpc_rc_leader{pod="watcher-a"}': "0+0x400"},
    "VpcRcTwoLeaders": {'vpc_rc_leader{pod="watcher-b"}': "1+0x400"},
    "VpcRcTasksNotServed": {"vpc_rc_reconciles_total": "9+0x400"},
    "VpcRcQueueGrows": {'vpc_rc_queue_depth{queue="nodes"}': "500+0x400"},
    "VpcRcPodsWait": {'vpc_rc_pods_waiting{resource="vpc.amazonaws.com/pod-eni"}': "2+0x400"},
    "VpcRcPodsWithoutGroups": {'vpc_rc_pods_without_groups{namespace="shop"}': "1+0x400"},
    "VpcRcEc2Denied": {f'vpc_rc_ec2_calls_total{{{CREATE}, code="UnauthorizedOperation"}}': "0+1x400"},
    "VpcRcEc2Fails": {f'vpc_rc_ec2_calls_total{{{CREATE}, code="InternalError"}}': "0+100x400"},
    "VpcRcEc2Throttled": {f"vpc_rc_ec2_throttled_total{{{CREATE}}}": "0+30x400"},
    "VpcRcEc2LimitReached": {f'vpc_rc_ec2_wait_seconds_bucket{{{CREATE}, le="1"}}': "0+0x400"},
    "VpcRcSubnetFull": {'vpc_rc_subnet_free_addresses{subnet="subnet-1"}': "3+0x400"},
    "VpcRcLeaksKeepComing": {"vpc_rc_leaked_found_total": "5+1x400"},
    "VpcRcCleanUpFails": {"node_termination_eni_cleanup_failures_total": "2+1x400"},
    "VpcRcWebhookCertificateEnds": {'vpc_rc_webhook_certificate_days_left{pod="webhook"}': "13+0x400"},
    "VpcRcWebhookCertificateExpired": {'vpc_rc_webhook_certificate_days_left{pod="webhook"}': "-1+0x400"},
    "VpcRcNotUnderstood": {'vpc_rc_objects_set_aside_total{kind="pods"}': "0+1x400"},
}
ALSO = {"VpcRcWebhookCertificateExpired": {"VpcRcWebhookCertificateEnds"}}
AT_MINUTES = 240


@pytest.fixture
def promtool(tmp_path: Path) -> Any:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool (Debian: prometheus)")

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [found, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    (tmp_path / "rules.yml").write_text(yaml.safe_dump(RULES))
    return run


def case(fault: str | None) -> dict[str, Any]:
    """Which alerts fire after four hours of a fault: as many as these, and no others."""
    series = {**HEALTHY, **FAULTS.get(fault or "", {})}
    expected = {fault} | ALSO.get(fault, set()) if fault else set()
    tests = [
        {"expr": f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}}) > bool 0',
         "eval_time": f"{AT_MINUTES}m",
         "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name in expected else []}
        for name in ALERTS
    ]  # fmt: skip
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": tests,
    }


def test_every_alert_has_a_planted_fault() -> None:
    assert set(FAULTS) == set(ALERTS)


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_an_alert_fires_by_its_fault_and_no_other_does(promtool: Any, tmp_path: Path, fault: str | None) -> None:
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case(fault)]})
    )
    promtool("test", "rules", "test.yml")


def test_promtool_accepts_rules_and_the_dashboards_queries(promtool: Any, tmp_path: Path) -> None:
    promtool("check", "rules", "rules.yml")
    queries = [query.replace("$__rate_interval", "5m") for path in DASHBOARDS for query in asked(path)]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "panels.yml")


def asked(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    return [target["expr"] for panel in panels for target in panel["targets"]]


def exposed() -> set[str]:
    names = set()
    for family in metrics.REGISTRY.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def test_rules_and_dashboards_ask_for_metrics_that_exist() -> None:
    queries = [rule["expr"] for rule in ALERTS.values()] + [query for path in DASHBOARDS for query in asked(path)]
    names = {
        name
        for query in queries
        for name in re.findall(r"\b((?:vpc_|leaked_|node_termination_|process_)\w+)", re.sub(r'"[^"]*"', '""', query))
    }
    assert names - exposed() == set()
    assert len(names) > 25


def test_every_alert_has_its_run_book() -> None:
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
    assert headings >= set(ALERTS)
    assert {rule["annotations"]["runbook_url"] for rule in ALERTS.values()} == {
        f"docs/operations.md#{name.lower()}" for name in ALERTS
    }


def test_nothing_is_exposed_that_nobody_asks_for() -> None:
    assert [sample.name for family in metrics.REGISTRY.collect() for sample in family.samples
            if sample.name.endswith("_created")] == []  # fmt: skip


def test_an_overlay_with_the_component_renders(kubectl: str) -> None:
    overlay = ROOT / "deploy" / "components" / "monitoring"
    with_component = {"resources": ["../base"], "components": ["../components/monitoring"]}
    folder = overlay.parents[1] / ".rendered-by-a-test"
    folder.mkdir()
    try:
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(with_component))
        done = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert ("PodMonitor", "vpc-rc") in made
    assert set(made[("ConfigMap", "vpc-rc-dashboards")]["data"]) == {path.name for path in DASHBOARDS}
    monitored = made[("PodMonitor", "vpc-rc")]["spec"]["selector"]["matchExpressions"][0]["values"]
    serving = {
        one["metadata"]["name"]
        for (kind, _), one in made.items()
        if kind == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
        if any(port.get("name") == "metrics" for port in container.get("ports", ()))
    }
    assert set(monitored) == serving
