"""Makes tables as wide and as tall as the screen: columns of less use are left out, names shortened and rows counted
instead of shown; numbers are never cut."""

import io
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from rich import box
from rich.console import Console, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

SHORTEST_NAME = 12
WIDE, NARROW = 1, 0
"""Padding on each side of a cell; a column more separates two."""
ELLIPSIS = "…"
_ENDLESS = Console(width=10_000, file=io.StringIO())
"""To measure on."""

Row = TypeVar("Row")


class Column(NamedTuple, Generic[Row]):
    """`cell` of each row; `footer` below them. `optional` ones go first where there is no room."""

    title: str
    cell: Callable[[Row], Text]
    footer: str = ""
    justify: JustifyMethod = "right"
    optional: bool = False


def without_common_domain(names: Sequence[str]) -> list[str]:
    """`ip-10-0-0-1.us-west-2.compute.internal` as `ip-10-0-0-1`, where all names have the same domain."""
    domains = {name.partition(".")[2] for name in names}
    return [name.partition(".")[0] for name in names] if len(domains) == 1 else list(names)


def cut(text: str, width: int) -> str:
    """At most so many characters: the beginning and the end say which it is."""
    if len(text) <= width:
        return text
    head = width // 2
    return text[:head] + ELLIPSIS + text[len(text) - (width - 1 - head) :]


def fitting(
    rows: Sequence[Row], names: Sequence[str], heading: str, footer: str, columns: Sequence[Column[Row]], width: int
) -> Table:
    """A row each, its name first. Where there is no room: no domains, no optional columns, no more than the numbers in
    the footer below the names (up to its semicolon), narrow gaps, and names are cut last."""
    short, brief = without_common_domain(names), footer.partition(";")[0]
    needed = [column for column in columns if not column.optional]
    for shown_names, shown_footer, shown_columns, gap in (
        (list(names), footer, columns, WIDE),
        (short, footer, columns, WIDE),
        (short, footer, needed, WIDE),
        (short, brief, needed, WIDE),
        (short, brief, needed, NARROW),
    ):
        table = _table(rows, shown_names, heading, shown_footer, shown_columns, gap)
        if width_of(table) <= width:
            return table
    longest = max(len(text) for text in (brief, heading, *short))
    room = longest - (width_of(_table(rows, short, heading, brief, needed, NARROW)) - width)
    return _table(rows, [cut(name, max(SHORTEST_NAME, room)) for name in short], heading, brief, needed, NARROW)


def as_tall_as(console: Console, lines: int, show: Callable[[int], RenderableType]) -> RenderableType:
    """What `show` gives for the most rows of each table with which all of it takes so many lines; for one row, where
    even that takes more."""

    def too_tall(rows: int) -> bool:
        return len(console.render_lines(show(rows))) > lines

    return show(max(1, bisect_left(range(1, lines + 1), True, key=too_tall)))


def width_of(table: Table) -> int:
    """Columns of a terminal that it wants."""
    return Measurement.get(_ENDLESS, _ENDLESS.options, table).maximum


def _table(
    rows: Sequence[Row], names: Sequence[str], heading: str, footer: str, columns: Sequence[Column[Row]], gap: int
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, show_edge=False, pad_edge=False, padding=(0, gap))
    table.add_column(heading, footer=footer, no_wrap=True)
    for column in columns:
        table.add_column(column.title, footer=column.footer, justify=column.justify, no_wrap=True)
    for name, row in zip(names, rows, strict=True):
        table.add_row(Text(name), *(column.cell(row) for column in columns))
    return table
