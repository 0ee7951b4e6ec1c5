"""A watcher in one thread: the sandbox's API server, a fake Redis, a virtual clock, a publisher that records."""

import random
from typing import Any

import fakeredis

from common.kube.reflector import Reflector
from common.model.desired import Desired
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.model.notice import Notice
from common.store import Store, keys
from tests.kit.api import InProcess, cluster
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from watcher.announcer import Announcer
from watcher.cluster_cache import ClusterCache
from watcher.kinds import Kind
from watcher.leader import Leader
from watcher.reflecting import reflector
from watcher.ticker import Intervals, Ticker
from watcher.writer import Writer

N1, N2 = NodeName("n1"), NodeName("n2")
PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
MERGE = "application/merge-patch+json"
NOW_GONE = {"gracePeriodSeconds": 0}


class Published:
    """A `Publisher`, with a queue of its own. `away`: the broker cannot be reached."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, str]] = []
        self.sweeps = 0
        self.away = False

    def reconcile(self, node: NodeName, reason: str) -> None:
        if self.away:
            raise StoreUnavailable("injected")
        if node not in self.names():
            self.nodes.append((node, reason))

    def load_instances(self) -> None:
        raise AssertionError("not the watcher's")

    def sweep(self) -> None:
        if self.away:
            raise StoreUnavailable("injected")
        self.sweeps += 1

    def names(self) -> set[str]:
        return {name for name, _ in self.nodes}


class Watch:
    """One watcher process. Several may share `api` and `redis`. `store`: on another Redis."""

    def __init__(
        self,
        api: InProcess | None = None,
        redis: fakeredis.FakeServer | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
        store: Store | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.api = api or cluster(self.clock)
        self.redis = redis or fakeredis.FakeServer()
        self.store = store or Store.on(FakeRedis(server=self.redis), keys.prefix("bench"))
        self.published = Published()
        self.problems: list[str] = []
        self.notices: list[Notice] = []
        self.held = True
        self.deposed = 0
        rng = random.Random(seed)
        self.cache = ClusterCache(clock=self.clock, on_problem=self.problems.append, **settings)
        self.announcer = Announcer(self.store, self.published, self.clock)
        self.writer = Writer(self.cache, self.store, self.announcer, clock=self.clock, rng=rng)
        self.ticker = Ticker(
            self.store,
            self.published,
            self.announcer,
            self.writer,
            clock=self.clock,
            rng=rng,
            intervals=Intervals(),
            identity="w",
        )
        self.leader = Leader(
            self.cache, self.store, self.writer, self.ticker, clock=self.clock, identity="w",
            held=lambda: self.held, tick_seconds=0.1, tell=self.notices.append, on_deposed=self._deposed,
        )  # fmt: skip
        self.reflectors: dict[Kind, Reflector] = {
            kind: reflector(kind, self.api, self.cache, clock=self.clock, rng=rng, page_size=2) for kind in Kind
        }

    def _deposed(self) -> None:
        self.deposed += 1

    def reflect(self, times: int = 2) -> None:
        for _ in range(times):
            for kind, each in self.reflectors.items():
                if self.cache.wants(kind):
                    each.step()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.leader.turn()
            self.clock.sleep(0.1)

    def settle(self) -> None:
        """All that happened is reflected, written and published."""
        for _ in range(200):
            self.reflect()
            self.turn()
            if self.writer.settled:
                return
        raise AssertionError("the watcher does not settle")

    def lead(self) -> "Watch":
        self.leader.lead()
        self.settle()
        return self

    def desired(self, name: NodeName) -> Desired:
        return self.store.desired.read(name)

    def worked(self) -> None:
        """Workers ran on all that was published."""
        for name, _ in self.published.nodes:
            self.store.wakeups.clear_dirty(NodeName(name))
        self.published.nodes.clear()
