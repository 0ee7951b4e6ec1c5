"""Every setting of every role, from the environment (`VPC_RC_...`) or a file of `NAME=value` lines.

The only place that reads the environment. The reference's client limits (user-client and instance-client, 12 calls a
second for all operations together) have no counterpart: `ec2_rates` limits each EC2 operation by itself. Its numbers of
workers (branch 30, Windows 2, node 10) are one number here, `worker_threads`.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSource

from common.masking import MASK, mask

PREFIX = "VPC_RC_"
FILE_VARIABLE = "VPC_RC_SETTINGS_FILE"
"""Names a file of `VPC_RC_NAME=value` lines; the environment wins over it."""
SECRETS_VARIABLE = "VPC_RC_SECRETS_DIR"
"""Names a folder with a file for each setting in it, as a Secret is mounted; environment and file win over it."""
OTHERS = ("VPC_RC_DEMO_", "VPC_RC_TEST_")
"""How names begin that are no settings: options of the demo and of tests."""
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP))?(_(PROTO|PORT|ADDR))?$")
"""What Kubernetes adds to a container's environment for each Service, where it may."""


class SettingsError(Exception):
    """Settings are wrong or missing. One line per setting in `problems`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RateLimit(BaseModel):
    """A token bucket: `burst` calls at once, `refill` calls per second after that."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    burst: float = Field(ge=1)
    refill: float = Field(gt=0)


def _rates(burst: float, refill: float, *operations: str) -> dict[str, RateLimit]:
    return {operation: RateLimit(burst=burst, refill=refill) for operation in operations}


DEFAULT_EC2_RATES: Mapping[str, RateLimit] = {
    **_rates(100, 20, "DescribeInstances", "DescribeSubnets", "DescribeInstanceTypes", "DescribeNetworkInterfaces"),
    **_rates(100, 20, "DescribeTrunkInterfaceAssociations"),
    **_rates(100, 5, "CreateNetworkInterface", "DeleteNetworkInterface"),
    **_rates(100, 5, "ModifyNetworkInterfaceAttribute"),
    **_rates(100, 5, "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"),
    **_rates(50, 5, "AttachNetworkInterface", "DetachNetworkInterface", "CreateNetworkInterfacePermission"),
    **_rates(50, 5, "AssociateTrunkInterface", "DisassociateTrunkInterface"),
    **_rates(100, 10, "CreateTags"),
}
"""What EC2 grants an account and region unless it was raised (EC2 API Reference, "Request throttling")."""


