"""What all runs of a worker process share, made once, before the first run."""

import os
import random
import secrets
import socket
import threading
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from common import threads
from common.clock import Clock, SystemClock
from common.ec2.api import Ec2
from common.ec2.client import account_id, build_invoke
from common.ec2.gate import OpenGate
from common.kube.api import Kube
from common.kube.events import EventSink
from common.kube.transport import API_SERVER, HttpTransport
from common.kube.transport import connect as connect_kube
from common.model.actions import Action
from common.model.limits import load_limits
from common.model.outcome import Outcome
from common.model.reservation import Urgency
from common.node.state import Options
from common.reach import Reach
from common.settings import Settings, load_settings, require
from common.store import Store, connect, keys
from common.store.publisher import CeleryPublisher, Publisher
from common.store.pulse import Pulse
from workers.callers import caller, gate_for, urgency
from workers.dirty_check import listen
from workers.executor import ThreadExecutor
from workers.lookups import LookupCache
from workers.lost_runs import LostRuns
from workers.outages import KnownOutages
from workers.reconcile import Reconciler
from workers.rooms import Rooms
from workers.runs import Runs
from workers.steps import Ports, carry_out
from workers.waking import wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    settings: Settings
    ports: Ports
    reconciler: Reconciler
    runs: Runs
    stop: threading.Event
    """Set: no run begins anything more."""
    events: EventSink
    reaches: tuple[Reach, ...]
    """Whether EC2 and the API server answer."""

    def away(self) -> str | None:
        """Which of them does not; None: both do, or are not asked."""
        return next((why for reach in self.reaches if (why := reach.problem())), None)

    def maintenance_ec2(self, urgency: Urgency = Urgency.RELEASE) -> Ec2:
        """EC2 for what has no ledger to come back by: waits for its calls, however long that takes."""
        name = f"maintenance/{secrets.token_hex(8)}"
        return self.ports.ec2.with_gate(gate_for(self.ports.store, self.ports.clock, name, urgency, defers=False))


def check(settings: Settings) -> None:
    """Raises SettingsError where a needed setting is missing or cannot be used."""
    require(settings, "cluster_name", "vpc_id")
    options(settings)
    _kube_transport(settings, SystemClock())


def build(settings: Settings, publisher: Publisher, clock: Clock, stop: threading.Event, incarnation: str) -> Context:
    """Connect to everything, and send heartbeats from now on. Raises SettingsError as `check`, and OutsideError where
    credentials, region or account cannot be found out, or the API server's token is not there: to be tried again."""
    check(settings)
    ec2_reach, api_reach = Reach("EC2"), Reach(API_SERVER)
    ec2, account = Ec2(build_invoke(settings, ec2_reach), OpenGate(), vpc=settings.vpc_id), account_id(settings)
    store = Store.on(
        connect(settings.redis_url.get_secret_value()),
        keys.prefix(settings.cluster_name),
        settings.ec2_rates,
    )
    to_kube = _kube_transport(settings, clock, api_reach)
    to_kube.await_token()
    kube = Kube(to_kube)
    # Events have a transport, and so a request budget, of their own: never in the way of the work.
    events = EventSink(_kube_transport(settings, clock, api_reach), clock=clock, host=socket.gethostname())
    events.start()
    ports = Ports(
        ec2=ec2,
        kube=kube,
        store=store,
        publisher=publisher,
        lookups=LookupCache(kube, clock),
        clock=clock,
        cluster=settings.cluster_name,
        account=account,
    )

    def perform(action: Action) -> Outcome:
        return carry_out(action, ports.through(gate_for(store, clock, caller(action), urgency(action))))

    rooms = Rooms(settings.ec2_max_connections, lambda node: wake(store, publisher, clock, node))
    rng = random.SystemRandom()
    reconciler = Reconciler(
        store=store,
        publisher=publisher,
        outages=KnownOutages(store.outages, clock),
        lost=LostRuns(store, publisher, clock.now, incarnation),
        executor=lambda: ThreadExecutor(rooms, perform),
        tell=events.emit,
        options=options(settings),
        clock=clock,
        rng=rng,
        owner=incarnation,
        lock_seconds=settings.lock_seconds,
        slice_seconds=settings.slice_seconds,
        stopping=stop.is_set,
    )
    runs = Runs(reconciler.run)
    threads.start("woken", partial(listen, reconciler.dirty_check, store.wakeups, incarnation, clock))
    # Before the first run: locks name the incarnation.
    Pulse(settings.redis_url.get_secret_value(), keys.prefix(settings.cluster_name), incarnation).start()
    return Context(
        settings=settings,
        ports=ports,
        reconciler=reconciler,
        runs=runs,
        stop=stop,
        events=events,
        reaches=(ec2_reach, api_reach),
    )


def _kube_transport(settings: Settings, clock: Clock, reach: Reach | None = None) -> HttpTransport:
    return connect_kube(
        kubeconfig=settings.kubeconfig,
        context=settings.kube_context,
        clock=clock,
        qps=settings.kube_qps,
        burst=settings.kube_burst,
        reach=reach,
    )


def options(settings: Settings) -> Options:
    return Options(
        cluster=settings.cluster_name,
        version=version("vpc-resource-controller"),
        limits=load_limits(settings.instance_limits_file),
        release_delay=settings.node_release_seconds,
        audit_first=settings.audit_min_seconds,
        audit_longest=settings.audit_max_seconds,
        disabled=settings.disable_controller,
    )


_guard = threading.Lock()
_shared: list[Context] = []
"""Empty, or this process' own."""


def new_incarnation() -> str:
    """A name for this process, unlike that of any other."""
    return f"vpc-rc-{os.getpid()}-{secrets.token_hex(4)}@{socket.gethostname()}"


def prepare(settings: Settings, publisher: Publisher, clock: Clock, stop: threading.Event, incarnation: str) -> Context:
    """Build this process' context before its first task. Raises as `build`."""
    built = build(settings, publisher, clock, stop, incarnation)
    with _guard:
        _shared[:] = [built]
    return built


def context() -> Context:
    """This process' own; by plain `celery -A workers worker` built at the first task, from the environment's settings.
    Raises as `build`."""
    with _guard:
        if not _shared:
            from workers.app import default_app

            publisher = CeleryPublisher(default_app())
            _shared.append(build(load_settings(), publisher, SystemClock(), threading.Event(), new_incarnation()))
        return _shared[0]
