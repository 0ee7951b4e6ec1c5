"""`python -m tests.mutations`: each fault in a copy of the product, and who notices it; `--check` only finds places.

Prints a line for each: which tests caught it and after how many seconds, or SURVIVED.
"""

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kit.control_plane import SCRIPT, SCRIPT_BESIDE
from tests.mutations.attacks import ATTACKS
from tests.mutations.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PRODUCT = ("common", "watcher", "webhook", "workers", "deploy", ".github")
WHOLE = (".lua", ".yaml", ".yml")
"""Ends of names of files that are no Python: they stand for a function."""
UNIT = {
    "common/node": "tests/unit/node",
    "common/rules": "tests/unit/rules",
    "common/store": "tests/unit/store",
    "watcher": "tests/unit/watcher",
    "workers/maintenance": "tests/unit/maintenance",
    "workers": "tests/unit/workers",
}
LONGEST_SECONDS = 900


def edits(fault: Fault) -> tuple[tuple[str, str, str], ...]:
    return ((fault.function, fault.old, fault.new), *fault.also)


def places(function: str, old: str, root: Path) -> list[tuple[Path, int, int]]:
    """Files that have the text in that function, each with the span of characters."""
    found = []
    for file in (file for folder in PRODUCT for file in sorted((root / folder).rglob("*"))):
        if function.endswith(WHOLE) and file.name == function:
            spans: Iterator[tuple[int, int]] = iter([(0, len(file.read_text()))])
        elif file.suffix == ".py" and not function.endswith(WHOLE):
            spans = _functions(file.read_text(), function)
        else:
            continue
        text = file.read_text()
        for begin, end in spans:
            at = text.find(old, begin, end)
            if at >= 0:
                found.append((file, at, at + len(old)))
    return found


def _functions(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Spans of the functions of this name."""
    if f"def {name.rpartition('.')[2]}(" not in text:
        return
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    owner, _, own = name.rpartition(".")
    for outer in ast.walk(ast.parse(text)):
        if owner and not (isinstance(outer, ast.ClassDef) and outer.name == owner):
            continue
        for node in ast.iter_child_nodes(outer):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == own:
                yield starts[node.lineno - 1], (starts[node.end_lineno] if node.end_lineno else len(text))


def tests_of(file: Path, root: Path) -> str:
    inside = file.relative_to(root).as_posix()
    return next((tests for folder, tests in UNIT.items() if inside.startswith(folder)), "tests/unit")


def notices(tests: str, root: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    command += shlex.split(tests)
    try:
        # Beside the copy there is no script that starts a control plane.
        environment = {**os.environ, SCRIPT: os.environ.get(SCRIPT) or str(SCRIPT_BESIDE)}
        ended = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=LONGEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 0


def tried(fault: Fault, root: Path, stages: list[str]) -> str:
    before: dict[Path, str] = {}
    try:
        for function, old, new in edits(fault):
            found = places(function, old, root)
            if not found:
                return "NOT FOUND"
            file, begin, end = found[0]
            text = file.read_text()
            before.setdefault(file, text)
            file.write_text(text[:begin] + new + text[end:])
        named = {"named": fault.by, "unit": tests_of(next(iter(before)), root), "simulation": "tests/simulation"}
        asked = [named[stage] for stage in stages if named[stage]]
        for tests in asked:
            began = time.monotonic()
            if notices(tests, root):
                return f"`{tests}` | {time.monotonic() - began:.0f} s"
    finally:
        for file, text in before.items():
            file.write_text(text)
    return "SURVIVED " + " and ".join(asked)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which faults find no place")
    parser.add_argument("--only", default="", help="faults whose names contain this")
    parser.add_argument("--stages", default="named,unit,simulation", help="which tests, in this order")
    given = parser.parse_args()
    chosen = [fault for fault in (*FAULTS, *ATTACKS) if given.only in fault.name]
    if given.check:
        lost = [fault.name for fault in chosen if not all(places(f, old, ROOT) for f, old, _ in edits(fault))]
        print("\n".join(lost) or f"all {len(chosen)} faults have their places")
        return int(bool(lost))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "copy"
        leave = shutil.ignore_patterns(".git", ".venv*", "build", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, root, symlinks=True, ignore=leave)
        bad = 0
        for fault in chosen:
            verdict = tried(fault, root, given.stages.split(","))
            bad += "|" not in verdict
            print(f"| {fault.name} | {verdict} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
