"""Waiting for what other threads and processes bring about."""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_SECONDS = 0.02
Found = TypeVar("Found")


def until(condition: Callable[[], Found], seconds: float = 20.0, what: str = "it did not come about") -> Found:
    """Look again and again until it holds; what it gave then. Fails with `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(LOOK_SECONDS)
    return found
