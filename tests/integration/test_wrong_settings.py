"""Each wrong setting gives every role one clear line and exit status 2, before anything is connected to."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]
GOOD = {
    "VPC_RC_CLUSTER_NAME": "c",
    "VPC_RC_VPC_ID": "vpc-0000000000000001",
    "VPC_RC_REDIS_URL": "redis://127.0.0.1:1/0",
    "VPC_RC_KUBECONFIG": "/nowhere/kubeconfig",
    "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:1",
}

WRONG: Mapping[str, tuple[str, str]] = {
    # setting: (value, what its line says of the values that are allowed)
    "VPC_RC_CLUSTER_NAME": ("c" * 101, "at most 100 characters"),
    "VPC_RC_VPC_ID": ("my-vpc", "vpc-"),
    "VPC_RC_ACCOUNT_ID": ("12345", r"\\d\{12\}"),
    "VPC_RC_ROLE_ARN": ("role/eks", "arn:aws"),
    "AWS_ENDPOINT_URL_EC2": ("ec2.local", r"https\?://"),
    "VPC_RC_STS_ENDPOINT": ("sts.local", r"https\?://"),
    "VPC_RC_IMDS": ("perhaps", "boolean"),
    "VPC_RC_EC2_RATES": ("{CreateTags: 5}", "JSON"),
    "VPC_RC_EC2_MAX_CONNECTIONS": ("0", "greater than or equal to 1"),
    "VPC_RC_DISABLE_CONTROLLER": ("2", "boolean"),
    "VPC_RC_REDIS_URL": ("localhost:6379", "redis://HOST:PORT/DB"),
    "VPC_RC_WORKER_THREADS": ("many", "integer"),
    "VPC_RC_LOCK_SECONDS": ("0", "greater than 0"),
    "VPC_RC_SLICE_SECONDS": ("nan", "(finite|greater than)"),
    "VPC_RC_SWEEP_SECONDS": ("-5", "greater than 0"),
    "VPC_RC_KUBE_QPS": ("0", "greater than 0"),
    "VPC_RC_PAGE_SIZE": ("50000", "less than or equal to 5000"),
    "VPC_RC_HEALTH_PORT": ("70000", "less than or equal to 65535"),
    "VPC_RC_LOG_LEVEL": ("loud", "'debug', 'info', 'warning' or 'error'"),
    "VPC_RC_LOG_FORMAT": ("xml", "'json' or 'console'"),
    "VPC_RC_TRACING_ENDPOINT": ("collector:4318", r"https\?://"),
    "VPC_RC_TRACING_RATIO": ("2", "less than or equal to 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_reported_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    value, allowed = WRONG[name]
    for variable in [variable for variable in os.environ if variable.startswith(("VPC_RC_", "AWS_"))]:
        monkeypatch.delenv(variable)
    for variable, good in {**GOOD, name: value}.items():
        monkeypatch.setenv(variable, good)
    with pytest.raises(SystemExit) as ended:
        main(["settings"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    shown = "***" if name == "VPC_RC_REDIS_URL" else value
    assert line.startswith(f"vpc-rc: {name}={shown!r}: ")
    assert re.search(allowed, line), line


def started(role: str, settings: Mapping[str, str], *arguments: str) -> tuple[int, list[str]]:
    """Exit status and the lines of a process' standard error."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VPC_RC_", "AWS_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", role, *arguments],
        cwd=ROOT, env={**env, **settings}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stderr.splitlines()


