"""What happened: every call with its outcome, and the steps of every interface's life."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Older calls are dropped, so that a long demo does not eat the memory.
KEPT_CALLS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `outcome` is `ok` or the error's code, `effect` whether the world changed as asked."""

    time: float
    action: str
    identity: str
    params: Mapping[str, Any]
    outcome: str
    effect: bool
    latency: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an interface's life."""

    time: float
    step: str
    detail: str = ""


class Journal:
    """Calls in order and steps by interface. Readers copy first, so that they can read while calls go on."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._steps: dict[str, list[Step]] = {}
        self._listeners: list[Callable[[str, Step], None]] = []

    def step(self, interface_id: str, time: float, step: str, detail: str = "") -> None:
        """Note a step of an interface."""
        made = Step(time=time, step=step, detail=detail)
        self._steps.setdefault(interface_id, []).append(made)
        for listener in self._listeners:
            listener(interface_id, made)

    def on_step(self, listener: Callable[[str, Step], None]) -> None:
        """Call `listener` with the interface and the step, after it happened, under the world's lock."""
        self._listeners.append(listener)

    def steps_of(self, interface_id: str) -> list[Step]:
        """The life of an interface so far; it is kept after its deletion."""
        return list(self._steps.get(interface_id, ()))

    def history(self) -> dict[str, list[Step]]:
        """The lives of all interfaces."""
        return {identifier: list(steps) for identifier, steps in list(self._steps.items())}

    def of(self, action: str) -> list[Call]:
        """The calls of one action."""
        return [call for call in list(self.calls) if call.action == action]

    def summary(self) -> dict[str, dict[str, int]]:
        """By action: number of calls under `calls`, and of each outcome."""
        result: dict[str, Counter[str]] = {}
        for call in list(self.calls):
            counts = result.setdefault(call.action, Counter())
            counts["calls"] += 1
            counts[call.outcome] += 1
        return {action: dict(counts) for action, counts in sorted(result.items())}

    def throttled(self) -> int:
        """How many calls were refused for their rate."""
        return sum(call.outcome == "RequestLimitExceeded" for call in list(self.calls))

    def clear(self) -> None:
        """Forget calls and steps."""
        self.calls.clear()
        self._steps.clear()
