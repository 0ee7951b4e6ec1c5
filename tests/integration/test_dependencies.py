"""What each role does when what it depends on fails: the table of docs/reliability.md holds."""

import pytest

from benchmarks.outages import DEPENDENCIES, FAULTS, GRACE_SECONDS, YES, measure
from benchmarks.proxy import Mode

Cell = tuple[str, str, Mode]
CELLS: list[Cell] = [(role, one, fault) for role, of in DEPENDENCIES.items() for one in of for fault in FAULTS]
BY_DEFAULT: list[Cell] = [("worker", "api", "refused"), ("webhook", "api", "silent")]
USABLE: dict[tuple[str, str, str], str] = {
    ("worker", "sts", "work"): "it has credentials for an hour",
    ("worker", "imds", "work"): "it has credentials for an hour, and knows its region",
    ("webhook", "api", "work"): "it judges by what it read last",
}
"""Where a role that waits for nothing is right to say that it is ready."""
MAY_BE_READY = {("worker", "api", "start"), ("worker", "ec2", "start"), ("worker", "redis", "start")}
"""Of two workers one may have nothing to ask, and connects late where each answer is slow."""


@pytest.mark.parametrize(
    ("role", "dependency", "fault"),
    [pytest.param(*cell, marks=[] if cell in BY_DEFAULT else pytest.mark.slow) for cell in CELLS],
)
def test_no_role_is_green_while_it_can_do_nothing_and_all_end_in_time(role: str, dependency: str, fault: Mode) -> None:
    for row in measure(role, dependency, fault):
        cell = f"{row.moment}: {row}"
        assert row.healthy == YES, cell
        assert (row.ended_after < GRACE_SECONDS[role], row.status) == (True, 0), cell
        if (role, dependency, row.moment) not in MAY_BE_READY:
            usable = fault == "slow" or (role, dependency, row.moment) in USABLE
            assert (row.ready == YES) == usable, cell
