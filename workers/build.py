"""A worker process' parts, put together from the outside worlds: in production connections, in simulation models."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from common.clock import Clock
from common.ec2.api import Ec2
from common.kube.api import Kube
from common.model.actions import Action
from common.model.limits import load_limits
from common.model.notice import Notice
from common.model.outcome import Outcome
from common.model.reservation import Urgency
from common.node.state import Options
from common.settings import Settings
from common.store import Store
from common.store.publisher import Publisher
from workers.callers import caller, gate_for, urgency
from workers.executor import ActionExecutor, Perform, ThreadExecutor
from workers.lookups import LookupCache
from workers.lost_runs import LostRuns
from workers.maintenance.load import load_instances
from workers.maintenance.sweep import SWEEP_SECONDS, Sweep, sweep_leaks
from workers.outages import KnownOutages
from workers.reconcile import Reconciler
from workers.rooms import Rooms
from workers.runs import Runs
from workers.steps import Ports, carry_out
from workers.waking import wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a worker process works. Times in seconds."""

    vpc: str
    threads: int
    """Actions at once."""
    lock_seconds: float
    slice_seconds: float
    sweep_seconds: float = SWEEP_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a process does about each kind of message. Thread-safe."""

    ports: Ports
    reconciler: Reconciler
    runs: Runs
    rooms: Rooms
    terms: Terms
    _asked: Iterator[int] = field(default_factory=itertools.count)

    def load_instances(self) -> int:
        """Read the instances that nodes have asked for; how many. Raises StoreUnavailable."""
        return load_instances(
            self.ports.store,
            self._blocking_ec2(Urgency.NODE),
            self.ports.publisher,
            self.ports.clock,
            self.reconciler.options.limits,
            stopping=self.reconciler.stopping,
        )

    def sweep_leaks(self) -> Sweep:
        """One pass over the VPC for interfaces that belong to nothing. Raises OutsideError, StoreUnavailable."""
        return sweep_leaks(
            self.ports.store,
            self._blocking_ec2(Urgency.RELEASE),
            self.ports.kube,
            self.ports.clock,
            self.ports.cluster,
            self.terms.vpc,
            interval=self.terms.sweep_seconds,
        )

    def _blocking_ec2(self, urgency: Urgency) -> Ec2:
        """EC2 for what has no ledger to come back by: waits for its calls, however long that takes."""
        name = f"maintenance/{self.reconciler.owner}/{next(self._asked)}"
        return self.ports.ec2.with_gate(gate_for(self.ports.store, self.ports.clock, name, urgency, defers=False))


def build(
    *,
    ec2: Ec2,
    account: str,
    kube: Kube,
    store: Store,
    publisher: Publisher,
    emit: Callable[[Notice], None],
    clock: Clock,
    rng: random.Random,
    incarnation: str,
    options: Options,
    terms: Terms,
    stopping: Callable[[], bool] = lambda: False,
    executor: Callable[[Rooms, Perform], ActionExecutor] = ThreadExecutor,
) -> Worker:
    """`incarnation`: the process' name, which its locks carry: it sends heartbeats under it before the first run.
    `executor`: what carries out the actions of one run."""
    ports = Ports(
        ec2=ec2,
        kube=kube,
        store=store,
        publisher=publisher,
        lookups=LookupCache(kube, clock),
        clock=clock,
        cluster=options.cluster,
        account=account,
    )

    def perform(action: Action) -> Outcome:
        return carry_out(action, ports.through(gate_for(store, clock, caller(action), urgency(action))))

    rooms = Rooms(terms.threads, lambda node: wake(store, publisher, clock, node))
    reconciler = Reconciler(
        store=store,
        publisher=publisher,
        outages=KnownOutages(store.outages, clock),
        lost=LostRuns(store, publisher, clock.now, incarnation),
        executor=lambda: executor(rooms, perform),
        emit=emit,
        options=options,
        clock=clock,
        rng=rng,
        owner=incarnation,
        lock_seconds=terms.lock_seconds,
        slice_seconds=terms.slice_seconds,
        stopping=stopping,
    )
    return Worker(ports=ports, reconciler=reconciler, runs=Runs(reconciler.run), rooms=rooms, terms=terms)


def terms_of(settings: Settings) -> Terms:
    return Terms(
        vpc=settings.vpc_id,
        threads=settings.ec2_max_connections,
        lock_seconds=settings.lock_seconds,
        slice_seconds=settings.slice_seconds,
        sweep_seconds=settings.sweep_seconds,
    )


def options_of(settings: Settings) -> Options:
    """Raises SettingsError."""
    return Options(
        cluster=settings.cluster_name,
        version=version("vpc-resource-controller"),
        limits=load_limits(settings.instance_limits_file),
        release_delay=settings.node_release_seconds,
        audit_first=settings.audit_min_seconds,
        audit_longest=settings.audit_max_seconds,
        disabled=settings.disable_controller,
    )
