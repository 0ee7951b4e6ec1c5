"""How the sandbox's EC2 behaves beside its rules: limits of requests, latencies, lag, denials and faults, as data.

All of it can be changed while the sandbox runs. Times are in seconds.
Source of the defaults: the EC2 request-throttling tables and latencies measured against the service.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import msgspec

Range = tuple[float, float]
"""Shortest and longest duration in seconds; the seeded generator picks between them."""

TRUNK_ACTIONS = frozenset({"AssociateTrunkInterface", "DisassociateTrunkInterface"})


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket: how many calls at once, and how many more each second."""

    size: float
    refill: float


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Identities (pattern) that may not call actions (pattern). Action `trunk` means trunking of every kind."""

    action: str
    identity: str = "*"
    code: str = "UnauthorizedOperation"

    def applies(self, action: str, identity: str, *, trunking: bool) -> bool:
        """Whether this denial covers the call."""
        if not fnmatchcase(identity, self.identity):
            return False
        return trunking if self.action == "trunk" else fnmatchcase(action, self.action)


class FaultRule(msgspec.Struct, frozen=True, kw_only=True):
    """A fault to inject: which calls, how often, before or after they take effect, and what the caller sees.

    `match` compares top-level parameters by pattern; `count` bounds how often the rule fires, `rate` is the share of
    the matching calls. Code `reset` breaks the connection; code `none` only delays.
    """

    action: str = "*"
    identity: str = "*"
    match: dict[str, str] = {}
    rate: float = 1.0
    count: int | None = None
    when: Literal["before", "after"] = "before"
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    status: int | None = None
    delay: float = 0.0

    def applies(self, action: str, identity: str, params: dict[str, Any]) -> bool:
        """Whether the call is of the kind that this rule is for; rate and count are the caller's business."""
        return (
            fnmatchcase(action, self.action)
            and fnmatchcase(identity, self.identity)
            and all(fnmatchcase(str(params.get(name, "")), pattern) for name, pattern in self.match.items())
        )


def _default_buckets() -> dict[str, Bucket]:
    heavy = Bucket(size=100, refill=5)
    return {
        "describe": Bucket(size=100, refill=20),
        "describe-unfiltered": Bucket(size=50, refill=10),
        "mutate": Bucket(size=50, refill=5),
        "CreateNetworkInterface": heavy,
        "DeleteNetworkInterface": heavy,
        "AssignPrivateIpAddresses": heavy,
        "UnassignPrivateIpAddresses": heavy,
        "ModifyNetworkInterfaceAttribute": heavy,
        "CreateTags": Bucket(size=100, refill=10),
    }


def _default_latencies() -> dict[str, Range]:
    return {
        "describe": (0.1, 0.3),
        "mutate": (0.2, 0.6),
        "AssociateTrunkInterface": (0.2, 0.5),
        "DisassociateTrunkInterface": (0.2, 0.5),
        "rejected": (0.02, 0.05),
    }


class Ec2Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the sandbox's EC2 that a test may want to be different.

    Keys of `buckets` and `latencies` are actions, or the classes `describe`, `describe-unfiltered`, `mutate` (and, for
    latencies, `rejected`: throttled or denied calls) for actions without an entry of their own.
    """

    throttling: bool = True
    buckets: dict[str, Bucket] = msgspec.field(default_factory=_default_buckets)
    latencies: dict[str, Range] = msgspec.field(default_factory=_default_latencies)
    #: from AttachNetworkInterface until the attachment is seen `attached`
    attach_delay: Range = (0.5, 2.0)
    #: from DetachNetworkInterface until the interface is `available`
    detach_delay: Range = (0.5, 2.0)
    #: from TerminateInstances until the instance and its interfaces are gone
    terminate_delay: Range = (0.0, 0.0)
    #: how long a terminated instance is still described
    terminated_visible: float = 3600.0
    #: how old the state may be that a Describe call sees, chosen afresh for each call
    describe_lag: Range = (0.0, 0.0)
    #: for how long after its creation a call that names an interface or a group is answered NotFound, chosen afresh
    #: for each call
    write_lag: Range = (0.0, 0.0)
    #: availability zones that are disrupted: DescribeInstances fails with an id of theirs, or without ids
    zones_down: tuple[str, ...] = ()
    #: an instance that is being terminated shows its interfaces without their ids
    dying_without_ids: bool = False
    #: MaxResults cuts a page before the filters: pages can be short or empty and have a token
    pages_before_filters: bool = False
    denials: tuple[Denial, ...] = ()
    #: DescribeTrunkInterfaceAssociations answers only the own identity, not assumed roles
    associations_visible_to_roles: bool = False
    #: attaching a trunk and associating a branch need an INSTANCE-ATTACH permission
    permission_required: bool = True
    #: quota "security groups per network interface"; EC2's hard limit is 16
    groups_per_interface: int = 5
    #: quota "network interfaces per region"
    interfaces_per_region: int = 100_000
    faults: tuple[FaultRule, ...] = ()

    @classmethod
    def instant(cls, **changes: Any) -> Self:
        """No request limits, latencies or delays: for tests of rules."""
        at_once: dict[str, Any] = {
            "throttling": False,
            "latencies": {},
            "attach_delay": (0.0, 0.0),
            "detach_delay": (0.0, 0.0),
        }
        return cls(**(at_once | changes))

    def changed(self, patch: dict[str, Any]) -> Self:
        """This behaviour with the JSON-like `patch` laid over it; `buckets` and `latencies` are merged by key.

        Raises msgspec.ValidationError for unknown names or values of the wrong type.
        """
        present: dict[str, Any] = msgspec.to_builtins(self)
        unknown = sorted(patch.keys() - present.keys())
        if unknown:
            raise msgspec.ValidationError(f"unknown behaviour: {', '.join(unknown)}")
        merged = {
            name: (present[name] | value if name in {"buckets", "latencies"} else value)
            for name, value in patch.items()
        }
        return msgspec.convert(present | merged, type(self))
