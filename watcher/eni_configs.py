"""ENIConfigs, and the nodes that name each."""

from collections.abc import Set as AbstractSet

from common.model.ids import NodeName
from common.model.node import EniConfigFacts

_NOBODY: frozenset[NodeName] = frozenset()


class EniConfigs:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._facts: dict[str, EniConfigFacts] = {}
        self._named_by: dict[NodeName, str] = {}
        self._nodes: dict[str, set[NodeName]] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, name: str, facts: EniConfigFacts | None) -> bool:
        """Whether anything changed. None: it is gone, or cannot be read."""
        if facts == self._facts.get(name):
            return False
        if facts is None:
            del self._facts[name]
        else:
            self._facts[name] = facts
        return True

    def choose(self, node: NodeName, name: str | None) -> None:
        """The node names this one; None: none."""
        before = self._named_by.pop(node, None)
        if before is not None:
            self._nodes[before].discard(node)
            if not self._nodes[before]:
                del self._nodes[before]
        if name is not None:
            self._named_by[node] = name
            self._nodes.setdefault(name, set()).add(node)

    def of(self, node: NodeName) -> EniConfigFacts | None:
        """The one that the node names; None where it does not exist."""
        name = self._named_by.get(node)
        return None if name is None else self._facts.get(name)

    def nodes(self, name: str) -> AbstractSet[NodeName]:
        """Nodes that name it. Not to be changed."""
        return self._nodes.get(name, _NOBODY)
