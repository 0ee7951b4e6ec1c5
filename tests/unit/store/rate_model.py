"""Callers of the rate limiter, with its real scripts, and EC2's buckets behind it, in simulated time."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from common.model.reservation import Urgency
from common.settings import RateLimit
from common.store import keys
from common.store.rate import RateLimiter
from tests.unit.store.lua_in_process import InProcess

CREATE, PERMIT, ASSOCIATE = "CreateNetworkInterface", "CreateNetworkInterfacePermission", "AssociateTrunkInterface"
BRANCH = (CREATE, PERMIT, ASSOCIATE)
"""The calls of a branch interface, one after the other."""
ON_THE_SPOT = 3.0
"""Longer waits are not slept: the caller is parked, and comes back a little late."""


@dataclass
class VirtualTime:
    """Redis' clock."""

    now: float = 1_800_000_000.0


@dataclass
class Bucket:
    """EC2's, of one action."""

    burst: float
    refill: float
    at: float
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.refill)
        self.at = now

    def take(self, now: float) -> bool:
        self.fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True, kw_only=True)
class Outside:
    """How EC2 and the way to it behave. Ranges in seconds."""

    on_the_way: tuple[float, float] = (0.01, 0.1)
    """From the grant until EC2 counts the call."""
    refusing: tuple[float, float] = (0.02, 0.05)
    answering: tuple[float, float] = (0.2, 0.6)
    parked_late: tuple[float, float] = (0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of ours that reached EC2."""

    at: float
    """Seconds since the beginning."""
    action: str
    admitted: bool


@dataclass
class Result:
    calls: list[Call] = field(default_factory=list)
    visits: int = 0
    served: list[float] = field(default_factory=list)
    """When each caller had all of its calls done."""

    @property
    def seconds(self) -> float:
        return max(self.served)

    @property
    def throttled(self) -> int:
        return sum(not call.admitted for call in self.calls)

    @property
    def share(self) -> float:
        """Share of our calls that were refused."""
        return self.throttled / len(self.calls)

    def admitted(self, action: str, since: float, until: float) -> int:
        return sum(c.admitted and c.action == action and since <= c.at < until for c in self.calls)

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.throttled} of {len(self.calls)} throttled, {self.visits} visits"


@dataclass
class World:
    """Buckets that differ from what we believe, another client, changes under way; then `run`."""

    clock: VirtualTime
    limits: dict[str, RateLimit]
    outside: Outside = field(default_factory=Outside)
    seed: int = 1
    believed: dict[str, RateLimit] | None = None
    """By the settings. None: as `limits`."""
    _order: Iterable[int] = field(default_factory=itertools.count)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.began = self.clock.now
        link = InProcess(lambda: self.clock.now)
        self.limiter = RateLimiter(link, keys.prefix("c"), self.believed or self.limits)
        self.buckets = {a: Bucket(r.burst, r.refill, self.began) for a, r in self.limits.items()}
        self.result = Result()
        self.callers = 0

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.clock.now + seconds, next(self._order), do))  # type: ignore[call-overload]

    def change(self, at: float, limits: dict[str, RateLimit]) -> None:
        """EC2's limits are others from then on."""

        def now() -> None:
            for action, rate in limits.items():
                bucket = self.buckets[action]
                bucket.fill(self.clock.now)
                bucket.burst, bucket.refill = rate.burst, rate.refill

        self.after(at, now)

    def other_client(self, action: str, rate: float, since: float, until: float) -> None:
        """Somebody else's calls, evenly."""

        def call(at: float) -> None:
            self.buckets[action].take(self.clock.now)
            if at + 1 / rate < until:
                self.after(1 / rate, lambda: call(at + 1 / rate))

        self.after(since, lambda: call(since))

    def add(self, arrivals: Iterable[float], actions: Sequence[str], urgency: Urgency = Urgency.POD) -> None:
        """Callers that arrive then, and make these calls one after the other."""
        for arrival in arrivals:
            self.callers += 1
            who = f"branch/{self.callers}"
            self.after(arrival, self._asking(who, tuple(actions), urgency))

    def run(self, until: float = 1e9) -> Result:
        while self._agenda and self._agenda[0][0] - self.began <= until:
            self.clock.now, _, do = heapq.heappop(self._agenda)
            do()
        return self.result

    def _asking(self, who: str, actions: tuple[str, ...], urgency: Urgency) -> Callable[[], None]:
        def ask() -> None:
            self.result.visits += 1
            answer = self.limiter.reserve(actions[0], who, urgency)
            if answer.granted:
                grant = answer.at
                self.after(answer.wait + self.rng.uniform(*self.outside.on_the_way), lambda: call(grant))
            else:
                late = self.rng.uniform(*self.outside.parked_late) if answer.wait > ON_THE_SPOT else 0.002
                self.after(answer.wait + late, ask)

        def call(granted_at: float) -> None:
            admitted = self.buckets[actions[0]].take(self.clock.now)
            self.result.calls.append(Call(at=self.clock.now - self.began, action=actions[0], admitted=admitted))
            if admitted:
                self.after(self.rng.uniform(*self.outside.answering), done)
            else:
                self.after(self.rng.uniform(*self.outside.refusing), lambda: refused(granted_at))

        def refused(granted_at: float) -> None:
            self.limiter.throttled(actions[0], who, granted_at, urgency)
            self.after(self.rng.uniform(0.75, 1.0), ask)

        def done() -> None:
            if len(actions) > 1:
                self._asking(who, actions[1:], urgency)()
            else:
                self.result.served.append(self.clock.now - self.began)

        return ask


def at_once(count: int, apart: float = 0.01) -> list[float]:
    """Arrivals as fast as two workers on two cores ask."""
    return [number * apart for number in range(count)]


def scaled(limits: dict[str, RateLimit], factor: float) -> dict[str, RateLimit]:
    return {
        action: RateLimit(burst=max(1, rate.burst * factor), refill=rate.refill * factor)
        for action, rate in limits.items()
    }


def ideal(count: int, limits: dict[str, RateLimit]) -> float:
    """Seconds in which the buckets, full at first, let so many calls of each action through."""
    return max(0.0, *((count - rate.burst) / rate.refill for rate in limits.values()))
