"""The watcher in one thread: the product's own parts, stepped where the process has threads."""

import random

from common.store import Store
from sandbox.kube.world import KubeWorld
from tests.kit.api import InProcess
from tests.kit.clock import VirtualClock
from tests.simulation.outside import TaskQueue
from watcher.announcer import Announcer
from watcher.cluster_cache import ClusterCache
from watcher.kinds import Kind
from watcher.reflecting import reflector
from watcher.ticker import Intervals, Ticker
from watcher.writer import Writer

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
        rng, transport = random.Random(0), InProcess(world)
        self._cache = ClusterCache(clock=clock, prefix_feature=True)
        announcer = Announcer(store, queue, clock)
        self._writer = Writer(self._cache, store, announcer, clock=clock, rng=rng)
        intervals = Intervals(sweep=NEVER_SECONDS)
        self._ticker = Ticker(store, queue, announcer, self._writer, clock=clock, rng=rng, intervals=intervals)
        self._reflectors = {kind: reflector(kind, transport, self._cache, clock=clock, rng=rng) for kind in Kind}
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

    def tick(self) -> None:
        """What is due is published."""
        self._ticker.tick()
