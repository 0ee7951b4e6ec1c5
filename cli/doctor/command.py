"""`vpc-rc doctor`."""

import sys
from collections.abc import Iterator

import click
from rich.table import Table
from rich.text import Text

from cli.console import console
from cli.doctor import ec2, guards, kubernetes, redis
from cli.doctor.finding import Finding, State, first_line
from cli.doctor.permissions import ROLES, needed
from common.clock import SystemClock
from common.kube.transport import NoCluster, connect
from common.logging import configure_logging
from common.masking import mask
from common.settings import Settings, load_settings, unknown_settings, variable

_STYLES = {State.OK: "green", State.MISSING: "red", State.UNKNOWN: "yellow"}


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
def doctor(roles: tuple[str, ...]) -> None:
    """Check settings, Redis, Kubernetes and EC2, and say what to do. Changes nothing.

    Permissions are those of whoever runs it: `kubectl -n kube-system exec deploy/vpc-rc-worker -- vpc-rc doctor
    --role worker`. Exit status 1 where something is missing.
    """
    settings = load_settings()
    configure_logging("error", "console")
    findings = list(_findings(settings, roles))
    console().print(_table(findings))
    missing = sum(finding.state is State.MISSING for finding in findings)
    click.echo(f"{missing} things are missing." if missing else "Nothing is missing.")
    sys.exit(1 if missing else 0)


def _findings(settings: Settings, roles: tuple[str, ...]) -> Iterator[Finding]:
    for field in ("cluster_name", "vpc_id"):
        name = variable(field)
        if getattr(settings, field):
            yield Finding(area="Settings", what=name)
        else:
            yield Finding(area="Settings", what=name, state=State.MISSING, advice="It must be set: vpc-rc settings")
    for name, nearest in unknown_settings().items():
        advice = f"No such setting: is {nearest} meant?" if nearest else "No such setting; vpc-rc settings lists all"
        yield Finding(area="Settings", what=name, state=State.UNKNOWN, advice=advice)
    yield from redis.check(settings.redis_url.get_secret_value())
    try:
        transport = connect(kubeconfig=settings.kubeconfig, context=settings.kube_context, clock=SystemClock())
    except NoCluster as error:
        advice = f"{first_line(error)}. Set KUBECONFIG, or run it in a pod with a service account"
        yield Finding(area=kubernetes.AREA, what="kubeconfig", state=State.MISSING, advice=advice)
    else:
        permissions = {role: needed(role, settings.lease_name, settings.lease_namespace) for role in roles}
        yield from kubernetes.check(transport, permissions)
        yield from guards.check(transport)
    yield from ec2.check(settings)


def _table(findings: list[Finding]) -> Table:
    table = Table(pad_edge=False)
    table.add_column("Of")
    table.add_column("What", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("What to do", overflow="fold")
    for finding in findings:
        state = Text(str(finding.state), _STYLES[finding.state])
        table.add_row(finding.area, Text(mask(finding.what)), state, Text(mask(finding.advice)))
    return table
