"""Where tables are printed."""

from unicodedata import category

import click
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from common.settings import unknown_settings

PIPED_WIDTH = 160
"""A file or pipe has no width of its own; at rich's 80 columns the tables fold into nothing."""


def console() -> Console:
    """Of standard output. What is printed says nothing to the terminal: names and messages are others' words."""
    found = Console()
    found = found if found.is_terminal else Console(width=PIPED_WIDTH)
    found.push_render_hook(_Harmless())
    return found


class _Harmless(RenderHook):
    """A hook that leaves only rich's own control of the terminal."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(one) for one in renderables]


class _Printable:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def harmless(text: str) -> str:
    """With `?` for each control character but a line's end: others begin what a terminal obeys."""
    return "".join("?" if category(each) == "Cc" and each != "\n" else each for each in text)


def warn_of_unknown_settings() -> None:
    """On standard error, a line for each name in the environment that is no setting."""
    for name, nearest in unknown_settings().items():
        click.echo(f"vpc-rc: {name}: no such setting" + (f"; is {nearest} meant?" if nearest else ""), err=True)
