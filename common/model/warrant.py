"""Leave to take something away from EC2."""

from enum import StrEnum

import msgspec

from common.model.ids import EniId, Ipv4, Prefix


class Ground(StrEnum):
    """Why it may be taken away."""

    UNUSED = "unused"
    """Made here, and no annotation and no association ever depended on it, or none since it had rested."""
    ENDED = "ended"
    """Its last owner has ended, by the API server's word, and it has rested."""


class Warrant(msgspec.Struct, frozen=True, kw_only=True):
    """Names what may be taken away: the interface, or these addresses or prefixes of it. Only
    `common.rules.release_gate` makes one, out of evidence; the calls that take away demand one."""

    eni_id: EniId
    ground: Ground
    addresses: tuple[Ipv4, ...] = ()
    prefixes: tuple[Prefix, ...] = ()

    @property
    def keys(self) -> tuple[Ipv4 | Prefix, ...]:
        """The addresses and prefixes."""
        return (*self.addresses, *self.prefixes)
