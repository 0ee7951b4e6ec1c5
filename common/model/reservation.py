"""What the rate limiter answers, and in which order it serves."""

from enum import IntEnum

import msgspec


class Urgency(IntEnum):
    """Who goes first where calls of one EC2 operation wait."""

    POD = 0
    NODE = 1
    RELEASE = 2
    """Releases, warming and maintenance: nobody waits for them."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to make a call, or a place in the line of those that wait for one."""

    granted: bool
    wait: float
    """Seconds after which to ask again: the place is kept. 0 where the call is granted."""
    waited: float = 0.0
    """Seconds since the place was given."""
    at: float
    """Redis' time of this answer, in epoch seconds: what `throttled` wants to know of a call that was refused."""
