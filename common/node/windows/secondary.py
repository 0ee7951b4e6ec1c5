"""Secondary addresses: each takes a slot, is given to a pod and back to EC2 by itself."""

from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address
from typing import ClassVar, Self

import msgspec

from common.model.actions import AssignAddresses, UnassignAddresses
from common.model.config import ClusterConfig
from common.model.ids import Ipv4
from common.model.ledger import Address, AddressState, InstanceFacts, LastUse, Pool
from common.model.warrant import Warrant
from common.node.windows.subjects import RELEASE

_DEFAULT_WARM = 3
_DEFAULT_MINIMUM = 3


class SecondaryMode(msgspec.Struct, frozen=True, kw_only=True):
    """`common.node.windows.mode.Mode` of a node whose pods get secondary addresses."""

    warm: int = _DEFAULT_WARM
    """Addresses kept free."""
    minimum: int = _DEFAULT_MINIMUM
    """Addresses held at least, used and free."""

    subject: ClassVar[str] = "pool"
    pods_per_slot: ClassVar[int] = 1
    actions: ClassVar[tuple[type, ...]] = (AssignAddresses, UnassignAddresses)

    @classmethod
    def configured(cls, config: ClusterConfig) -> Self:
        """A key that is there counts, zero included; one address is kept warm in any case."""
        if config.warm_ip is None and config.minimum_ip is None:
            return cls()
        warm, minimum = config.warm_ip or 0, config.minimum_ip or 0
        return cls(
            warm=_DEFAULT_WARM if warm < 0 else max(warm, 1),
            minimum=_DEFAULT_MINIMUM if minimum < 0 else minimum,
        )

    def deviation(self, pool: Pool, waiting: int, reserved: AbstractSet[Ipv4]) -> int:
        """Resting addresses count towards the minimum, not as warm."""
        free = len(_warm(pool, reserved)) + pool.assigning
        held = pool.assigning + sum(
            address.prefix is None and address.state is not AddressState.RELEASING and address.ip not in pool.missing
            for address in pool.addresses.values()
        )
        return max(self.warm + waiting - free, self.minimum - held)

    def pick(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> Address | None:
        """The one that has been free longest; before it one that a look has shown."""
        return min(_warm(pool, reserved), key=lambda address: address.ip in pool.fresh, default=None)

    def free(self, pool: Pool, reserved: AbstractSet[Ipv4]) -> tuple[Ipv4, ...]:
        return tuple(address.ip for address in reversed(_warm(pool, reserved)))

    def assign(self, instance: InstanceFacts, count: int) -> AssignAddresses:
        return AssignAddresses(
            subject=self.subject, eni_id=instance.primary_eni, count=count, subnet_id=instance.subnet.subnet_id
        )

    def assigned(self, pool: Pool, keys: tuple[str, ...], now: float) -> Pool:
        """An address that a pod has stays the pod's; one that rests goes on resting."""
        addresses, uses = dict(pool.addresses), dict(pool.uses)
        for ip in map(Ipv4, keys):
            known = addresses.get(ip)
            if known is None or known.state in (AddressState.WARM, AddressState.RELEASING):
                addresses[ip] = Address(ip=ip, state=AddressState.WARM, since=now)
                uses[ip] = LastUse(at=now)
        return msgspec.structs.replace(pool, addresses=addresses, uses=uses)

    def unassign(self, leave: Warrant) -> UnassignAddresses:
        return UnassignAddresses(subject=RELEASE, eni_id=leave.eni_id, addresses=leave.addresses, warrant=leave)

    def releasing(self, pool: Pool, leave: Warrant, now: float) -> Pool:
        addresses = {**pool.addresses}
        for ip in leave.addresses:
            addresses[ip] = msgspec.structs.replace(addresses[ip], state=AddressState.RELEASING, since=now)
        return msgspec.structs.replace(pool, addresses=addresses)


def _warm(pool: Pool, reserved: AbstractSet[Ipv4]) -> list[Address]:
    """Free secondary addresses, the one that has been free longest first."""
    free = [
        address
        for address in pool.addresses.values()
        if address.prefix is None
        and address.state is AddressState.WARM
        and address.ip not in reserved
        and address.ip not in pool.missing
    ]
    return sorted(free, key=lambda address: (address.since, IPv4Address(address.ip)))
