"""What the processes load: each import that a role does not need costs all its replicas memory and time."""

import subprocess
import sys

import pytest

COMMAND_LINE = "cli.main cli.roles"
UNUSED = (
    "boto3",
    "cryptography.x509",
    "flower",
    "google.protobuf",
    "kubernetes",
    "oauthlib",
    "opentelemetry",
    "pygments",
    "requests",
    "rich",
    "websocket",
)
"""Installed, but needed by no role while it serves (flower by its own command; OpenTelemetry with an endpoint)."""
ROLES = {
    "watcher": ("watcher.run", (*UNUSED, "aiohttp", "botocore", "celery.apps.worker", "workers")),
    "worker": ("workers.run workers.tasks", (*UNUSED, "aiohttp", "watcher", "webhook")),
    "webhook": ("webhook.run", (*UNUSED, "botocore", "celery", "kombu", "redis", "watcher", "workers")),
    "settings": ("common.settings", (*UNUSED, "aiohttp", "botocore", "celery", "prometheus_client", "redis")),
}


def loaded(modules: str) -> set[str]:
    """All modules of a fresh process that imports these."""
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    command = [sys.executable, "-c", code, *modules.split()]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_imports_nothing_that_it_does_not_use(role: str) -> None:
    modules, unused = ROLES[role]
    found = loaded(f"{COMMAND_LINE} {modules}")
    assert found.isdisjoint(unused), sorted(found & set(unused))


def test_the_handler_of_sigterm_is_there_before_anything_that_takes_long_to_import() -> None:
    light = loaded("signal sys types")
    assert loaded("cli.__main__") - light == {"cli", "cli.__main__"}
