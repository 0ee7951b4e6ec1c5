"""Rules that every workload of ours keeps, whatever tool applies it."""

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.main import cli
from common.settings import Settings, describe_settings
from common.store.acl import Role, user_name

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {row.name for row in describe_settings(Settings())}
ROLES = ("watcher", "worker", "webhook")


def workloads(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] in ("Deployment", "StatefulSet")}


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def test_every_part_is_there_with_the_replicas_that_survive_a_loss(base: list[dict[str, Any]]) -> None:
    replicas = {name: found["spec"]["replicas"] for name, found in workloads(base).items()}
    assert replicas == {
        "vpc-rc-watcher": 2,
        "vpc-rc-worker": 2,
        "vpc-rc-webhook": 2,
        "vpc-rc-redis": 1,
        "vpc-rc-flower": 1,
    }
    assert set(of_kind(base, "PodDisruptionBudget")) == {f"vpc-rc-{role}" for role in ROLES}


def test_no_workload_runs_as_root_or_writes_into_its_image(base: list[dict[str, Any]]) -> None:
    for name, workload in workloads(base).items():
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_variables_of_services_are_not_taken_for_settings(base: list[dict[str, Any]]) -> None:
    """The Service vpc-rc-webhook would give every pod VPC_RC_WEBHOOK_PORT=tcp://..., which is one of our settings."""
    for name, workload in workloads(base).items():
        assert workload["spec"]["template"]["spec"]["enableServiceLinks"] is False, name


def test_probes_ask_the_ports_of_the_settings(base: list[dict[str, Any]]) -> None:
    ports = {"health": Settings().health_port, "webhook": Settings().webhook_port}
    for role in ROLES:
        (container,) = workloads(base)[f"vpc-rc-{role}"]["spec"]["template"]["spec"]["containers"]
        declared = {port["name"]: port["containerPort"] for port in container["ports"]}
        probe = container["livenessProbe"]["httpGet"]
        assert probe["path"] == "/healthz", role
        assert declared[probe["port"]] == ports[probe["port"]], role
        assert declared["metrics"] == Settings().metrics_port, role


