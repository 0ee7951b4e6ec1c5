"""What EC2 allows an instance type: interfaces, addresses, branch interfaces.

The figures are data beside this file (published by AWS, March 2026): EC2's DescribeInstanceTypes knows the first two
but not the branch interfaces. A file of the same columns adds types and replaces figures without a release.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from common.model.errors import ControllerError

COLUMNS = ("type", "interfaces", "ipv4", "branches", "card_interfaces", "cards", "kind")
KINDS = ("nitro", "xen", "metal")


class LimitsError(ControllerError):
    """A file of instance limits cannot be used; the text says the file, the line and what is wrong there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLimits:
    """Limits of one instance type."""

    instance_type: str
    max_interfaces: int
    """Interfaces that can be attached, over all network cards."""
    ipv4_per_interface: int
    """IPv4 addresses (or prefixes) of one interface, its primary address included."""
    max_branch_interfaces: int
    """Branch interfaces of the trunk; 0: the type cannot trunk."""
    default_card_interfaces: int
    """Interfaces of the network card that the primary interface is on."""
    network_cards: int
    nitro: bool
    """Built on the Nitro system, bare metal included: can have prefixes."""
    bare_metal: bool

    @property
    def trunk_device_index(self) -> int:
        """Highest device index of the default network card; the VPC CNI takes them from below."""
        return min(self.max_interfaces, self.default_card_interfaces) - 1


def load_limits(override: Path | None = None) -> Mapping[str, InstanceLimits]:
    """Limits by instance type, those of `override` over ours. Raises LimitsError for a file that cannot be used."""
    if override is None:
        return _built_in()
    try:
        lines = override.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LimitsError(f"{override}: cannot be read: {error}") from error
    return MappingProxyType({**_built_in(), **_parse(str(override), lines)})


@cache
def _built_in() -> Mapping[str, InstanceLimits]:
    source = files("common.model") / "instance_limits.csv"
    return MappingProxyType(_parse(source.name, source.read_text(encoding="utf-8").splitlines()))


def _parse(source: str, lines: Iterable[str]) -> dict[str, InstanceLimits]:
    reader = csv.reader(lines)
    header = next(reader, [])
    if tuple(header) != COLUMNS:
        raise LimitsError(f"{source}:1: the first line must be {','.join(COLUMNS)}")
    limits: dict[str, InstanceLimits] = {}
    for row in filter(None, reader):
        try:
            entry = _entry(row)
        except ValueError as error:
            raise LimitsError(f"{source}:{reader.line_num}: {error}") from error
        if entry.instance_type in limits:
            raise LimitsError(f"{source}:{reader.line_num}: {entry.instance_type} stands there twice")
        limits[entry.instance_type] = entry
    return limits


def _entry(row: list[str]) -> InstanceLimits:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} values, not {len(COLUMNS)}")
    values = dict(zip(COLUMNS, row, strict=True))
    if not values["type"]:
        raise ValueError("no instance type")
    if values["kind"] not in KINDS:
        raise ValueError(f"kind {values['kind']!r} is none of {', '.join(KINDS)}")
    return InstanceLimits(
        instance_type=values["type"],
        max_interfaces=_number(values, "interfaces", least=1),
        ipv4_per_interface=_number(values, "ipv4", least=1),
        max_branch_interfaces=_number(values, "branches", least=0),
        default_card_interfaces=_number(values, "card_interfaces", least=1),
        network_cards=_number(values, "cards", least=1),
        nitro=values["kind"] != "xen",
        bare_metal=values["kind"] == "metal",
    )


def _number(values: Mapping[str, str], column: str, *, least: int) -> int:
    text = values[column]
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(f"{column} {text!r} is not a whole number of at least {least}")
    return int(text)
