"""A watcher process: reflectors, the lease, the leader's loop, and what it serves to probes."""

import os
import random
import secrets
import signal
import socket
import threading
from contextlib import ExitStack
from functools import partial

from common import spans, threads, tracing
from common.clock import SharedClock
from common.exposition import serve_metrics
from common.kube.events import EventSink, Involved
from common.kube.lease import NOBODY, Lease, LeaseTerms
from common.kube.transport import API_SERVER, HttpTransport, connect
from common.logging import get_logger
from common.model.errors import StoreUnavailable
from common.model.names import CONFIG_MAP, SYSTEM_NAMESPACE
from common.model.notice import EventReason, Notice, Severity
from common.probes import Server
from common.reach import Reach
from common.settings import Settings, listening, require, variable
from common.store import keys, open_store
from common.store.broker import celery_app
from common.store.publisher import CeleryPublisher
from common.store.pulse import Pulse
from common.store.shared_time import SharedTime
from watcher import usage
from watcher.build import build, terms_of
from watcher.health import health
from watcher.kinds import NEEDED
from watcher.reflecting import follow

SIGNAL_SECONDS = 0.1
"""Interval of looks whether a signal came."""
UNPREPARED_SECONDS = 10.0
"""Even a leader that cannot list everything is of use: it publishes nodes whose time has come."""
SYNCED_SECONDS = 1.0
"""Interval at which such a one looks whether another watcher knows the cluster, and may lead."""
GRACE_SECONDS = 10.0
"""For the call under way and the release of the lease, each. Kubernetes kills after 30 s."""
STALLED_SECONDS = 60.0
"""A loop that did not come round for so long hangs. Time-outs of Redis and broker are a few seconds each."""
BLIND_SECONDS = 180.0
"""A reflector that had neither an answer nor a failure for so long hangs: three times what one page of a list may
take."""
LOST_LEASE, BROKEN = 75, 70
"""Exit status, as sysexits.h: EX_TEMPFAIL, EX_SOFTWARE. Whoever started the process starts it again."""

_log = get_logger(__name__)


def main(settings: Settings) -> int:
    """Watch until SIGTERM or SIGINT (0), until the lease is lost (LOST_LEASE) or a thread died (BROKEN).
    Raises SettingsError where a needed setting is missing or names no cluster."""
    require(settings, "cluster_name")
    clock = SharedClock()
    tracing.start(settings, "watcher", clock)
    reach = Reach(API_SERVER, clock)
    transport = _transport(settings, clock, settings.kube_qps, reach)
    # Renewals never wait behind our own lists.
    lease_transport = _transport(settings, clock, None, reach)
    return _Process(settings, transport, lease_transport, clock, reach).run()


def _transport(settings: Settings, clock: SharedClock, qps: float | None, reach: Reach) -> HttpTransport:
    return connect(
        kubeconfig=settings.kubeconfig,
        context=settings.kube_context,
        clock=clock,
        qps=qps,
        burst=settings.kube_burst,
        reach=reach,
    )


