"""How tests that share servers are dealt to processes (`pytest -n 4 --dist loadscope --no-loadscope-reorder`), and what
the end of a run says of tests that did not run."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

FIRST = ("e2e", "test_windows", "test_kills", "test_outages", "test_life", "test_demo", "test_watcher")
"""They wait long. What is short fills the time beside them."""


# How long an example takes depends on what else the machine does. pytest-timeout ends what hangs.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


class ByServers(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests go to one process; so do all of those in the full control plane, which is started once."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    return ByServers(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = Path(item.path)
    names = [name for name in (file.parent.name, file.stem) if name in FIRST]
    return FIRST.index(names[0]) if names else len(FIRST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line with what was skipped and why."""
    reports = terminalreporter.stats.get("skipped", [])
    if reports:
        reasons = Counter(_reason(report) for report in reports)
        said = "; ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"not run: {len(reports)} tests: {said}")


def _reason(report: pytest.TestReport) -> str:
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(words.removeprefix("Skipped:").split())
