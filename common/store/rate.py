"""The rate limiter that all replicas share: one token bucket for each EC2 action, a reservation at a time.

EC2 throttles per account, region and action by token bucket ("Request throttling", EC2 API Reference). A call takes its
turn with one script: it is told how long to wait, nobody polls, and turns are first come, first served.
"""

from collections.abc import Mapping
from typing import Protocol

from common.settings import DEFAULT_EC2_RATES
from common.store import keys
from common.store.link import Link

SPARE_BURST = 2.0
"""Tokens of EC2's bucket that we leave: calls reach EC2 some 100 ms after their turn, bunched."""
SPARE_REFILL = 0.02
"""Share of the refill that we leave, so that EC2's bucket is never emptier than ours for long."""
IMPATIENT_SECONDS = 1.0
"""A queue longer than this is for pods and nodes; releases and warming come back later."""
CUT_SECONDS = 60.0
"""A rate that was cut after throttling has grown back after so long."""
CUT_FLOOR = 0.1
"""Of the refill; the account is shared with others, and some calls must get through to find out how it stands."""


class Rate(Protocol):
    """EC2's limit for an action."""

    @property
    def burst(self) -> float: ...

    @property
    def refill(self) -> float:
        """Calls a second."""
        ...


DEFAULT_RATES: Mapping[str, Rate] = DEFAULT_EC2_RATES


class RateLimiter:
    """Thread-safe. Time is Redis' own. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix, rates: Mapping[str, Rate], *, growth: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._rates = rates
        self._growth = growth

    def reserve(self, action: str, cost: float = 1, *, patient: bool = True) -> float:
        """Take a turn: the seconds until it comes, 0 now. Not `patient`: where it is more than about a second off no
        turn is taken, and the answer says when to ask again. Raises KeyError for an action without a limit."""
        rate = self._rates[action]
        burst, refill = max(1.0, rate.burst - SPARE_BURST), rate.refill * (1 - SPARE_REFILL)
        args = [burst, refill, cost, "" if patient else IMPATIENT_SECONDS, CUT_SECONDS]
        return float(self._link.script("reserve", [keys.rate(self._prefix, action)], args))

    def penalise(self, action: str) -> None:
        """EC2 throttled the action: everybody's rate for it is halved, at most once a second, and grows back."""
        args = [CUT_SECONDS, CUT_FLOOR, int((CUT_SECONDS + 60) * 1000)]
        self._link.script("penalise", [keys.rate(self._prefix, action)], args)
