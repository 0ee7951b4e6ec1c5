"""Faults to inject into the HTTP server: which requests they meet and what they do to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from sandbox.kube.resources import Object
from sandbox.kube.world import RequestInfo

MATCHED = ("verb", "group", "resource", "subresource", "namespace", "name")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One rule. `match` holds wanted values by field (`method`, `user` and the words of RequestInfo); all must hold.

    `effect` is an HTTP status, `reset` (the connection is dropped), `hang` (no answer) or `none` (only the delay).
    `when` says whether the request has taken effect by then. It meets requests `count` times (none: always), each
    with probability `rate`; `delay` in seconds comes first.
    """

    id: int
    match: dict[str, str] = field(default_factory=dict)
    effect: int | str = 500
    when: str = "before"
    count: int | None = None
    rate: float = 1.0
    delay: float = 0.0
    retry_after: int | None = None
    message: str = "injected by the sandbox"
    met: int = 0

    def meets(self, method: str, user: str, info: RequestInfo) -> bool:
        seen = {"method": method, "user": user, **{name: getattr(info, name) for name in MATCHED}}
        return (self.count is None or self.met < self.count) and all(
            seen.get(name) in wanted.split(",") for name, wanted in self.match.items()
        )


class Faults:
    """The rules in force, in the order of their making."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._rules: list[Fault] = []
        self._made = 0

    def add(self, rule: Object) -> Fault:
        """Raises ValueError for a rule that says what no rule can."""
        self._made += 1
        try:
            fault = Fault(id=self._made, **rule)
        except TypeError as error:
            raise ValueError(str(error)) from error
        unknown = set(fault.match) - {"method", "user", *MATCHED}
        if unknown or not (isinstance(fault.effect, int) or fault.effect in ("reset", "hang", "none")):
            raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown)) or fault.effect}")
        if fault.when not in ("before", "after"):
            raise ValueError("when is before or after")
        self._rules.append(fault)
        return fault

    def remove(self, number: int | None = None) -> None:
        """Ends one rule, or all."""
        self._rules = [] if number is None else [r for r in self._rules if r.id != number]

    def all(self) -> list[Fault]:
        return list(self._rules)

    def next_for(self, method: str, user: str, info: RequestInfo) -> Fault | None:
        """The first rule that meets this request; counts it."""
        for rule in self._rules:
            if rule.meets(method, user, info) and (rule.rate >= 1.0 or self._random.random() < rule.rate):
                rule.met += 1
                return rule
        return None
