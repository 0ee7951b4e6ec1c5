"""The watcher in one thread: the product's own parts, stepped where the process has threads."""

import random

from common.store import Store
from sandbox.kube.world import KubeWorld
from tests.kit.api import InProcess
from tests.kit.clock import VirtualClock
from tests.simulation.outside import TaskQueue
from watcher.build import Terms, build
from watcher.kinds import Kind
from watcher.ticker import Intervals

NEVER_SECONDS = 1e12
"""Sweeps are the lives' own to begin."""


class PumpedWatcher:
    """Leads from the start. Another one in its place has forgotten what it knew, as a new process would."""

    def __init__(
        self,
        world: KubeWorld,
        store: Store,
        queue: TaskQueue,
        clock: VirtualClock,
    ) -> None:
        self._world = world
        parts = build(
            transport=InProcess(world),
            store=store,
            publisher=queue,
            clock=clock,
            rng=random.Random(0),
            identity="",
            terms=Terms(prefix_feature=True, intervals=Intervals(sweep=NEVER_SECONDS)),
        )
        self._cache, self._writer, self._ticker = parts.cache, parts.writer, parts.ticker
        self._reflectors = parts.reflectors
        self._seen: dict[Kind, int] = {}
        """The world's version when each kind was last looked at."""
        self.silent: dict[Kind, float] = {}
        """Watches that say nothing until that moment."""
        self._clock = clock
        store.term.begin()
        self._writer.take_over()
        self._ticker.start()

    def pump(self) -> None:
        """All that happened is reflected, written and published."""
        version = self._world.store.version
        for kind, each in self._reflectors.items():
            if self._seen.get(kind) == version or not self._cache.wants(kind):
                continue
            if kind in self.silent and self._clock.now() < self.silent[kind]:
                continue
            self._seen[kind] = version
            each.step()
            if each._version is None:
                # Its watch could not go on.
                each.step()
        self._writer.flush()

    def say_all_again(self) -> None:
        """Compare everything with what is in Redis."""
        self._writer.rewrite("simulated")
        self.pump()

    def say_what_it_knows(self) -> None:
        """The same, by what it has seen so far."""
        self._writer.rewrite("simulated")
        self._writer.flush()

    def tick(self) -> None:
        """What is due is published."""
        self._ticker.tick()
