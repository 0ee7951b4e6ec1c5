"""The product's processes: each reads its settings, sets up logging and serves until a signal ends it.

A role is imported when its command is called: the imports of another would cost it memory and start-up time.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from cli.files import write
from common.clock import SystemClock
from common.logging import configure_logging, get_logger, report_crashes
from common.settings import Settings, SettingsError, load_settings, unknown_settings, variable

FIRST_LOOK_SECONDS = 2.0
"""A Redis that is slower than that is looked at by its role."""


def _end(_number: int, _frame: FrameType | None) -> None:
    """Nothing that needs an end has begun; an exception could be lost in a callback of the import system."""
    os._exit(0)


def _prepared() -> Settings:
    # Before anything is imported that takes long: as process 1 of a container there is no other handler, and a signal
    # would be lost.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    report_crashes()
    for name, nearest in unknown_settings().items():
        get_logger(__name__).warning("unknown_setting", name=name, nearest=nearest)
    return settings


def _refuse_unfit_redis(settings: Settings) -> None:
    """Raises SettingsError. A Redis that does not answer now is waited for by the role itself."""
    from common.model.errors import StoreUnavailable
    from common.store import connect
    from common.store.link import Link
    from common.store.server import Server

    try:
        why = Server(Link(connect(settings.redis_url.get_secret_value(), FIRST_LOOK_SECONDS))).unfit()
    except StoreUnavailable:
        return
    if why:
        raise SettingsError([f"{variable('redis_url')}: this Redis cannot be used: {why}"])


@click.command()
def watcher() -> None:
    """Keep in Redis what Kubernetes wants of each node, and publish a task for every node that changed."""
    settings = _prepared()
    _refuse_unfit_redis(settings)
    from watcher.run import main

    sys.exit(main(settings))


@click.command()
def worker() -> None:
    """Work on nodes: compare the desired state with what EC2 has, and make the calls that are missing."""
    settings = _prepared()
    _refuse_unfit_redis(settings)
    from workers.run import main

    sys.exit(main(settings))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=5555, show_default=True, help="Port of the web page.")
def flower(port: int) -> None:
    """Show Celery's queues, workers and tasks in a web page."""
    settings = _prepared()
    from workers.flower import main

    sys.exit(main(settings, port))


@click.group(invoke_without_command=True)
@click.pass_context
def webhook(context: click.Context) -> None:
    """Answer admission reviews over TLS; `vpc-rc webhook certificates` makes a pair for clusters without an issuer."""
    if context.invoked_subcommand is not None:
        return
    settings = _prepared()
    from webhook.run import main

    sys.exit(main(settings))


@webhook.command()
@click.option("--service", default="vpc-rc-webhook", show_default=True, help="Name of the webhook's Service.")
@click.option("--namespace", default="kube-system", show_default=True, help="Its namespace.")
@click.option("--name", "more", multiple=True, help="A further DNS name or IP address; may be repeated.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Where ca.crt, tls.crt and tls.key are written.",
)
def certificates(service: str, namespace: str, more: tuple[str, ...], folder: Path) -> None:
    """Write a new CA's certificate and a serving pair of it. The CA's key is thrown away."""
    from webhook.certificates import self_signed, service_names

    now = datetime.fromtimestamp(SystemClock().now(), tz=UTC)
    pair = self_signed([*service_names(service, namespace), *more], now)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content, mode in (
        ("ca.crt", pair.ca, 0o644),
        ("tls.crt", pair.certificate, 0o644),
        ("tls.key", pair.key, 0o600),
    ):
        write(folder / file, content, mode)
        click.echo(str(folder / file))
