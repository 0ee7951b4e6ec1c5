"""How tests that share servers are dealt to processes: `pytest -n 4 --dist loadscope --no-loadscope-reorder`."""

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

FIRST = ("e2e", "test_windows", "test_kills", "test_outages", "test_life", "test_demo", "test_watcher")
"""They wait long. What is short fills the time beside them."""


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
