"""Reads from Redis what is shown."""

from collections.abc import Mapping

import msgspec

from cli.status.alarms import alarms, member
from cli.status.choose import by_numbers
from cli.status.detail import NodeDetail, PodDetail, find_node, node_detail, pod_detail
from cli.status.ec2_limits import notable
from cli.status.outages import sentences
from cli.status.summary import ClusterStatus, node_status
from common.model.errors import LedgerNewer, LedgerUnreadable
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.limits import InstanceLimits
from common.store import Store

WATCHER, WORKER = "watcher", "worker"


def read_cluster(store: Store, limits: Mapping[str, InstanceLimits]) -> ClusterStatus:
    """Not one consistent read: nodes move on meanwhile. Raises StoreUnavailable."""
    ledgers, unreadable = _ledgers(store)
    nodes, config = [], None
    for name in sorted(store.desired.known_nodes(), key=by_numbers):
        desired = store.desired.read(name)
        config = config or desired.config
        ledger = ledgers.get(name)
        # Nodes that are none of ours have desired state but nothing to show.
        if ledger is not None or desired.pods or name in unreadable:
            nodes.append(node_status(ledger, desired, name, limits, unreadable.get(name, "")))
    workers = {name: member(WORKER, about) for name, about in store.members.alive(WORKER).items()}
    watchers = {name: member(WATCHER, about) for name, about in store.members.alive(WATCHER).items()}
    complete = store.desired.is_complete()
    return ClusterStatus(
        nodes=tuple(nodes),
        queues=store.queues.depths(),
        workers=workers,
        watchers=watchers,
        alarms=(
            *alarms(watchers, workers, complete=complete),
            *sentences(store.outages.read(), ledgers, store.server.time()),
        ),
        complete=complete,
        config=msgspec.to_builtins(config) if config else {},
        ec2_limits=notable(store.limiter.believed()),
    )


def read_node(store: Store, limits: Mapping[str, InstanceLimits], wanted: str) -> NodeDetail:
    """Raises NotThere, StoreUnavailable."""
    ledgers, unreadable = _ledgers(store)
    name = find_node(sorted(store.desired.known_nodes() | ledgers.keys() | unreadable.keys()), wanted)
    return node_detail(ledgers.get(name), store.desired.read(name), name, limits, unreadable.get(name, ""))


def read_pod(store: Store, wanted: str) -> PodDetail:
    """`wanted`: namespace/name. Raises NotThere, StoreUnavailable."""
    ledgers, unreadable = _ledgers(store)
    return pod_detail(ledgers, store.desired.read_many(sorted(store.desired.known_nodes())), wanted, unreadable)


def _ledgers(store: Store) -> tuple[dict[NodeName, Ledger], dict[NodeName, str]]:
    """Those that can be read, and what is wrong with the others. Raises StoreUnavailable."""
    unreadable: dict[NodeName, str] = {}

    def note(name: NodeName, error: LedgerUnreadable) -> None:
        newer = isinstance(error, LedgerNewer)
        unreadable[name] = f"left to newer workers: {error}" if newer else f"the ledger cannot be read: {error}"

    return store.ledgers.all(note), unreadable