class _Process:
    def __init__(
        self,
        settings: Settings,
        transport: HttpTransport,
        lease_transport: HttpTransport,
        clock: SharedClock,
        reach: Reach,
    ) -> None:
        host = socket.gethostname()
        self._settings, self._clock, self._reach = settings, clock, reach
        self._stop = threading.Event()
        self._status = 0
        self._signalled = ""
        self._leading = False
        rng = random.Random(secrets.randbits(64))
        identity = f"{host}_{os.getpid()}_{secrets.token_hex(4)}"
        self._sink = EventSink(transport, clock=clock, host=host)
        url, prefix = settings.redis_url.get_secret_value(), keys.prefix(settings.cluster_name)
        self._pulse = Pulse(url, prefix, identity)
        self._lease: Lease | None = None
        if settings.leader_elect:
            self._lease = Lease(
                lease_transport,
                namespace=settings.lease_namespace,
                name=settings.lease_name,
                identity=identity,
                terms=LeaseTerms(
                    duration=settings.lease_duration_seconds,
                    renew_within=settings.lease_renew_seconds,
                    retry=settings.lease_retry_seconds,
                ),
                clock=clock,
                rng=rng,
                is_dead=self._pulse.is_dead,
            )
        self._store = open_store(settings)
        self._time = SharedTime(self._store.server, clock)
        parts = build(
            transport=transport,
            store=self._store,
            publisher=CeleryPublisher(celery_app(url), clock.now if spans.on() else None),
            clock=clock,
            rng=rng,
            identity=identity,
            terms=terms_of(settings),
            emit=self._emit_of_pods,
            on_problem=self._report_problem,
            on_set_aside=self._report_set_aside,
            on_deposed=lambda: self._end(LOST_LEASE, "another watcher leads"),
            held=self._lease.held if self._lease is not None else (lambda: True),
            holder=self._lease.other_holder if self._lease is not None else (lambda: NOBODY),
            ask_time=self._ask_time,
        )
        self._cache, self._leader, self._reflectors = parts.cache, parts.leader, parts.reflectors

    def run(self) -> int:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._on_signal)
        with ExitStack() as stack:
            self._serve(stack)
            self._sink.start()
            self._pulse.start()
            stack.callback(self._pulse.stop)
            if self._settings.disable_controller:
                _log.info("the controller is disabled: nodes are followed all the same, workers only clean up")
            for kind, each_reflector in self._reflectors.items():
                follow(each_reflector, self._stop, wanted=partial(self._cache.wants, kind))
            loop = threads.start("leader", self._loop)
            threads.start("usage", lambda: usage.keep(self._store.ledgers, lambda: self._leader.leading, self._stop))
            stand = threads.start("lease", lambda: self._stand(loop))
            while not self._stop.is_set():
                self._clock.sleep(SIGNAL_SECONDS)
                if (died := threads.died()) is not None:
                    # It leads no more on half of what it should know: another takes over, a fresh process comes.
                    self._end(BROKEN, died)
                if self._signalled:
                    self._end(0, self._signalled)
            # First nobody writes any more, then the lease is free, then the process is gone.
            stand.join(2 * GRACE_SECONDS)
            _ended(loop)
            self._sink.stop()
            tracing.stop()
        _log.info("watcher ends", status=self._status)
        return self._status

    def _on_signal(self, number: int, _: object) -> None:
        # Nothing but this: a handler that takes a lock can meet itself.
        self._signalled = signal.Signals(number).name

    def _stand(self, loop: threading.Thread) -> None:
        """Until the end: hold the lease, or try to. One that does not know the cluster yet lets others go first, and
        waits as long as one lives that does."""
        until = self._clock.monotonic() + UNPREPARED_SECONDS
        while not (self._cache.complete and self._time.wrong is None) and not self._stop.is_set():
            if self._time.wrong is not None:
                # With a wrong time it cannot sign requests, and may end leases too early.
                self._stop.wait(SYNCED_SECONDS)
            elif self._clock.monotonic() < until:
                self._stop.wait(SIGNAL_SECONDS)
            elif self._lease is not None and self._another_is_synced():
                self._stop.wait(SYNCED_SECONDS)
            else:
                break
        if self._lease is None:
            self._lead()
            self._stop.wait()
            _ended(loop)
        else:
            self._lease.lead(
                self._stop, self._lead, lambda: self._end(LOST_LEASE, "lease lost"), idle=lambda: _ended(loop)
            )

    def _ask_time(self) -> str | None:
        self._time.look()
        return self._time.wrong

    def _another_is_synced(self) -> bool:
        try:
            return self._leader.another_is_synced()
        except StoreUnavailable:
            return False

    def _lead(self) -> None:
        self._leading = True
        self._leader.lead()
        for problem in self._cache.problems:
            self._report_problem(problem)
        # A standby emits no events; the new leader repeats what it set aside while it stood by.
        for each in self._reflectors.values():
            each.repeat_set_aside()

    def _loop(self) -> None:
        self._leader.run(self._stop)

    def _end(self, status: int, why: str) -> None:
        if not self._stop.is_set():
            self._status = status
            _log.info("watcher is ending", why=why, status=status)
            self._stop.set()
            self._leader.wake()

    def _serve(self, stack: ExitStack) -> None:
        address = self._settings.listen_address
        if self._settings.health_port:
            respond = health(unhealthy=self._unhealthy, unready=self._unready)
            with listening(variable("health_port"), self._settings.health_port):
                stack.callback(Server(address, self._settings.health_port, respond).close)
        if self._settings.metrics_port:
            with listening(variable("metrics_port"), self._settings.metrics_port):
                stack.callback(serve_metrics(self._settings.metrics_port, address).close)

    def _unhealthy(self) -> str | None:
        now = self._clock.monotonic()
        if (age := now - self._leader.turned_at) > STALLED_SECONDS:
            return f"the loop hangs for {age:.0f} s"
        for kind, each in self._reflectors.items():
            if self._cache.wants(kind) and (age := now - each.turned_at) > BLIND_SECONDS:
                return f"the reflector of {kind} hangs for {age:.0f} s"
        return threads.died()

    def _unready(self) -> str | None:
        if not self._cache.complete:
            return "lists are not complete"
        away = self._reach.problem() or self._pulse.reach.problem()
        deaf = next((why for kind in sorted(NEEDED) if (why := self._reflectors[kind].problem())), None)
        return away or deaf or self._leader.trouble or self._time.problem

    def _emit_of_pods(self, notice: Notice) -> None:
        # Where the controller is disabled, security groups are another's business.
        if not self._settings.disable_controller:
            self._sink.emit(notice)

    def _report_set_aside(self, about: Involved, problem: str) -> None:
        if self._leading:
            self._sink.record(
                about, EventReason.OBJECT_NOT_UNDERSTOOD, f"The object is left out: {problem}", Severity.WARNING
            )

    def _report_problem(self, problem: str) -> None:
        _log.warning("value of the ConfigMap is not used", configmap=CONFIG_MAP, problem=problem)
        if self._leading:
            self._sink.record(
                Involved(
                    api_version="v1",
                    kind="ConfigMap",
                    name=CONFIG_MAP,
                    # `kubectl describe` looks for it.
                    uid=self._cache.config_map_uid,
                    namespace=SYSTEM_NAMESPACE,
                ),
                EventReason.INVALID_CONFIGURATION,
                problem,
                Severity.WARNING,
            )


def _ended(loop: threading.Thread) -> bool:
    """Wait for the loop's last write; False: it hangs in one."""
    loop.join(GRACE_SECONDS)
    return not loop.is_alive()
