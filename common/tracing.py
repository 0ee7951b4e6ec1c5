"""Sends spans to a collector: OpenTelemetry, OTLP over HTTP.

The only module that knows OpenTelemetry, which is an extra (`tracing`) and imported where an endpoint is set. The SDK
gets each span when it has ended; ids and times are ours (docs/adr/0021-tracing.md). Nobody waits for the collector: the
SDK's thread sends from a queue of bounded length, and what does not fit is dropped.
"""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from math import isfinite
from secrets import randbits
from typing import TYPE_CHECKING, Any

from common import spans, threads
from common.clock import Clock
from common.logging import get_logger
from common.settings import Settings, SettingsError, variable
from common.spans import Finished
from common.trace_ids import Place

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

REQUEST_SECONDS = 3.0
"""For one request to the collector, repetitions included."""
STOP_SECONDS = 2.0
"""At its end a process waits so long until what is queued has been sent: a small part of any grace period."""
SAID_SECONDS = 60.0
"""Between two lines of the log about a collector that fails."""
BATCH_MILLISECONDS = 1000
QUEUE, BATCH = 4096, 512
"""Spans that wait to be sent, some 2 KiB each, and spans of a request."""
EXTRA = "needs OpenTelemetry: pip install 'vpc-resource-controller[tracing]', or an image built with LOCK=tracing"

_log = get_logger(__name__)


def start(settings: Settings, role: str, clock: Clock) -> None:
    """Send this process' spans from now on, where an endpoint is set. Raises SettingsError where the extra is not
    installed."""
    if not settings.tracing_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise SettingsError([f"{variable('tracing_endpoint')}={settings.tracing_endpoint}: {EXTRA}"]) from None
    url = settings.tracing_endpoint.rstrip("/")
    url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
    attributes = {
        "service.namespace": "vpc-resource-controller",
        "service.name": f"vpc-rc-{role}",
        "service.version": version("vpc-resource-controller"),
        "service.instance.id": f"{randbits(64):016x}",
        "k8s.cluster.name": settings.cluster_name,
    }
    exporter = OTLPSpanExporter(url, timeout=REQUEST_SECONDS)
    spans.use(OpenTelemetry(exporter, settings.tracing_ratio, attributes, clock))
    _log.info("tracing", to=url, ratio=settings.tracing_ratio)


@contextmanager
def unseen() -> Iterator[None]:
    """Have what is imported meanwhile take OpenTelemetry for not installed: redis-py imports all of its metrics, for
    figures of its own that nobody asks for, which costs each process 3 MiB and some tenths of a second."""
    hidden = "opentelemetry" not in sys.modules
    if hidden:
        sys.modules["opentelemetry"] = None  # type: ignore[assignment]  # the interpreter's way to say so
    try:
        yield
    finally:
        if hidden:
            del sys.modules["opentelemetry"]


def stop() -> None:
    """Send what is queued, for STOP_SECONDS at most, and nothing more after that."""
    tracer = spans.use(None)
    if tracer is not None:
        tracer.stop()


class OpenTelemetry:
    """Hands spans to OpenTelemetry's SDK, whose thread gives them to the exporter. Thread-safe."""

    def __init__(self, exporter: "SpanExporter", ratio: float, attributes: Mapping[str, str], clock: Clock) -> None:
        """`attributes`: of the process."""
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        given = threading.local()

        class Given(IdGenerator):
            """The ids of the span that this thread is about to hand over."""

            def generate_trace_id(self) -> int:
                return int(given.place.trace)

            def generate_span_id(self) -> int:
                return int(given.place.span)

        self.ratio = ratio
        self._api, self._no_context, self._given = trace, Context(), given
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # What is not sampled does not come as far as this.
            resource=Resource.create(dict(attributes)),
            shutdown_on_exit=False,
            id_generator=Given(),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                schedule_delay_millis=BATCH_MILLISECONDS,
            )
        )
        self._tracer = self._provider.get_tracer("vpc-resource-controller", version("vpc-resource-controller"))
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [Seldom(clock)], False

    def add(self, span: Finished) -> None:
        api = self._api
        context = self._no_context
        if span.parent:
            context = api.set_span_in_context(self._pointer(replace(span.place, span=span.parent)), context)
        self._given.place = span.place
        handed = self._tracer.start_span(
            span.name,
            context=context,
            kind=api.SpanKind.CLIENT if span.client else api.SpanKind.INTERNAL,
            attributes=span.attributes,
            links=[api.Link(self._pointer(span.link).get_span_context())] if span.link is not None else [],
            start_time=_nanoseconds(span.began),
        )
        if span.code:
            handed.set_status(api.Status(api.StatusCode.ERROR, span.code))
        # Clocks are set now and then; nothing lasts less than no time.
        handed.end(_nanoseconds(max(span.began, span.ended)))

    def _pointer(self, place: Place) -> Any:
        """OpenTelemetry's name for a span that exists somewhere."""
        api = self._api
        flags = api.TraceFlags(api.TraceFlags.SAMPLED)
        return api.NonRecordingSpan(api.SpanContext(place.trace, place.span, is_remote=True, trace_flags=flags))

    def stop(self) -> None:
        # The SDK would wait for 30 s. A system that gives no more threads keeps no process from ending.
        with suppress(RuntimeError):
            threads.start("tracing ends", self._provider.shutdown).join(STOP_SECONDS)


class Seldom(logging.Handler):
    """What OpenTelemetry logs about a collector that fails, a line a minute in place of one for each batch."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._said_at = float("-inf")
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """With how many were left out since the last one."""
        now = self._clock.monotonic()
        if now - self._said_at < SAID_SECONDS:
            self._left_out += 1
            return
        self._said_at = now
        _log.warning("spans_not_sent", why=record.getMessage(), left_out=self._left_out)
        self._left_out = 0


def _nanoseconds(seconds: float) -> int:
    """0 for what is no time: it may come from a record or a message, and is no reason to fail."""
    return int(seconds * 1e9) if isfinite(seconds) else 0
