"""The watcher's span in a pod's trace: from the event that showed it bound to the announcement of its node."""

from collections.abc import Collection, Iterable

from common import spans
from common.clock import Clock
from common.model.ids import NodeName, PodUid
from common.model.pod import PodRequest
from common.spans import NODE, Finished, Value
from common.trace_ids import pod_root
from watcher.pods import waits

WRITE = "write desired state and announce"


class PodTrace:
    """Used by one thread, the leader's. Does nothing where no spans are sent. Times in epoch seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: dict[NodeName, dict[PodUid, tuple[PodRequest, float]]] = {}
        """Pods of nodes that are not announced yet, each with the time at which it was written."""
        self._waiting: set[PodUid] = set()
        """Pods that were written once: what changes of them later is not new."""

    def written(self, node: NodeName, pods: Iterable[PodRequest], removed: Collection[PodUid]) -> None:
        """These pods of the node, and that others are gone from it, are in desired state now."""
        if not spans.on():
            return
        self._waiting.difference_update(removed)
        now = self._clock.now()
        for pod in pods:
            if not waits(pod):
                self._waiting.discard(pod.uid)
            elif pod.uid not in self._waiting:
                self._waiting.add(pod.uid)
                self._written.setdefault(node, {})[pod.uid] = (pod, now)

    def announced(self, nodes: Iterable[NodeName], published: Collection[NodeName]) -> None:
        """Workers know of these nodes: by a message put now, or by one that waits or a run that is under way."""
        if not self._written:
            return
        now = self._clock.now()
        for node in nodes:
            for pod, written in self._written.pop(node, {}).values():
                root = pod_root(pod.uid)
                attributes: dict[str, Value] = {
                    NODE: node,
                    "k8s.pod.uid": pod.uid,
                    "k8s.pod.name": pod.name,
                    "k8s.namespace.name": pod.namespace,
                    "vpc_rc.written_after_seconds": round(max(0.0, written - pod.seen_at), 3),
                    "vpc_rc.published": node in published,
                }
                place = spans.new_span(root.trace)
                spans.record(
                    Finished(
                        name=WRITE,
                        place=place,
                        parent=root.span,
                        began=pod.seen_at,
                        ended=now,
                        attributes=attributes,
                    )
                )

    def forget(self) -> None:
        """Another leads."""
        self._written.clear()
        self._waiting.clear()
