"""Where tables are printed."""

from rich.console import Console

PIPED_WIDTH = 160
"""A file or pipe has no width of its own; at rich's 80 columns the tables fold into nothing."""


def console() -> Console:
    """Of standard output."""
    found = Console()
    return found if found.is_terminal else Console(width=PIPED_WIDTH)
