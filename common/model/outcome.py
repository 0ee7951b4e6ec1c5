"""How an action ended."""

from typing import Any

import msgspec

from common.model.ec2 import Interface, Subnet
from common.model.errors import OutsideError
from common.model.ids import GroupId
from common.model.pod import PodRequest


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It took effect. `value` is what its kind yields: see the action's step."""

    value: Any = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    error: OutsideError
    scope: str = ""
    """What fails for all by this error: the step waits until it works for anybody. "": its own trouble."""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Its turn in the rate limiter comes at `until` (epoch seconds); the place is kept."""

    until: float


Outcome = Done | Failed | Waits


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """What Review yields."""

    began_at: float
    """Epoch seconds at which the first question was asked."""
    pods: tuple[PodRequest, ...]
    """Pods of the nodes that ask for something of ours or carry an annotation of ours, finished ones included."""
    interfaces: tuple[Interface, ...]
    """As EC2 shows them; those that it does not show are absent."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What ResolvePod yields."""

    groups: tuple[GroupId, ...] = ()
    """None where there is a problem."""
    matched: bool
    """False: no policy matched, the groups are the node's."""
    subnet: Subnet
    problem: str = ""
    """Not empty: nothing can be made for now, and this is why (for the pod's event)."""
