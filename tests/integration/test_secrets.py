"""Planted secrets reach no output: wrong settings, connections that fail, refused passwords, logs at every level."""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
import redis
import structlog
import urllib3
from click.testing import CliRunner

from cli.main import cli
from common.kube.transport import NoCluster, connect
from common.logging import configure_logging, get_logger, report_crashes
from common.store.broker import celery_app
from tests.integration.redis_server import RedisServer, free_port
from tests.integration.rig import Rig
from tests.kit.clock import VirtualClock
from tests.kit.waiting import until
from webhook.certificates import self_signed

ROOT = Path(__file__).parents[2]
SECRET, AWS_SECRET, TOKEN, QUERY = "pl4nted-redis", "pl4nted-aws-key", "pl4nted-kube-token", "pl4nted-query"
PLANTED = "pl4nted"
COMMANDS = ("watcher", "worker", "webhook", "flower", "settings", "status", "doctor")
WRONG_URLS = {
    "another scheme": f"http://:{SECRET}@redis:6379/0",
    "without a scheme": f":{SECRET}@redis:6379",
    "an @ in the password": f"redis://:a@{SECRET}@redis:6379/0",
    "a / in the password": f"redis://:a/{SECRET}@redis:6379/0",
    "a # in the password": f"redis://:a#{SECRET}@redis:6379/0",
    "a ? in the password": f"redis://:a?{SECRET}@redis:6379/0",
    "a space in the password": f"redis://:a {SECRET}@redis:6379/0",
    "a bracket in the password and no host": f"redis://:[{SECRET}@",
    "the password where the port is": f"redis://redis:{SECRET}/0",
    "the password where the database is": f"redis://redis:6379/{SECRET}",
    "the password in the query": f"redis://redis:6379/0?password={QUERY}",
    "the password in the query of a sentinel": f"sentinel://a:1,b:2/0?master=m&Password={QUERY}",
    "sentinel without a name": f"sentinel://:{SECRET}@a:1,b:2/0",
    "a port beyond all ports": f"redis://:{SECRET}@redis:66000/0",
}


def kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }))  # fmt: skip
    return path


def environment(folder: Path, url: str) -> dict[str, str]:
    return {
        "VPC_RC_CLUSTER_NAME": "c",
        "VPC_RC_VPC_ID": "vpc-0000000000000001",
        "VPC_RC_ACCOUNT_ID": "123456789012",
        "VPC_RC_AWS_REGION": "us-west-2",
        "VPC_RC_REDIS_URL": url,
        "VPC_RC_KUBECONFIG": str(kubeconfig(folder, f"http://127.0.0.1:{free_port()}")),
        "VPC_RC_EC2_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "VPC_RC_STS_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
        "VPC_RC_HEALTH_PORT": "0",
        "VPC_RC_METRICS_PORT": "0",
        "VPC_RC_INTROSPECTION_PORT": "0",
        "VPC_RC_LOG_LEVEL": "debug",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_SESSION_TOKEN": AWS_SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("VPC_RC_", "AWS_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("case", WRONG_URLS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_url_is_refused_in_a_line_without_it(
    command: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path, WRONG_URLS[case]).items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(cli, [command], prog_name="vpc-rc")
    assert ended.exit_code == 2, ended.output
    (line,) = ended.stderr.splitlines()
    assert line.startswith("vpc-rc: VPC_RC_REDIS_URL='***': ")
    assert PLANTED not in ended.output


@pytest.mark.parametrize("command", ["settings", "status", "doctor"])
@pytest.mark.parametrize(
    "url", [f"redis://user:{SECRET}@127.0.0.1:1/0", f"sentinel://:{SECRET}@127.0.0.1:1/0?master=m"]
)
def test_commands_that_cannot_connect_name_no_secret(
    command: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path, url).items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(cli, [command], prog_name="vpc-rc")
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    assert ended.output
    assert PLANTED not in ended.output


@pytest.fixture
def guarded() -> Iterator[RedisServer]:
    """A Redis that wants another password."""
    with RedisServer() as server:
        redis.Redis(port=server.port).config_set("requirepass", "another")
        yield server


def test_roles_whose_redis_is_away_or_refuses_them_log_no_secret(guarded: RedisServer, tmp_path: Path) -> None:
    """Their whole logs at debug level: of their first failures and of their end."""
    nowhere = free_port()
    cases = {
        f"{role}-{name}": (role, url, words)
        for role in ("watcher", "worker")
        for name, url, words in (
            ("away", f"redis://user:{SECRET}@127.0.0.1:{nowhere}/0", f"connecting to 127.0.0.1:{nowhere}"),
            ("refusing", f"redis://:{SECRET}@127.0.0.1:{guarded.port}/0", "AuthenticationError"),
        )
    }
    logs = {name: tmp_path / f"{name}.log" for name in cases}
    with ExitStack() as stack:
        processes = []
        for name, (role, url, _) in cases.items():
            out = stack.enter_context(logs[name].open("w"))
            (tmp_path / name).mkdir()
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "cli.main", role],
                    cwd=ROOT,
                    env={**os.environ, **environment(tmp_path / name, url)},
                    stdout=out,
                    stderr=out,
                )
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(
            words not in logs[name].read_text() for name, (_, _, words) in cases.items()
        ):
            time.sleep(0.2)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    for name, (_, _, words) in cases.items():
        text = logs[name].read_text()
        assert words in text, f"{name} does not say what is wrong: {text[-500:]}"
        assert PLANTED not in text, name


