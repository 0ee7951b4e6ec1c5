"""Every constant of time that somebody may have to wait for is argued in docs/architecture.md."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHER_KINDS = {
    "rate": "measures of the rate limiter",
    "gate": "measures of the rate limiter",
    "metrics": "names of metrics",
    "listener": "a listener's",
    "deadline": "the least that a socket takes",
}
"""Modules whose constants are no waits of anybody."""
LIFETIMES = frozenset(
    {
        "load.SNAPSHOT_SECONDS",
        "sweep.SWEEP_SECONDS",
        "sweep.SEEN_SECONDS",
        "uncovered.FRESH_SECONDS",
        "credentials.NEEDED_SECONDS",
        "credentials.READ_AGAIN_SECONDS",
        "heartbeats.FORGET_SECONDS",
        "lock.FENCE_SECONDS",
        "outages.KEPT_SECONDS",
        "pulse.SWITCH_SECONDS",
        "shared_time.LARGEST_ERROR_SECONDS",
        "snapshots.QUEUE_SECONDS",
    }
)
"""What a record, a cache or a token is good for, and measures of clocks."""


def defined() -> set[str]:
    found = set()
    for package in ("workers", "watcher", "common"):
        for file in (ROOT / package).rglob("*.py"):
            if file.stem in OTHER_KINDS:
                continue
            for node in ast.parse(file.read_text()).body:
                targets = node.targets if isinstance(node, ast.Assign) else []
                targets += [node.target] if isinstance(node, ast.AnnAssign) else []
                for target in targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    found |= {f"{file.stem}.{n.id}" for n in names if isinstance(n, ast.Name)}
    return {name for name in found if name.endswith("_SECONDS")}


def argued() -> set[str]:
    return set(re.findall(r"`(\w+\.\w+_SECONDS)`", (ROOT / "docs" / "architecture.md").read_text()))


def test_every_constant_of_time_is_argued() -> None:
    assert defined() - argued() - LIFETIMES == set()


def test_nothing_is_argued_that_is_not_there() -> None:
    assert (argued() | LIFETIMES) - defined() == set()
