"""A watcher process' parts, put together from the outside worlds: in production connections, in simulation models."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from common.clock import Clock
from common.kube.events import Involved
from common.kube.lease import NOBODY, Holder
from common.kube.reflector import Reflector
from common.kube.transport import Transport
from common.model.notice import Notice
from common.settings import Settings
from common.store import Store
from common.store.publisher import Publisher
from watcher.announcer import Announcer
from watcher.cluster_cache import ClusterCache
from watcher.kinds import Kind
from watcher.leader import Leader
from watcher.reflecting import reflector
from watcher.ticker import Intervals, Ticker
from watcher.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a watcher process works."""

    prefix_feature: bool = False
    """Whether Windows nodes may take prefixes."""
    intervals: Intervals = field(default_factory=Intervals)
    tick_seconds: float = 0.1
    page_size: int = 500
    """Objects a page of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """The parts; each says which thread it belongs to."""

    cache: ClusterCache
    announcer: Announcer
    writer: Writer
    ticker: Ticker
    leader: Leader
    reflectors: dict[Kind, Reflector]


def build(
    *,
    transport: Transport,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    rng: random.Random,
    identity: str,
    terms: Terms,
    emit: Callable[[Notice], None] = lambda _notice: None,
    on_problem: Callable[[str], None] = lambda _problem: None,
    on_set_aside: Callable[[Involved, str], None] = lambda _object, _problem: None,
    on_deposed: Callable[[], None] = lambda: None,
    held: Callable[[], bool] = lambda: True,
    holder: Callable[[], Holder] = lambda: NOBODY,
    ask_time: Callable[[], str | None] = lambda: None,
) -> Watcher:
    """`identity`: the process' incarnation; empty: it sends no heartbeats, and takes nobody for dead. `emit` is given
    what people should know of pods, `on_problem` a value of the ConfigMap that cannot be used, `on_set_aside` an object
    that cannot be understood. `on_deposed` is called when another leads. `held`: whether the lease is ours now,
    `holder`: whose it is. `ask_time` is called at each heartbeat of the leader's loop, and says what is wrong with
    this machine's time."""
    cache = ClusterCache(clock=clock, prefix_feature=terms.prefix_feature, on_problem=on_problem)
    announcer = Announcer(store, publisher, clock)
    writer = Writer(cache, store, announcer, clock=clock, rng=rng)
    ticker = Ticker(
        store, publisher, announcer, writer, clock=clock, rng=rng, intervals=terms.intervals, identity=identity
    )
    leader = Leader(
        cache,
        store,
        writer,
        ticker,
        clock=clock,
        identity=identity,
        held=held,
        tick_seconds=terms.tick_seconds,
        emit=emit,
        on_deposed=on_deposed,
        ask_time=ask_time,
        holder=holder,
    )
    reflectors = {
        kind: reflector(
            kind,
            transport,
            cache,
            clock=clock,
            rng=rng,
            page_size=terms.page_size,
            wake=leader.wake,
            report=on_set_aside,
        )
        for kind in Kind
    }
    return Watcher(cache=cache, announcer=announcer, writer=writer, ticker=ticker, leader=leader, reflectors=reflectors)


def terms_of(settings: Settings) -> Terms:
    return Terms(
        prefix_feature=settings.enable_windows_prefix_delegation,
        intervals=Intervals(resync=settings.resync_seconds, sweep=settings.sweep_seconds),
        tick_seconds=settings.tick_seconds,
        page_size=settings.page_size,
    )
