"""Every Redis key: one function each, with its type, owner (the module that alone touches it), writer and expiry.

All begin with the store's prefix, `vpcrc:<cluster>:`. Celery's own keys (queues, bindings) do not, nor what belongs to
its queues: clusters that share a Redis use a database each.
"""

from typing import NewType

from common.model.ids import InstanceId, NodeName
from common.model.outage import Scope

KeyPrefix = NewType("KeyPrefix", str)


def prefix(cluster: str) -> KeyPrefix:
    """The prefix of one cluster's keys, so that clusters can share a Redis."""
    return KeyPrefix(f"vpcrc:{cluster}:")


# --- desired.py


def view(p: KeyPrefix, node: NodeName) -> str:
    """String, msgpack of NodeView. Writer: watcher. No expiry: removed with the node."""
    return f"{p}view:{node}"


def pods(p: KeyPrefix, node: NodeName) -> str:
    """Hash, pod uid -> msgpack of PodRequest. Writer: watcher. No expiry: Redis drops an empty hash."""
    return f"{p}pods:{node}"


def desired_nodes(p: KeyPrefix) -> str:
    """Set of node names that have a view or pods. Writer: watcher. No expiry."""
    return f"{p}wished"


def instances(p: KeyPrefix) -> str:
    """Hash, node name -> instance id that its Node object names, or its ledger is about. Writers: watcher with the
    view, worker when it deletes the ledger. No expiry: removed with view and ledger."""
    return f"{p}instances"


def names_of(p: KeyPrefix, instance: InstanceId | str) -> str:
    """Set of node names of an instance, `instances` turned round. Writers: as `instances`. No expiry."""
    return f"{p}names-of:{instance}"


def config(p: KeyPrefix) -> str:
    """String, msgpack of ClusterConfig. Writer: watcher. No expiry."""
    return f"{p}config"


def listing(p: KeyPrefix) -> str:
    """String, random name of the full list under way. Writer: watcher. No expiry: the next list replaces it."""
    return f"{p}listing"


def complete(p: KeyPrefix) -> str:
    """String: a full list was written since Redis was last empty. The value is the run of Redis (INFO, `run_id`) in
    which everything was compared with the cluster last, `1` where that is not known. Writer: watcher. No expiry."""
    return f"{p}complete"


# --- wakeups.py


def dirty(p: KeyPrefix) -> str:
    """Sorted set, node name by epoch seconds of the mark, or of the last time that it was handed out as overdue.
    Writers: watcher marks, workers clear. No expiry."""
    return f"{p}dirty"


def parked(p: KeyPrefix) -> str:
    """Sorted set, node name by epoch seconds at which to look again. Writers: workers; the ticker removes.
    No expiry."""
    return f"{p}parked"


def woken(p: KeyPrefix, incarnation: str) -> str:
    """Sorted set, name of a node that became dirty during a run of this process, by epoch seconds. Only a hint: the
    mark counts. Writer: whoever marks; the process itself removes. Expires after a minute."""
    return f"{p}woken:{incarnation}"


# --- term.py


def term(p: KeyPrefix) -> str:
    """String, the greatest term of a leader that has written. Writer: watcher. No expiry."""
    return f"{p}term"


# --- messages.py, transport.py


def waiting() -> str:
    """Hash, subject -> id of its message, from its being put into the queue to its task's begin. Writers: whoever
    publishes; tasks remove, the ticker removes lost ones. No expiry."""
    return "vpcrc:waiting"


def unacked() -> str:
    """Hash, delivery tag -> message that a worker took. Kombu's."""
    return "unacked"


def unacked_index() -> str:
    """Sorted set, delivery tag by epoch seconds of the taking. Kombu's."""
    return "unacked_index"


# --- lock.py


def lock(p: KeyPrefix, node: NodeName) -> str:
    """String `<owner> <token>` of the run that may write. Writer: workers. Expires with the lock's lifetime."""
    return f"{p}lock:{node}"


def fence(p: KeyPrefix, node: NodeName) -> str:
    """String, the last fencing token. Writer: workers. Expires after lock.FENCE_SECONDS without a run: it only guards
    against Redis' clock going back."""
    return f"{p}fence:{node}"


def running(p: KeyPrefix) -> str:
    """Set of node names whose run has begun and not released; without a lock it is an abandoned run. Writers: workers
    add and remove, the ticker removes abandoned ones. No expiry."""
    return f"{p}running"


# --- heartbeats.py


