"""`python -m benchmarks [NAME ...] [--json FILE]`: all of them, or those named. Exit status 1 where a result is wrong,
however fast; slowness is for the reader to judge."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import join, linux, scaling
from benchmarks.figures import Benchmark, Figures

BENCHMARKS: dict[str, Benchmark] = {
    **linux.BENCHMARKS,
    **scaling.BENCHMARKS,
    **join.BENCHMARKS,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line of JSON for each to this file")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - BENCHMARKS.keys()):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    wrong = 0
    for name in options.names or BENCHMARKS:
        figures = Figures(name)
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
