"""Drives a ToyCluster beside the HTTP server, on its event loop."""

from __future__ import annotations

import asyncio

from sandbox.kube.kubelet import ToyCluster
from sandbox.kube.world import KubeWorld

LONGEST_SLEEP_SECONDS = 5.0
PAUSE_SECONDS = 0.02
"""Between two steps, so that many changes are taken in one and requests get their turn."""


async def run_toy_cluster(world: KubeWorld) -> None:
    """Steps whenever something changes or is due, until cancelled. Webhooks may be called, so in a thread."""
    cluster, loop, woken = ToyCluster(world), asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    cluster.on_change(wake)
    while True:
        woken.clear()
        due = await asyncio.to_thread(cluster.step)
        await asyncio.sleep(PAUSE_SECONDS)
        if not woken.is_set() and due != 0.0:
            try:
                wanted = LONGEST_SLEEP_SECONDS if due is None else min(due, LONGEST_SLEEP_SECONDS)
                await asyncio.wait_for(woken.wait(), wanted)
            except TimeoutError:
                continue
