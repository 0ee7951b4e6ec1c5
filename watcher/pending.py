"""What still has to be written to Redis, by node."""

from dataclasses import dataclass, field

from common.model.config import ClusterConfig
from common.model.ids import NodeName, PodUid
from common.model.node import NodeView
from common.model.pod import PodRequest


@dataclass(slots=True, kw_only=True)
class PendingChange:
    """What changed about one node and is not written yet."""

    view: bool = False
    pods: set[PodUid] = field(default_factory=set)
    whole: bool = False
    """Everything, compared with what is written: what is written there may be another leader's."""
    reason: str = ""

    def add(self, other: "PendingChange") -> None:
        self.view |= other.view
        self.whole |= other.whole
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
        self.nodes: dict[NodeName, PendingChange] = {}

    def __bool__(self) -> bool:
        return self.config or bool(self.nodes)

    def add(self, name: NodeName, pending: PendingChange) -> None:
        known = self.nodes.get(name)
        if known is None:
            self.nodes[name] = pending
        else:
            known.add(pending)

    def take(self, limit: int) -> list[tuple[NodeName, PendingChange]]:
        """The oldest changes. They are pending no more."""
        names = [name for name, _ in zip(self.nodes, range(limit), strict=False)]
        return [(name, self.nodes.pop(name)) for name in names]
