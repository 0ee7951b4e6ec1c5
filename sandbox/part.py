"""`python -m sandbox.part ec2|kube`: one part of the sandbox as a process, on any address of the machine.

Prints `ready` once it listens. It ends at SIGTERM, and when its standard input ends: with whoever started it.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from common.model.limits import load_limits
from sandbox.ec2 import Ec2Behaviour, Ec2World
from sandbox.ec2.server import Ec2Server
from sandbox.kube.clusterloop import run_toy_cluster
from sandbox.kube.running import load_manifests
from sandbox.kube.server import KubeServer
from sandbox.kube.webhook_calls import WebhookCaller
from sandbox.kube.world import KubeWorld
from sandbox.nodes import REGION

BACKLOG = 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.part", description=__doc__)
    parser.add_argument("part", choices=("ec2", "kube"))
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--crds", type=Path, help="kube: folder of definitions to create at start")
    parser.add_argument("--with-kubelet", action="store_true", help="kube: play scheduler, kubelets and controllers")
    options = parser.parse_args()
    if options.part == "ec2":
        world = Ec2World(clock=time.time, settings=Ec2Behaviour(), region=REGION, limits=load_limits())
        app, loops = Ec2Server(world).application(), list[Coroutine[Any, Any, None]]()
    else:
        cluster = KubeWorld(clock=time.time, call_webhook=WebhookCaller({}))
        if options.crds:
            load_manifests(cluster, options.crds)
        app = KubeServer(cluster).application()
        loops = [run_toy_cluster(cluster)] if options.with_kubelet else []
    asyncio.run(_serve(app, loops, options.listen, options.port))


async def _serve(app: web.Application, loops: list[Coroutine[Any, Any, None]], listen: str, port: int) -> None:
    """Until a signal or the end of standard input. Raises what ended one of the loops."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(loop) for loop in loops]
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(_until_input_ends())]
    try:
        await web.TCPSite(runner, listen, port, backlog=BACKLOG).start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        done, _ = await asyncio.wait([*ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, *ends):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, *ends, return_exceptions=True)
        await runner.cleanup()


async def _until_input_ends() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1 << 12):
        pass


if __name__ == "__main__":
    main()
