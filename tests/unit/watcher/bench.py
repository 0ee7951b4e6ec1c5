"""A watcher in one thread: the sandbox's API server, a fake Redis, a virtual clock, a publisher that records."""

import random
from collections.abc import Mapping
from typing import Any

import fakeredis

from common.model.desired import Desired
from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.model.notice import Notice
from common.store import Store, keys
from tests.kit.api import InProcess, cluster
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from watcher.build import Terms, build

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

    def reconcile_all(self, reasons: Mapping[NodeName, str]) -> None:
        for node, reason in reasons.items():
            self.reconcile(node, reason)

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
        parts = build(
            transport=self.api,
            store=self.store,
            publisher=self.published,
            clock=self.clock,
            rng=random.Random(seed),
            identity="w",
            terms=Terms(page_size=2, **settings),
            emit=self.notices.append,
            on_problem=self.problems.append,
            on_deposed=self._deposed,
            held=lambda: self.held,
        )
        self.cache, self.announcer, self.writer = parts.cache, parts.announcer, parts.writer
        self.ticker, self.leader, self.reflectors = parts.ticker, parts.leader, parts.reflectors

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

    def hand_out(self) -> None:
        """The same, and what is due is published."""
        self.settle()
        self.turn(2)

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
