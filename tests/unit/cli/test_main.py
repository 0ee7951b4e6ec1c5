"""The command line's own promises: what it prints, where, and the exit status."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import COMMANDS, cli
from common.model.errors import ControllerError, StoreUnavailable
from common.settings import Settings, SettingsError, variable


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"VPC_RC_{name.upper()}", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="vpc-rc")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"vpc-rc {name}" in result.stdout


@pytest.mark.parametrize("role", ["watcher", "worker", "webhook", "flower", "settings", "status", "doctor"])
def test_each_wrong_setting_is_one_line_on_standard_error_and_status_2(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_URL", "http://nowhere")
    monkeypatch.setenv("VPC_RC_HEALTH_PORT", "many")
    result = run(role)
    assert result.exit_code == 2
    assert [line.partition("=")[0] for line in result.stderr.splitlines()] == [
        "vpc-rc: VPC_RC_REDIS_URL",
        "vpc-rc: VPC_RC_HEALTH_PORT",
    ]
    assert result.stdout == ""


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("status")
    assert result.exit_code == 2
    assert result.stderr.startswith("vpc-rc: VPC_RC_CLUSTER_NAME: must be set")


def test_an_unreachable_redis_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_CLUSTER_NAME", "c")
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://127.0.0.1:1/0")
    result = run("status", "--json")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        pytest.param(SettingsError(["a: wrong", "b: wrong"]), 2, ["vpc-rc: a: wrong", "vpc-rc: b: wrong"], id="two"),
        pytest.param(StoreUnavailable("gone\naway"), 1, ["vpc-rc: gone away"], id="folded into one line"),
        pytest.param(ControllerError(), 1, ["vpc-rc: ControllerError"], id="without a word"),
        pytest.param(OSError(98, "in use"), 1, ["vpc-rc: [Errno 98] in use"], id="taken port"),
    ],
)
def test_foreseen_errors_of_a_role(
    error: Exception, status: int, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_settings: Settings) -> int:
        raise error

    monkeypatch.setattr("workers.run.main", fails)
    result = run("worker")
    assert (result.exit_code, result.stderr.splitlines()) == (status, lines)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_settings: Settings) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("workers.run.main", fails)
    assert isinstance(run("worker").exception, ZeroDivisionError)


def test_a_role_s_status_is_the_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.run.main", lambda _settings: 75)
    assert run("worker").exit_code == 75


def test_settings_shows_values_and_sources_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://:hunter2@redis:6379/0")
    result = run("settings")
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if "VPC_RC_REDIS_URL" in line)
    assert "environment" in row
    assert "***" in row
    assert "hunter2" not in result.stdout


def test_the_reference_of_settings_is_up_to_date() -> None:
    written = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    assert run("settings", "--markdown").stdout.strip() in written


def test_an_unknown_setting_is_reported_and_the_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_ULR", "redis://redis:6379/0")
    result = run("settings")
    assert result.exit_code == 0
    assert result.stderr == "vpc-rc: VPC_RC_REDIS_ULR: no such setting; is VPC_RC_REDIS_URL meant?\n"


def test_settings_starts_without_the_sdks() -> None:
    program = "import sys, cli.main; cli.main.cli(['settings'], standalone_mode=False); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"boto3", "botocore", "kubernetes", "celery"}.isdisjoint(loaded)


def test_certificates_are_written_and_the_key_is_private(tmp_path: Path) -> None:
    for _ in range(2):  # again over the old ones
        result = run("webhook", "certificates", "--folder", str(tmp_path), "--name", "127.0.0.1")
        assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "tls.crt", "tls.key"}
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
    assert b"BEGIN CERTIFICATE" in (tmp_path / "tls.crt").read_bytes()


def test_the_schema_of_settings_names_every_setting_and_what_it_may_be() -> None:
    schema = json.loads(run("settings", "--schema").stdout)
    assert set(schema["properties"]) == {variable(field) for field in Settings.model_fields}
    assert schema["additionalProperties"] is False
    threads = schema["properties"]["VPC_RC_WORKER_THREADS"]
    assert (threads["type"], threads["minimum"], threads["default"]) == ("integer", 1, 24)
    assert all(of_it["description"] for of_it in schema["properties"].values())
    referred = set(re.findall(r'"#/[$]defs/(\w+)"', json.dumps(schema)))
    assert referred == set(schema["$defs"])
