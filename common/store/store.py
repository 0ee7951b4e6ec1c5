"""The facade: everything that roles ask of Redis, by its part."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import redis

from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.ids import EniId, InstanceId, NodeName, PodUid
from common.model.ledger import Ledger
from common.model.node import NodeView
from common.model.pod import PodRequest
from common.model.reservation import Reservation, Urgency
from common.store import keys
from common.store.broker import LOAD_INSTANCES, SWEEP_LEAKS
from common.store.desired import DesiredState
from common.store.heartbeats import Heartbeats
from common.store.ledger import Ledgers, OnUnreadable, log_unreadable
from common.store.link import Link
from common.store.lock import NodeLock
from common.store.members import Members
from common.store.messages import Absent, Messages
from common.store.outages import Outages
from common.store.queues import Queues
from common.store.rate import DEFAULT_RATES, BelievedLimit, Rate, RateLimiter
from common.store.server import Server
from common.store.snapshots import LOADING_SECONDS, Snapshots
from common.store.sweep import SweepMemory
from common.store.term import Term
from common.store.wakeups import WakeUps


class Store:
    """Thread-safe. Every method raises StoreUnavailable; what each does is said at the part it belongs to. A watcher's
    writes raise StaleTerm once it was deposed."""

    def __init__(self, client: redis.Redis, prefix: str, rates: Mapping[str, Rate] = DEFAULT_RATES) -> None:
        """`prefix`: of this cluster's keys, `keys.prefix(cluster)`. `rates`: EC2's limits by action."""
        link, p = Link(client), keys.KeyPrefix(prefix)
        self._link, self._prefix = link, p
        self._term = Term(link, p)
        self._desired = DesiredState(link, self._term, p)
        self._wakeups = WakeUps(link, self._term, p)
        self._messages = Messages(link)
        self._heartbeats = Heartbeats(link, p)
        self._lock = NodeLock(link, p)
        self._ledgers = Ledgers(link, p)
        self._snapshots = Snapshots(link, p)
        self._rate = RateLimiter(link, p, rates)
        self.outages = Outages(link, p)
        self._sweep = SweepMemory(link, p)
        self._members = Members(link, p)
        self._queues = Queues(link)
        self._server = Server(link)

    def ping(self) -> None:
        """Raises StoreUnavailable where Redis does not answer."""
        self._link.command("PING")

    def time(self) -> float:
        return self._server.time()

    def run_id(self) -> str | None:
        return self._server.run_id()

    def lead(self) -> None:
        self._term.begin()

    # --- desired state

    def write_node(self, name: NodeName, view: NodeView | None) -> None:
        self._desired.write_node(name, view)

    def write_pods(self, name: NodeName, upserts: Iterable[PodRequest], removals: Iterable[PodUid]) -> None:
        self._desired.write_pods(name, upserts, removals)

    def write_config(self, config: ClusterConfig) -> None:
        self._desired.write_config(config)

    def begin_full_list(self) -> None:
        self._desired.begin_full_list()

    def finish_full_list(self, run: str | None = None) -> bool:
        return self._desired.finish_full_list(run)

    def mark_compared(self, run: str | None) -> None:
        self._desired.mark_compared(run)

    def epoch(self) -> str | None:
        """The run of Redis that answers, where everything was compared with the cluster since it began; "" where one of
        both is not known; None: it was not, and what is read may be as old as the copy that Redis began with."""
        # In this order: a Redis that is started in between is another run than its copy's mark tells.
        compared, now = self._desired.compared_in(), self._server.run_id()
        if compared is None or now is None:
            return ""
        return now if compared == now else None

    def is_complete(self) -> bool:
        return self._desired.is_complete()

    def known_nodes(self) -> set[NodeName]:
        return self._desired.known_nodes()

    def desired(self, name: NodeName, ledger: Ledger | None = None) -> Desired:
        return self._desired.desired(name, ledger)

    def look(self, name: NodeName, ledger: Ledger) -> Desired:
        """Clear the node's dirty mark and read its desired state, in one step: what is written later marks it again."""
        return self._desired.desired(name, ledger, [self._wakeups.clearing(name)])

    def names_of(self, instance: InstanceId) -> set[NodeName]:
        return self._desired.names_of(instance)

    def desired_of(self, names: Sequence[NodeName]) -> dict[NodeName, Desired]:
        return self._desired.desired_of(names)

    # --- wake-ups

    def mark_dirty(self, names: Iterable[NodeName], now: float) -> list[NodeName]:
        return self._wakeups.mark_dirty(names, now)

    def clear_dirty(self, name: NodeName) -> bool:
        return self._wakeups.clear_dirty(name)

    def is_dirty(self, name: NodeName) -> bool:
        return self._wakeups.is_dirty(name)

    def dirty_among(self, names: Iterable[NodeName]) -> frozenset[NodeName]:
        return self._wakeups.dirty_among(names)

    def overdue(self, now: float, older_than: float) -> list[NodeName]:
        return self._wakeups.overdue(now, older_than)

    def park(self, name: NodeName, at: float) -> None:
        self._wakeups.park(name, at)

    def park_all(self, times: Mapping[NodeName, float]) -> None:
        self._wakeups.park_all(times)

    def due(self, now: float, limit: int) -> list[NodeName]:
        return self._wakeups.due(now, limit)

    # --- messages

    def begin_load(self, message: str) -> bool:
        return self._messages.begin(LOAD_INSTANCES, message, keys.loading(self._prefix), LOADING_SECONDS)

    def begin_sweep(self, message: str) -> bool:
        return self._messages.begin(SWEEP_LEAKS, message)

    def absent_messages(self) -> frozenset[Absent]:
        return self._messages.absent()

    def orphaned_messages(self, seen_by: str) -> list[Absent]:
        """Those that workers took that are dead now (as Heartbeats.is_dead). Some may have begun: `forget_message`
        tells."""
        taken = self._messages.taken()
        dead = [taker for taker in taken if self._heartbeats.is_dead(taker, seen_by)]
        return [one for taker in dead for one in taken[taker]]

    def forget_message(self, one: Absent) -> bool:
        return self._messages.forget(one)

    # --- lock

    def acquire(self, name: NodeName, owner: str, ttl: float, message: str = "") -> int | None:
        return self._lock.acquire(name, owner, ttl, message)

    def holds(self, name: NodeName, owner: str, token: int) -> bool:
        return self._lock.holds(name, owner, token)

    def held_by(self, incarnation: str) -> dict[NodeName, str]:
        return self._lock.held_by(incarnation)

    def release(self, name: NodeName, owner: str, token: int | None = None) -> bool:
        return self._lock.release(name, owner, token)

    # --- ledger

    def load_ledger(self, name: NodeName) -> Ledger | None:
        return self._ledgers.load(name)

    def save_ledger(self, name: NodeName, ledger: Ledger | None, owner: str, token: int) -> None:
        self._ledgers.save(name, ledger, owner, token)

    def ledgers(self, on_unreadable: OnUnreadable = log_unreadable) -> dict[NodeName, Ledger]:
        return self._ledgers.all(on_unreadable)

    # --- snapshots of instances

    def request_snapshot(self, instance_id: InstanceId, node: NodeName, now: float) -> bool:
        return self._snapshots.request(instance_id, node, now)

    def snapshot_requests(self) -> int:
        return self._snapshots.requests()

    def take_snapshot_requests(self, limit: int) -> list[tuple[InstanceId, NodeName]]:
        return self._snapshots.take_requests(limit)

    def write_snapshots(self, snapshots: Mapping[InstanceId, InstanceSnapshot], ttl: float) -> None:
        self._snapshots.write(snapshots, ttl)

    def snapshot(self, instance_id: InstanceId) -> InstanceSnapshot | None:
        return self._snapshots.read(instance_id)

    # --- rate limiter

    def reserve(self, action: str, who: str, urgency: Urgency = Urgency.POD) -> Reservation:
        return self._rate.reserve(action, who, urgency)

    def give_back(self, who: Iterable[str]) -> int:
        return self._rate.give_back(who)

    def rate_left(self, action: str) -> float:
        return self._rate.left(action)

    def throttled(self, action: str, who: str, granted_at: float, urgency: Urgency = Urgency.POD) -> bool:
        return self._rate.throttled(action, who, granted_at, urgency)

    def ec2_limits(self) -> dict[str, BelievedLimit]:
        return self._rate.believed()

    # --- who is alive

    def heartbeat(self, incarnation: str) -> None:
        self._heartbeats.beat(incarnation)

    def is_dead(self, incarnation: str, seen_by: str) -> bool:
        return self._heartbeats.is_dead(incarnation, seen_by)

    # --- sweep, health

    def seen_available(self) -> set[EniId]:
        return self._sweep.read()

    def write_seen_available(self, interfaces: AbstractSet[EniId]) -> None:
        self._sweep.write(interfaces)

    def beat(self, role: str, member: str, info: Mapping[str, str], ttl: float) -> None:
        self._members.beat(role, member, info, ttl)

    def members(self, role: str) -> dict[str, dict[str, str]]:
        return self._members.alive(role)

    def queue_depths(self) -> dict[str, int]:
        return self._queues.depths()
