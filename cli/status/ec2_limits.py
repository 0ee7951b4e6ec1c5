"""What was found out about EC2's request limits, where it is not what the settings say, and what waits for them."""

from collections.abc import Iterable, Mapping

import msgspec
from rich import box
from rich.table import Table

from common.store.rate import BelievedLimit

SAME = 0.05
"""Beliefs nearer than this to the settings are called the same: they are counted, not listed."""


class Ec2Limit(msgspec.Struct, frozen=True, kw_only=True):
    """An EC2 operation's limit: calls at once, and calls per second after that."""

    operation: str
    burst: float
    refill: float
    configured_burst: float
    configured_refill: float
    waiting: int


def notable(believed: Mapping[str, BelievedLimit]) -> tuple[Ec2Limit, ...]:
    """Those that differ from the settings, or that calls wait for."""
    return tuple(
        Ec2Limit(
            operation=operation,
            burst=limit.burst,
            refill=limit.refill,
            configured_burst=limit.configured_burst,
            configured_refill=limit.configured_refill,
            waiting=limit.waiting,
        )
        for operation, limit in believed.items()
        if limit.waiting
        or _differs(limit.burst, limit.configured_burst)
        or _differs(limit.refill, limit.configured_refill)
    )


def limits_table(limits: Iterable[Ec2Limit]) -> Table:
    table = Table(
        title="EC2's limits as found out", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.add_column("Action", overflow="fold")
    for title in ("At once", "A second", "Settings", "Waiting"):
        table.add_column(title, justify="right", no_wrap=True)
    for limit in limits:
        configured = f"{limit.configured_burst:.0f}, {limit.configured_refill:g}"
        table.add_row(limit.operation, f"{limit.burst:.0f}", f"{limit.refill:.1f}", configured, str(limit.waiting))
    return table


def _differs(believed: float, configured: float) -> bool:
    return abs(believed / configured - 1) > SAME