@pytest.mark.parametrize("role", ["watcher", "webhook"])
def test_who_does_not_know_the_cluster_yet_is_not_ready(base: list[dict[str, Any]], role: str) -> None:
    (container,) = workloads(base)[f"vpc-rc-{role}"]["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_workers_get_longer_to_end_than_a_run_takes(base: list[dict[str, Any]]) -> None:
    pod = workloads(base)["vpc-rc-worker"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 2 * Settings().slice_seconds


def test_redis_never_evicts_and_keeps_its_log(base: list[dict[str, Any]]) -> None:
    lines = of_kind(base, "ConfigMap")["vpc-rc-redis"]["data"]["redis.conf"].splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(lines)


def test_who_uses_redis_may_reach_it(base: list[dict[str, Any]]) -> None:
    policy = of_kind(base, "NetworkPolicy")["vpc-rc-redis"]["spec"]
    allowed = policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items()
    reaching = {
        name
        for name, found in workloads(base).items()
        if allowed <= found["spec"]["template"]["metadata"]["labels"].items()
    }
    assert reaching == {"vpc-rc-watcher", "vpc-rc-worker", "vpc-rc-flower"}


OPEN_PORTS = {
    "vpc-rc-redis": {"redis"},
    "vpc-rc-flower": set(),
    "vpc-rc-watcher": {"metrics"},
    "vpc-rc-worker": {"metrics"},
    "vpc-rc-webhook": {"webhook", "metrics"},
}
"""What other pods may reach; the rest is for probes and port-forwards, which come from the node."""


def test_every_port_of_ours_is_closed_or_opened_by_a_network_policy(base: list[dict[str, Any]]) -> None:
    policies = [found["spec"] for found in of_kind(base, "NetworkPolicy").values()]
    opened = {}
    for name, workload in workloads(base).items():
        template = workload["spec"]["template"]
        labels = template["metadata"]["labels"].items()
        about = [one for one in policies if one["podSelector"]["matchLabels"].items() <= labels]
        assert any("Ingress" in one["policyTypes"] for one in about), f"{name}: nothing keeps anybody out"
        opened[name] = {port["port"] for one in about for rule in one.get("ingress", ()) for port in rule["ports"]}
        declared = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert opened[name] <= declared, f"{name}: a port that no container has"
    assert opened == OPEN_PORTS


def test_workers_have_the_account_that_the_webhook_trusts(base: list[dict[str, Any]]) -> None:
    account = workloads(base)["vpc-rc-worker"]["spec"]["template"]["spec"]["serviceAccountName"]
    assert Settings().service_account == f"system:serviceaccount:kube-system:{account}"


def test_names_in_kustomizations_and_compose_are_settings() -> None:
    named: set[str] = set()
    for folder in ("base", "example"):
        kustomization = yaml.safe_load((ROOT / "deploy" / folder / "kustomization.yaml").read_text())
        for generator in kustomization["configMapGenerator"]:
            named |= {literal.partition("=")[0] for literal in generator["literals"]}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for service in compose["services"].values():
        named |= {name for name in service.get("environment", {}) if name.startswith("VPC_RC_")}
    assert len(named) > 5
    assert named <= SETTINGS


def test_redis_lets_nobody_in_without_a_password(base: list[dict[str, Any]]) -> None:
    assert "aclfile /etc/redis-users/users.acl" in of_kind(base, "ConfigMap")["vpc-rc-redis"]["data"]["redis.conf"]
    (container,) = workloads(base)["vpc-rc-redis"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        # Without -e an error that is answered would count as an answer.
        assert container[probe]["exec"]["command"] == ["redis-cli", "-e", "--user", user_name(Role.PROBE), "ping"]


@pytest.fixture(scope="module")
def example(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """deploy/example, rendered as the README says."""
    deploy = tmp_path_factory.mktemp("example") / "deploy"
    shutil.copytree(ROOT / "deploy", deploy, ignore=shutil.ignore_patterns("redis"))
    (deploy / "redis").mkdir()
    shutil.copy(ROOT / "deploy" / "redis" / "kustomization.yaml", deploy / "redis")
    made = CliRunner().invoke(
        cli, ["redis", "credentials", "--cluster-name", "my-cluster", "--folder", str(deploy / "redis")]
    )
    assert made.exit_code == 0, made.output
    text = subprocess.run(
        [kubectl, "kustomize", str(deploy / "example")], check=True, capture_output=True, text=True
    ).stdout
    return list(yaml.safe_load_all(text))


def test_the_example_renders_with_the_cluster_that_it_names(example: list[dict[str, Any]]) -> None:
    (settings,) = (
        found for found in of_kind(example, "ConfigMap").values() if found["metadata"]["name"].startswith("vpc-rc-set")
    )
    assert settings["data"]["VPC_RC_CLUSTER_NAME"] == "my-cluster"
    # The environment goes before the Secret.
    assert "VPC_RC_REDIS_URL" not in settings["data"]
    for role in ROLES:
        pod = workloads(example)[f"vpc-rc-{role}"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert pod["containers"][0]["image"].endswith(".amazonaws.com/vpc-resource-controller:0.1.0")


@pytest.mark.parametrize("role", [Role.WATCHER, Role.WORKER, Role.FLOWER])
def test_each_role_has_its_own_password_and_no_other(example: list[dict[str, Any]], role: Role) -> None:
    pod = workloads(example)[f"vpc-rc-{role}"]["spec"]["template"]["spec"]
    (volume,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
    secret = of_kind(example, "Secret")[volume["secretName"]]
    url = base64.b64decode(secret["data"]["VPC_RC_REDIS_URL"]).decode()
    assert re.fullmatch(rf"redis://{user_name(role)}:[\w-]{{40,}}@vpc-rc-redis:6379/0", url)
    (container,) = pod["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "redis")
    assert {"name": "VPC_RC_SECRETS_DIR", "value": mount["mountPath"]} in container["env"]
    (users,) = (one for name, one in of_kind(example, "Secret").items() if name.startswith("vpc-rc-redis-users"))
    password = url.partition("@")[0].rpartition(":")[2]
    hashed = f"user {user_name(role)} on #{hashlib.sha256(password.encode()).hexdigest()} "
    file = base64.b64decode(users["data"]["users.acl"]).decode()
    assert hashed in file
    assert password not in file
