"""Runs a server: in a thread for tests, or until cancelled for the command."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from sandbox.kube.certificates import Certificates, make_certificates
from sandbox.kube.server import KubeServer
from sandbox.kube.world import KubeWorld, User

SHUTDOWN_SECONDS = 1.0
WEBHOOK_THREADS = 32
"""Requests that wait for webhooks at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A server that answers at `url`."""

    url: str
    server: KubeServer
    world: KubeWorld
    certificates: Certificates | None
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def write_kubeconfig(self, path: Path, token: str | None = None) -> Path:
        """Writes a kubeconfig for this server (JSON, which is YAML), readable by its owner only.

        Without a token it names one all the same: kubectl asks for a password otherwise.
        """
        cluster: dict[str, str] = {"server": self.url}
        if self.certificates is not None:
            cluster["certificate-authority"] = str(self.certificates.authority.resolve())
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": "sandbox", "user": {"token": token or "anyone"}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
        }  # fmt: skip
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path


Background = Callable[[KubeWorld], Coroutine[Any, Any, None]]
"""A loop that runs beside the server and is cancelled with it."""


async def serve(
    world: KubeWorld, stop: asyncio.Event, ready: Callable[[Listening], None], *, port: int = 0,
    tls_folder: Path | None = None, tokens: Mapping[str, User] | None = None, background: tuple[Background, ...] = (),
) -> None:  # fmt: skip
    """Serves on loopback until `stop` is set; `ready` is called once it listens."""
    certificates = make_certificates(tls_folder, datetime.now(UTC)) if tls_folder else None
    server = KubeServer(world, tokens=tokens)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WEBHOOK_THREADS))
    runner = web.AppRunner(
        server.application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handle_signals=False
    )
    await runner.setup()
    tasks = [asyncio.create_task(loop(world)) for loop in background]
    try:
        context = certificates.server_context() if certificates else None
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=1024)
        await site.start()
        chosen = runner.addresses[0][1]
        url = f"{'https' if certificates else 'http'}://127.0.0.1:{chosen}"
        ready(Listening(
            url=url, server=server, world=world, certificates=certificates, loop=asyncio.get_running_loop()
        ))  # fmt: skip
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await runner.cleanup()


@contextmanager
def in_thread(
    world: KubeWorld, *, port: int = 0, tls_folder: Path | None = None, tokens: Mapping[str, User] | None = None,
    background: tuple[Background, ...] = (),
) -> Iterator[Listening]:  # fmt: skip
    """A server in a thread of its own, for the length of a `with`. Raises what kept it from starting."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop, listening, failed = asyncio.Event(), list[Listening](), list[BaseException]()

    def ready(found: Listening) -> None:
        listening.append(found)
        started.set()

    def run() -> None:
        try:
            loop.run_until_complete(
                serve(world, stop, ready, port=port, tls_folder=tls_folder, tokens=tokens, background=background)
            )
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that waits)
            failed.append(error)
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name="kube-sandbox", daemon=True)
    thread.start()
    started.wait()
    if failed:
        raise failed[0]
    try:
        yield listening[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        if failed:
            raise failed[0]


def load_manifests(world: KubeWorld, folder: Path) -> int:
    """Creates the objects of every YAML file of a folder (of CRDs, say). Returns how many; raises on a refusal."""
    made = 0
    for file in sorted(folder.glob("*.yaml")):
        for obj in filter(None, yaml.safe_load_all(file.read_text())):
            if obj.get("kind") == "Kustomization":
                continue
            group_version, kind = obj["apiVersion"], obj["kind"]
            resource = next(r for r in world.registry.all() if (r.group_version, r.kind) == (group_version, kind))
            base = f"/apis/{group_version}" if resource.group else f"/api/{group_version}"
            place = f"/namespaces/{obj['metadata'].get('namespace', 'default')}" if resource.namespaced else ""
            response = world.request("POST", f"{base}{place}/{resource.plural}", body=obj)
            if response.status != 201:
                raise ValueError(f"{file}: {response.body.decode()}")
            made += 1
    return made