def heartbeats(p: KeyPrefix) -> str:
    """Sorted set, incarnation by epoch milliseconds of its last heartbeat. Writers: watchers and workers. No expiry:
    each heartbeat removes those of a day ago."""
    return f"{p}heartbeats"


def heard(p: KeyPrefix) -> str:
    """String, epoch milliseconds since when heartbeats have come without a gap. Writers: watchers and workers. Expires
    after heartbeats.GONE_SECONDS without any."""
    return f"{p}heard"


# --- ledger.py


def ledger(p: KeyPrefix, node: NodeName) -> str:
    """String, msgpack of Ledger. Writer: the worker that holds the lock. No expiry: deleted by it."""
    return f"{p}ledger:{node}"


def ledgers(p: KeyPrefix) -> str:
    """Set of node names that have a ledger. Writer: as the ledger. No expiry."""
    return f"{p}ledgers"


# --- snapshots.py


def wanted(p: KeyPrefix) -> str:
    """Sorted set, instance id by epoch seconds of the request. Writers: workers. Expires as its queue stands still."""
    return f"{p}wanted"


def wanted_by(p: KeyPrefix) -> str:
    """Hash, instance id -> node name that asks. Writers: workers. Expires with `wanted`."""
    return f"{p}wanted-by"


def loading(p: KeyPrefix) -> str:
    """String `1`: a load_instances task is at it. Writers: workers. Expires (snapshots.LOADING_SECONDS)."""
    return f"{p}loading"


def snapshot(p: KeyPrefix, instance: InstanceId) -> str:
    """Hash, `at` epoch seconds and `body` msgpack of InstanceSnapshot. Writers: workers. Expires as the writer says."""
    return f"{p}snapshot:{instance}"


# --- rate.py


def rate(p: KeyPrefix, operation: str) -> str:
    """Hash, what is believed of an EC2 operation's bucket (fields: lua/rate_state.lua). Writers: workers. Expires
    (rate.BELIEF)."""
    return f"{p}rate-limit:{operation}"


def rate_line(p: KeyPrefix, operation: str) -> str:
    """Sorted set, what waits to call an EC2 operation by its ticket. Writers: workers. Expires as its holders'
    absence."""
    return f"{p}rate-line:{operation}"


def rate_due(p: KeyPrefix, operation: str) -> str:
    """Sorted set, what waits to call an EC2 operation by epoch seconds at which it asks again. Writers: workers.
    Expires with `rate_line`."""
    return f"{p}rate-due:{operation}"


def places(p: KeyPrefix) -> str:
    """Hash, what waits -> EC2 operation in whose line it last got a place, and epoch seconds since when. Writers:
    workers. Expires (rate.PLACES)."""
    return f"{p}rate-places"


# --- outages.py


def outages(p: KeyPrefix) -> str:
    """Sorted set, scope by epoch seconds of its first failure. Writers: workers. No expiry: forgotten when it works, or
    nobody asks any more."""
    return f"{p}outages"


def outage(p: KeyPrefix, scope: Scope) -> str:
    """Hash, what is known of a scope that fails, or did (fields: lua/outage_failed.lua). Writers: workers. Expires
    (outages.KEPT_SECONDS)."""
    return f"{p}outage:{scope}"


def waiting_for(p: KeyPrefix, scope: Scope) -> str:
    """Sorted set, node name by epoch seconds of its last failure, 0: one that did not fail. Writers: workers. Expires
    (outages.KEPT_SECONDS)."""
    return f"{p}waiting-for:{scope}"


def failed_for(p: KeyPrefix, scope: Scope) -> str:
    """Sorted set, pod uid or node name for which the scope failed, and `node/` with the node where it did, by epoch
    seconds of the last time. Writers: workers. Expires (outages.KEPT_SECONDS)."""
    return f"{p}failed-for:{scope}"


# --- sweep.py


def seen_available(p: KeyPrefix) -> str:
    """Set of interface ids that the last sweep saw `available`. Writer: the sweep. Expires (sweep.SEEN_SECONDS)."""
    return f"{p}seen-available"


# --- members.py


def members(p: KeyPrefix, role: str) -> str:
    """Set of ids of a role's processes, dead ones too. Writer: each process. No expiry: readers drop the dead."""
    return f"{p}members:{role}"


def member(p: KeyPrefix, role: str, member_id: str) -> str:
    """String, msgpack map of what a process says of itself. Writer: that process. Expires as the writer says."""
    return f"{p}member:{role}:{member_id}"
