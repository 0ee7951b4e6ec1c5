"""How an action ended."""

from typing import Any

import msgspec

from common.model.ec2 import Subnet
from common.model.errors import OutsideError
from common.model.ids import GroupId


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It took effect. `value` is what its kind yields: see the action's step."""

    value: Any = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    error: OutsideError


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Its turn in the rate limiter comes at `until` (epoch seconds); the place is kept."""

    until: float


Outcome = Done | Failed | Waits


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What ResolvePod yields."""

    groups: tuple[GroupId, ...]
    matched: bool
    """False: no policy matched, the groups are the node's."""
    subnet: Subnet
    problem: str = ""
    """Not empty: nothing can be made for now, and this is why (for the pod's event)."""
