"""`vpc-rc doctor`."""

import sys

import click

from cli.console import console
from cli.doctor.examine import examine
from cli.doctor.permissions import ROLES
from cli.doctor.report import as_json, bad, render, summary
from common.clock import SystemClock
from common.logging import configure_logging
from common.settings import load_settings


@click.command()
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    default=ROLES,
    show_default="all",
    help="Whose Kubernetes permissions to check; may be repeated.",
)
@click.option("--json", "as_json_", is_flag=True, help="One JSON object instead of text.")
def doctor(roles: tuple[str, ...], as_json_: bool) -> None:
    """Check settings, processes, Redis, Kubernetes, webhooks, policies and EC2, and say what to do. Changes nothing.

    Permissions are those of whoever runs it: `kubectl -n kube-system exec deploy/vpc-rc-worker -- vpc-rc doctor
    --role worker`; what that account may not read is "not known". Exit status 1 where something is missing or wrong.
    """
    settings = load_settings()
    configure_logging("error", "console")
    findings = list(examine(settings, roles, SystemClock()))
    if as_json_:
        click.echo(as_json(findings))
    else:
        console().print(render(findings))
        click.echo(summary(findings))
    sys.exit(1 if bad(findings) else 0)
