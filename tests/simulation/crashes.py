"""Outside calls as places to crash, or to get no answer: the n-th is cut before, or after, it took effect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import redis

T = TypeVar("T")


class Crash(BaseException):
    """The process is killed here. No `except Exception` sees it."""


@dataclass(slots=True)
class CrashPoints:
    """Counts the outside calls of workers, and kills at one of them, or at several."""

    cut: frozenset[int] = frozenset()
    """Numbers of the calls to cut; call n is cut before its effect at 2n, after it at 2n + 1."""
    unanswered: frozenset[int] = frozenset()
    """The same of calls to Redis that time out."""
    calls: list[str] = field(default_factory=list)
    pause_before: int | None = None
    """The call before which the worker stands still, while `meanwhile` happens to the world."""
    when: Callable[[], bool] | None = None
    """It stands still before the first call at which this holds, too."""
    meanwhile: Callable[[], None] = lambda: None
    before_each: Callable[[], None] = lambda: None
    """What the others do while this worker is about to call."""

    def call(self, name: str, effect: Callable[[], T]) -> T:
        number = len(self.calls)
        self.calls.append(name)
        if number == self.pause_before or (self.when is not None and self.when()):
            self.when = None
            self.meanwhile()
        self.before_each()
        if 2 * number in self.cut:
            raise Crash(f"before {name}")
        self._answered(name, 2 * number)
        value = effect()
        if 2 * number + 1 in self.cut:
            raise Crash(f"after {name}")
        self._answered(name, 2 * number + 1)
        return value

    def _answered(self, name: str, moment: int) -> None:
        if moment in self.unanswered and name.startswith("Redis "):
            raise redis.TimeoutError(f"{name} timed out")
