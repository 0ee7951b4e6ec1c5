"""When a failed step is tried again. Nothing is ever given up: intervals grow to a cap, with jitter."""

from dataclasses import dataclass

from common.model.errors import (
    Conflict,
    Denied,
    InUse,
    LimitExceeded,
    NotFound,
    NotYetFound,
    OutsideError,
    SubnetExhausted,
    Throttled,
    Unavailable,
    Unsure,
)
from common.model.ledger import Backoff
from common.model.outage import Scope
from common.rules.scopes import names_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Seconds of the first interval and of the longest."""

    first: float
    longest: float


PASSING = (Throttled, Unsure, NotYetFound, Unavailable)
"""Errors that say nothing about the step itself."""

INTERVALS: tuple[tuple[type[OutsideError], Intervals], ...] = (
    # The rate limiter keeps the calls within EC2's limits, whoever makes them again.
    (Throttled, Intervals(first=1.0, longest=5.0)),
    (Unsure, Intervals(first=0.5, longest=5.0)),
    (Conflict, Intervals(first=0.2, longest=5.0)),
    (InUse, Intervals(first=1.0, longest=30.0)),
    (NotYetFound, Intervals(first=0.5, longest=5.0)),
    (NotFound, Intervals(first=2.0, longest=60.0)),
    # Denied steps cost a call each and heal only by a person's hand.
    (Denied, Intervals(first=5.0, longest=60.0)),
    (SubnetExhausted, Intervals(first=5.0, longest=120.0)),
    (LimitExceeded, Intervals(first=5.0, longest=120.0)),
)
OTHERWISE = Intervals(first=2.0, longest=120.0)
SCOPE_SECONDS = 60.0
"""What waits for a scope is woken when it works; after this it looks for itself, which costs no call meanwhile."""
GROUPS_SECONDS = 12.0
"""The same where another policy leads to another scope: only a look at the policies tells."""
NO_FREE_BLOCK = "InsufficientCidrBlocks"
NO_FREE_BLOCK_SECONDS = 120.0
"""A subnet without a free /28 block does not get one by being asked."""

MOST_DOUBLINGS = 16
"""More make no longer interval, and a float overflows with 1,024."""


def grown(first: float, longest: float, attempts: int) -> float:
    """Seconds of the interval after so many attempts: doubled each time, to a cap."""
    return min(longest, first * 2.0 ** min(attempts, MOST_DOUBLINGS))


def after_failure(backoff: Backoff, error: OutsideError, now: float, jitter: float, scope: str = "") -> Backoff:
    """The backoff after one more failure. `jitter` in [0, 1) spreads retries over the last quarter of the interval.
    `scope`: what failed for all by it."""
    if scope and not isinstance(error, NotYetFound):
        wait = GROUPS_SECONDS if names_groups(Scope(scope)) else SCOPE_SECONDS
        not_before = now + wait * (0.75 + 0.25 * jitter)
        return Backoff(
            not_before=not_before, attempts=backoff.attempts + 1, code=error.code, message=error.message, scope=scope
        )
    if error.code == NO_FREE_BLOCK:
        interval = NO_FREE_BLOCK_SECONDS
    else:
        intervals = next((i for kind, i in INTERVALS if isinstance(error, kind)), OTHERWISE)
        interval = grown(intervals.first, intervals.longest, backoff.attempts) * (0.75 + 0.25 * jitter)
    return Backoff(not_before=now + interval, attempts=backoff.attempts + 1, code=error.code, message=error.message)
