"""The HTTP server in front of a KubeWorld."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

import msgspec
from aiohttp import web

from sandbox.kube.control import Control
from sandbox.kube.status import ApiError
from sandbox.kube.watch import Watch
from sandbox.kube.world import ADMIN, KubeWorld, RequestInfo, Response, User

BOOKMARK_SECONDS = 60.0
"""How often a watch that allows bookmarks gets one (kube-apiserver: about a minute)."""
LONGEST_WATCH_SECONDS = 3600.0
MAX_BODY_BYTES = 3 * 1024 * 1024
"""The largest body of a request: kube-apiserver's limit for JSON."""
REASONS = {
    401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 429: "TooManyRequests",
    503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
BATCH_BYTES = 256 * 1024
"""Watch events are joined up to this size before they are written."""


class KubeServer:
    """Answers HTTP for a world. `tokens` maps bearer tokens to users; without it everybody is the administrator."""

    def __init__(
        self, world: KubeWorld, *, tokens: Mapping[str, User] | None = None, bookmark_seconds: float = BOOKMARK_SECONDS
    ) -> None:
        self.world, self._tokens, self._bookmark_seconds = world, tokens, bookmark_seconds
        self.control = Control(world)
        self._random = Random(0)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        self.control.add_routes(app)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_shutdown.append(self._shut_down)
        return app

    async def _shut_down(self, _: web.Application) -> None:
        self.control.drop_watches("end")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        info = self.world.info(request.method, request.path, query)
        entry = self.control.journal_entry(request.method, request.path_qs, info)
        user = self._user(request)
        if user is None:
            return _refuse(ApiError(401, "Unauthorized", "Unauthorized"))
        entry["user"] = user.name
        fault = self.control.faults.next_for(request.method, user.name, info)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.when == "before" and (answer := await self._misbehave(request, fault.effect, fault.message)):
                entry["status"] = fault.effect
                if fault.retry_after is not None:
                    answer.headers["Retry-After"] = str(fault.retry_after)
                return answer
        if info.verb == "watch":
            return await self._watch(request, query, info, entry)
        response = await self._answer(request, query, user)
        entry["status"] = response.status
        if fault is not None and fault.when == "after":
            answer = await self._misbehave(request, fault.effect, fault.message)
            if answer:
                entry["status"] = f"{response.status}, answered {fault.effect}"
                return answer
        answer = web.Response(status=response.status, body=response.body, content_type=response.content_type)
        for warning in response.warnings:
            answer.headers.add("Warning", f'299 - "{warning.replace(chr(34), chr(92) + chr(34))}"')
        if response.status == 504:
            answer.headers["Retry-After"] = "1"
        return answer

    async def _answer(self, request: web.Request, query: dict[str, str], user: User) -> Response:
        try:
            body = await request.read() if request.can_read_body else b""
        except web.HTTPRequestEntityTooLarge:
            message = "Request entity too large: limit is 3145728"
            error = ApiError(413, "RequestEntityTooLarge", message)
            return Response(status=413, body=msgspec.json.encode(error.status()))
        content_type, accept = request.content_type, request.headers.get("Accept", "")
        if "Content-Type" not in request.headers:
            content_type = "application/json"
        arguments = (request.method, request.path, query, body, content_type, user, accept)
        if self.world.meets_webhooks(request.method, request.path):
            return await asyncio.to_thread(self.world.request, *arguments)
        return self.world.request(*arguments)

    def _user(self, request: web.Request) -> User | None:
        """Who asks; none where tokens are needed and this is none of them. Administrators may impersonate."""
        user: User | None = ADMIN
        if self._tokens is not None:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            user = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        other = request.headers.get("Impersonate-User")
        if user is not None and other and "system:masters" in user.groups:
            groups = request.headers.getall("Impersonate-Group", [])
            return User(name=other, groups=(*groups, "system:authenticated"))
        return user

    async def _misbehave(self, request: web.Request, effect: int | str, message: str) -> web.Response | None:
        if effect == "reset":
            _reset(request)
            raise web.HTTPInternalServerError
        if effect == "hang":
            await asyncio.sleep(LONGEST_WATCH_SECONDS)
        if isinstance(effect, int):
            return _refuse(ApiError(effect, REASONS.get(effect, "InternalError"), message))
        return None

    async def _watch(
        self, request: web.Request, query: dict[str, str], info: RequestInfo, entry: dict[str, object]
    ) -> web.StreamResponse:
        try:
            watch = self.world.watch(request.path, query, request.headers.get("Accept", ""))
        except ApiError as error:
            entry["status"] = error.code
            return _refuse(error)
        entry["status"] = 200
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        waking = False

        def wake() -> None:
            nonlocal waking
            if not waking:
                waking = True
                loop.call_soon_threadsafe(woken.set)

        watch.on_change(wake)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        drop = self.control.add_watch(watch, info, wake, lambda: _reset(request))
        seconds = int(query.get("timeoutSeconds") or 0) or self._random.uniform(1800, LONGEST_WATCH_SECONDS)
        deadline, next_bookmark = loop.time() + seconds, loop.time() + self._bookmark_seconds
        try:
            await response.prepare(request)
            while True:
                waking = False
                woken.clear()
                more = await self._send(response, watch)
                now = loop.time()
                if not more and watch.bookmarks and now >= next_bookmark and not watch.closed:
                    await response.write(watch.bookmark())
                    next_bookmark = now + self._bookmark_seconds
                if watch.closed or now >= deadline:
                    break
                if more or watch.pending():
                    continue
                until = min(deadline, next_bookmark) if watch.bookmarks else deadline
                try:
                    await asyncio.wait_for(woken.wait(), max(0.0, until - now))
                except TimeoutError:
                    continue
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            watch.close()
            drop()
        return response

    @staticmethod
    async def _send(response: web.StreamResponse, watch: Watch) -> bool:
        """Writes one batch of what is there; true if there may be more."""
        batch, size = list[bytes](), 0
        while size < BATCH_BYTES and (line := watch.next_line()) is not None:
            batch.append(line)
            size += len(line)
        if batch:
            await response.write(b"".join(batch))
        return size >= BATCH_BYTES


def _refuse(error: ApiError) -> web.Response:
    body = msgspec.json.encode(error.status())
    return web.Response(status=error.code, body=body, content_type="application/json")


def _reset(request: web.Request) -> None:
    """Drops the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
