"""Settings: defaults of the reference, sources and their order, and errors that name what to change."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from common.settings import (
    DEFAULT_EC2_RATES,
    RateLimit,
    SettingDescription,
    SettingsError,
    describe_settings,
    load_settings,
    require,
    unknown_settings,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VPC_RC_") or name in ("AWS_REGION", "AWS_DEFAULT_REGION", "KUBECONFIG"):
            monkeypatch.delenv(name)
        if name.startswith("AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name)


def described(name: str) -> SettingDescription:
    return next(row for row in describe_settings(load_settings()) if row.name == name)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    assert (settings.lease_namespace, settings.lease_name) == ("kube-system", "cp-vpc-resource-controller")
    assert (settings.lease_duration_seconds, settings.lease_renew_seconds, settings.lease_retry_seconds) == (30, 15, 5)
    assert (settings.health_port, settings.metrics_port, settings.introspection_port) == (61779, 8080, 22775)
    assert settings.webhook_port == 9443
    assert not settings.enable_windows_prefix_delegation
    assert not settings.disable_controller
    assert settings.ec2_rates["CreateNetworkInterface"] == RateLimit(burst=100, refill=5)
    assert settings.ec2_rates["AssociateTrunkInterface"] == RateLimit(burst=50, refill=5)
    assert settings.ec2_rates["DescribeNetworkInterfaces"] == RateLimit(burst=100, refill=20)
    assert settings.ec2_rates["CreateTags"] == RateLimit(burst=100, refill=10)


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.cluster_name = "other"  # type: ignore[misc]


def test_a_raised_rate_changes_only_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_EC2_RATES", '{"CreateNetworkInterface": {"burst": 200, "refill": 20}}')
    assert load_settings().ec2_rates == {
        **DEFAULT_EC2_RATES,
        "CreateNetworkInterface": RateLimit(burst=200, refill=20),
    }
    monkeypatch.setenv("VPC_RC_EC2_RATES", '{"DeleteNetworkInterface": {"refill": 50}}')
    assert load_settings().ec2_rates["DeleteNetworkInterface"] == RateLimit(burst=100, refill=50)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param("VPC_RC_METRICS_PORT", "abc", "integer", id="a port is a number"),
        pytest.param("VPC_RC_METRICS_PORT", "65536", "65535", id="a port ends at 65535"),
        pytest.param("VPC_RC_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'", id="levels are named"),
        pytest.param("VPC_RC_REDIS_URL", "http://redis", "redis://HOST", id="another scheme"),
        pytest.param("VPC_RC_REDIS_URL", "sentinel://a:1,b:2/0", "?master=NAME", id="sentinel without its primary"),
        pytest.param("VPC_RC_EC2_RATES", "{", "not JSON", id="rates are JSON"),
        pytest.param("VPC_RC_EC2_RATES", "[]", "JSON object", id="rates are an object"),
        pytest.param("VPC_RC_EC2_RATES", '{"RunInstances": {}}', "unknown operation RunInstances", id="not our action"),
        pytest.param("VPC_RC_EC2_RATES", '{"CreateTags": {"refill": 0}}', "greater than 0", id="a rate of nothing"),
        pytest.param("VPC_RC_EC2_RATES", '{"CreateTags": {"rate": 1}}', "not permitted", id="a misspelt part"),
        pytest.param("VPC_RC_ROLE_ARN", "admin", "pattern", id="a role is an ARN"),
        pytest.param("VPC_RC_VPC_ID", "vpc", "pattern", id="a VPC has an id"),
        pytest.param("VPC_RC_LOCK_SECONDS", "0", "greater than 0", id="a lock lives for a while"),
        pytest.param("VPC_RC_LOCK_SECONDS", "inf", "finite", id="a lock ends some day"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    (line,) = raised.value.problems
    assert line.startswith(f"{name}=")
    assert says in line


def test_every_wrong_setting_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_HEALTH_PORT", "x")
    monkeypatch.setenv("VPC_RC_PAGE_SIZE", "0")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    ("small", "large"),
    [
        pytest.param("VPC_RC_LEASE_RENEW_SECONDS", "VPC_RC_LEASE_DURATION_SECONDS", id="renewed before it ends"),
        pytest.param("VPC_RC_AUDIT_MIN_SECONDS", "VPC_RC_AUDIT_MAX_SECONDS", id="audits grow"),
    ],
)
def test_durations_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, small: str, large: str
) -> None:
    monkeypatch.setenv(small, "5000")
    with pytest.raises(SettingsError, match=rf"{small}=5000.*must not exceed {large}="):
        load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://:secret@redis:6379",
        "rediss://user:secret@redis.example:6380/1?ssl_cert_reqs=none",
        "sentinel://a:26379,b:26379/0?master=main",
        "sentinel://:secret@a:26379,b:26379,c:26379/2?db=1&master=main",
    ],
)
def test_urls_of_redis_and_sentinel_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_URL", url)
    assert load_settings().redis_url.get_secret_value() == url


def test_passwords_are_masked_in_errors_and_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_URL", "http://user:hunter2@redis")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://:hunter2@redis:6379/0")
    assert described("VPC_RC_REDIS_URL").value == "redis://***@redis:6379/0"
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://redis:6379/0")
    assert described("VPC_RC_REDIS_URL").value == "redis://redis:6379/0"


def test_where_a_value_comes_from_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("VPC_RC_CLUSTER_NAME=from-file\nVPC_RC_PAGE_SIZE=100\n")
    monkeypatch.setenv("VPC_RC_SETTINGS_FILE", str(file))
    monkeypatch.setenv("VPC_RC_PAGE_SIZE", "200")
    assert described("VPC_RC_CLUSTER_NAME")[1:3] == ("from-file", "file")
    assert described("VPC_RC_PAGE_SIZE")[1:4] == ("200", "environment", "500")
    assert described("VPC_RC_LOG_LEVEL")[1:3] == ("info", "default")


def test_variables_of_the_sdk_and_kubectl_count_where_ours_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("KUBECONFIG", "/some/file")
    settings = load_settings()
    assert (settings.ec2_endpoint, settings.aws_region) == ("http://127.0.0.1:1", "eu-central-1")
    assert settings.kubeconfig == Path("/some/file")
    assert described("VPC_RC_EC2_ENDPOINT").source == "environment"
    monkeypatch.setenv("VPC_RC_EC2_ENDPOINT", "http://127.0.0.1:2")
    assert load_settings().ec2_endpoint == "http://127.0.0.1:2"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_HEALTH_PORT", "")
    assert load_settings().health_port == 61779
    assert described("VPC_RC_HEALTH_PORT").source == "default"


def test_a_role_names_all_settings_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_CLUSTER_NAME", "demo")
    settings = load_settings()
    require(settings, "cluster_name")
    with pytest.raises(SettingsError, match="VPC_RC_VPC_ID: must be set") as raised:
        require(settings, "cluster_name", "vpc_id")
    assert len(raised.value.problems) == 1


def test_a_missing_settings_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VPC_RC_SETTINGS_FILE", str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match="VPC_RC_SETTINGS_FILE"):
        load_settings()


def test_every_setting_says_what_it_is_for() -> None:
    assert [row.name for row in describe_settings(load_settings()) if not row.description] == []


def test_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Kubernetes mounts a Secret: links to a hidden folder."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "VPC_RC_REDIS_URL").write_text("redis://:hunter2@redis:6379/0\n")
    (tmp_path / "VPC_RC_REDIS_URL").symlink_to(Path("..data") / "VPC_RC_REDIS_URL")
    monkeypatch.setenv("VPC_RC_SECRETS_DIR", str(tmp_path))
    assert load_settings().redis_url.get_secret_value() == "redis://:hunter2@redis:6379/0"
    assert described("VPC_RC_REDIS_URL")[1:3] == ("redis://***@redis:6379/0", "secret")
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://other:6379/0")
    assert load_settings().redis_url.get_secret_value() == "redis://other:6379/0"


@pytest.mark.parametrize("name", ["VPC_RC_SECRETS_DIR", "VPC_RC_SETTINGS_FILE"])
def test_a_file_that_is_no_text_is_an_error_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "VPC_RC_REDIS_URL").write_bytes(b"VPC_RC_REDIS_URL=redis://:hunter2\xff@redis:6379/0")
    monkeypatch.setenv(name, str(tmp_path if "DIR" in name else tmp_path / "VPC_RC_REDIS_URL"))
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert name in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_missing_folder_of_secrets_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VPC_RC_SECRETS_DIR", str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match="VPC_RC_SECRETS_DIR"):
        load_settings()


def test_settings_never_show_a_secret_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_RC_REDIS_URL", "redis://:hunter2@redis:6379/0")
    settings = load_settings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_names_that_are_no_settings_are_reported_with_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VPC_RC_WORKER_THREAD", "8")
    monkeypatch.setenv("VPC_RC_SOMETHING_ELSE_ALTOGETHER", "1")
    file = tmp_path / "settings"
    file.write_text("VPC_RC_CLUSTERNAME=c\n")
    monkeypatch.setenv("VPC_RC_SETTINGS_FILE", str(file))
    assert unknown_settings() == {
        "VPC_RC_CLUSTERNAME": "VPC_RC_CLUSTER_NAME",
        "VPC_RC_SOMETHING_ELSE_ALTOGETHER": "",
        "VPC_RC_WORKER_THREAD": "VPC_RC_WORKER_THREADS",
    }


@pytest.mark.parametrize(
    "name",
    [
        "VPC_RC_LOG_LEVEL", "VPC_RC_SETTINGS_FILE", "VPC_RC_DEMO_NODES", "VPC_RC_TEST_RUNTIME", "AWS_REGION",
        "VPC_RC_REDIS_SERVICE_HOST", "VPC_RC_REDIS_SERVICE_PORT_REDIS", "VPC_RC_REDIS_PORT",
        "VPC_RC_REDIS_PORT_6379_TCP", "VPC_RC_REDIS_PORT_6379_TCP_ADDR",
    ],
)  # fmt: skip
def test_names_that_others_set_are_not_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "" if name == "VPC_RC_SETTINGS_FILE" else "info")
    assert unknown_settings() == {}


@pytest.mark.parametrize(
    ("operation", "burst"),
    [("AttachNetworkInterface", 50), ("DetachNetworkInterface", 50), ("ModifyNetworkInterfaceAttribute", 100)],
)
def test_request_limits_begin_as_ec2_documents_them(operation: str, burst: int) -> None:
    rate = DEFAULT_EC2_RATES[operation]
    assert (rate.burst, rate.refill) == (burst, 5)
