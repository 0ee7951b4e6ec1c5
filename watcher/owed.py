"""What still has to be written to Redis, by node."""

from dataclasses import dataclass, field

from common.model.config import ClusterConfig
from common.model.ids import NodeName, PodUid
from common.model.node import NodeView
from common.model.pod import PodWish


@dataclass(slots=True, kw_only=True)
class Debt:
    """Of one node."""

    view: bool = False
    pods: set[PodUid] = field(default_factory=set)
    whole: bool = False
    """Everything, compared with what is written: what is written there may be another leader's."""
    reason: str = ""

    def add(self, other: "Debt") -> None:
        self.view |= other.view
        self.whole |= other.whole
        self.pods |= other.pods
        self.reason = self.reason or other.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """What to write of one node, as things stand."""

    name: NodeName
    debt: Debt
    view: NodeView | None
    """None: the node exists nowhere any more."""
    pods: dict[PodUid, PodWish]
    """Those owed, or all where the debt is `whole`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    config: ClusterConfig | None
    """None: not owed."""
    changes: tuple[NodeChange, ...]

    def __bool__(self) -> bool:
        return self.config is not None or bool(self.changes)


class Owed:
    def __init__(self) -> None:
        self.config = False
        self.nodes: dict[NodeName, Debt] = {}

    def __bool__(self) -> bool:
        return self.config or bool(self.nodes)

    def add(self, name: NodeName, debt: Debt) -> None:
        known = self.nodes.get(name)
        if known is None:
            self.nodes[name] = debt
        else:
            known.add(debt)

    def take(self, limit: int) -> list[tuple[NodeName, Debt]]:
        """The oldest debts. They are owed no more."""
        names = [name for name, _ in zip(self.nodes, range(limit), strict=False)]
        return [(name, self.nodes.pop(name)) for name in names]
