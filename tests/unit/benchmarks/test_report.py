"""Medians over runs, for people."""

import json

from benchmarks.figures import Figures
from benchmarks.report import table


def run(benchmark: str, *, full_plane: bool = False, **values: float | str) -> dict[str, object]:
    figures = Figures(benchmark, full_plane=full_plane)
    figures.add(**values)
    found: dict[str, object] = json.loads(figures.line())
    return found


def test_each_figure_has_its_median_and_span_over_all_runs_of_the_same_kind() -> None:
    runs = [
        run("failover", wait_p99_s=4.31, pods=360, after_kill_worker_s="in words"),
        run("failover", wait_p99_s=3.9, pods=361),
        run("failover", wait_p99_s=12.0, pods=1200),
        run("failover", full_plane=True, wait_p99_s=6.5),
    ]
    assert list(table(runs)) == [
        "| benchmark | runs | figure | median | from - to |",
        "|---|---|---|---|---|",
        "| failover | 3 | wait_p99_s | 4.31 | 3.9 - 12 |",
        "|  |  | pods | 361 | 360 - 1,200 |",
        "| failover, full control plane | 1 | wait_p99_s | 6.5 |  |",
    ]
