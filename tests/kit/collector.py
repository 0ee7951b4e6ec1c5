"""A collector of spans on this machine: OTLP over HTTP, as OpenTelemetry's exporter sends it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One that came, times in epoch seconds; ids as hexadecimal digits, a parent of none as ""."""

    name: str
    trace: str
    span: str
    parent: str
    began: float
    ended: float
    service: str
    attributes: dict[str, Any]
    links: tuple[str, ...]
    error: str


@dataclass(slots=True)
class Collector:
    url: str = ""
    status: int = 200
    """What every request is answered with."""
    requests: int = 0
    spans: list[Span] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)
    """Set: requests are not answered until it is cleared by the end."""
    ended: threading.Event = field(default_factory=threading.Event)

    def of(self, trace: str) -> list[Span]:
        """The trace's spans, the earliest first, longer ones before shorter."""
        return sorted((one for one in list(self.spans) if one.trace == trace), key=lambda one: (one.began, -one.ended))

    def take(self, path: str, body: bytes) -> int:
        """The status to answer with."""
        self.requests += 1
        if self.hang.is_set():
            self.ended.wait()
        if path != "/v1/traces":
            return 404
        if self.status == 200:
            self.spans += decoded(body)
        return self.status


def decoded(body: bytes) -> Iterator[Span]:
    """The spans of a request."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for raw in scope.spans:
                yield Span(
                    name=raw.name,
                    trace=raw.trace_id.hex(),
                    span=raw.span_id.hex(),
                    parent=raw.parent_span_id.hex(),
                    began=raw.start_time_unix_nano / 1e9,
                    ended=raw.end_time_unix_nano / 1e9,
                    service=service,
                    attributes=_attributes(raw.attributes),
                    links=tuple(link.span_id.hex() for link in raw.links),
                    error=raw.status.message,
                )


def _attributes(raw: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in raw}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Any free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = collector.take(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was killed, or waited long enough, is gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            collector.ended.set()
            server.shutdown()
