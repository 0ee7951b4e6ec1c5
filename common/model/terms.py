"""How the actions of a kind are carried out: what they call, with which others they share threads, and who waits."""

from enum import StrEnum

import msgspec

from common.model.reservation import Urgency

KUBERNETES = "Kubernetes API"


class Room(StrEnum):
    """Actions that hang together: they make the same call first."""

    RELEASE = "release"
    """Nobody waits for them: they may take the fewest places."""
    CREATE = "create"
    PERMIT = "permit"
    ASSOCIATE = "associate"
    ATTACH = "attach"
    MODIFY = "modify"
    LOOK = "look"
    ASSIGN = "assign"
    RESOLVE = "resolve"
    PODS = "pods"
    NODES = "nodes"
    CNINODES = "cninodes"
    SNAPSHOTS = "snapshots"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Each kind of action states its own: `CreateBranch.terms`."""

    room: Room
    """The threads that it shares (workers.rooms)."""
    urgency: Urgency = Urgency.POD
    """How urgent its EC2 calls are, for the rate limiter. A pod waits for whatever is not about a node as a whole or a
    release."""
    about: str = ""
    """The EC2 operation, or `KUBERNETES`, whose failures may be the same for all (common.rules.scopes). Other calls
    that it makes on its way have no scope."""
    changes: bool = True
    """False: it only reads, and its success is not logged."""
    yields: str = ""
    """Name for its value in the log; "" for none."""
