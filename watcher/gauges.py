"""Numbers about the whole cluster, which only the leader knows."""

from collections import Counter

from common import metrics
from common.model.names import POD_ENI, PRIVATE_IPV4
from common.model.node import NodeFacts
from common.rules.managed import Management, management
from common.store.store import Store
from watcher.cluster_cache import ClusterCache

DIGITS = 9
"""Digits of the largest capacity that is shown; a longer number is no capacity, and beyond a float."""


def show(cache: ClusterCache, store: Store) -> None:
    """Set the gauges. Raises StoreUnavailable."""
    for kind, count in cache.counts().items():
        metrics.WATCHED.labels(str(kind)).set(count)
    branches, addresses = cache.waiting()
    metrics.PODS_WAITING.labels(POD_ENI).set(branches)
    metrics.PODS_WAITING.labels(PRIVATE_IPV4).set(addresses)
    metrics.PODS_WITHOUT_GROUPS.clear()
    for namespace, count in cache.uncovered_counts().items():
        metrics.PODS_WITHOUT_GROUPS.labels(namespace).set(count)
    config, views = cache.config, cache.views()
    standings = Counter(
        management(view.node, view.cninode.spec if view.cninode else None, config) for view in views if view.node
    )
    for each in Management:
        metrics.NODES.labels(str(each)).set(standings[each])
    metrics.BRANCH_CAPACITY.set(sum(_offered(view.node) for view in views if view.node))
    metrics.SGP_ENABLED.set(any(view.cninode is not None and view.cninode.spec.pod_groups for view in views))
    metrics.WINDOWS_IPAM_ENABLED.set(config is not None and config.windows_ipam)
    metrics.WINDOWS_PREFIX_ENABLED.set(config is not None and config.prefix_delegation)
    for queue, depth in store.queues.depths().items():
        metrics.QUEUE_DEPTH.labels(queue).set(depth)


def _offered(node: NodeFacts) -> int:
    """Branch interfaces, by its `status.capacity`: somebody else may have written it."""
    amount = node.capacity.get(POD_ENI, "")
    return int(amount) if amount.isdecimal() and len(amount) <= DIGITS else 0


def hide() -> None:
    """We lead no more, or not yet: what we said is another's to say."""
    metrics.LEADER.set(0)
    metrics.BRANCH_CAPACITY.set(0)
    for gauge in (
        metrics.PODS_WAITING, metrics.PODS_WITHOUT_GROUPS, metrics.NODES, metrics.BRANCHES, metrics.QUEUE_DEPTH,
    ):  # fmt: skip
        gauge.clear()
