"""The HTTP server in front of the model: EC2 and STS for any SDK, instance metadata, and the control endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable, Iterator

from aiohttp import web

from sandbox.ec2 import protocol
from sandbox.ec2.control import Control
from sandbox.ec2.credentials import STS_VERSION, Credentials
from sandbox.ec2.errors import Ec2ConnectionReset, Ec2Fault
from sandbox.ec2.metadata import Metadata
from sandbox.ec2.world import Ec2World

#: Large answers are worth compressing for nobody on loopback; large requests (1,000 ids) must pass.
_MAX_REQUEST_BYTES = 4 * 1024 * 1024


class Ec2Server:
    """Serves one world. Latencies are waited for here, without holding anything up but their own request."""

    def __init__(self, world: Ec2World) -> None:
        self._world = world
        self._credentials = Credentials(world)
        self._requests = 0

    def application(self, more: Iterable[web.RouteDef] = ()) -> web.Application:
        """The web application, with `more` endpoints of others."""
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_post("/", self._query)
        app.router.add_routes(Metadata(self._world, self._credentials).routes())
        app.router.add_routes([*Control(self._world).routes(), *more])
        return app

    async def _query(self, request: web.Request) -> web.StreamResponse:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        self._requests += 1
        request_id = f"{self._requests:08x}-0000-4000-8000-000000000000"
        if form.get("Version") == STS_VERSION:
            return self._sts(request, form, request_id)
        return await self._ec2(request, form, request_id)

    def _sts(self, request: web.Request, form: dict[str, str], request_id: str) -> web.Response:
        action = form.get("Action", "")
        try:
            params = protocol.parse("sts", action, form)
            result = self._credentials.answer(action, params, request.headers)
        except Ec2Fault as fault:
            return _xml(protocol.query_error(fault, request_id), fault.status)
        return _xml(protocol.query_answer("sts", action, result, request_id))

    async def _ec2(self, request: web.Request, form: dict[str, str], request_id: str) -> web.StreamResponse:
        action = form.get("Action", "")
        try:
            identity = self._credentials.identity_of(request.headers)
            params = protocol.parse("ec2", action, form)
            outcome = self._world.call(action, params, identity=identity)
            if outcome.latency > 0:
                await asyncio.sleep(outcome.latency)
            result = outcome.unwrap()
        except Ec2Fault as fault:
            return _xml(protocol.ec2_error(fault, request_id), fault.status)
        except Ec2ConnectionReset:
            return _reset(request)
        return _xml(protocol.ec2_answer(action, result, request_id))


def _xml(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/xml", charset="UTF-8")


def _reset(request: web.Request) -> web.StreamResponse:
    """Break the connection; what is returned can no longer be sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def serving(world: Ec2World, *, port: int = 0, more: Iterable[web.RouteDef] = ()) -> AsyncIterator[str]:
    """Serve the world on loopback while the context is open; gives the address, such as http://127.0.0.1:1234."""
    runner = web.AppRunner(Ec2Server(world).application(more), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://127.0.0.1:{bound}"
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def serving_in_thread(world: Ec2World) -> Iterator[str]:
    """The same out of a thread of its own, for tests and tools that are not asynchronous."""
    loop = asyncio.new_event_loop()
    address: list[str] = []
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(world) as url:
            address.append(url)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run, name="ec2-sandbox", daemon=True)
    thread.start()
    started.wait()
    if not address:
        raise OSError("the EC2 sandbox did not start")
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
