"""A worker process: Celery's consumer with its pool of threads, and what it serves to people and probes."""

import os
import secrets
import socket
import threading
from contextlib import ExitStack

import structlog

from common.clock import Clock, SystemClock
from common.metrics import serve_metrics
from common.model.errors import StoreUnavailable
from common.probes import Server
from common.settings import Settings, listening, variable
from common.store import Store, connect, keys
from common.store.publisher import CeleryPublisher
from workers import remote_control
from workers.app import keep_logging, make_app, track
from workers.context import prepare
from workers.health import health
from workers.introspection import introspection
from workers.progress import Progress

BEAT_SECONDS = 2.0
"""Interval at which the process says that it is alive, and looks whether it gets on."""
ALIVE_SECONDS = 30.0
"""Silent for longer, it counts as dead."""
STALLED = 70
"""Exit status of a process that gave itself up (EX_SOFTWARE)."""

_log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    """Work until SIGTERM (runs under way are finished first: a slice at most) or until the consumer dies. The exit
    status: 0 after a signal; otherwise whoever started the process starts it again. Raises SettingsError."""
    clock = SystemClock()
    store = Store(
        connect(settings.redis_url.get_secret_value()), keys.prefix(settings.cluster_name), settings.ec2_rates
    )
    progress = Progress(clock)
    name = f"vpc-rc-{os.getpid()}-{secrets.token_hex(2)}@{socket.gethostname()}"
    app = make_app(settings)
    prepare(settings, CeleryPublisher(app))
    keep_logging()
    track(progress)
    with ExitStack() as stack:
        _serve(settings, store, progress, stack)
        ended = threading.Event()
        stack.callback(ended.set)
        beat = threading.Thread(target=_beat, args=(store, progress, name, ended, clock), name="heartbeat", daemon=True)
        beat.start()
        worker = app.Worker(
            hostname=name,
            pool="threads",
            concurrency=settings.worker_threads,
            quiet=True,
            # Workers' talk among themselves, of no use to us: all they share is in the store.
            without_gossip=True,
            without_mingle=True,
        )
        remote_control.restrict()
        _log.info("worker_starts", worker=name, threads=settings.worker_threads)
        worker.start()
        status = int(worker.exitcode or 0)
        if status:
            _log.error("worker_ended", worker=name, status=status)
        return status


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


def _beat(store: Store, progress: Progress, name: str, ended: threading.Event, clock: Clock) -> None:
    """Say that the process is alive. A process that does not get on gives itself up, so that it is started again also
    where nobody probes it; its runs' locks expire and other workers take over."""
    started = f"{clock.now():.0f}"
    while True:
        try:
            store.beat("worker", name, {"started": started, "pid": str(os.getpid())}, ALIVE_SECONDS)
            progress.heard(sum(store.queue_depths().values()))
        except StoreUnavailable as error:
            progress.unheard(f"redis: {error}")
            _log.warning("heartbeat_not_written", error=str(error))
        if ended.wait(BEAT_SECONDS):
            return
        if problem := progress.problem():
            _log.error("worker_stalled", worker=name, problem=problem)
            os._exit(STALLED)
