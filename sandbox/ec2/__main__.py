"""`python -m sandbox.ec2`: the EC2 sandbox as a process of its own. SIGTERM and SIGINT end it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path

from sandbox.ec2.behaviour import Ec2Behaviour
from sandbox.ec2.limits import load_limits
from sandbox.ec2.seed import read_seed
from sandbox.ec2.server import serving
from sandbox.ec2.world import Ec2World


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 takes a free one")
    parser.add_argument("--seed", type=Path, help="JSON file with subnets, groups and nodes")
    parser.add_argument("--limits", type=Path, help="CSV file of instance types that adds to the product's own")
    parser.add_argument("--region", default="us-west-2")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--instant", action="store_true", help="no request limits, latencies or delays")
    parser.add_argument("--random-seed", type=int, default=0, help="what ids and latencies are derived from")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    world = Ec2World(
        clock=time.time,
        settings=Ec2Behaviour.instant() if arguments.instant else Ec2Behaviour(),
        region=arguments.region,
        account=arguments.account,
        limits=load_limits(arguments.limits),
        seed=arguments.random_seed,
    )
    if arguments.seed:
        world.load(read_seed(arguments.seed))
    stop = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, stop.set)
    async with serving(world, port=arguments.port) as address:
        print(f"ready {address}", flush=True)  # noqa: T201  the line that whoever started it waits for
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
