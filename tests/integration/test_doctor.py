"""`vpc-rc doctor` names each of these misconfigurations, planted one at a time, and none on a healthy system."""

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.doctor.command import doctor
from cli.doctor.examine import examine
from cli.doctor.finding import BAD, State
from cli.doctor.report import render
from common.clock import SystemClock
from common.kube.transport import HttpTransport, Request, Response
from common.settings import load_settings
from sandbox.kube.certificates import make_certificates
from sandbox.nodes import POD_GROUPS
from tests.integration.planted import (
    ENI_CONFIGS,
    HOOKS,
    LEADER,
    LEASE,
    STANDBY,
    WORKER,
    Planted,
    healthy,
)
from tests.kit.clock import WrongClock

SELECTOR = {"matchLabels": {"app": "shop"}}
GROUPS = {"groupIds": [POD_GROUPS[0]]}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planted]:
    for name in [one for one in os.environ if one.startswith(("VPC_RC_", "AWS_", "KUBE"))]:
        monkeypatch.delenv(name)
    with healthy(tmp_path) as found:
        yield found


def ask(planted: Planted, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(doctor, options, env=planted.environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def bad(planted: Planted) -> list[dict[str, str]]:
    """What the doctor finds missing or wrong; its exit status must say so."""
    status, text = ask(planted, "--json")
    answer = json.loads(text)
    found = [one for one in answer["findings"] if one["state"] in ("missing", "wrong")]
    assert (status, answer["ok"]) == ((1, False) if found else (0, True))
    return found


def nothing_beats(planted: Planted) -> None:
    for role, member in (("watcher", LEADER), ("watcher", STANDBY), ("worker", WORKER)):
        planted.silence(role, member)


def refer_to(planted: Planted, subnet: str, groups: list[str]) -> None:
    spec = {"subnet": subnet, "securityGroups": groups}
    body = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig", "metadata": {"name": "zone-a"}}
    planted.kube("POST", ENI_CONFIGS, {**body, "spec": spec})


def label_node(planted: Planted, key: str, value: str) -> None:
    planted.change(f"/api/v1/nodes/{planted.nodes[0]}", lambda node: node["metadata"]["labels"].update({key: value}))


def kubeconfig(planted: Planted, **user: Any) -> None:
    config = json.loads(Path(planted.environment["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = user
    path = planted.folder / "other-kubeconfig"
    path.write_text(json.dumps(config))
    planted.environment["KUBECONFIG"] = str(path)


def setting(name: str, value: str) -> Callable[[Planted], None]:
    return lambda planted: planted.environment.update({name: value})


def reference_webhook(planted: Planted) -> None:
    hook = {
        "name": "vpod.vpc.k8s.aws",
        "clientConfig": {"url": "https://127.0.0.1:23443/validate-v1-pod"},
        "rules": [],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = {"kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1"}
    metadata = {"name": "vpc-resource-validating-webhook"}
    planted.kube("POST", f"{HOOKS}/validatingwebhookconfigurations", {**body, "metadata": metadata, "webhooks": [hook]})


def another_authority(planted: Planted) -> None:
    planted.bundle(make_certificates(planted.folder / "other", datetime.now(UTC)).authority.read_bytes())


def webhook_elsewhere(planted: Planted) -> None:
    planted.change_hooks(lambda config: config.update(url="https://127.0.0.1:1/mutate-v1-pod"))


def two_leases(planted: Planted) -> None:
    planted.environment["VPC_RC_LEASE_NAME"] = "ours"
    planted.lease(LEADER, name="ours")
    planted.lease("ip-10-0-0-9_reference")


def deny(planted: Planted, action: str) -> None:
    planted.ec2.behave(planted.ec2.behaviour.changed({"denials": [{"action": action}]}))


CASES: dict[str, tuple[Callable[[Planted], None], str, str]] = {
    # what is planted: (how, area of the finding, words in it)
    "the cluster name is not set": (setting("VPC_RC_CLUSTER_NAME", ""), "Settings", "VPC_RC_CLUSTER_NAME"),
    "the VPC is not set": (setting("VPC_RC_VPC_ID", ""), "Settings", "VPC_RC_VPC_ID"),
    "Redis is elsewhere": (setting("VPC_RC_REDIS_URL", "redis://127.0.0.1:1/0"), "Redis", "Check VPC_RC_REDIS_URL"),
    "Redis evicts keys": (
        lambda p: p.link.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), "Redis", "allkeys-lru",
    ),
    "Redis keeps no log": (lambda p: p.link.command("CONFIG", "SET", "appendonly", "no"), "Redis", "appendonly"),
    "nothing beats": (nothing_beats, "Processes", "no watcher runs"),
    "no worker beats": (lambda p: p.silence("worker", WORKER), "Processes", "no worker runs"),
    "two watchers lead": (lambda p: p.beat("watcher", STANDBY, leader="true"), "Processes", "2 watchers lead"),
    "no watcher leads": (lambda p: p.beat("watcher", LEADER, leader="false"), "Processes", "no watcher leads"),
    "the lease is another's": (lambda p: p.lease("ip-10-0-0-9_reference"), "Processes", "ip-10-0-0-9_reference holds"),
    "the lease ran out": (lambda p: p.lease(LEADER, age=300), "Processes", "nobody holds the lease"),
    "there is no lease": (lambda p: p.kube("DELETE", LEASE), "Processes", "nobody holds the lease"),
    "another leads by another lease": (two_leases, "Processes", "ip-10-0-0-9_reference holds"),
    "the mutating webhook is not registered": (
        lambda p: p.kube("DELETE", f"{HOOKS}/mutatingwebhookconfigurations/vpc-rc-mutating"),
        "Webhooks", "mpod.vpc-resource-controller.local is not registered",
    ),
    "annotations are guarded by no policy": (
        lambda p: p.kube("DELETE", f"{HOOKS}/validatingadmissionpolicies/vpc-rc-annotations"),
        "Kubernetes", "kubectl apply -k deploy/policy",
    ),
    "the reference's webhook is registered": (
        reference_webhook, "Webhooks", "vpc-resource-validating-webhook is the reference",
    ),
    "the webhook has no CA": (lambda p: p.bundle(b""), "Webhooks", "caBundle is empty"),
    "the webhook's CA is another": (another_authority, "Webhooks", "The API server refuses it"),
    "the webhook's certificate expired": (lambda p: p.certificate_ends(-1), "Webhooks", "has expired"),
    "the webhook's certificate ends soon": (lambda p: p.certificate_ends(10), "Webhooks", "ends in 10.0 days"),
    "nobody serves the webhook": (webhook_elsewhere, "Webhooks", "Nobody serves it"),
    "the VPC is another": (setting("VPC_RC_VPC_ID", "vpc-0fffffffffffffff1"), "Cluster", "no node is in vpc-0fff"),
    "the VPC has no subnet": (setting("VPC_RC_VPC_ID", "vpc-0fffffffffffffff1"), "Cluster", "has no subnets"),
    "the cluster is another": (setting("VPC_RC_CLUSTER_NAME", "prod"), "Cluster", "VPC_RC_CLUSTER_NAME must be demo"),
    "an instance type is unknown": (
        lambda p: label_node(p, "node.kubernetes.io/instance-type", "z9.huge"), "Cluster", "z9.huge is unknown",
    ),
    "an instance type has no trunk": (
        lambda p: label_node(p, "node.kubernetes.io/instance-type", "t3.large"), "Cluster", "t3.large has no trunk",
    ),
    "a value of the ConfigMap cannot be read": (
        lambda p: p.config_map(branch_eni_cooldown="1m"), "ConfigMap", "branch-eni-cooldown is '1m'",
    ),
    "a switch of the ConfigMap is no switch": (
        lambda p: p.config_map(enable_windows_ipam="yes"), "ConfigMap", "neither true nor false",
    ),
    "a key of the ConfigMap is misspelt": (
        lambda p: p.config_map(branch_eni_cooldwn="30"), "ConfigMap", "is branch-eni-cooldown meant?",
    ),
    "prefixes are on and Windows is off": (
        lambda p: p.config_map(enable_windows_prefix_delegation="true"), "ConfigMap", "enable-windows-ipam is off",
    ),
    "a policy selects nothing": (
        lambda p: p.policy("idle", podSelector={"matchLabels": {"app": "shp"}}, securityGroups=GROUPS),
        "Policies", "policy default/idle selects no pod",
    ),
    "a policy has a bad operator": (
        lambda p: p.policy(
            "bad", podSelector={"matchExpressions": [{"key": "app", "operator": "Is", "values": ["shop"]}]},
            securityGroups=GROUPS,
        ),
        "Policies", "'Is' is no operator",
    ),
    "a policy has no selector": (lambda p: p.policy("bare", securityGroups=GROUPS), "Policies", "neither podSelector"),
    "a policy names a group that does not exist": (
        lambda p: p.policy("typo", podSelector=SELECTOR, securityGroups={"groupIds": ["sg-0fffffffffffffff1"]}),
        "Policies", "sg-0fffffffffffffff1 does not exist",
    ),
    "an ENIConfig names a subnet that does not exist": (
        lambda p: refer_to(p, "subnet-0fffffffffffffff1", []), "Policies", "subnet-0fffffffffffffff1 does not exist",
    ),
    "a node names an ENIConfig that does not exist": (
        lambda p: label_node(p, "vpc.amazonaws.com/eniConfig", "zone-x"), "Policies", "zone-x does not exist",
    ),
    "EC2 does not answer": (setting("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1"), "EC2", "no answer"),
    "an EC2 operation is not allowed": (
        lambda p: deny(p, "AttachNetworkInterface"), "EC2", "allow ec2:AttachNetworkInterface",
    ),
    "the account is another": (setting("VPC_RC_ACCOUNT_ID", "999999999999"), "EC2", "VPC_RC_ACCOUNT_ID"),
    "the API server does not answer": (
        lambda p: kubeconfig_server(p, "http://127.0.0.1:1"), "Kubernetes", "API server",
    ),
    "the exec plugin of the kubeconfig is not there": (
        lambda p: kubeconfig(p, exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}),
        "Kubernetes", "exec plugin 'no-such-plugin'",
    ),
    "custom resources are not defined": (
        lambda p: p.kube(
            "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/eniconfigs.crd.k8s.amazonaws.com"
        ),
        "Kubernetes", "eniconfigs.crd.k8s.amazonaws.com",
    ),
}  # fmt: skip


def kubeconfig_server(planted: Planted, url: str) -> None:
    config = json.loads(Path(planted.environment["KUBECONFIG"]).read_text())
    config["clusters"][0]["cluster"]["server"] = url
    path = planted.folder / "other-server"
    path.write_text(json.dumps(config))
    planted.environment["KUBECONFIG"] = str(path)


def test_nothing_is_wrong_with_a_healthy_system(planted: Planted) -> None:
    assert bad(planted) == []


@pytest.mark.parametrize("name", CASES)
def test_a_misconfiguration_is_named(planted: Planted, name: str) -> None:
    plant, area, words = CASES[name]
    plant(planted)
    found = bad(planted)
    said = [one for one in found if one["area"] == area and words in f"{one['what']} {one['advice']}"]
    assert said, found
    assert all(one["advice"] for one in found), "each says what to do"


def test_clocks_that_differ_are_named(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in planted.environment.items():
        monkeypatch.setenv(name, value)
    found = [one for one in examine(load_settings(), (), WrongClock(10.0)) if one.state is State.WRONG]
    assert {one.what for one in found} == {"clock of Redis", "clock of the API server", "clock of EC2"}
    # Headers leave fractions of a second out, and the call takes time.
    assert all(re.search(r"\b(9|10|11) s behind", one.advice) for one in found), found


def test_without_any_right_the_findings_say_so(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called wrong because it could not be read."""
    for name, value in planted.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(HttpTransport, "send", refused_reads(HttpTransport.send))
    found = list(examine(load_settings(), ("worker",), SystemClock()))
    assert [one for one in found if one.state in BAD] == []
    assert {"Webhooks", "Processes", "Policies", "ConfigMap"} <= {
        one.area for one in found if one.state is State.UNKNOWN
    }


def refused_reads(send: Any) -> Any:
    """As RBAC does: discovery is for everybody, everything else for nobody."""

    def answer(self: HttpTransport, request: Request) -> Response:
        if request.method == "GET" and request.path.count("/") > 3:
            return Response(403, b'{"kind": "Status", "reason": "Forbidden", "code": 403}')
        found: Response = send(self, request)
        return found

    return answer


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_report_is_whole_at_every_width(planted: Planted, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    reference_webhook(planted)
    for name, value in planted.environment.items():
        monkeypatch.setenv(name, value)
    findings = list(examine(load_settings(), ("worker",), SystemClock()))
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(render(findings))
    text = captured.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    assert all(" ".join(one.what.split()) in words or width < 100 for one in findings)
    assert text.rstrip().splitlines()[-1].strip().endswith("switched off"), "what is bad comes last"


def test_the_docs_list_every_misconfiguration() -> None:
    text = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text()
    assert [name for name in CASES if f"| {name} |" not in text] == []
