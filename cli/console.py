"""Where tables are printed."""

import click
from rich.console import Console

from common.settings import unknown_settings

PIPED_WIDTH = 160
"""A file or pipe has no width of its own; at rich's 80 columns the tables fold into nothing."""


def console() -> Console:
    """Of standard output."""
    found = Console()
    return found if found.is_terminal else Console(width=PIPED_WIDTH)


def warn_of_unknown_settings() -> None:
    """On standard error, a line for each name in the environment that is no setting."""
    for name, nearest in unknown_settings().items():
        click.echo(f"vpc-rc: {name}: no such setting" + (f"; is {nearest} meant?" if nearest else ""), err=True)