def _merge_rates(given: object) -> object:
    """Overrides, as JSON or a mapping, over the defaults: each operation, and each of its two numbers, by itself."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error
    if not isinstance(given, Mapping):
        raise ValueError('not a JSON object like {"CreateNetworkInterface": {"burst": 200, "refill": 20}}')
    if unknown := sorted(set(given) - set(DEFAULT_EC2_RATES)):
        raise ValueError(f"unknown operation {', '.join(unknown)}; known are {', '.join(sorted(DEFAULT_EC2_RATES))}")
    merged: dict[str, object] = dict(DEFAULT_EC2_RATES)
    for operation, rate in given.items():
        default = DEFAULT_EC2_RATES[operation].model_dump()
        merged[operation] = {**default, **rate} if isinstance(rate, Mapping) else rate
    return merged


_REDIS_URL = re.compile(
    r"(?P<scheme>rediss?|sentinel)://(?:[^@/?#\s]*@)?(?P<hosts>[^@/?#\s]+)(?:/\d*)?(?:\?(?P<query>[^#\s]*))?"
)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")


def _redis_url(secret: SecretStr) -> SecretStr:
    """Refuses what redis-py and kombu do not read alike: they would fail later, with parts of it in the message."""
    match = _REDIS_URL.fullmatch(secret.get_secret_value())
    if match is None:
        raise ValueError(
            "not redis://HOST:PORT/DB, rediss://HOST:PORT/DB or sentinel://H1:P1,H2:P2/DB?master=NAME; in a password "
            "the characters @ : / ? # % and spaces are written as %40 %3A %2F %3F %23 %25 and %20"
        )
    sentinel = match["scheme"] == "sentinel"
    for host in match["hosts"].split(",") if sentinel else [match["hosts"]]:
        found = _HOST.fullmatch(host)
        if found is None or int(found["port"] or 0) > 65535:
            raise ValueError("a host in it is not HOST or HOST:PORT")
    query = parse_qs(match["query"] or "", keep_blank_values=True)
    if {"username", "password"} & {name.lower() for name in query}:
        raise ValueError("user and password belong before the host: redis://USER:PASSWORD@HOST:PORT/DB")
    if sentinel and not any(query.get("master", [])):
        raise ValueError("a sentinel:// URL must name its primary: ?master=NAME")
    return secret


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rates = Annotated[Mapping[str, RateLimit], NoDecode, BeforeValidator(_merge_rates)]
ExistingFile = Annotated[Path, AfterValidator(_there)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]


def _or(name: str, *others: str) -> AliasChoices:
    """Our own variable first, then the ones that the SDK or kubectl read anyway."""
    return AliasChoices(PREFIX + name.upper(), *others)


class Settings(BaseSettings):
    """Immutable. Read with `load_settings()`; tests may give fields by name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    # --- cluster and account
    cluster_name: str = Field("", max_length=100, description="Name of the EKS cluster; part of the tags that we own.")
    vpc_id: str = Field("", pattern=r"^(vpc-[0-9a-f]+)?$", description="The cluster's VPC; sweeps stay within it.")
    aws_region: str = Field(
        "",
        validation_alias=_or("aws_region", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the cluster; empty: instance metadata is asked.",
    )
    account_id: str = Field("", pattern=r"^(\d{12})?$", description="AWS account; empty: STS is asked.")
    role_arn: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/\S+)?$",
        description="Role to assume for EC2, associations of trunks excepted; empty: own credentials for everything.",
    )
    ec2_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        validation_alias=_or("ec2_endpoint", "AWS_ENDPOINT_URL_EC2"),
        description="URL of the EC2 API; empty: the region's own.",
    )
    sts_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        validation_alias=_or("sts_endpoint", "AWS_ENDPOINT_URL_STS"),
        description="URL of the STS API; empty: the region's own.",
    )
    imds: bool = Field(True, description="Ask instance metadata for what is not set (region).")

    # --- EC2
    ec2_rates: Rates = Field(
        DEFAULT_EC2_RATES,
        description="Limits of EC2 by operation, as JSON over the defaults: "
        '{"CreateNetworkInterface": {"burst": 200, "refill": 20}}. All replicas share them.',
    )
    ec2_max_connections: int = Field(
        64, ge=1, le=1000, description="Calls under way of one process; one kind has half of them, releases a quarter."
    )
    instance_limits_file: ExistingFile | None = Field(
        None, description="CSV of instance types that adds to and replaces ours."
    )
    enable_windows_prefix_delegation: bool = Field(False, description="Allow the ConfigMap to switch on prefixes.")
    disable_controller: bool = Field(False, description="Serve no pods and nodes; clean-ups keep running.")

    # --- Redis and workers
    redis_url: RedisUrl = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://HOST:PORT/DB, rediss://HOST:PORT/DB or sentinel://H1:P1,H2:P2/DB?master=NAME.",
    )
    worker_threads: int = Field(24, ge=1, le=256, description="Nodes that one worker process reconciles at a time.")
    lock_seconds: Seconds = Field(15, description="By how much a node's lock outlives the longest run, if it hangs.")
    slice_seconds: Seconds = Field(20, description="Longest run on one node before others get their turn.")
    node_release_seconds: Seconds = Field(60, description="From a node's leaving to the release of its branches.")
    audit_min_seconds: Seconds = Field(60, description="First comparison of a node's record with its pods.")
    audit_max_seconds: Seconds = Field(900, description="Longest interval that comparisons of a node grow to.")
    sweep_seconds: Seconds = Field(1800, description="Interval of the search for leaked interfaces in the VPC.")

    # --- Kubernetes
    kubeconfig: Path | None = Field(
        None,
        validation_alias=_or("kubeconfig", "KUBECONFIG"),
        description="Kubeconfig file; not set: the pod's service account, else ~/.kube/config.",
    )
    kube_context: str = Field("", description="Context of the kubeconfig; empty: its current one.")
    kube_qps: float = Field(200, gt=0, description="Requests per second of one process to the API server.")
    kube_burst: int = Field(300, ge=1, description="Requests at once of one process to the API server.")
    page_size: int = Field(500, ge=1, le=5000, description="Objects a page of a list (the reference's page-limit).")
    resync_seconds: Seconds = Field(1800, description="Interval at which every node is looked at again.")
    tick_seconds: Seconds = Field(0.1, description="Interval at which the leader looks for nodes whose time has come.")
    leader_elect: bool = Field(True, description="Only the lease's holder watches; off: a single watcher, no lease.")
    lease_name: str = Field("cp-vpc-resource-controller", min_length=1, description="Name of the watchers' lease.")
    lease_namespace: str = Field("kube-system", min_length=1, description="Namespace of the watchers' lease.")
    lease_duration_seconds: Seconds = Field(30, description="Age at which others may take an unrenewed lease.")
    lease_renew_seconds: Seconds = Field(15, description="Time within which the holder renews the lease or exits.")
    lease_retry_seconds: Seconds = Field(5, description="Interval of the holder's renewals.")

    # --- what a process serves
    listen_address: str = Field("0.0.0.0", description="Address that servers bind; `::` in IPv6 clusters.")
    health_port: Port = Field(61779, description="/healthz; 0: not served.")
    metrics_port: Port = Field(8080, description="Prometheus /metrics; 0: not served.")
    introspection_port: Port = Field(
        22775, description="/resources/all and summary, /node/NAME, without a password; 0: not served."
    )
    webhook_port: Port = Field(9443, description="Admission reviews over TLS; 0: any free port.")
    webhook_cert_file: Path = Field(Path("/etc/vpc-rc/tls/tls.crt"), description="PEM; read again when it changes.")
    webhook_key_file: Path = Field(Path("/etc/vpc-rc/tls/tls.key"), description="PEM; read again when it changes.")
    webhook_client_ca_file: Path | None = Field(
        None, description="PEM; reviews are answered only to clients with a certificate of this CA: the API server's."
    )
    service_account: str = Field(
        "system:serviceaccount:kube-system:vpc-rc-worker",
        description="User name of the workers: may change our annotations, beside the names of the reference.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warning or error."
    )
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = Field(
        "json", description="json or console."
    )
    tracing_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Collector to send spans to by OTLP/HTTP, as http://collector:4318; empty: none are made. "
        "Needs the extra `tracing`.",
    )
    tracing_ratio: float = Field(
        1.0, ge=0, le=1, description="Part of the pods, and of the nodes, whose spans are sent; 1: all."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for lower, upper in (
            ("lease_retry_seconds", "lease_renew_seconds"),
            ("lease_renew_seconds", "lease_duration_seconds"),
            ("audit_min_seconds", "audit_max_seconds"),
        ):
            if getattr(self, lower) > getattr(self, upper):
                small, large = variable(lower), variable(upper)
                raise ValueError(f"{small}={getattr(self, lower)}: must not exceed {large}={getattr(self, upper)}")
        return self


def metadata_disabled() -> bool:
    """Whether the SDK leaves instance metadata alone."""
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"


Source = Literal["default", "environment", "file", "secret"]


class SettingDescription(NamedTuple):
    """One row of `vpc-rc settings`; passwords are masked."""

    name: str
    value: str
    source: Source
    default: str
    description: str


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def _variables(field: str) -> list[str]:
    alias = Settings.model_fields[field].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [variable(field)]


def api_server_address() -> tuple[str, str] | None:
    """Host and port of the API server, as Kubernetes tells every container; None outside a cluster."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    return (host, port) if host and port else None


def _settings_file() -> Path | None:
    name = os.environ.get(FILE_VARIABLE)
    if not name:
        return None
    if not Path(name).is_file():
        raise SettingsError([f"{FILE_VARIABLE}={name!r}: there is no such file"])
    return Path(name)


def _secrets_folder() -> Path | None:
    name = os.environ.get(SECRETS_VARIABLE)
    if not name:
        return None
    if not Path(name).is_dir():
        raise SettingsError([f"{SECRETS_VARIABLE}={name!r}: there is no such folder"])
    return Path(name)


def _is_secret(field: str) -> bool:
    info = Settings.model_fields.get(field)
    return info is not None and info.annotation is SecretStr


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    first, *inner = (str(part) for part in error["loc"])
    field = first.removeprefix(PREFIX).lower()
    # Pydantic names the first of the variables that a setting may come from, not the one that it came from.
    name = next((each for each in _variables(field) if os.environ.get(each)), variable(field))
    where = f" ({'.'.join(inner)})" if inner else ""
    value = MASK if _is_secret(field) else mask(str(error["input"]))
    return f"{name}={value!r}{where}: {message[:1].lower()}{message[1:]}"


def load_settings() -> Settings:
    """Read the environment, the settings file and the folder of secrets. Raises SettingsError, one line for each
    setting that is wrong."""
    try:
        return Settings(_env_file=_settings_file(), _secrets_dir=_secrets_folder())
    except ValidationError as error:
        raise SettingsError([_problem(detail) for detail in error.errors()]) from None
    except (UnicodeDecodeError, UnreadableSource):
        # Without the error's words: they quote what was read.
        raise SettingsError([f"{FILE_VARIABLE} or {SECRETS_VARIABLE}: a file is not UTF-8 text"]) from None


def require(settings: Settings, *fields: str) -> None:
    """Raise SettingsError if one of these settings is empty; which are needed depends on the role."""
    missing = [field for field in fields if getattr(settings, field) in ("", None)]
    if missing:
        raise SettingsError([f"{variable(field)}: must be set. {_description(field)}" for field in missing])


def _description(field: str) -> str:
    return Settings.model_fields[field].description or ""


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return json.dumps({operation: rate.model_dump() for operation, rate in value.items()})
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, SecretStr):
        return mask(value.get_secret_value())
    return "" if value is None else mask(str(value))


def describe_settings(settings: Settings) -> list[SettingDescription]:
    """Every setting with where its value comes from, for people."""
    file, secrets = _in_file(), _in_folder()
    rows = []
    for field, info in Settings.model_fields.items():
        names = _variables(field)
        source: Source = "default"
        if any(os.environ.get(name) for name in names):
            source = "environment"
        elif any(file.get(name.lower()) for name in names):
            source = "file"
        elif any(name.lower() in secrets for name in names):
            source = "secret"
        value, default = _show(getattr(settings, field)), _show(info.default)
        rows.append(SettingDescription(variable(field), value, source, default, _description(field)))
    return rows


def settings_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of all settings by variable, values as JSON has them: a number, not its text."""
    schema = Settings.model_json_schema(by_alias=False)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of vpc-resource-controller",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            variable(field): {key: value for key, value in of_it.items() if key != "title"}
            for field, of_it in schema["properties"].items()
        },
        "$defs": schema["$defs"],
    }


def _in_file() -> Mapping[str, str | None]:
    """By name in lower case."""
    return DotEnvSettingsSource(Settings, env_file=_settings_file()).env_vars


def _in_folder() -> set[str]:
    """Names in lower case."""
    folder = _secrets_folder()
    return {path.name.lower() for path in folder.iterdir() if path.is_file()} if folder else set()


def unknown_settings() -> dict[str, str]:
    """Names that look like settings of ours and are none, each with the nearest one that is ("" where none is near)."""
    known = {name for field in Settings.model_fields for name in _variables(field)} | {FILE_VARIABLE, SECRETS_VARIABLE}
    given = {*os.environ, *(name.upper() for name in {*_in_file(), *_in_folder()})}
    found = {}
    for name in sorted(given - known):
        if name.startswith(PREFIX) and not name.startswith(OTHERS) and not _SERVICE_LINK.search(name):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            found[name] = near[0] if near else ""
    return found


@contextmanager
def listening(setting: str, port: int) -> Iterator[None]:
    """Around whatever binds the port of a setting (its variable, or the option that stands for it). Raises
    SettingsError with both in place of OSError."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError([f"{setting}={port}: cannot listen on port {port}: {why}"]) from error
