"""How many messages wait for a worker."""

from common.store.broker import MAINTENANCE, NODES
from common.store.link import Link


class Queues:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def depths(self) -> dict[str, int]:
        """Messages that no worker has taken, by queue. The keys are kombu's: a list named as the queue."""
        return {name: int(self._link.command("LLEN", name)) for name in (NODES, MAINTENANCE)}
