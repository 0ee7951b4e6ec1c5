"""`python -m sandbox.judge`: EC2 and the Kubernetes API in one process, whose every change is judged.

Prints `ready EC2-URL KUBE-URL`. `GET /_sandbox/judgement` of EC2's address: rules that were broken, what is left to
nobody, and living pods that lost what they had.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path

import msgspec
from aiohttp import web

from sandbox.ec2.behaviour import Ec2Behaviour
from sandbox.ec2.seed import read_seed
from sandbox.ec2.server import serving
from sandbox.ec2.world import Ec2World
from sandbox.judge.judge import Judge
from sandbox.kube.running import Listening, load_manifests, serve
from sandbox.kube.world import KubeWorld


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.judge", description=__doc__)
    parser.add_argument("--cluster", required=True, help="name of the cluster, which is in tags")
    parser.add_argument("--cooldown", type=float, default=60.0, help="the shortest in force, in seconds")
    parser.add_argument("--seed", type=Path, help="JSON file with subnets, groups and nodes")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="file to write")
    parser.add_argument("--crds", type=Path, required=True, help="folder of manifests to create at start")
    return parser.parse_args()


def judgement(judge: Judge) -> web.RouteDef:
    """The endpoint that tells what was found so far."""

    async def answer(_: web.Request) -> web.Response:
        found = {"broken": judge.problems, "leftovers": judge.leftovers(), "lost": judge.lost()}
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    return web.get("/_sandbox/judgement", answer)


async def _serve(arguments: argparse.Namespace) -> None:
    ec2 = Ec2World(clock=time.time, settings=Ec2Behaviour())
    kube = KubeWorld(clock=time.time)
    judge = Judge(ec2, kube, cluster=arguments.cluster, cooldown=arguments.cooldown)
    load_manifests(kube, arguments.crds)
    if arguments.seed:
        ec2.load(read_seed(arguments.seed))
    stop = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, stop.set)
    async with serving(ec2, more=(judgement(judge),)) as address:

        def ready(listening: Listening) -> None:
            listening.write_kubeconfig(arguments.kubeconfig)
            print(f"ready {address} {listening.url}", flush=True)  # noqa: T201  the line that whoever started it waits for

        await serve(kube, stop, ready)


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
