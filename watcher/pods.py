"""The pods that want something of ours, by node, and by namespace those that still wait."""

import msgspec

from common.model.ids import NodeName, PodUid
from common.model.pod import PodRequest

_NONE: dict[PodUid, PodRequest] = {}


class WantedPods:
    def __init__(self) -> None:
        self._node: dict[PodUid, NodeName] = {}
        self._by_node: dict[NodeName, dict[PodUid, PodRequest]] = {}
        self._waiting: dict[str, set[PodUid]] = {}

    def __len__(self) -> int:
        return len(self._node)

    def put(self, node: NodeName, wish: PodRequest) -> bool:
        """Whether anything changed. The time at which a pod was first seen stays."""
        known_node = self._node.get(wish.uid)
        known = None if known_node is None else self._by_node[known_node][wish.uid]
        if known is not None and known.seen_at != wish.seen_at:
            wish = msgspec.structs.replace(wish, seen_at=known.seen_at)
        if known == wish and known_node == node:
            return False
        self.remove(wish.uid)
        self._node[wish.uid] = node
        self._by_node.setdefault(node, {})[wish.uid] = wish
        if waits(wish):
            self._waiting.setdefault(wish.namespace, set()).add(wish.uid)
        return True

    def remove(self, uid: PodUid) -> NodeName | None:
        """The node that it was on."""
        node = self._node.pop(uid, None)
        if node is None:
            return None
        pods = self._by_node[node]
        wish = pods.pop(uid)
        if not pods:
            del self._by_node[node]
        waiting = self._waiting.get(wish.namespace)
        if waiting is not None:
            waiting.discard(uid)
            if not waiting:
                del self._waiting[wish.namespace]
        return node

    def seen_before(self, node: NodeName, uid: PodUid, seen_at: float) -> None:
        """A leader before us saw it bound then."""
        known = self._by_node.get(node, _NONE).get(uid)
        if known is not None and seen_at < known.seen_at:
            self._by_node[node][uid] = msgspec.structs.replace(known, seen_at=seen_at)

    def of(self, node: NodeName) -> dict[PodUid, PodRequest]:
        """Not to be changed."""
        return self._by_node.get(node, _NONE)

    def node_of(self, uid: PodUid) -> NodeName | None:
        return self._node.get(uid)

    def nodes(self) -> set[NodeName]:
        return set(self._by_node)

    def nodes_waiting(self, namespace: str | None = None) -> set[NodeName]:
        """Nodes with pods, of the namespace or of any, that were given nothing yet."""
        waiting = self._waiting.values() if namespace is None else [self._waiting.get(namespace, ())]
        return {self._node[uid] for uids in waiting for uid in uids}

    def waiting(self) -> tuple[int, int]:
        """How many pods wait for branch interfaces, and for addresses."""
        branches = addresses = 0
        for namespace in self._waiting.values():
            for uid in namespace:
                wish = self._by_node[self._node[uid]][uid]
                branches += bool(wish.branches and wish.eni_annotation is None)
                addresses += bool(wish.addresses and wish.ip_annotation is None)
        return branches, addresses


def waits(wish: PodRequest) -> bool:
    """Whether it asks for something that its annotations do not name."""
    unserved = (wish.branches and wish.eni_annotation is None) or (wish.addresses and wish.ip_annotation is None)
    return bool(unserved) and not wish.finished
