"""Every metric of the product.

A process counts what it does itself; sums over replicas are Prometheus' business. Gauges of the whole cluster are set
by the watchers' leader and by the worker that sweeps.
"""

from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# Twice the series for times that nobody asks for; a restart shows in process_start_time_seconds.
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

# From a call answered from a cache to a wait of minutes behind the limits of an account.
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"vpc_rc_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"vpc_rc_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"vpc_rc_{name}", text, labels, registry=REGISTRY, buckets=_SECONDS)


_gauge("build_info", "1; which version this process is.", "version").labels(version("vpc-resource-controller")).set(1)

POD_SECONDS = _histogram("pod_seconds", "From a pod's scheduling to its annotation.", "resource")
PODS_WAITING = _gauge("pods_waiting", "Pods that ask for a resource and have none yet.", "resource")
PODS_WITHOUT_GROUPS = _gauge(
    "pods_without_groups", "Pods that match a SecurityGroupPolicy and were admitted without a branch.", "namespace"
)

EC2_CALLS = _counter("ec2_calls", "Calls to EC2; code is EC2's error code, or OK.", "operation", "code")
EC2_CALL_SECONDS = _histogram("ec2_call_seconds", "Duration of calls to EC2.", "operation")
EC2_WAIT_SECONDS = _histogram("ec2_wait_seconds", "Wait for the limiter before calls to EC2.", "operation")
EC2_THROTTLED = _counter("ec2_throttled", "Calls that EC2 refused because of its request limits.", "operation")
EC2_RATE = _gauge("ec2_rate", "Calls per second that EC2 is believed to allow, over all replicas.", "operation")
EC2_BURST = _gauge("ec2_burst", "Calls at once that EC2 is believed to allow, over all replicas.", "operation")

UNAVAILABLE = _gauge(
    "unavailable",
    "Nodes that wait for what fails for all: an operation, what it names, the API server. 0: one asker failed.",
    "scope",
)

CLOCK_ERROR = _gauge("clock_error_seconds", "How far this machine's clock is ahead of Redis'.")
SUBNET_FREE = _gauge(
    "subnet_free_addresses", "Free addresses of a subnet, when this process last read it with its nodes.", "subnet"
)

RECONCILES = _counter("reconciles", "Runs on a node, by how they ended.", "result")
RECONCILE_SECONDS = _histogram("reconcile_seconds", "Duration of runs on a node.")
LEDGERS_SET_ASIDE = _counter("ledgers_set_aside", "Records of nodes that could not be understood: begun anew.")
ACTIONS = _counter(
    "actions",
    "Actions that ended: done, failed, waits for its turn in EC2's limits; or not begun: turned_away for want of a "
    "thread, held because it fails for all.",
    "action",
    "outcome",
)
ACTIONS_IN_FLIGHT = _gauge("actions_in_flight", "Actions under way in this process.", "action")

NODES = _gauge("nodes", "Nodes by state.", "state")
BRANCHES = _gauge("branches", "Branch interfaces by state, as the records of all nodes have them.", "state")
BRANCH_CAPACITY = _gauge("branch_capacity", "Branch interfaces that nodes offer to pods: advertised capacity.")
LEAKED_FOUND = _counter("leaked_found", "Interfaces found that belong to nothing.")
LEAKED_DELETED = _counter("leaked_deleted", "Interfaces that belonged to nothing and were deleted.")

LEADER = _gauge("leader", "1 in the watcher that holds the lease.")
WATCH_RESTARTS = _counter("watch_restarts", "Watches begun again, by what ended them.", "kind", "reason")
OBJECTS_SET_ASIDE = _counter(
    "objects_set_aside", "Events about objects of the API server that could not be taken in.", "kind"
)
WATCHED = _gauge("watched", "Objects that the watcher knows.", "kind")
PUBLISHED = _counter("published", "Tasks published, by reason.", "reason")
PUBLISH_FAILURES = _counter("publish_failures", "Tasks that Redis did not take.")
THREADS_DIED = _counter("threads_died", "Threads of this process that an exception ended.")
MESSAGES_DROPPED = _counter("messages_dropped", "Messages in a queue that could not be read and were dropped.")
QUEUE_DEPTH = _gauge("queue_depth", "Tasks that wait for a worker.", "queue")
EVENTS_DROPPED = _counter("events_dropped", "Kubernetes events not written: queue full, or refused for good.")

WEBHOOK_REVIEWS = _counter("webhook_reviews", "Admission reviews answered.", "path", "verdict")
WEBHOOK_CERTIFICATE_DAYS = _gauge(
    "webhook_certificate_days_left", "Days until the webhook's certificate expires; negative: it has."
)
# Of no process but the webhook: 0 would be an alarm.
WEBHOOK_CERTIFICATE_DAYS.set(float("nan"))
WEBHOOK_EXPIRED_HANDSHAKES = _counter(
    "webhook_expired_handshakes", "TLS handshakes with a certificate that has expired."
)
WEBHOOK_SECONDS = _histogram("webhook_seconds", "Time to answer an admission review.", "path")


# Names of the reference that dashboards use, where they mean exactly the same.
def _inherited(name: str, text: str) -> Gauge:
    return Gauge(name, text, registry=REGISTRY)


LEAKED_ENI_COUNT = _inherited("leaked_eni_count", "Leaked interfaces that the last sweep saw.")
RC_AVAILABLE_ENIS = _inherited("vpc_rc_created_available_eni_count", "Available interfaces made by us.")
CNI_AVAILABLE_ENIS = _inherited("vpc_cni_created_available_eni_count", "Available interfaces made by the VPC CNI.")
WINDOWS_IPAM_ENABLED = _inherited("windows_ipam_enabled", "1 while Windows nodes are managed.")
WINDOWS_PREFIX_ENABLED = _inherited("windows_prefix_delegation_enabled", "1 while Windows nodes take prefixes.")
SGP_ENABLED = _inherited("sgp_enabled", "1 while a node uses security groups for pods.")
NODE_CLEANUP_FAILURES = Counter(
    "node_termination_eni_cleanup_failures", "Clean-ups of deleted nodes that failed.", registry=REGISTRY
)
