"""Nodes whose runs raise: how long each is left alone."""

import threading

from common.model.ids import NodeName
from common.node.retry import grown

FIRST_SECONDS, LONGEST_SECONDS = 5.0, 300.0


class Faults:
    """One per process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row: dict[NodeName, int] = {}

    def pause_after(self, node: NodeName) -> float:
        """Seconds until it is worth another look, after one more run that raised."""
        with self._lock:
            before = self._in_a_row.get(node, 0)
            self._in_a_row[node] = before + 1
        return grown(FIRST_SECONDS, LONGEST_SECONDS, before)

    def ended(self, node: NodeName) -> None:
        """A run ended as it should."""
        with self._lock:
            self._in_a_row.pop(node, None)
