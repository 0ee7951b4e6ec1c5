"""Reads the glance from Redis."""

from collections.abc import Mapping

import msgspec

from cli.status.glance import Glance, node_glance
from common.model.limits import InstanceLimits
from common.store import Store

WATCHER, WORKER = "watcher", "worker"


def read_glance(store: Store, limits: Mapping[str, InstanceLimits]) -> Glance:
    """Not one consistent read: nodes move on meanwhile. Raises StoreUnavailable."""
    ledgers = store.ledgers()
    nodes, config = [], None
    for name in sorted(store.known_nodes()):
        desired = store.desired(name)
        config = config or desired.config
        ledger = ledgers.get(name)
        # Nodes that are none of ours have desired state but nothing to show.
        if ledger is not None or desired.pods:
            nodes.append(node_glance(ledger, desired, name, limits))
    return Glance(
        nodes=tuple(nodes),
        queues=store.queue_depths(),
        workers=store.members(WORKER),
        watchers=store.members(WATCHER),
        complete=store.is_complete(),
        config=msgspec.to_builtins(config) if config else {},
    )
