"""`vpc-rc redis credentials`: passwords and rights of a Redis of one's own, for `deploy/redis`."""

import secrets
from pathlib import Path

import click
import yaml

from cli.files import write
from common.store import acl

PASSWORD_BYTES = 32


@click.group()
def redis() -> None:
    """Prepare a Redis for the product."""


@redis.command()
@click.option("--cluster-name", required=True, help="As in VPC_RC_CLUSTER_NAME: it is part of every key.")
@click.option("--address", default="vpc-rc-redis:6379", show_default=True, help="HOST:PORT at which roles reach it.")
@click.option("--database", type=click.IntRange(0, 15), default=0, show_default=True, help="Its database.")
@click.option("--tls", is_flag=True, help="Roles connect by TLS (rediss://).")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Where users.acl, the password of the probe and a URL for each role are written.",
)
@click.option(
    "--helm-values",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them as values of the Helm chart into this file instead.",
)
def credentials(
    cluster_name: str, address: str, database: int, tls: bool, folder: Path, helm_values: Path | None
) -> None:
    """Make new random passwords, and write the users of Redis 7 or Valkey with what each may do.

    users.acl is for the server and holds hashes; watcher, worker, flower and operator hold VPC_RC_REDIS_URL of each;
    probe holds a password. Run it again to renew them all.
    """
    passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in acl.Role}
    try:
        files = {"users.acl": acl.acl_file(cluster_name, passwords, database)}
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--cluster-name") from error
    for role, password in passwords.items():
        url = f"{'rediss' if tls else 'redis'}://{acl.user_name(role)}:{password}@{address}/{database}"
        files[role] = password if role is acl.Role.PROBE else url
    if helm_values is not None:
        # By the names of the Secrets.
        values = {name.removesuffix(".acl"): content for name, content in files.items()}
        write(helm_values, yaml.safe_dump({"redis": {"credentials": values}}).encode(), 0o600)
        click.echo(str(helm_values))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(folder / name, content.encode(), 0o600)
        click.echo(str(folder / name))
