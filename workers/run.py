"""A worker process: Celery's consumer with its pool of threads, and what it serves to people and probes."""

import os
import random
import secrets
import socket
import threading
import time
from contextlib import ExitStack
from functools import partial

import structlog

from common import spans, threads, tracing
from common.clock import Clock, SharedClock
from common.exposition import serve_metrics
from common.model.errors import Denied, OutsideError
from common.probes import Server
from common.settings import Settings, listening, variable
from common.store import Store, keys, open_store
from common.store.publisher import CeleryPublisher, Publisher
from common.store.pulse import Pulse
from common.store.shared_time import SharedTime
from workers import remote_control
from workers.app import keep_logging, make_app, on_shutdown, take_messages, track
from workers.build import Worker, build, options_of, terms_of
from workers.connections import Connections, check, connect
from workers.dirty_check import listen
from workers.health import health
from workers.heartbeat import Heartbeat
from workers.introspection import introspection
from workers.node_run import FINISH_SECONDS
from workers.progress import Progress
from workers.runs import Runs
from workers.tasks import add_tasks

WAIT_SECONDS = 2.0
"""Interval of looks whether there is by now what a process cannot begin without."""
LAST_SECONDS = 50.0
"""From SIGTERM to the end: less than the grace period (60 s), more than runs and events take to end."""
END_LOOK_SECONDS = 1.0
"""Interval of looks whether there is anything left that a process that ends can save."""
OUTSIDE = "credentials, region and account"
NO_CREDENTIALS_YET = "NoCredentialsError"
"""Instance metadata and agents may be late; all other refusals need a person."""

_log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT (runs under way are finished first: a slice at most) or until the consumer dies. The
    exit status: 0 after a signal; otherwise whoever started the process starts it again. Raises SettingsError."""
    clock, stop = SharedClock(), threading.Event()
    tracing.start(settings, "worker", clock)
    check(settings)
    store = open_store(settings)
    progress, shared_time = Progress(clock), SharedTime(store.server, clock)
    name = new_incarnation()
    app = make_app(settings, name)
    keep_logging()
    track(progress)
    with ExitStack() as stack:
        _serve(settings, store, progress, stack)
        ended = threading.Event()
        stack.callback(ended.set)
        heartbeat = Heartbeat(store, progress, shared_time, name)
        heartbeat.beat()  # The first one here: where Redis answers nothing waits for the thread's.
        threads.start("heartbeat", partial(heartbeat.run, ended))
        publisher = CeleryPublisher(app, clock.now if spans.on() else None)
        connections, worker = _started(settings, store, publisher, clock, stop, progress, shared_time, name)
        add_tasks(app, lambda: worker)
        progress.depends_on(connections.away)
        heartbeat.when_heard = partial(_tend, worker)
        on_shutdown(partial(_end, stop, progress, worker.runs))
        consumer = app.Worker(
            hostname=name,
            pool="threads",
            concurrency=settings.worker_threads,
            quiet=True,
            # Workers' talk among themselves, of no use to us: all they share is in the store.
            without_gossip=True,
            without_mingle=True,
        )
        heartbeat.takes = partial(take_messages, consumer)
        remote_control.restrict()
        _log.info("worker_starts", worker=name, threads=settings.worker_threads)
        consumer.start()
        if left := worker.runs.wait(FINISH_SECONDS):
            _log.warning("runs_left_behind", worker=name, runs=left)
        connections.events.stop()
        tracing.stop()
        status = 0 if stop.is_set() else int(consumer.exitcode or 0)
        if status:
            _log.error("worker_ended", worker=name, status=status)
        return status


def new_incarnation() -> str:
    """A name for this process, unlike that of any other."""
    return f"vpc-rc-{os.getpid()}-{secrets.token_hex(4)}@{socket.gethostname()}"


def start(
    settings: Settings, store: Store, publisher: Publisher, clock: Clock, stop: threading.Event, incarnation: str
) -> tuple[Connections, Worker]:
    """Connect to everything, and send heartbeats from now on. Raises as `connect`."""
    connections = connect(settings, clock)
    connections.events.start()
    worker = build(
        ec2=connections.ec2,
        account=connections.account,
        kube=connections.kube,
        store=store,
        publisher=publisher,
        emit=connections.events.emit,
        clock=clock,
        rng=random.SystemRandom(),
        incarnation=incarnation,
        options=options_of(settings),
        terms=terms_of(settings),
        stopping=stop.is_set,
    )
    threads.start("woken", partial(listen, worker.reconciler.dirty_check, store.wakeups, incarnation, clock))
    # Before the first run: locks name the incarnation.
    Pulse(settings.redis_url.get_secret_value(), keys.prefix(settings.cluster_name), incarnation).start()
    return connections, worker


def _started(
    settings: Settings,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    stop: threading.Event,
    progress: Progress,
    shared_time: SharedTime,
    incarnation: str,
) -> tuple[Connections, Worker]:
    """When Redis has given the time, and there are credentials: until then the process waits, and says for what."""
    said = ""
    while True:
        waits_for = shared_time.problem
        if waits_for is None:
            progress.awaits(f"waits for: {OUTSIDE}")
            if not said:
                _log.info("worker_asks", asks_for=OUTSIDE)
            try:
                started = start(settings, store, publisher, clock, stop, incarnation)
            except OutsideError as error:
                if isinstance(error, Denied) and error.code != NO_CREDENTIALS_YET:
                    raise
                waits_for = str(error)
            else:
                progress.awaits(None)
                return started
        progress.awaits(f"waits for: {waits_for}")
        if waits_for != said:
            _log.warning("worker_waits", waits_for=waits_for)
            said = waits_for
        clock.sleep(WAIT_SECONDS)


def _tend(worker: Worker) -> None:
    worker.reconciler.lost.give_up()
    worker.reconciler.outages.tend()


def _end(stop: threading.Event, progress: Progress, runs: Runs) -> None:
    """A signal ends the process: nothing is begun any more, and it is over soon, whatever hangs. Without Redis nothing
    can be saved or handed back: once no run is under way it is over at once."""
    stop.set()

    def end() -> None:
        began = time.monotonic()
        while (lasted := time.monotonic() - began) < LAST_SECONDS:
            time.sleep(END_LOOK_SECONDS)  # noqa: TID251 - a daemon that nothing but the end of the process ends
            if progress.redis_away() and runs.wait(0) == 0:
                break
        _log.error("worker_ends_by_force", seconds=round(lasted), redis_away=progress.redis_away())
        os._exit(0)

    threads.start("end", end)


def _serve(settings: Settings, store: Store, progress: Progress, stack: ExitStack) -> None:
    """Start what has a port."""
    address = settings.listen_address
    if port := settings.health_port:
        with listening(variable("health_port"), port):
            stack.callback(Server(address, port, health(progress)).close)
    if port := settings.metrics_port:
        with listening(variable("metrics_port"), port):
            stack.callback(serve_metrics(port, address).close)
    if port := settings.introspection_port:
        with listening(variable("introspection_port"), port):
            stack.callback(Server(address, port, introspection(store)).close)
