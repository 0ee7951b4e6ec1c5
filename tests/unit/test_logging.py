"""Logging: one pipe for our entries and the libraries', no secrets in it; and the server of metrics."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.request import urlopen

import pytest
import structlog

from common.exposition import serve_metrics
from common.logging import configure_logging, get_logger
from common.metrics import EC2_CALLS


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def logging_to(level: str = "info", style: Literal["json", "console"] = "json") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, style, stream)
    return stream


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_entry_is_one_line_of_json() -> None:
    stream = logging_to()
    get_logger("workers.run").info("trunk attached", node="node-1", attempts=2)
    (entry,) = entries(stream)
    assert entry["event"] == "trunk attached"
    assert (entry["node"], entry["attempts"]) == ("node-1", 2)
    assert (entry["level"], entry["logger"]) == ("info", "workers.run")
    assert entry["timestamp"].endswith("Z")


def test_entries_of_libraries_take_the_same_form() -> None:
    stream = logging_to()
    logging.getLogger("celery.worker").warning("lost %s", "connection", extra={"broker": "redis"})
    (entry,) = entries(stream)
    assert (entry["event"], entry["level"], entry["broker"]) == ("lost connection", "warning", "redis")


def test_entries_below_the_level_are_left_out() -> None:
    stream = logging_to("warning")
    get_logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    get_logger("a").warning("loud")
    assert [entry["event"] for entry in entries(stream)] == ["loud"]


def test_libraries_never_log_request_bodies() -> None:
    stream = logging_to("debug")
    logging.getLogger("botocore.endpoint").debug("body")
    logging.getLogger("kubernetes.client.rest").debug("body")
    get_logger("a").debug("ours")
    assert [entry["event"] for entry in entries(stream)] == ["ours"]


def test_context_that_was_bound_is_in_every_entry() -> None:
    stream = logging_to()
    with structlog.contextvars.bound_contextvars(node="node-1"):
        get_logger("a").info("one")
        logging.getLogger("b").info("two")
    assert [entry["node"] for entry in entries(stream)] == ["node-1", "node-1"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_do_not_reach_the_log(style: Literal["json", "console"]) -> None:
    stream = logging_to(style=style)
    log = get_logger("a")
    log.info("broker redis://:hunter2@redis:6379/0")
    log.info("call", headers={"Authorization": "Bearer hunter2"}, urls=["rediss://u:hunter2@r"])
    log.info("session", aws_session_token="hunter2", password="hunter2")
    log.warning("refused", error=ValueError("redis://:hunter2@redis"))
    logging.getLogger("kombu").error("cannot connect to redis://:hunter2@redis:6379/0")
    try:
        raise ConnectionError("Authorization: Bearer hunter2")
    except ConnectionError:
        log.exception("failed")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "ConnectionError" in text
    assert "redis:6379/0" in text


def test_tokens_that_make_ec2_calls_repeatable_are_no_secret() -> None:
    stream = logging_to()
    get_logger("a").info("creating", client_token="b1c2")
    assert entries(stream)[0]["client_token"] == "b1c2"


def test_metrics_are_served() -> None:
    EC2_CALLS.labels(operation="CreateTags", code="OK").inc()
    server = serve_metrics(0, "127.0.0.1")
    try:
        with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        server.close()
    assert 'vpc_rc_ec2_calls_total{code="OK",operation="CreateTags"}' in text
    for inherited in (
        "leaked_eni_count",
        "vpc_cni_created_available_eni_count",
        "vpc_rc_created_available_eni_count",
        "node_termination_eni_cleanup_failures_total",
        "sgp_enabled",
        "windows_ipam_enabled",
        "windows_prefix_delegation_enabled",
    ):
        assert re.search(rf"^{inherited} [0-9.]+$", text, re.MULTILINE), inherited
