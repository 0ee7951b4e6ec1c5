"""`python -m benchmarks.soak --minutes 30`: a steady churn of pods on a hundred nodes; does anything grow?

Memory, file descriptors and threads of each process, memory and keys by kind of Redis, twice a minute. A line is
fitted to the second half of each (least squares); exit status 1 where one grows by more than a tenth
an hour and by more than noise.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from rich.console import Console

from benchmarks.faults import Load, judge, ready_nodes
from benchmarks.figures import Figures
from benchmarks.stand import Stand, standing

NODES = 100
PODS_A_SECOND = 2.0
LOOK_SECONDS = 30.0
GROWTH = 0.1
"""Share of the mean per hour."""
NOISE = {"MiB": 3.0, "fds": 5.0, "threads": 5.0, "keys": 10.0}
"""Growth in an hour that says nothing, by the word at the end of a name."""

Sample = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line of JSON to this file")
    options = parser.parse_args()
    figures = Figures("soak")
    soak(figures, options.minutes * 60)
    figures.show(Console(width=None if sys.stdout.isatty() else 120))
    if options.json:
        with options.json.open("a") as file:
            file.write(figures.line() + "\n")
    return int(bool(figures.wrong))


def soak(figures: Figures, seconds: float) -> None:
    with standing(figures, workers=0, judged=True, config={"branch_eni_cooldown": "30"}) as stand:
        stand.start_product(watchers=2)
        load = Load(stand, ready_nodes(stand, NODES), PODS_A_SECOND)
        samples: list[tuple[float, Sample]] = []
        began = time.monotonic()
        with load.running():
            while (passed := time.monotonic() - began) < seconds:
                samples.append((passed, look(stand)))
                time.sleep(LOOK_SECONDS)
        figures.add(seconds=seconds, nodes=NODES, pods=len(load.asked))
        figures.wrong += growth(figures, [one for one in samples if one[0] >= seconds / 2])
        stand.watch.wait(load.asked, 60.0)
        waits = [stand.watch.served[name] - asked for name, asked in load.asked.items() if name in stand.watch.served]
        figures.add(served=len(waits))
        figures.waits("wait", waits)
        judge(stand, figures, load)


def look(stand: Stand) -> Sample:
    """Of every process of ours and Redis, as names that end in a unit."""
    found: Sample = {}
    for process in stand.own:
        place = Path("/proc") / str(process.popen.pid)
        status = (place / "status").read_text()
        found[f"{process.name} MiB"] = int(_number("VmRSS", status)) / 1024
        found[f"{process.name} threads"] = int(_number("Threads", status))
        found[f"{process.name} fds"] = sum(1 for _ in (place / "fd").iterdir())
    client: Any = redis.Redis(port=stand.redis.port, decode_responses=True)
    found["redis MiB"] = client.info("memory")["used_memory"] / 2**20
    found["redis clients keys"] = client.info("clients")["connected_clients"]
    kinds = Counter(_kind(key) for key in client.scan_iter(count=1000))
    return found | {f"{kind} keys": number for kind, number in kinds.items()}


def _number(name: str, status: str) -> str:
    match = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert match is not None, f"no {name} in {status!r}"
    return match[1]


def _kind(key: str) -> str:
    """The kind of a key, without the names in it."""
    parts = key.split(":")
    return parts[2] if key.startswith("vpcrc:") and len(parts) > 2 else re.split(r"[.\x06]", key)[0]


def growth(figures: Figures, samples: Sequence[tuple[float, Sample]]) -> list[str]:
    """A figure for each that was measured, and sentences about those that grow."""
    wrong = []
    for name in sorted({name for _, sample in samples for name in sample}):
        points = [(at, sample.get(name, 0.0)) for at, sample in samples]
        mean = sum(value for _, value in points) / len(points)
        an_hour = 3600 * slope(points)
        figures.add(**{name: f"{points[-1][1]:.1f}, {an_hour:+.1f} an hour"})
        if an_hour > max(GROWTH * mean, NOISE[name.rpartition(" ")[2]]):
            wrong.append(f"{name} grows: {points[0][1]:.1f} to {points[-1][1]:.1f}, {an_hour:+.1f} an hour")
    return wrong


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through the points, by least squares."""
    x = sum(at for at, _ in points) / len(points)
    y = sum(value for _, value in points) / len(points)
    spread = sum((at - x) ** 2 for at, _ in points)
    return sum((at - x) * (value - y) for at, value in points) / spread if spread else 0.0


if __name__ == "__main__":
    sys.exit(main())
