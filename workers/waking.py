"""Has a node looked at that a worker could not serve before."""

from common.clock import Clock
from common.logging import get_logger
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store.publisher import Publisher
from common.store.store import Store

_log = get_logger(__name__)


def wake(store: Store, publisher: Publisher, clock: Clock, node: NodeName) -> None:
    """There is a thread for what it waits for. Without Redis nothing: the node is parked as well."""
    try:
        for name in store.wakeups.mark_dirty([node], clock.now()):
            publisher.reconcile(name, "thread free")
    except StoreUnavailable as error:
        _log.warning("node_not_woken", node=node, error=str(error))
