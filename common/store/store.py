"""The parts of what is kept in Redis, made together on one connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import redis

from common.settings import Settings
from common.store import keys
from common.store.connect import connect
from common.store.desired import DesiredState
from common.store.heartbeats import Heartbeats
from common.store.ledger import Ledgers
from common.store.link import Link
from common.store.lock import NodeLock
from common.store.members import Members
from common.store.messages import Messages
from common.store.outages import Outages
from common.store.queues import Queues
from common.store.rate import DEFAULT_RATES, Rate, RateLimiter
from common.store.server import Server
from common.store.snapshots import Snapshots
from common.store.sweep import SweepMemory
from common.store.term import Term
from common.store.wakeups import WakeUps


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Thread-safe. Every method of a part raises StoreUnavailable. A watcher's writes raise StaleTerm once it was
    deposed."""

    desired: DesiredState
    wakeups: WakeUps
    messages: Messages
    lock: NodeLock
    ledgers: Ledgers
    snapshots: Snapshots
    limiter: RateLimiter
    outages: Outages
    heartbeats: Heartbeats
    members: Members
    queues: Queues
    sweep: SweepMemory
    term: Term
    server: Server

    @classmethod
    def on(cls, client: redis.Redis, prefix: str, rates: Mapping[str, Rate] = DEFAULT_RATES) -> Self:
        """`prefix`: of this cluster's keys, `keys.prefix(cluster)`. `rates`: EC2's limits by operation."""
        link, p = Link(client), keys.KeyPrefix(prefix)
        term, server, heartbeats = Term(link, p), Server(link), Heartbeats(link, p)
        wakeups = WakeUps(link, term, p)
        return cls(
            desired=DesiredState(link, term, wakeups, server, p),
            wakeups=wakeups,
            messages=Messages(link, heartbeats, p),
            lock=NodeLock(link, p),
            ledgers=Ledgers(link, p),
            snapshots=Snapshots(link, p),
            limiter=RateLimiter(link, p, rates),
            outages=Outages(link, p),
            heartbeats=heartbeats,
            members=Members(link, p),
            queues=Queues(link),
            sweep=SweepMemory(link, p),
            term=term,
            server=server,
        )


def open_store(settings: Settings) -> Store:
    """Does not connect yet."""
    client = connect(settings.redis_url.get_secret_value())
    return Store.on(client, keys.prefix(settings.cluster_name), settings.ec2_rates)
