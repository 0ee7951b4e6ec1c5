"""The HTTPS server: what any request is answered, and how long clients may take."""

import asyncio
import logging
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.clock import Clock
from common.listener import Listener, listening_socket
from common.logging import get_logger
from common.metrics import REGISTRY, WEBHOOK_REVIEWS, WEBHOOK_SECONDS
from webhook.bodies import Body, Budget, Refused
from webhook.envelope import Undecodable, Verdict, bad, encode_review
from webhook.review import Reviews

CONNECTIONS = 256
"""Connections per replica. The API server opens one for each review that it waits for, and keeps 25 when they are
idle."""
HANDSHAKE_SECONDS = 5.0
HEADER_SECONDS = 10.0
"""From a connection's start, or the first byte of another request, to the end of the request header."""
LINGER_SECONDS = 1.0
"""For the rest of a body that is refused: a client that still sends does not read the answer."""
IDLE_SECONDS = 120.0
"""Longer than the 90 s after which the API server closes idle connections: if we closed first, a request already on
its way would fail."""

TLS_BUFFER = 32 * 1024
"""Bytes that each connection has of it for as long as it lives. asyncio would take 256 KiB, for large downloads."""

_NO_LOG = logging.getLogger("aiohttp.access")
_NO_LOG.disabled = True

_JSON = "application/json"
_log = get_logger(__name__)


class ReviewServer:
    """Answers reviews, probes and scrapes. Use: `start()`, then `close()`."""

    def __init__(
        self,
        reviews: Reviews,
        *,
        clock: Clock,
        missing: Callable[[], Sequence[str]],
        unhealthy: Callable[[], str | None],
    ) -> None:
        """`missing`: what reviews need and is not known, in words; `/readyz` says them. `unhealthy`: what
        only a restart cures; `/healthz` says it."""
        self._reviews, self._clock, self._missing, self._unhealthy = reviews, clock, missing, unhealthy
        self._draining = False
        self._server = _Server(self._answer)
        self._budget = Budget()
        self._listener: Listener | None = None
        self._wants_client_certificate = False

    async def start(self, address: str, port: int, tls: ssl.SSLContext) -> int:
        """Listen; the port, which for 0 is any free one. Raises OSError where it is taken."""
        listening = listening_socket(address, port)
        SSLProtocol.max_size = TLS_BUFFER
        self._wants_client_certificate = tls.verify_mode is not ssl.CERT_NONE
        self._listener = self._server.listener = Listener(
            self._server, limit=CONNECTIONS, tls=tls, handshake_seconds=HANDSHAKE_SECONDS
        )
        self._listener.start(listening)
        return int(listening.getsockname()[1])

    async def close(self, drain_seconds: float, patience_seconds: float) -> None:
        """Stop without failing a request. For `drain_seconds` everything is still answered, but `/readyz` says no and
        every answer asks its client to connect anew next time; then no connection is taken any more, and reviews
        under way have `patience_seconds`."""
        self._draining = True
        if self._listener is None:
            return
        await asyncio.sleep(drain_seconds)
        await self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(patience_seconds)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        handler, listener = request.protocol, self._listener
        assert isinstance(handler, _Handler)
        assert listener is not None
        handler.began()
        try:
            response = await self._respond(request)
            if self._draining:
                response.force_close()
            # Written here: a connection makes way for others only when its answer is out.
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return web.Response(status=400)  # The client has gone: nobody reads it, and it is no fault of ours.
        handler.ended()
        listener.idle(handler)
        return response

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        if request.path in self._reviews.paths:
            return await self._review(request)
        if request.path == "/healthz":
            problem = self._unhealthy()
            return _probe([] if problem is None else [problem])
        if request.path == "/readyz":
            return _probe(["it is stopping"] if self._draining else self._missing())
        if request.path == "/metrics":
            return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
        return web.Response(text="not found\n", status=404)

    async def _review(self, request: web.BaseRequest) -> web.Response:
        began = self._clock.monotonic()
        path = request.path
        response, result = await self._judged(request)
        WEBHOOK_REVIEWS.labels(path, result).inc()
        WEBHOOK_SECONDS.labels(path).observe(self._clock.monotonic() - began)
        return response

    async def _judged(self, request: web.BaseRequest) -> tuple[web.Response, str]:
        if request.method != "POST":
            return _refusal(400, "a review is sent by POST")
        if request.content_type != _JSON:
            return _refusal(400, f"content type {request.headers.get('Content-Type', '')!r} is not {_JSON}")
        if self._wants_client_certificate and not (request.transport and request.transport.get_extra_info("peercert")):
            return _refusal(403, "reviews are answered to clients with a certificate of the API server's CA")
        with Body(request, self._budget) as body:
            try:
                read = await body.read()
            except Refused as refused:
                return _refusal(refused.status, refused.why)
            if self._listener is not None:
                self._listener.busy(request.protocol)
            try:
                answer, verdict = await self._reviews.answer(request.path, read)
            except Undecodable as error:
                return _refusal(400, str(error))
        if not verdict.allowed:
            _log.info("refused", path=request.path, code=verdict.code, why=verdict.message)
        return web.Response(body=answer, content_type=_JSON), _result(verdict)


class _Handler(web.RequestHandler):
    """One connection. Hangs up on a client whose request header does not come in time, the first and every other."""

    def __init__(self, server: "_Server", listener: Listener) -> None:
        # A body that unpacks to a thousand times its size is not unpacked.
        super().__init__(
            server, loop=asyncio.get_running_loop(), access_log=_NO_LOG, keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS, auto_decompress=False,
        )  # fmt: skip
        self._listener = listener
        self._late: asyncio.TimerHandle | None = None
        self._serving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._expect(transport)

    def data_received(self, data: bytes) -> None:
        if not self._serving and self._late is None and self.transport is not None:
            self._expect(self.transport)
        self._listener.heard(self)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._came()
        self._listener.lost(self)
        super().connection_lost(exc)

    def began(self) -> None:
        """A request's header is complete."""
        self._serving = True
        self._came()

    def ended(self) -> None:
        """It was answered."""
        self._serving = False

    def _expect(self, transport: asyncio.BaseTransport) -> None:
        self._late = asyncio.get_running_loop().call_later(HEADER_SECONDS, transport.close)

    def _came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Server(web.Server):
    """Makes a handler for each connection."""

    listener: Listener

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, self.listener)


def _probe(problems: Sequence[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)


def _refusal(status: int, message: str) -> tuple[web.Response, str]:
    """Not answered as a review, though written as one: whoever sent it may show the message."""
    verdict = bad(message) if status == 400 else Verdict(allowed=False, code=status, message=message)
    response = web.Response(body=encode_review("", verdict), content_type=_JSON, status=status)
    if status in (408, 503):
        response.force_close()
    return response, "refused"


def _result(verdict: Verdict) -> str:
    if not verdict.allowed:
        return "denied" if verdict.code == 403 else "bad"
    return "patched" if verdict.patch else "allowed"
