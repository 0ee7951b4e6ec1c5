"""A failure that is the same for all who ask the same: known once, by its scope."""

from typing import NewType

import msgspec

from common.model.ids import NodeName

Scope = NewType("Scope", str)
"""What is asked of the outside, as far as an answer is the same for all: an operation, then what it names, if that
matters, with spaces between them: `CreateNetworkInterface`, `CreateNetworkInterface subnet-1`."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A scope whose last answers were failures. Times in epoch seconds."""

    scope: Scope
    code: str
    """The last failure's."""
    message: str = ""
    since: float = 0.0
    """When it failed first; no answer since was a success."""
    confirmed: bool = False
    """Two different askers met it. Until then it may be one asker's own trouble, and holds nobody else."""
    ask_at: float = 0.0
    """When it is asked about next; while it is being asked about, when an answer is not awaited any more."""
    asker: NodeName = NodeName("")
    """The node that asks then."""
    asking: bool = False
    waiting: int = 0
    """Nodes that wait for it."""
