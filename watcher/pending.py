"""What still has to be written to Redis, by node."""

from dataclasses import dataclass, field
from itertools import islice

from common.model.config import ClusterConfig
from common.model.ids import NodeName, PodUid
from common.model.node import NodeView
from common.model.pod import PodRequest

OTHERS_SHARE = 5
"""One in so many of what is written while urgent changes are pending: they come without end in a busy cluster."""


@dataclass(slots=True, kw_only=True)
class PendingChange:
    """What changed about one node and is not written yet."""

    view: bool = False
    pods: set[PodUid] = field(default_factory=set)
    whole: bool = False
    """Everything, compared with what is written: what is written there may be another leader's."""
    urgent: bool = True
    """It is about this node alone, or pods wait there. What many nodes have in common comes after that."""
    reason: str = ""

    def add(self, other: "PendingChange") -> None:
        self.view |= other.view
        self.whole |= other.whole
        self.urgent |= other.urgent
        self.pods |= other.pods
        self.reason = self.reason or other.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """What to write of one node, as things stand."""

    name: NodeName
    pending: PendingChange
    view: NodeView | None
    """None: the node exists nowhere any more."""
    pods: dict[PodUid, PodRequest]
    """Those to write, or all where the pending change is `whole`."""
    waiting: bool = False
    """Some pod of the node was given nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    config: ClusterConfig | None
    """None: it did not change."""
    changes: tuple[NodeChange, ...]

    def __bool__(self) -> bool:
        return self.config is not None or bool(self.changes)


class PendingWrites:
    def __init__(self) -> None:
        self.config = False
        self._urgent: dict[NodeName, PendingChange] = {}
        self._others: dict[NodeName, PendingChange] = {}

    def __bool__(self) -> bool:
        return self.config or bool(self._urgent) or bool(self._others)

    def add(self, name: NodeName, pending: PendingChange) -> None:
        known = self._urgent.get(name) or self._others.pop(name, None)
        if known is not None:
            known.add(pending)
            pending = known
        (self._urgent if pending.urgent else self._others)[name] = pending

    def take(self, limit: int) -> list[tuple[NodeName, PendingChange]]:
        """The oldest changes, urgent ones first; of the others a share each time. They are pending no more."""
        others = min(len(self._others), limit // OTHERS_SHARE)
        taken = _pop(self._urgent, limit - others)
        return taken + _pop(self._others, limit - len(taken))


def _pop(changes: dict[NodeName, PendingChange], limit: int) -> list[tuple[NodeName, PendingChange]]:
    """The first ones, which are taken out."""
    return [(name, changes.pop(name)) for name in list(islice(changes, limit))]
