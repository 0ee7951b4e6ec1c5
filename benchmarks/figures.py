"""What a benchmark found: figures in order, and what was wrong."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from cli.demo.ideal import percentile
from common.settings import DEFAULT_EC2_RATES, RateLimit


@dataclass(slots=True)
class Figures:
    """Figures of one run of one benchmark."""

    benchmark: str
    full_plane: bool = False
    """The run is in a full real control plane, not on the sandbox's API server."""
    values: dict[str, float | int | str] = field(default_factory=dict)
    """By name; the unit is in the name."""
    wrong: list[str] = field(default_factory=list)
    """What must not be, a sentence each. Slowness is not wrong."""

    def add(self, **values: float | int | str | None) -> None:
        """Figures in the order in which people read them; None is left out."""
        self.values |= {name: value for name, value in values.items() if value is not None}

    def waits(self, prefix: str, seconds: Sequence[float]) -> None:
        """Median, 99th percentile and longest, in seconds."""
        if seconds:
            self.values[f"{prefix}_median_s"] = statistics.median(seconds)
            self.values[f"{prefix}_p99_s"] = percentile(seconds, 0.99)
            self.values[f"{prefix}_longest_s"] = max(seconds)

    def line(self) -> str:
        """As a line of JSON."""
        values = {name: round(value, 4) if isinstance(value, float) else value for name, value in self.values.items()}
        where = {"control_plane": "real"} if self.full_plane else {}
        return json.dumps({"benchmark": self.benchmark, **where, **values, "wrong": self.wrong})

    def show(self, console: Console) -> None:
        where = " (full control plane)" if self.full_plane else ""
        table = Table(title=self.benchmark + where, title_justify="left", show_header=False)
        for name, value in self.values.items():
            table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
        console.print(table)
        for sentence in self.wrong[:20]:
            console.print(f"WRONG: {sentence}", style="bold red", markup=False, highlight=False)


Benchmark = Callable[[Figures], None]


def ideal_seconds(calls: dict[str, int], rates: dict[str, RateLimit] | None = None) -> float:
    """How long EC2's buckets, full at first, take to let so many calls of each action through. 0: at once."""
    table = rates or dict(DEFAULT_EC2_RATES)
    return max([0.0, *((number - table[action].burst) / table[action].refill for action, number in calls.items())])


def linux_calls(pods: int, trunks: int = 0) -> dict[str, int]:
    """The calls that change something for so many pods of one interface each, and for so many new trunks."""
    return {
        "CreateNetworkInterface": pods + trunks,
        "CreateNetworkInterfacePermission": pods + trunks,
        "AssociateTrunkInterface": pods,
        "AttachNetworkInterface": trunks,
        "ModifyNetworkInterfaceAttribute": trunks,
    }


def per_hundred(part: float, whole: float) -> float:
    """`part` of each hundred of `whole`."""
    return 100.0 * part / whole if whole else 0.0


def spread(values: Iterable[int]) -> str:
    """Least to most."""
    ordered = sorted(values)
    return f"{ordered[0]}..{ordered[-1]}" if ordered else "-"
