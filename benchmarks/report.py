"""`python -m benchmarks.report FILE ...`: what `python -m benchmarks --json FILE` wrote, as a table for people: of each
benchmark the median of every figure over its runs, with the least and the greatest. Exit status 1 where a result was
wrong."""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Run = Mapping[str, Any]
"""A line of a file."""
NO_FIGURES = frozenset({"benchmark", "control_plane", "wrong", "benchmark_took_s"})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    runs = [json.loads(line) for file in parser.parse_args().files for line in file.read_text().splitlines()]
    sys.stdout.writelines(f"{line}\n" for line in table(runs))
    wrong = [f"{run['benchmark']}: {what}" for run in runs for what in run["wrong"]]
    sys.stderr.writelines(f"WRONG: {one}\n" for one in wrong)
    return 1 if wrong else 0


def table(runs: Iterable[Run]) -> Iterator[str]:
    """Lines of Markdown, benchmarks in the order of their first runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        where = ", full control plane" if run.get("control_plane") == "real" else ""
        groups.setdefault(f"{run['benchmark']}{where}", []).append(run)
    yield "| benchmark | runs | figure | median | from - to |"
    yield "|---|---|---|---|---|"
    for name, group in groups.items():
        first = f"{name} | {len(group)}"
        for figure, values in _figures(group).items():
            span = f"{_shown(min(values))} - {_shown(max(values))}" if len(values) > 1 else ""
            yield f"| {first} | {figure} | {_shown(statistics.median(values))} | {span} |"
            first = " | "


def _figures(group: Iterable[Run]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in group:
        for name, value in run.items():
            if name not in NO_FIGURES and isinstance(value, int | float):
                found.setdefault(name, []).append(value)
    return found


def _shown(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