ROLES = ("watcher", "worker", "webhook", "flower")


@contextmanager
def living(folder: Path, redis_port: int) -> Iterator[tuple[Rig, dict[str, str]]]:
    """All roles with planted secrets, their logs at debug level, and a pod served; and the address of each page."""
    rig = Rig(folder=folder, redis_port=redis_port)
    ports = {name: free_port() for name in ("watcher", "worker", "webhook metrics", "webhook", "nodes", "flower")}
    pair = self_signed(("127.0.0.1",), datetime.now(UTC))
    for name, content in (("ca.crt", pair.ca), ("tls.crt", pair.certificate), ("tls.key", pair.key)):
        (folder / name).write_bytes(content)
    try:
        rig.start_ec2()
        rig.start_kube()
        rig.behave(throttling=False, attach_delay=[0.2, 0.5])
        rig.configure(
            VPC_RC_REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{redis_port}/0",
            VPC_RC_LISTEN_ADDRESS="127.0.0.1",
            VPC_RC_LOG_LEVEL="debug",
            AWS_SECRET_ACCESS_KEY=AWS_SECRET,
            AWS_SESSION_TOKEN=AWS_SECRET,
        )
        rig.start_watcher(VPC_RC_METRICS_PORT=str(ports["watcher"]))
        rig.start_worker(VPC_RC_METRICS_PORT=str(ports["worker"]), VPC_RC_INTROSPECTION_PORT=str(ports["nodes"]))
        rig.spawn(
            "webhook", "-m", "cli.main", "webhook",
            VPC_RC_WEBHOOK_PORT=str(ports["webhook"]), VPC_RC_METRICS_PORT=str(ports["webhook metrics"]),
            VPC_RC_WEBHOOK_CERT_FILE=str(folder / "tls.crt"), VPC_RC_WEBHOOK_KEY_FILE=str(folder / "tls.key"),
        )  # fmt: skip
        rig.spawn("flower", "-m", "cli.main", "flower", "--port", str(ports["flower"]))
        rig.add_node("n1")
        rig.add_pod("p1", "n1")
        rig.wait_for_none("served", rig.unserved, 120)
        pages = {
            "watcher": f"http://127.0.0.1:{ports['watcher']}/metrics",
            "worker": f"http://127.0.0.1:{ports['worker']}/metrics",
            "webhook": f"http://127.0.0.1:{ports['webhook metrics']}/metrics",
            "webhook itself": f"https://127.0.0.1:{ports['webhook']}/readyz",
            "the worker's nodes": f"http://127.0.0.1:{ports['nodes']}/resources/all",
            **{
                f"Flower's {path}": f"http://127.0.0.1:{ports['flower']}{path}"
                for path in ("/", "/tasks", "/broker", "/metrics", "/api/workers?refresh=true", "/api/tasks")
            },
        }
        yield rig, pages
    finally:
        rig.stop()


