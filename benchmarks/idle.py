"""A cluster in which nothing happens: what its processes and Redis do all the same."""

import time
from typing import Any

import redis

from benchmarks import restart
from benchmarks.figures import Figures
from benchmarks.measure import Journal, shown
from benchmarks.stand import named, standing
from watcher.writer import CALM_SECONDS

NODES, WATCHERS = 1000, 2
SECONDS = 60.0
MOST = 6
"""Redis commands that are shown by name."""


def idle(figures: Figures, nodes: int = NODES, seconds: float = SECONDS) -> None:
    """A thousand nodes of ten branches each, two watchers and two workers. Looks after a takeover and first audits are
    over before it is measured, as far as they come within a minute."""
    with standing(figures, workers=0) as stand:
        names = named("n", nodes)
        restart.fill(stand, names)
        stand.start_product(watchers=WATCHERS)
        stand.wait_capacity(restart.CAPACITY, nodes, restart.ADOPTION_SECONDS)
        restart.wait_adopted(stand, names)
        time.sleep(2 * CALM_SECONDS)
        stand.rest()
        client = redis.Redis(port=stand.redis.port)
        meter, before, began = stand.meter(), _calls(client), time.monotonic()
        time.sleep(seconds)
        cpu, after, took = meter.cpu_seconds(), _calls(client), time.monotonic() - began
        rates = {name: (number - before.get(name, 0)) / took for name, number in after.items()}
        often = sorted(rates, key=lambda name: -rates[name])[:MOST]
        figures.add(
            nodes=nodes,
            cpu_ms_a_second=shown({name: 1000 * spent / took for name, spent in cpu.items()}),
            redis_commands_a_second=sum(rates.values()),
            redis_commands_a_second_each=shown({name: rates[name] for name in often}),
            ec2_calls_a_minute=60 * len(Journal.read(stand.rig).calls) / took,
        )
        stand.check(figures)


def _calls(client: Any) -> dict[str, int]:
    """How often each command was carried out so far, in scripts, too."""
    found: dict[str, dict[str, int]] = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in found.items()}


BENCHMARKS = {"idle": idle}
