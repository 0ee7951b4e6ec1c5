"""Prefixes: each takes a slot, serves sixteen pods, and is given back to EC2 when none of its addresses is in use or
rests."""

from collections.abc import Set as AbstractSet
from ipaddress import IPv4Network
from typing import ClassVar, Self

import msgspec

from common.model.actions import AssignPrefixes, UnassignPrefixes
from common.model.config import ClusterConfig
from common.model.ids import Ipv4, Prefix
from common.model.ledger import Address, InstanceFacts, LastUse, Pool
from common.model.warrant import Warrant
from common.node.windows.pool import ADDRESSES_PER_PREFIX, addresses_of
from common.node.windows.subjects import RELEASE

_DEFAULT_WARM = 1
_DEFAULT_MINIMUM = 3


class PrefixMode(msgspec.Struct, frozen=True, kw_only=True):
    """`common.node.windows.mode.Mode` of a node whose pods get addresses out of prefixes."""

    warm: int = _DEFAULT_WARM
    """Addresses kept free."""
    minimum: int = _DEFAULT_MINIMUM
    """Addresses held at least, used and free."""
    warm_prefix: int | None = None
    """Prefixes kept wholly free; where it is set it stands alone, `warm` and `minimum` do not count."""

    subject: ClassVar[str] = "pool/prefixes"
    pods_per_slot: ClassVar[int] = ADDRESSES_PER_PREFIX
    actions: ClassVar[tuple[type, ...]] = (AssignPrefixes, UnassignPrefixes)

    @classmethod
    def configured(cls, config: ClusterConfig) -> Self:
        """Neither target set nor a number of prefixes: the defaults of both targets, which is one prefix when idle."""
        warm, minimum, prefixes = (
            value if value is not None and value > 0 else None
            for value in (config.warm_ip, config.minimum_ip, config.warm_prefix)
        )
        return cls(
            warm=_DEFAULT_WARM if warm is None else warm,
            minimum=_DEFAULT_MINIMUM if minimum is None else minimum,
            warm_prefix=prefixes if warm is None and minimum is None else None,
        )

    def deviation(self, pool: Pool, waiting: int, reserved: AbstractSet[Ipv4]) -> int:
        """Resting addresses count as used."""
        held = _held(pool)
        occupied = {prefix: len(_occupied(pool, prefix, reserved)) for prefix in held}
        if self.warm_prefix is None:
            addresses = max(sum(occupied.values()) + waiting + self.warm, self.minimum)
            return _whole_prefixes(addresses) - len(held) - pool.assigning
        left = sum(ADDRESSES_PER_PREFIX - used for used in occupied.values() if used)
        wanted = self.warm_prefix + _whole_prefixes(max(0, waiting - left))
        return wanted - sum(used == 0 for used in occupied.values()) - pool.assigning

    def pick(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> Address | None:
        """Out of the prefix with the fewest free addresses left, so that others empty; before it out of one that a look
        has shown."""
        room = [(p, o) for p in _held(pool) if len(o := _occupied(pool, p, reserved)) < ADDRESSES_PER_PREFIX]
        if not room:
            return None
        prefix, occupied = min(room, key=lambda one: (one[0] in pool.fresh, -len(one[1])))
        ip = next(ip for ip in addresses_of(prefix) if ip not in occupied)
        return Address(ip=ip, prefix=prefix, since=pool.prefixes[prefix])

    def free(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> tuple[Prefix, ...]:
        return tuple(prefix for prefix in reversed(_held(pool)) if not _occupied(pool, prefix, reserved))

    def assign(self, instance: InstanceFacts, count: int) -> AssignPrefixes:
        return AssignPrefixes(subject=self.subject, eni_id=instance.primary_eni, count=count)

    def assigned(self, pool: Pool, keys: tuple[str, ...], now: float) -> Pool:
        prefixes, uses = dict(pool.prefixes), dict(pool.uses)
        for prefix in map(Prefix, keys):
            if prefix not in prefixes:
                prefixes[prefix], uses[prefix] = now, LastUse(at=now)
        left = tuple(prefix for prefix in pool.releasing_prefixes if prefix not in keys)
        return msgspec.structs.replace(pool, prefixes=prefixes, uses=uses, releasing_prefixes=left)

    def unassign(self, leave: Warrant) -> UnassignPrefixes:
        return UnassignPrefixes(subject=RELEASE, eni_id=leave.eni_id, prefixes=leave.prefixes, warrant=leave)

    def releasing(self, pool: Pool, leave: Warrant, now: float) -> Pool:
        left = {prefix: since for prefix, since in pool.prefixes.items() if prefix not in leave.prefixes}
        return msgspec.structs.replace(pool, prefixes=left, releasing_prefixes=leave.prefixes)


def _whole_prefixes(addresses: int) -> int:
    return -(-addresses // ADDRESSES_PER_PREFIX)


def _held(pool: Pool) -> list[Prefix]:
    """Usable prefixes, oldest first."""
    held = (p for p in pool.prefixes if p not in pool.releasing_prefixes and p not in pool.missing)
    return sorted(held, key=lambda prefix: (pool.prefixes[prefix], IPv4Network(prefix, strict=False)))


def _occupied(pool: Pool, prefix: Prefix, reserved: AbstractSet[Ipv4]) -> set[Ipv4]:
    return {ip for ip in addresses_of(prefix) if ip in pool.addresses or ip in reserved}