def test_the_pages_events_and_logs_of_a_living_product_show_no_secret(tmp_path: Path) -> None:
    with RedisServer() as server:
        redis.Redis(port=server.port).config_set("requirepass", SECRET)
        with living(tmp_path, server.port) as (rig, pages):
            token = json.loads((tmp_path / "kubeconfig").read_text())["users"][0]["user"]["token"]
            headers = urllib3.make_headers(basic_auth=f"default:{SECRET}")
            pool = urllib3.PoolManager(ca_certs=str(tmp_path / "ca.crt"), headers=headers)
            said = {}
            for name, url in pages.items():
                answer = until(lambda url=url: _answered(pool, url), 30)  # type: ignore[misc]
                assert answer is not None
                assert answer.status == 200, (name, answer.status)
                said[name] = answer.data.decode()
            said["events"] = json.dumps(rig.kube("GET", "/api/v1/events"))
        said |= {
            f"log of {process.name}": process.log.read_text() for process in rig.processes if process.name in ROLES
        }
    assert "ResourceAllocated" in said["events"]
    assert "n1" in said["the worker's nodes"]
    for name, text in said.items():
        assert text, name
        for secret in (PLANTED, token):
            assert secret not in text, f"{name}: {text[max(0, text.find(secret) - 200) :][:400]}"


def _answered(pool: urllib3.PoolManager, url: str) -> urllib3.BaseHTTPResponse | None:
    try:
        return pool.request("GET", url, timeout=10, retries=False)
    except urllib3.exceptions.HTTPError:
        return None


@pytest.mark.parametrize("style", ["json", "console"])
def test_logs_hold_no_secret_whoever_writes_them(style: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level, hooks = root.handlers, root.level, (sys.excepthook, sys.unraisablehook)
    try:
        configure_logging("debug", style, stream)
        report_crashes()
        url = f"redis://user:{SECRET}@redis:6379/0"
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential=A/{AWS_SECRET}, Signature={AWS_SECRET}"}
        get_logger("ours").info("event", url=url, headers=signed, answer=[{"SecretAccessKey": AWS_SECRET}])
        get_logger("ours").warning("failed", error=ConnectionError(url), raw=f"<SessionToken>{TOKEN}</SessionToken>")
        logging.getLogger("stdlib").error("request %s to %s", {"X-Amz-Security-Token": TOKEN}, url)
        logging.getLogger("stdlib").error("extra", extra={"api_key": TOKEN})
        logging.getLogger("celery.worker.consumer").error("consumer: Cannot connect to %s", url)
        app = celery_app(f"sentinel://:{SECRET}@a:1,b:2/0?master=m")
        logging.getLogger("celery.worker").error("connected to %s: %r", app.conf.broker_url, app.conf.broker_read_url)
        try:
            raise ValueError(f"bad {url} and password={QUERY}")
        except ValueError as error:
            get_logger("ours").exception("failed")
            logging.getLogger("stdlib").exception("failed")
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        root.handlers = before
        root.setLevel(level)
        sys.excepthook = hooks[0]
        structlog.reset_defaults()
    text = stream.getvalue()
    assert len(text.splitlines()) >= 9
    assert "process_crashed" in text
    assert PLANTED not in text


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"users: [\n  token: {TOKEN}\n", id="no YAML"),
        pytest.param(f"{TOKEN}", id="a word"),
        pytest.param(f"- {TOKEN}", id="a list"),
        pytest.param(f"apiVersion: v1\nkind: Config\nusers: {TOKEN}\ncontexts: 5\nclusters: []\n", id="another shape"),
        pytest.param("\x00\x01", id="no text"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_kubeconfig_that_cannot_be_read_is_one_line_without_its_content(content: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(NoCluster) as raised:
        connect(kubeconfig=file, context="", clock=VirtualClock())
    (line,) = raised.value.problems
    assert line.startswith(f"VPC_RC_KUBECONFIG='{file}': ")
    assert "\n" not in line
    assert PLANTED not in line
