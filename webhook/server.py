"""The HTTPS server: what is said to any request, and how long clients may take."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.clock import Clock
from common.logging import get_logger
from common.metrics import REGISTRY, WEBHOOK_REVIEWS, WEBHOOK_SECONDS
from webhook.envelope import Undecodable, Verdict, bad, encode_review
from webhook.review import Reviews

LARGEST_BODY = 7 * 1024 * 1024
"""Bytes of a review. An object of the API server has at most 3 MiB, and an update carries two."""
HANDSHAKE_SECONDS = 10.0
FIRST_REQUEST_SECONDS = 10.0
"""From a connection's start to its first complete request header."""
BODY_SECONDS = 10.0
"""The API server itself gives up on a webhook after at most 30 s, by default 10 s."""
IDLE_SECONDS = 120.0
"""Longer than the 90 s after which the API server closes idle connections: who closes first must not be us, since a
request already on its way would fail."""

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
        alive: Callable[[], bool],
    ) -> None:
        """`missing`: what reviews need and cannot be told, in words; `/readyz` says them. `alive`: whether the process
        can go on at all; else `/healthz` asks for a restart."""
        self._reviews, self._clock, self._missing, self._alive = reviews, clock, missing, alive
        self._draining = False
        self._server = _Server(self._answer)
        self._listener: asyncio.Server | None = None

    async def start(self, address: str, port: int, tls: ssl.SSLContext) -> int:
        """Listen; the port, which for 0 is any free one. Raises OSError where it is taken."""
        self._listener = await asyncio.get_running_loop().create_server(
            self._server, address, port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=1024
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self, drain_seconds: float, patience_seconds: float) -> None:
        """Stop without failing a request. For `drain_seconds` everything is still answered, but `/readyz` says no and
        every answer asks its client to connect anew next time; then no connection is taken any more, and reviews
        under way have `patience_seconds`."""
        self._draining = True
        if self._listener is None:
            return
        await asyncio.sleep(drain_seconds)
        self._listener.close()
        self._server.pre_shutdown()
        await self._server.shutdown(patience_seconds)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._server.began(request.protocol)
        response = await self._respond(request)
        if self._draining:
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        if request.path in self._reviews.paths:
            return await self._review(request)
        if request.path == "/healthz":
            return _probe([] if self._alive() else ["a watch has died"])
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
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
        except TimeoutError:
            return _refusal(408, f"the body did not come within {BODY_SECONDS:g} s")
        if body is None:
            return _refusal(413, f"the body has more than {LARGEST_BODY} bytes")
        try:
            answer, verdict = await self._reviews.answer(request.path, body)
        except Undecodable as error:
            return _refusal(400, str(error))
        if not verdict.allowed:
            _log.info("refused", path=request.path, code=verdict.code, why=verdict.message)
        return web.Response(body=answer, content_type=_JSON), _result(verdict)


class _Server(web.Server):
    """Hangs up on clients whose first request does not come."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, keepalive_timeout=IDLE_SECONDS, access_log=None)
        self._began: set[web.RequestHandler] = set()

    def began(self, handler: web.RequestHandler) -> None:
        self._began.add(handler)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)

        def look() -> None:
            if handler not in self._began:
                transport.close()

        asyncio.get_running_loop().call_later(FIRST_REQUEST_SECONDS, look)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._began.discard(handler)


async def _body(request: web.BaseRequest) -> bytes | None:
    """None: too large; the rest is not read."""
    if (request.content_length or 0) > LARGEST_BODY:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > LARGEST_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _probe(problems: Sequence[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)


def _refusal(status: int, message: str) -> tuple[web.Response, str]:
    """Not answered as a review, though written as one: whoever sent it may show the message."""
    verdict = bad(message) if status == 400 else Verdict(allowed=False, code=status, message=message)
    response = web.Response(body=encode_review("", verdict), content_type=_JSON, status=status)
    if status == 408:
        response.force_close()
    return response, "refused"


def _result(verdict: Verdict) -> str:
    if not verdict.allowed:
        return "denied" if verdict.code == 403 else "bad"
    return "patched" if verdict.patch else "allowed"
