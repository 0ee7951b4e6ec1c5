"""The rate limiter that all replicas share: one token bucket for each EC2 action, one script a call.

EC2 throttles per account, region and action by token bucket ("Request throttling", EC2 API Reference). A caller takes
its turn and is told how long to wait: nobody polls, and turns are first come, first served.

Turns are given only HORIZON_SECONDS ahead, so that a rate that changed takes effect at once. Whoever is further back
is given a *place*: an estimate, made as if the rate went on growing. He comes back at that time with `turn`, goes
before those without, and gets his turn, or a later place where EC2 did not let the rate grow. While callers wait and
nothing is throttled the rate grows, slowly near the table (so that a probe at EC2's defaults costs a few calls), then
faster; throttling sets a ceiling for some minutes.

A place whose holder does not want it any more is given back; where holders die, their line is over as soon as nobody
came for ABSENT_SECONDS though places were due.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from common.metrics import EC2_RATE
from common.settings import DEFAULT_EC2_RATES
from common.store import keys
from common.store.link import Link, Value
from common.store.milliseconds import milliseconds

SPARE_BURST = 2.0
"""Tokens of EC2's bucket that we leave: calls reach EC2 some 100 ms after their turn, bunched."""
SPARE_REFILL = 0.02
"""Share of the refill that we leave, so that EC2's bucket is never emptier than ours for long."""
IMPATIENT_SECONDS = 1.0
"""A queue longer than this is for pods and nodes; releases and warming come back later."""
IMPATIENT_RETRY_SECONDS = 4.0
"""The least that a refused caller is told to stay away: more than anybody waits for on the spot."""
CUT_SECONDS = 60.0
"""A rate that was cut after throttling has grown back after so long."""
CUT_FLOOR = 0.1
"""Of the refill; the account is shared with others, and some calls must get through to find out how it stands."""
HORIZON_SECONDS = 1.5
"""How far ahead turns are given when the rate may grow: what a change of the rate cannot reach any more."""
PLACE_SECONDS = 3.05
"""Least wait of a place: more than callers wait for on the spot (3 s), so that they see that it is no turn."""
LINE_SECONDS = 40.0
"""Places must amount to so much waiting before the rate grows: a probe costs two or three throttled calls."""
BUSY_SECONDS = 8.0
"""Of waiting before the rate grows: small bursts are over by then and cost no probe."""
NEAR_GROWTH, FAR_GROWTH = 0.03, 0.15
"""Growth a second, near the table and beyond."""
BEYOND = 1.35
"""Gain from which on EC2's limits are evidently raised: at its defaults throttling comes before."""
LARGEST_GAIN = 20.0
CEILING_SECONDS = 300.0
"""For so long the gain at which EC2 throttled is not tried again."""
CEILING_SHARE = 0.7
"""Of a gain beyond at which EC2 throttled: what is kept."""
PAUSE_SECONDS = 1.0
"""After a probe: lets EC2's bucket fill by what the turns already given take too much."""
ABSENT_SECONDS = 5.0
"""Holders of places come back within so long: what is left of a turn's time until the run that takes it calls."""
PLACES_SECONDS = 86400.0
"""For so long it is remembered who has a place."""
FOUND_SECONDS = HORIZON_SECONDS + 2.5
"""Throttling so soon after a finding comes from turns given before it."""


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

    def __init__(self, link: Link, prefix: keys.KeyPrefix, rates: Mapping[str, Rate]) -> None:
        self._link = link
        self._prefix = prefix
        self._rates = rates

    def reserve(
        self, action: str, cost: float = 1, *, patient: bool = True, turn: bool = False, who: str = ""
    ) -> float:
        """Take a turn: the seconds until it comes, 0 now. PLACE_SECONDS and more is a place: come back then with
        `turn`, or `give_back`. `who`: a name in the whole cluster of what calls, for `give_back`; it has one place at a
        time. Not `patient`: where the queue is longer than IMPATIENT_SECONDS nothing is taken, and the answer says when
        to ask again. Raises KeyError for an action without a limit."""
        spots = [keys.rate(self._prefix, action), keys.places(self._prefix)]
        args: list[Value] = [*self._bucket(action), cost, int(patient), int(turn), IMPATIENT_SECONDS, HORIZON_SECONDS]
        args += [CUT_SECONDS, BUSY_SECONDS, NEAR_GROWTH, FAR_GROWTH, BEYOND, LARGEST_GAIN, CEILING_SECONDS]
        args += [PLACE_SECONDS, LINE_SECONDS, ABSENT_SECONDS, action, keys.rate(self._prefix, ""), who]
        args.append(milliseconds(PLACES_SECONDS))
        raw, now = self._script("reserve", spots, args)
        EC2_RATE.labels(action).set(float(now))
        wait = float(raw)
        return max(wait, IMPATIENT_RETRY_SECONDS) if not patient and wait > IMPATIENT_SECONDS else wait

    def give_back(self, who: Iterable[str]) -> int:
        """These do not come back for their places. How many had one."""
        args: list[Value] = [keys.rate(self._prefix, ""), *who]
        return int(self._script("give_back", [keys.places(self._prefix)], args))

    def left(self, action: str) -> float:
        """Share of the action's burst that is not used up, 0 to 1. Raises KeyError for an action without a limit."""
        return float(self._script("left", [keys.rate(self._prefix, action)], self._bucket(action)))

    def penalise(self, action: str) -> None:
        """EC2 throttled the action: everybody's rate for it is cut, at most once a second, and grows back."""
        args: list[Value] = [CUT_SECONDS, CUT_FLOOR, milliseconds(CEILING_SECONDS)]
        args += [BEYOND, CEILING_SHARE, PAUSE_SECONDS, FOUND_SECONDS]
        self._script("penalise", [keys.rate(self._prefix, action)], args)

    def _bucket(self, action: str) -> list[Value]:
        rate = self._rates[action]
        return [max(1.0, rate.burst - SPARE_BURST), rate.refill * (1 - SPARE_REFILL)]

    def _script(self, name: str, spots: list[str], args: list[Value]) -> Any:
        return self._link.script(name, spots, args, after="rate_state")
