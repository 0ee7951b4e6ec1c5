"""Limits of instance types: how many interfaces, addresses and branches each may have."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLimits:
    """Limits of one instance type. `default_card_interfaces` counts those of network card 0 within `max_interfaces`."""

    max_interfaces: int
    ipv4_per_interface: int
    max_branch_interfaces: int
    default_card_interfaces: int
    network_cards: int = 1
    hypervisor: str = "nitro"
    bare_metal: bool = False

    def interfaces_of_card(self, card: int) -> int:
        """How many interfaces network card number `card` takes; 0 for a card that the type does not have."""
        if card == 0:
            return min(self.max_interfaces, self.default_card_interfaces)
        if 0 < card < self.network_cards:
            return (self.max_interfaces - self.default_card_interfaces) // (self.network_cards - 1)
        return 0

    @property
    def nitro(self) -> bool:
        """Whether prefixes can be assigned: Nitro instances, bare metal among them."""
        return self.hypervisor != "xen"


def _row(interfaces: int, addresses: int, branches: int, hypervisor: str = "nitro") -> InstanceLimits:
    return InstanceLimits(
        max_interfaces=interfaces,
        ipv4_per_interface=addresses,
        max_branch_interfaces=branches,
        default_card_interfaces=interfaces,
        hypervisor=hypervisor,
    )


#: Enough types to start the sandbox without a file (published figures).
COMMON_TYPES: Mapping[str, InstanceLimits] = MappingProxyType(
    {
        "m5.large": _row(3, 10, 9),
        "m5.xlarge": _row(4, 15, 18),
        "m5.2xlarge": _row(4, 15, 38),
        "m5.4xlarge": _row(8, 30, 54),
        "c5.large": _row(3, 10, 9),
        "c5.xlarge": _row(4, 15, 18),
        "t3.medium": _row(3, 6, 0),
        "t3.large": _row(3, 12, 0),
        "m4.large": _row(2, 10, 0, "xen"),
    }
)


def load_limits(path: Path) -> dict[str, InstanceLimits]:
    """Read limits by instance type from a CSV with the columns of `InstanceLimits` and `instance_type`."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {
            row["instance_type"]: InstanceLimits(
                max_interfaces=int(row["max_interfaces"]),
                ipv4_per_interface=int(row["ipv4_per_interface"]),
                max_branch_interfaces=int(row["max_branch_interfaces"]),
                default_card_interfaces=int(row["default_card_interfaces"]),
                network_cards=int(row["network_cards"]),
                hypervisor=row["hypervisor"],
                bare_metal=row["bare_metal"] == "yes",
            )
            for row in csv.DictReader(lines)
        }
