"""What each role does when what it depends on fails: the table of docs/reliability.md holds, cell by cell."""

import re
from pathlib import Path

import pytest

from benchmarks.outages import DEPENDENCIES, FAULTS, GRACE_SECONDS, WORK_SECONDS, YES, Row, measure
from benchmarks.proxy import Mode

Cell = tuple[str, str, Mode]
CELLS: list[Cell] = [(role, one, fault) for role, of in DEPENDENCIES.items() for one in of for fault in FAULTS]
BY_DEFAULT: list[Cell] = [
    ("watcher", "redis", "wrong"),
    ("worker", "redis", "silent"),
    ("worker", "api", "refused"),
    ("webhook", "api", "refused"),
]
SHORT_SECONDS = 12.0
"""How long the fault lasts in those: longer than any readiness takes to show it."""
USABLE: dict[tuple[str, str, str], str] = {
    ("worker", "sts", "work"): "it has credentials for an hour",
    ("worker", "imds", "work"): "it has credentials for an hour, and knows its region",
    ("webhook", "api", "work"): "it judges by what it read last",
}
"""Where a role that waits for nothing is right to say that it is ready."""
MAY_BE_READY = {("worker", "api", "start"), ("worker", "ec2", "start"), ("worker", "redis", "start")}
"""One of two workers may have nothing to ask, and connects late where each answer is slow."""
SILENT_AT_START = "a call that waits for its time limit is not said to have failed; /readyz says what it waits for"
QUIET: dict[tuple[str, str, Mode, str], str] = {
    ("watcher", "api", "silent", "start"): SILENT_AT_START,
    ("worker", "api", "silent", "start"): SILENT_AT_START,
    ("worker", "ec2", "silent", "start"): SILENT_AT_START,
    ("worker", "sts", "silent", "start"): SILENT_AT_START,
    ("worker", "sts", "silent", "work"): "it asks STS no more",
    ("webhook", "api", "silent", "start"): SILENT_AT_START,
}
"""Where the log may say nothing of the fault."""
ONE_MAY_BE_IDLE = {("worker", "api", "start"), ("worker", "ec2", "start")}
SAYS = {
    "redis": r"redis|heartbeat|cannot take over",
    "api": r"watch interrupted|lease|action_failed|event not written|API server|Kubernetes API",
    "ec2": r"ec2|EC2|instances not read",
    "sts": r"worker_waits",
    "imds": r"worker_waits",
}
"""What the last warning names, by the dependency that fails."""
BACK_SECONDS = 20.0
"""From the fault's end until the role is ready: lists that failed for 12 s are tried again after 16 s at most. Seen:
14 s."""


@pytest.mark.parametrize(
    ("role", "dependency", "fault"),
    [pytest.param(*cell, marks=[] if cell in BY_DEFAULT else pytest.mark.slow) for cell in CELLS],
)
def test_no_role_is_green_while_it_can_do_nothing_and_all_end_in_time(role: str, dependency: str, fault: Mode) -> None:
    by_default = (role, dependency, fault) in BY_DEFAULT
    for row in measure(role, dependency, fault, SHORT_SECONDS if by_default else WORK_SECONDS):
        check(role, dependency, fault, row)


def check(role: str, dependency: str, fault: Mode, row: Row) -> None:
    cell = f"{row.moment}: {row}"
    assert row.healthy == YES, cell
    assert (row.ended_after < GRACE_SECONDS[role], row.status) == (True, 0), cell
    if (role, dependency, row.moment) not in MAY_BE_READY:
        usable = fault == "slow" or (role, dependency, row.moment) in USABLE
        assert (row.ready == YES) == usable, cell
    may_be_quiet = (role, dependency, fault, row.moment) in QUIET or (role, dependency, row.moment) in ONE_MAY_BE_IDLE
    if fault != "slow" and not (may_be_quiet and row.log == ""):
        assert re.search(SAYS[dependency], row.log), cell
    if row.moment == "work":
        assert row.back is not None
        assert row.back < BACK_SECONDS, cell


def test_no_cell_of_the_documented_table_is_missing_or_unexplained() -> None:
    text = (Path(__file__).parents[2] / "docs/reliability.md").read_text()
    lines = [line.split(" | ") for line in text.splitlines() if re.match(r"\| (watcher|worker|webhook) \|", line)]
    rows = {(cells[0].removeprefix("| "), *cells[1:4]): cells[4:] for cells in lines}
    assert set(rows) == {(*cell, moment) for cell in CELLS for moment in ("start", "work")}
    for (role, dependency, fault, moment), (ready, healthy, log, back, ended) in rows.items():
        where = f"{role} {dependency} {fault} {moment}"
        assert healthy == YES, where
        assert (back.strip() != "") == (moment == "work"), where
        seconds = float(ended.partition(" s")[0])
        assert seconds < GRACE_SECONDS[role], where
        if ready.startswith(YES) and fault != "slow":
            key = (role, dependency, moment)
            assert key in USABLE or key in MAY_BE_READY, where
        if back.strip():
            assert float(back.partition(" s")[0]) < BACK_SECONDS, where
        if log.strip() and fault != "slow":
            assert re.search(SAYS[dependency], log), where
        elif fault != "slow":
            assert (role, dependency, fault, moment) in QUIET or (role, dependency, moment) in ONE_MAY_BE_IDLE, where
