"""`python -m benchmarks [NAME ...] [--json FILE]`: all of them, or those named. Exit status 1 where a result is wrong,
however fast; slowness is for the reader to judge."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import failover, idle, join, leaks, linux, outage, restart, scaling, windows
from benchmarks.figures import Benchmark, Figures
from sandbox.processes import ROOT
from tests.kit.control_plane import ASSETS


def webhook(figures: Figures) -> None:
    """benchmarks.webhook, which has options of its own, at its defaults."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.webhook"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False
    )
    for line in ended.stdout.splitlines():
        name, _, value = line.partition("  ")
        if value:
            figures.add(**{name: value.strip()})
    if ended.returncode:
        figures.wrong.append(f"exit status {ended.returncode}")
    if not str(figures.values.get("patched / errors", "")).endswith("/ 0"):
        figures.wrong.append("reviews answered wrongly")
    if figures.values.get("certificate replaced") != "yes":
        figures.wrong.append("the certificate was not replaced")


BENCHMARKS: dict[str, Benchmark] = {
    **linux.BENCHMARKS,
    **scaling.BENCHMARKS,
    **join.BENCHMARKS,
    **restart.BENCHMARKS,
    **windows.BENCHMARKS,
    **failover.BENCHMARKS,
    **outage.BENCHMARKS,
    **idle.BENCHMARKS,
    **leaks.BENCHMARKS,
    "webhook": webhook,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line of JSON for each to this file")
    parser.add_argument(
        "--control-plane",
        action="store_true",
        help="in the full real control plane that KUBEBUILDER_ASSETS names; one that has to change the API server "
        "itself needs the sandbox's",
    )
    options = parser.parse_args()
    if options.control_plane and not os.environ.get(ASSETS):
        parser.error(f"{ASSETS} names no control plane")
    if unknown := sorted(set(options.names) - BENCHMARKS.keys()):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    wrong = 0
    for name in options.names or BENCHMARKS:
        figures = Figures(name, full_plane=options.control_plane)
        began = time.monotonic()
        BENCHMARKS[name](figures)
        figures.add(benchmark_took_s=time.monotonic() - began)
        figures.show(console)
        if options.json:
            with options.json.open("a") as file:
                file.write(figures.line() + "\n")
        wrong += bool(figures.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
