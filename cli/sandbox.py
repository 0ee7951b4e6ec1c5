"""`vpc-rc sandbox`: Redis, EC2 and the Kubernetes API on this machine, until a signal ends it."""

import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from sandbox.all import CRDS, Facts, Sandbox, SandboxFailed, Wanted
from sandbox.calls import Refused
from sandbox.ec2.seed import Seed, read_seed
from sandbox.nodes import empty_seed, node_seeds

LOOK_SECONDS = 1.0
"""Between two looks whether a part ended."""
_port = click.IntRange(0, 65535)
_folder = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--folder", type=_folder, help="For kubeconfig and logs; a temporary one by default.")
@click.option("--listen", default="127.0.0.1", show_default=True, help="Address that EC2 and Kubernetes bind.")
@click.option("--advertise", help="Host by which others call them; default: the address they bind.")
@click.option("--redis-port", type=_port, default=0, help="Default: a free one. Redis binds loopback only.")
@click.option("--ec2-port", type=_port, default=0, help="Default: a free one.")
@click.option("--kube-port", type=_port, default=0, help="Default: a free one.")
@click.option("--redis/--no-redis", default=True, help="Whether Redis is started.")
@click.option("--ec2/--no-ec2", default=True, help="Whether EC2 is started.")
@click.option("--kube/--no-kube", default=True, help="Whether the Kubernetes API is started.")
@click.option("--seed", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON: VPC, subnets, nodes.")
@click.option("--nodes", type=click.IntRange(0, 1000), default=0, help="Nodes to begin with, in the default VPC.")
@click.option("--instance-type", default="m5.xlarge", show_default=True, help="Type of those nodes.")
@click.option("--with-kubelet", is_flag=True, help="Play scheduler, kubelets and the controllers of Deployments, too.")
@click.option("--crds", type=_folder, default=CRDS, help="Folder of the CustomResourceDefinitions.")
def sandbox(
    folder: Path | None,
    listen: str,
    advertise: str | None,
    redis_port: int,
    ec2_port: int,
    kube_port: int,
    redis: bool,
    ec2: bool,
    kube: bool,
    seed: Path | None,
    nodes: int,
    instance_type: str,
    with_kubelet: bool,
    crds: Path,
) -> None:
    """Start a Redis, an EC2 and a Kubernetes API that behave like the real ones, for trying and testing.

    Prints the variables that point the product at them. Ends at Ctrl-C or SIGTERM, and takes everything with it.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vpc-rc-sandbox-")))
        wanted = Wanted(
            folder=folder,
            listen=listen,
            advertise=advertise or (listen if listen not in ("0.0.0.0", "::") else "127.0.0.1"),
            redis_port=redis_port if redis else None,
            ec2_port=ec2_port if ec2 else None,
            kube_port=kube_port if kube else None,
            crds=crds,
            seed=_seed(seed, nodes, instance_type),
            with_kubelet=with_kubelet,
        )
        try:
            running = stack.enter_context(Sandbox(wanted))
        except (SandboxFailed, Refused, RuntimeError, FileNotFoundError) as error:
            raise click.ClickException(str(error)) from None
        _say(running.facts, folder)
        while not stop.wait(LOOK_SECONDS):
            if ended := running.ended():
                raise click.ClickException(f"{ended} ended by itself; see {folder / ended}.log")
    sys.exit(0)


def _seed(file: Path | None, nodes: int, instance_type: str) -> Seed:
    if file is None:
        return msgspec.structs.replace(empty_seed(), nodes=node_seeds(nodes, instance_type))
    try:
        return read_seed(file)
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--seed") from None


def _say(facts: Facts, folder: Path) -> None:
    for name, url in (("Redis", facts.redis_url), ("EC2", facts.ec2_url), ("Kubernetes", facts.kube_url)):
        if url:
            click.echo(f"{name} is ready at {url}")
    if facts.nodes:
        click.echo(f"{len(facts.nodes)} nodes have joined")
    click.echo(f"Logs are in {folder}. To point the product, an AWS SDK and kubectl here:\n")
    for name, value in facts.environment().items():
        click.echo(f"export {name}={value}")
    sys.stdout.flush()