NO_YAML = ROOT / "Makefile"
"""A file with tabs where YAML has none."""
REFUSED: Mapping[str, tuple[str, dict[str, str], list[str]]] = {
    # case: (role, settings besides good ones, how the lines begin)
    **{
        f"{role} with two wrong settings": (
            role,
            {"VPC_RC_PAGE_SIZE": "none", "VPC_RC_LOG_LEVEL": "loud"},
            ["VPC_RC_PAGE_SIZE='none': ", "VPC_RC_LOG_LEVEL='loud': "],
        )
        for role in ("watcher", "worker", "webhook", "flower", "settings")
    },
    "watcher without a cluster": ("watcher", {"VPC_RC_CLUSTER_NAME": ""}, ["VPC_RC_CLUSTER_NAME: must be set"]),
    "worker without a VPC": ("worker", {"VPC_RC_VPC_ID": ""}, ["VPC_RC_VPC_ID: must be set"]),
    **{
        f"{role} with a kubeconfig that is no YAML": (
            role,
            {"VPC_RC_KUBECONFIG": str(NO_YAML)},
            [f"VPC_RC_KUBECONFIG='{NO_YAML}': not a kubeconfig"],
        )
        for role in ("watcher", "worker")
    },
    "a file of limits that is not there": (
        "worker",
        {"VPC_RC_INSTANCE_LIMITS_FILE": "/nowhere/limits.csv"},
        ["VPC_RC_INSTANCE_LIMITS_FILE='/nowhere/limits.csv': there is no such file"],
    ),
    **{
        f"{role} without a cluster to ask": (
            role,
            {"VPC_RC_KUBECONFIG": "/nowhere/config"},
            ["VPC_RC_KUBECONFIG='/nowhere/config': "],
        )
        for role in ("watcher", "worker")
    },
    "webhook without a certificate": (
        "webhook",
        {"VPC_RC_WEBHOOK_CERT_FILE": "/nowhere/tls.crt"},
        ["VPC_RC_WEBHOOK_CERT_FILE='/nowhere/tls.crt', VPC_RC_WEBHOOK_KEY_FILE='/etc/vpc-rc/tls/tls.key': "],
    ),
}


def test_every_role_refuses_to_start_on_wrong_settings() -> None:
    """Processes, several at a time: each takes a second to import its libraries."""
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda case: started(case[0], {**GOOD, **case[1]}), REFUSED.values()))
    for (case, (_, _, expected)), (status, lines) in zip(REFUSED.items(), ended, strict=True):
        assert status == 2, (case, lines)
        assert len(lines) == len(expected), (case, lines)
        for line, beginning in zip(lines, expected, strict=True):
            assert line.startswith(f"vpc-rc: {beginning}"), case


KUBECONFIG = """{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"""
PORTS = (
    ("watcher", "VPC_RC_HEALTH_PORT"),
    ("watcher", "VPC_RC_METRICS_PORT"),
    ("worker", "VPC_RC_HEALTH_PORT"),
    ("worker", "VPC_RC_METRICS_PORT"),
    ("worker", "VPC_RC_INTROSPECTION_PORT"),
    ("webhook", "VPC_RC_METRICS_PORT"),
    ("webhook", "VPC_RC_WEBHOOK_PORT"),
    ("flower", "--port"),
)


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    with pytest.raises(SystemExit):
        main(["webhook", "certificates", "--folder", str(tmp_path)])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {
            **GOOD,
            "VPC_RC_KUBECONFIG": str(kubeconfig),
            "VPC_RC_AWS_REGION": "us-west-2",
            "VPC_RC_ACCOUNT_ID": "123456789012",
            "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
            "VPC_RC_WEBHOOK_CERT_FILE": str(tmp_path / "tls.crt"),
            "VPC_RC_WEBHOOK_KEY_FILE": str(tmp_path / "tls.key"),
            **dict.fromkeys(("VPC_RC_HEALTH_PORT", "VPC_RC_METRICS_PORT", "VPC_RC_INTROSPECTION_PORT"), "0"),
            "VPC_RC_WEBHOOK_PORT": "0",
            "VPC_RC_LOG_LEVEL": "error",
        }

        def begin(case: tuple[str, str]) -> tuple[int, list[str]]:
            role, setting = case
            if setting.startswith("--"):
                return started(role, settings, setting, str(port))
            return started(role, {**settings, setting: str(port)})

        with ThreadPoolExecutor(3) as pool:
            ended = list(pool.map(begin, PORTS))
    for case, (status, lines) in zip(PORTS, ended, strict=True):
        said = f"vpc-rc: {case[1]}={port}: cannot listen on port {port}: Address already in use"
        assert (status, lines[-1:]) == (2, [said]), (case, lines)
