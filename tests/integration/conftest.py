"""Modules that wait long begin first: what is short fills the time beside them."""

from pathlib import Path

import pytest

FIRST = ("test_kills", "test_outages", "test_life", "test_demo", "test_watcher")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Files keep their order otherwise, and tests theirs within a file."""
    name = Path(item.path).stem
    return FIRST.index(name) if name in FIRST else len(FIRST)
