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

    def put(self, node: NodeName, request: PodRequest) -> bool:
        """Whether anything changed. The time at which a pod was first seen stays."""
        known_node = self._node.get(request.uid)
        known = None if known_node is None else self._by_node[known_node][request.uid]
        if known is not None and known.seen_at != request.seen_at:
            request = msgspec.structs.replace(request, seen_at=known.seen_at)
        if known == request and known_node == node:
            return False
        self.remove(request.uid)
        self._node[request.uid] = node
        self._by_node.setdefault(node, {})[request.uid] = request
        if waits(request):
            self._waiting.setdefault(request.namespace, set()).add(request.uid)
        return True

    def remove(self, uid: PodUid) -> NodeName | None:
        """The node that it was on."""
        node = self._node.pop(uid, None)
        if node is None:
            return None
        pods = self._by_node[node]
        request = pods.pop(uid)
        if not pods:
            del self._by_node[node]
        waiting = self._waiting.get(request.namespace)
        if waiting is not None:
            waiting.discard(uid)
            if not waiting:
                del self._waiting[request.namespace]
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
                request = self._by_node[self._node[uid]][uid]
                branches += bool(request.branches and request.eni_annotation is None)
                addresses += bool(request.addresses and request.ip_annotation is None)
        return branches, addresses


def waits(request: PodRequest) -> bool:
    """Whether it asks for something that its annotations do not name."""
    branches = request.branches and request.eni_annotation is None
    addresses = request.addresses and request.ip_annotation is None
    return bool(branches or addresses) and not request.finished
