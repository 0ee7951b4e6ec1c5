"""The modes in which a Windows node gets addresses: what each must say, and what a pool makes of it.

`reserved` are addresses that a pod's annotation names: whatever the ledger says of them, they are neither given to
another pod nor given back.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from common.model.actions import Assign, Unassign
from common.model.config import ClusterConfig
from common.model.ids import Ipv4, Prefix
from common.model.ledger import Address, InstanceFacts, Pool
from common.model.warrant import Warrant
from common.node.windows.pool import slots_of, slots_taken
from common.node.windows.prefix import PrefixMode
from common.node.windows.secondary import SecondaryMode

_NONE: frozenset[Ipv4] = frozenset()


class Mode(Protocol):
    """What a slot of a node's primary interface holds, and how much of it. A value holds the targets of the cluster."""

    subject: ClassVar[str]
    """The subject of its Assign: two modes have two backoffs."""
    pods_per_slot: ClassVar[int]
    actions: ClassVar[tuple[type, ...]]
    """Its Assign and its Unassign."""

    @classmethod
    def configured(cls, config: ClusterConfig) -> Self:
        """With the targets of the ConfigMap, all rules about missing, zero and negative values applied."""
        ...

    def deviation(self, pool: Pool, waiting: int, reserved: AbstractSet[Ipv4]) -> int:
        """How many addresses or prefixes are missing (positive) or too many, the slots apart. `waiting`: pods without
        an address. What is being assigned counts as free."""
        ...

    def pick(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> Address | None:
        """A free address for a pod, as a warm entry without a pod; None where there is none."""
        ...

    def free(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> tuple[Ipv4, ...] | tuple[Prefix, ...]:
        """Addresses or prefixes that may be given back, the newest first."""
        ...

    def assign(self, instance: InstanceFacts, count: int) -> Assign:
        """The action that gets so many addresses or prefixes."""
        ...

    def assigned(self, pool: Pool, keys: tuple[str, ...], now: float) -> Pool:
        """The pool with what EC2 named in the answer to an Assign. It is the node's at this moment, whatever was known
        of it: what was to be given back has been, and came again."""
        ...

    def unassign(self, leave: Warrant) -> Unassign:
        """The action that gives back what the warrant names."""
        ...

    def releasing(self, pool: Pool, leave: Warrant, now: float) -> Pool:
        """The pool with that intent on record."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    mode: Mode
    keys: tuple[Ipv4, ...] | tuple[Prefix, ...]


MODES: tuple[Mode, ...] = (SecondaryMode(), PrefixMode())
"""In the order in which a pool gives back what it has of several."""
ASSIGNS = frozenset(mode.subject for mode in MODES)


def mode_for(config: ClusterConfig, *, nitro: bool) -> Mode:
    """Only Nitro instances can have prefixes; others stay on secondary addresses."""
    kind = PrefixMode if config.prefix_delegation and nitro else SecondaryMode
    return kind.configured(config)


def unsupported(config: ClusterConfig, instance_type: str, *, nitro: bool) -> str:
    """Why the mode is another than the ConfigMap asks for, for an event; "" where it is that one."""
    if not config.prefix_delegation or nitro:
        return ""
    return (
        f"The instance type {instance_type} is not built on Nitro and cannot have prefixes: its pods get secondary "
        "addresses"
    )


def mode_of(action: Assign | Unassign) -> Mode:
    """The mode that an action is of, without the cluster's targets."""
    return next(mode for mode in MODES if isinstance(action, mode.actions))


def capacity(ipv4_per_interface: int, mode: Mode) -> int:
    """Pods that the node can have: the extended resource that is advertised."""
    return slots_of(ipv4_per_interface) * mode.pods_per_slot


def slots_for(pods: int, mode: Mode) -> int:
    """Slots without which so many pods cannot be served."""
    return -(-pods // mode.pods_per_slot)


def deviation(pool: Pool, mode: Mode, slots: int, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE) -> int:
    """How many addresses or prefixes to assign, in one call; negative: that many are too many. 0 while the pool is
    suspect: its contents must be compared with EC2 first."""
    if pool.suspect:
        return 0
    return min(mode.deviation(pool, waiting, reserved), max(0, slots - slots_taken(pool)))


def releasable(
    pool: Pool, mode: Mode, slots: int, waiting: int = 0, reserved: AbstractSet[Ipv4] = _NONE
) -> tuple[GiveBack, ...]:
    """What to give back now: of the present mode what is above the targets, the newest first, and of the others
    everything that is free and rested. A call gives back what is of one mode."""
    if pool.suspect:
        return ()
    excess = max(0, -deviation(pool, mode, slots, waiting, reserved))
    free = ((one, one.free(pool, reserved)) for one in MODES)
    above = ((one, keys[:excess] if one.subject == mode.subject else keys) for one, keys in free)
    return tuple(GiveBack(mode=one, keys=keys) for one, keys in above if keys)
