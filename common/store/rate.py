"""The rate limiter that all replicas share: what EC2 allows of each operation, found out by sending.

EC2 throttles per account, region and operation by token bucket ("Request throttling", EC2 API Reference). The settings'
table is where beliefs begin; the account may have more or less, and others may use some of it. Within the believed
bucket calls are granted at once. Beyond it slow start asks for more, as TCP does: one call, then two, four, as long as
none is refused. A refusal shows that the bucket is empty; calls are then paced by the believed refill, which every
refusal corrects by what EC2 let through since the one before. Beliefs last for hours. ADR 12 has the curves.

Nothing is granted ahead of its time, so that a refusal slows everybody down at once. A caller that has to wait gets a
place in the line of the operation, and asks again at the time it is given: pods first, then nodes, then the rest, each
in the order in which they came. Places are kept while their holders are parked, and are free when these do not come
back.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from common.metrics import EC2_BURST, EC2_RATE
from common.model.reservation import Reservation, Urgency
from common.settings import DEFAULT_EC2_RATES
from common.store import keys
from common.store.link import Link, Value
from common.store.milliseconds import milliseconds

BELIEF = timedelta(hours=6)
"""How long beliefs outlive the last call: limits of an account change by a person's request."""
PLACES = timedelta(days=1)
"""For so long it is remembered in which line somebody has a place."""


class Rate(Protocol):
    """EC2's limit for an operation."""

    @property
    def burst(self) -> float: ...

    @property
    def refill(self) -> float:
        """Calls a second."""
        ...


class BelievedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of EC2's limit for an operation, and who waits for it."""

    burst: float
    refill: float
    """Calls a second."""
    configured_burst: float
    configured_refill: float
    waiting: int
    """Calls in the line, of all replicas."""


DEFAULT_RATES: Mapping[str, Rate] = DEFAULT_EC2_RATES


class RateLimiter:
    """Thread-safe. Time is Redis' own. Every method raises StoreUnavailable, and KeyError for an operation without a
    limit."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix, rates: Mapping[str, Rate]) -> None:
        self._link = link
        self._prefix = prefix
        self._rates = rates

    def reserve(self, operation: str, who: str, urgency: Urgency = Urgency.POD) -> Reservation:
        """Leave to call `operation`, or a place in its line. `who`: a name in the whole cluster of what calls, by which
        its place is found when it asks again."""
        raw = self._script(
            "reserve", operation, self._belief(operation, who, urgency), milliseconds(PLACES.total_seconds())
        )
        granted, wait, at, waited, refill, burst = raw
        EC2_RATE.labels(operation).set(float(refill))
        EC2_BURST.labels(operation).set(float(burst))
        return Reservation(granted=bool(granted), wait=float(wait), at=float(at), waited=float(waited))

    def throttled(self, operation: str, who: str, granted_at: float, urgency: Urgency = Urgency.POD) -> bool:
        """EC2 refused the call that was granted at `granted_at` (Redis' time). `who` comes first when it asks again.
        Whether that was new: not where the call was under way when EC2 refused another."""
        return bool(self._script("throttled", operation, self._belief(operation, who, urgency), repr(granted_at)))

    def give_back(self, who: Iterable[str]) -> int:
        """These do not come back for their places. How many had one."""
        args: list[Value] = [keys.rate_line(self._prefix, ""), keys.rate_due(self._prefix, ""), *who]
        return int(self._link.script("give_back", [keys.places(self._prefix)], args))

    def left(self, operation: str) -> float:
        """Share of the operation's burst that is not used up, 0 to 1; 0 where callers wait."""
        return float(self._script("left", operation, self._configured(operation)))

    def believed(self) -> dict[str, BelievedLimit]:
        """By operation, in the table's order. Only reads."""
        reads: list[tuple[str, ...]] = []
        for operation in self._rates:
            reads.append(("HMGET", keys.rate(self._prefix, operation), "table", "burst", "refill"))
            reads.append(("ZCARD", keys.rate_line(self._prefix, operation)))
        answers = self._link.transaction(reads)
        found = {}
        for number, (operation, rate) in enumerate(self._rates.items()):
            (table, burst, refill), waiting = answers[2 * number : 2 * number + 2]
            known = table is not None and table.decode() == _table(rate)
            found[operation] = BelievedLimit(
                burst=float(burst) if known else rate.burst,
                refill=float(refill) if known else rate.refill,
                configured_burst=rate.burst,
                configured_refill=rate.refill,
                waiting=int(waiting),
            )
        return found

    def _configured(self, operation: str) -> list[Value]:
        rate = self._rates[operation]
        return list(_table(rate).split())

    def _belief(self, operation: str, who: str, urgency: Urgency) -> list[Value]:
        return [*self._configured(operation), operation, who, int(urgency), int(BELIEF.total_seconds())]

    def _script(self, name: str, operation: str, args: list[Value], *more: Value) -> Any:
        p = self._prefix
        spots = [keys.rate(p, operation), keys.rate_line(p, operation), keys.rate_due(p, operation), keys.places(p)]
        return self._link.script(name, spots, [*args, *more], after="rate_state")


def _table(rate: Rate) -> str:
    """As the scripts keep it."""
    return f"{float(rate.burst)!r} {float(rate.refill)!r}"
