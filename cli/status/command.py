"""`vpc-rc status`."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import click
import msgspec
from rich.console import RenderableType
from rich.live import Live

from cli.console import console, warn_of_unknown_settings
from cli.status.choose import ONLY, SORT, choose
from cli.status.fit import as_tall_as
from cli.status.read import read_cluster, read_node, read_pod
from cli.status.show import render
from cli.status.show_detail import render_node, render_pod
from common.clock import Clock, SystemClock
from common.logging import configure_logging
from common.model.limits import load_limits
from common.settings import load_settings, require
from common.store import open_store

WATCH_SECONDS = 1.0

Show = Callable[[float, int, int | None], RenderableType]
"""What was read, as text: given the epoch seconds, the terminal's columns, and the most rows of a table (None: every
node)."""
Read = Callable[[], tuple[msgspec.Struct, Show]]


@click.command()
@click.argument("what", required=False)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Text, or one JSON object.")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@click.option("--only", type=click.Choice(list(ONLY)), multiple=True, help="Only such nodes; may be repeated.")
@click.option("--sort", type=click.Choice(list(SORT)), default="name", show_default=True, help="Order of the nodes.")
def status(what: str | None, watch: bool, output: str, as_json: bool, only: tuple[str, ...], sort: str) -> None:
    """Show what the cluster has: per node the trunk, its branch interfaces and the pods that wait, and why.

    WHAT is a node, or a pod as namespace/name: then all that is known of it. Needs Redis alone, so that it works in
    any pod of the product (kubectl exec) and through a port-forward to Redis.
    """
    settings, clock = load_settings(), SystemClock()
    configure_logging("warning", "console")
    warn_of_unknown_settings()
    require(settings, "cluster_name")
    store = open_store(settings)
    limits = load_limits(settings.instance_limits_file)

    def read() -> tuple[msgspec.Struct, Show]:
        if what is None:
            cluster = choose(read_cluster(store, limits), only, sort)
            return cluster, lambda now, width, rows: render(cluster, now, width, rows)
        if "/" in what:
            pod = read_pod(store, what)
            return pod, lambda now, width, _: render_pod(pod, now, width)
        node = read_node(store, limits, what)
        return node, lambda now, width, _: render_node(node, now, width)

    with suppress(KeyboardInterrupt):
        if output == "json" or as_json:
            _as_json(read, watch, clock)
        else:
            _as_text(read, watch, clock)


def _as_json(read: Read, watch: bool, clock: Clock) -> None:
    """With `watch` one line per second."""
    while watch:
        click.echo(msgspec.json.encode(read()[0]))
        clock.sleep(WATCH_SECONDS)
    click.echo(msgspec.json.format(msgspec.json.encode(read()[0]), indent=2))


def _as_text(read: Read, watch: bool, clock: Clock) -> None:
    screen = console()
    if not watch or not screen.is_terminal:
        # Into a pipe or a file each is written as it comes: a live table would be written at its end only.
        screen.print(read()[1](clock.now(), screen.width, None))
        while watch:
            clock.sleep(WATCH_SECONDS)
            screen.print()
            screen.print(read()[1](clock.now(), screen.width, None))
        return
    with Live(console=screen, auto_refresh=False, screen=True) as live:
        while True:
            show, now = read()[1], clock.now()
            live.update(as_tall_as(screen, screen.height, partial(show, now, screen.width)), refresh=True)
            clock.sleep(WATCH_SECONDS)
