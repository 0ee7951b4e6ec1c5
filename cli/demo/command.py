"""`vpc-rc demo`."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.console import console
from cli.demo.plan import DemoFailed, Plan, room_problem
from cli.demo.run import Demo, Summary
from cli.demo.screen import Lines, Screen, Tables
from cli.demo.signals import Listener, Signalled
from cli.demo.stage import Stage
from common.clock import SystemClock
from common.logging import configure_logging
from common.model.errors import ControllerError
from sandbox.calls import Refused
from sandbox.processes import Processes

STOP_SECONDS = 30.0
"""A worker finishes its slice first."""
SIGNALLED = 128
"""Exit status of a process that a signal ended, less the signal's number: as shells have it."""


@click.command(context_settings={"show_default": True, "auto_envvar_prefix": "VPC_RC_DEMO"})
@click.option("--nodes", default=20, type=click.IntRange(1, 1000), show_envvar=True, help="Nodes.")
@click.option("--pods", default=300, type=click.IntRange(1, 20_000), show_envvar=True, help="Pods at the most.")
@click.option("--instance-type", default="m5.xlarge", show_envvar=True, help="Type of the nodes.")
@click.option("--workers", default=2, type=click.IntRange(1, 32), show_envvar=True, help="Worker processes.")
@click.option("--cooldown", default=30, type=click.IntRange(30, 3600), show_envvar=True, help="Rest of interfaces, s.")
@click.option(
    "--ec2-factor",
    default=1.0,
    type=click.FloatRange(0.1, 10_000),
    show_envvar=True,
    help="EC2's default request limits are multiplied by this.",
)
@click.option("--hold", is_flag=True, show_envvar=True, help="Keep everything running at the end, to look around.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where logs are kept.")
def demo(
    nodes: int,
    pods: int,
    instance_type: str,
    workers: int,
    cooldown: int,
    ec2_factor: float,
    hold: bool,
    folder: Path | None,
) -> None:
    """Run the whole product against the sandbox on this machine: nodes join, Deployments scale up and down.

    Shows what happens, checks the outcome against the simulated EC2, and ends with figures. Exit status 0 where
    everything is as it should be, 1 with a sentence that says what is not.
    """
    configure_logging("error", "console")
    place = folder or Path(tempfile.mkdtemp(prefix="vpc-rc-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        nodes=nodes,
        pods=pods,
        rest=pods // 10,
        instance_type=instance_type,
        workers=workers,
        cooldown=cooldown,
        ec2_factor=ec2_factor,
        folder=place,
    )
    if problem := room_problem(plan):
        raise click.UsageError(problem)
    screen = console()
    listener = Listener()
    try:
        _perform(plan, screen, listener, hold=hold)
    except Signalled as signalled:
        listener.ignore()
        click.echo(f"{signalled}: everything has been ended.")
        sys.exit(SIGNALLED + signalled.number)
    except (DemoFailed, ControllerError, Refused, OSError) as error:
        for line in error.logs if isinstance(error, DemoFailed) else []:
            click.echo(f"  {line}", err=True)
        click.echo(f"The demo failed: {error}\nLogs are in {place}", err=True)
        sys.exit(1)
    if folder is None:
        shutil.rmtree(place, ignore_errors=True)


def _perform(plan: Plan, out: Console, listener: Listener, *, hold: bool) -> None:
    clock = SystemClock()
    screen: Screen = Tables(out, clock) if out.is_terminal else Lines(out, clock)
    with Processes(STOP_SECONDS) as processes:
        with screen:
            stage = Stage(plan, processes, clock, listener)
            running = Demo(plan, stage, screen, clock)
            summary = running.run()
        _print(out, summary)
        if hold:
            text = how_to_look(stage.facts.environment(), sys.argv[0], stage.flower_port, plan.folder)
            out.print(Text(text), soft_wrap=True)
            with screen, suppress(Signalled):
                running.hold()


def _print(out: Console, summary: Summary) -> None:
    rate = 100 * summary.throttled / max(1, summary.calls)
    ratio = f", {summary.served / summary.ideal:.2f} times that" if summary.ideal else ""
    figures = Table(
        title="Everything is as it should be", title_justify="left", show_header=False, box=None, pad_edge=False
    )
    for name, value in (
        ("Nodes ready after", f"{summary.nodes_ready:.1f} s, from the start of the product's processes"),
        (f"{summary.pods} pods served after", f"{summary.served:.1f} s"),
        ("EC2's limits alone allow", f"{summary.ideal:.1f} s{ratio}"),
        ("Scheduled to annotated", f"p50 {summary.p50:.1f} s, p99 {summary.p99:.1f} s"),
        ("Released after", f"{summary.released:.1f} s, cool-down included"),
        ("EC2 calls", f"{summary.calls}, throttled {summary.throttled} ({rate:.2f} of 100)"),
    ):
        figures.add_row(name, value)
    out.print(figures)
    out.print()
    taken = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("Process", "CPU", "Peak memory"):
        taken.add_column(title, justify="left" if title == "Process" else "right")
    for name, usage in summary.usage.items():
        if usage is not None:
            taken.add_row(name, f"{usage.cpu_seconds:.1f} s", f"{usage.peak_bytes / 2**20:.0f} MiB")
    if taken.row_count:
        out.print(taken)
        out.print()


def how_to_look(environment: Mapping[str, str], program: str, flower_port: int, logs: Path) -> str:
    """What to type in another terminal while a demo is held. `program`: how this one was started."""
    return "\n".join(
        (
            f"Everything keeps running until Ctrl-C; logs are in {logs}. In another terminal:\n",
            *(f"export {name}={value}" for name, value in environment.items()),
            f"\n{program} status --watch",
            "kubectl -n demo get pods",
            "kubectl -n demo scale deployment demo-0 --replicas=20",
            f"Flower: http://127.0.0.1:{flower_port}\n",
        )
    )
