"""What the watcher does, in one step: the state of the API written to the store, changed nodes marked and published.

Reads whole lists through the product's projections; the watcher's own caches are tried in its own tests.
"""

import msgspec

from common.decide.cluster_config import parse_cluster_config
from common.decide.managed import eni_config_name
from common.kube.project import bound_wish, cninode_facts, eni_config_facts, node_facts
from common.model.config import ClusterConfig
from common.model.ids import NodeName, PodUid
from common.model.node import NodeView
from common.model.pod import PodWish
from common.store import Store
from sandbox.kube.world import KubeWorld
from tests.simulation.clock import VirtualClock
from tests.simulation.outside import TaskQueue


class PumpedWatcher:
    """Restarting it forgets what it knew, as a new process would."""

    def __init__(self, world: KubeWorld, store: Store, queue: TaskQueue, clock: VirtualClock) -> None:
        self._world = world
        self._store = store
        self._queue = queue
        self._clock = clock
        self._views: dict[NodeName, NodeView] = {}
        self._pods: dict[NodeName, dict[PodUid, PodWish]] = {}
        self._seen: dict[PodUid, float] = {}
        self._config: ClusterConfig | None = None
        self._started = False
        self._version = -1
        """Of the API's whole content, when it was last looked at."""

    def pump(self) -> None:
        fresh, version = not self._store.is_complete(), self._world.store.version
        if version == self._version and not fresh:
            return
        self._version = version
        if fresh:
            self._views, self._pods, self._config = {}, {}, None
            self._store.begin_full_list()
        elif not self._started:
            self._remember()
        dirty = self._write_config() | self._write_views() | self._write_pods()
        if fresh:
            self._store.finish_full_list()
        if fresh or not self._started:
            dirty |= self._store.known_nodes()
        self._started = True
        self._queue.publish_all(self._store.mark_dirty(sorted(dirty), self._clock.now()))

    def _remember(self) -> None:
        """A new process compares what it lists with what another one wrote: some of it may be gone meanwhile."""
        for name in self._store.known_nodes():
            desired = self._store.desired(name)
            self._views[name], self._pods[name] = desired.view, dict(desired.pods)

    def tick(self) -> None:
        now = self._clock.now()
        self._queue.publish_all(self._store.due(now, 1000))
        self._queue.publish_all(self._store.overdue(now, 10.0))

    def _write_config(self) -> set[NodeName]:
        answer = self._world.request("GET", "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni")
        data = answer.json().get("data") if answer.status == 200 else None
        config, _ = parse_cluster_config(data, self._config, prefix_feature=True, legacy=False)
        if config == self._config:
            return set()
        self._config = config
        self._store.write_config(config)
        return set(self._views)

    def _write_views(self) -> set[NodeName]:
        nodes = {n.name: n for raw in self._list("/api/v1/nodes") if (n := node_facts(raw)) is not None}
        configs = {
            c.name: c
            for raw in self._list("/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs")
            if (c := eni_config_facts(raw)) is not None
        }
        views: dict[NodeName, NodeView] = {name: NodeView(node=node) for name, node in nodes.items()}
        for raw in self._list("/apis/vpcresources.k8s.aws/v1alpha1/cninodes"):
            facts, name = cninode_facts(raw), NodeName(msgspec.json.decode(bytes(raw))["metadata"]["name"])
            views[name] = msgspec.structs.replace(views.get(name, NodeView()), cninode=facts)
        for name, view in views.items():
            if view.node is not None:
                config = eni_config_name(view.node, view.cninode.spec if view.cninode else None)
                views[name] = msgspec.structs.replace(view, eni_config=configs.get(config or ""))
        changed = {name for name in views.keys() | self._views.keys() if views.get(name) != self._views.get(name)}
        for name in changed:
            self._store.write_node(name, views.get(name))
        self._views = views
        return changed

    def _write_pods(self) -> set[NodeName]:
        found: dict[NodeName, dict[PodUid, PodWish]] = {}
        for raw in self._list("/api/v1/pods"):
            uid = PodUid(msgspec.json.decode(bytes(raw))["metadata"]["uid"])
            bound = bound_wish(raw, self._seen.get(uid, self._clock.now()))
            if bound is not None:
                node, wish = bound
                self._seen.setdefault(uid, wish.seen_at)
                found.setdefault(node, {})[uid] = wish
        changed = set()
        for node in found.keys() | self._pods.keys():
            new, old = found.get(node, {}), self._pods.get(node, {})
            if new != old:
                changed.add(node)
                self._store.write_pods(node, [p for u, p in new.items() if old.get(u) != p], old.keys() - new.keys())
        self._pods = found
        return changed

    def _list(self, path: str) -> list[msgspec.Raw]:
        class Items(msgspec.Struct):
            items: list[msgspec.Raw]

        return msgspec.json.decode(self._world.request("GET", path).body, type=Items).items
