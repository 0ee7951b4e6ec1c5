"""`vpc-rc status`."""

from contextlib import suppress

import click
import msgspec
from rich.live import Live

from cli.console import console, warn_of_unknown_settings
from cli.status.read import read_glance
from cli.status.show import render
from common.clock import SystemClock
from common.logging import configure_logging
from common.model.limits import load_limits
from common.settings import load_settings, require
from common.store import Store, connect, keys

WATCH_SECONDS = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def status(watch: bool, as_json: bool) -> None:
    """Show what the cluster has: per node the trunk, its branch interfaces and the pods that wait, and why."""
    settings, clock = load_settings(), SystemClock()
    configure_logging("warning", "console")
    warn_of_unknown_settings()
    require(settings, "cluster_name")
    store = Store(
        connect(settings.redis_url.get_secret_value()), keys.prefix(settings.cluster_name), settings.ec2_rates
    )
    limits = load_limits(settings.instance_limits_file)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(read_glance(store, limits)), indent=2))
        return
    screen = console()
    if not watch:
        screen.print(render(read_glance(store, limits), clock.now(), screen.width))
        return
    with suppress(KeyboardInterrupt), Live(console=screen, auto_refresh=False, screen=screen.is_terminal) as live:
        while True:
            shown = max(5, screen.height - 12) if screen.is_terminal else None
            live.update(render(read_glance(store, limits), clock.now(), screen.width, shown), refresh=True)
            clock.sleep(WATCH_SECONDS)
