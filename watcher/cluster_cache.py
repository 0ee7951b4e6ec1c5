"""What Kubernetes wants of each node, as the reflectors read it, and what of it is still to be written to Redis.

No I/O, no threads of its own; any thread may call. Nothing is handed out before everything needed was listed in full:
until then a missing CNINode or pod means nothing.
"""

import threading
from collections.abc import Callable, Iterable

from common.clock import Clock
from common.kube import decode
from common.kube.tolerant import Raw, log_problem
from common.model.config import ClusterConfig
from common.model.ids import InstanceId, NodeName, PodUid
from common.model.node import CniNodeFacts, NodeFacts, NodeView
from common.model.notice import PodNotice, PolicyNotice
from common.model.pod import BarePod, PodRequest
from common.rules.cluster_config import concerns_linux
from common.rules.managed import LINUX, eni_config_name
from watcher.cluster import ClusterSettings
from watcher.eni_configs import EniConfigs
from watcher.kinds import NEEDED, Kind
from watcher.pacing import Paced
from watcher.pending import Batch, NodeChange, PendingChange, PendingWrites
from watcher.pods import WantedPods, waits
from watcher.policy_faults import PolicyFaults
from watcher.uncovered import UncoveredPods

DELETED = "DELETED"


class ClusterCache:
    def __init__(
        self, *, clock: Clock, prefix_feature: bool = False, on_problem: Callable[[str], None] = lambda _: None
    ) -> None:
        """`on_problem` is called with a sentence for each value of the ConfigMap that cannot be used."""
        self._clock = clock
        self._lock = threading.RLock()
        self._nodes: dict[NodeName, NodeFacts] = {}
        self._names_of: dict[InstanceId, set[NodeName]] = {}
        """Nodes by the instance that they name."""
        self._cninodes: dict[NodeName, CniNodeFacts] = {}
        self._eni_configs = EniConfigs()
        self._pods = WantedPods()
        self._uncovered = UncoveredPods(clock)
        self._policy_faults = PolicyFaults()
        self._config_map_uid = ""
        self._settings = ClusterSettings(prefix_feature=prefix_feature, on_problem=on_problem)
        self._synced: set[Kind] = set()
        self._leading = False
        self._pending, self._paced = PendingWrites(), Paced()

    # --- from the reflectors

    def apply(self, kind: Kind, event: str, raw: Raw) -> None:
        """One event: `ADDED`, `MODIFIED` or `DELETED` with the object. Twice the same is as once. Never raises."""
        found = decode.identity(raw)
        if found is None:
            return
        gone = event == DELETED
        with self._lock:
            match kind:
                case Kind.NODES:
                    self._put_node(NodeName(found.name), found.uid, None if gone else raw)
                case Kind.CNINODES:
                    self._put_cninode(NodeName(found.name), found.uid, None if gone else raw)
                case Kind.PODS:
                    self._put_pod(PodUid(found.uid), None if gone else raw)
                case Kind.ENI_CONFIGS:
                    self._put_eni_config(found.name, None if gone else raw)
                case Kind.CONFIG_MAP:
                    self._config_map_uid = "" if gone else found.uid
                    self._settings.set_data(None if gone else decode.config_map_data(raw))
                    self._refresh_settings()
                case Kind.LEGACY:
                    self._settings.set_legacy(not gone)
                    self._refresh_settings()
                case Kind.POLICIES:
                    problems: list[str] = []
                    policy = None if gone else decode.policy(raw, problems.append)
                    for problem in problems:
                        log_problem(problem)
                    if gone:
                        self._policy_faults.drop(found)
                    else:
                        self._policy_faults.put(found, policy, "; ".join(problems), leads=self._leading)
                    if self._uncovered.put_policy(found.namespace, found.name, policy, gone=gone):
                        self._add_paced(Kind.POLICIES, found.namespace)
                case Kind.ACCOUNTS:
                    labels = {} if gone else decode.labels_of(raw)
                    self._uncovered.put_account(found.namespace, found.name, labels)

    def synced(self, kind: Kind) -> None:
        """A full list of this kind was applied."""
        with self._lock:
            self._synced.add(kind)
            if kind is Kind.POLICIES:
                self._uncovered.policies_known()
            elif kind is Kind.ACCOUNTS:
                self._uncovered.accounts_known()
            self._refresh_settings()

    def wants(self, kind: Kind) -> bool:
        """Whether to follow this kind now."""
        with self._lock:
            return kind is not Kind.ACCOUNTS or self._uncovered.needs_accounts

    # --- for the writer

    @property
    def complete(self) -> bool:
        """Everything needed was listed in full."""
        with self._lock:
            return self._synced >= NEEDED

    @property
    def settled(self) -> bool:
        """Nothing is pending."""
        with self._lock:
            return not self._pending and not self._paced

    @property
    def behind(self) -> bool:
        """`take` has something to hand out."""
        with self._lock:
            return self._synced >= NEEDED and (bool(self._pending) or self._paced.is_due(self._clock.monotonic()))

    def lead(self, leading: bool) -> None:
        """Only a leader writes. A new one writes everything: call `write_everything`."""
        with self._lock:
            self._leading, self._pending, self._paced = leading, PendingWrites(), Paced()

    def write_everything(self, written: Iterable[NodeName], reason: str) -> None:
        """Every node that we know, and those of `written` that we do not know; first those whose pods wait."""
        with self._lock:
            self._pending.config = True
            names = {*written, *self._nodes, *self._cninodes, *self._pods.nodes()}
            waiting = self._pods.nodes_waiting()
            for name in sorted(names):
                self._add(name, PendingChange(whole=True, urgent=name in waiting, reason=reason))

    def take(self, limit: int) -> Batch:
        """What to write next, as it stands now; empty while not `complete`. It is pending no more: where it could not
        be written, call `write_everything`."""
        with self._lock:
            if self._synced < NEEDED:
                return Batch(config=None, changes=())
            self._fall_due()
            config = self._settings.config if self._pending.config else None
            self._pending.config = False
            changes = tuple(self._change(name, pending) for name, pending in self._pending.take(limit))
            return Batch(config=config, changes=changes)

    def concerned(self, before: ClusterConfig | None, now: ClusterConfig) -> set[NodeName]:
        """Nodes that a change of the settings may concern: all, or all but Linux nodes. One that shares its instance
        with another goes by what that one is."""
        with self._lock:
            names = {*self._nodes, *self._cninodes, *self._pods.nodes()}
            if before is None or concerns_linux(before, now):
                return names
            return names - {
                name for name, node in self._nodes.items()
                if node.os == LINUX and (node.instance_id is None or len(self._names_of[node.instance_id]) == 1)
            }  # fmt: skip

    def nodes_waiting(self) -> set[NodeName]:
        """Nodes with pods that were given nothing yet."""
        with self._lock:
            return self._pods.nodes_waiting()

    def seen_before(self, node: NodeName, uid: PodUid, seen_at: float) -> None:
        """The pod was seen bound at `seen_at` by a leader before us."""
        with self._lock:
            self._pods.seen_before(node, uid, seen_at)

    def policy_faults(self) -> list[PolicyNotice]:
        """What to say of policies that count for nothing."""
        with self._lock:
            return self._policy_faults.look()

    def uncovered(self, limit: int) -> list[PodNotice]:
        """Look whether pods run without their security groups, at so many at most. What to say of those found."""
        with self._lock:
            return self._uncovered.look(self._nodes, limit) if self._synced >= NEEDED else []

    # --- to look at

    @property
    def config(self) -> ClusterConfig | None:
        with self._lock:
            return self._settings.config

    @property
    def problems(self) -> tuple[str, ...]:
        """Values of the ConfigMap that cannot be used, a sentence each."""
        with self._lock:
            return self._settings.problems

    @property
    def config_map_uid(self) -> str:
        """The uid of the ConfigMap that the settings come from; "" without one."""
        with self._lock:
            return self._config_map_uid

    def view(self, name: NodeName) -> NodeView | None:
        """None: neither Node nor CNINode exists."""
        with self._lock:
            node, cninode = self._nodes.get(name), self._cninodes.get(name)
            if node is None and cninode is None:
                return None
            return NodeView(node=node, cninode=cninode, eni_config=self._eni_configs.of(name))

    def views(self) -> list[NodeView]:
        with self._lock:
            return [view for name in {*self._nodes, *self._cninodes} if (view := self.view(name)) is not None]

    def counts(self) -> dict[Kind, int]:
        """Objects known, by kind."""
        with self._lock:
            return {
                Kind.NODES: len(self._nodes),
                Kind.PODS: len(self._pods),
                Kind.CNINODES: len(self._cninodes),
                Kind.ENI_CONFIGS: len(self._eni_configs),
                Kind.POLICIES: self._uncovered.policies,
            }

    def uncovered_counts(self) -> dict[str, int]:
        """Pods that run without their security groups, by namespace."""
        with self._lock:
            return self._uncovered.counts()

    def waiting(self) -> tuple[int, int]:
        """Pods that wait for branch interfaces, and for addresses."""
        with self._lock:
            return self._pods.waiting()

    # --- by kind

    def _put_node(self, name: NodeName, uid: str, raw: Raw | None) -> None:
        known = self._nodes.get(name)
        if raw is None:
            if known is not None and known.uid == uid:
                del self._nodes[name]
                self._choose_eni_config(name)
                self._add(name, PendingChange(view=True, reason="node gone"))
                self._moved(name, known, None)
        elif (facts := decode.node_facts(raw)) is not None and facts != known:
            self._nodes[name] = facts
            self._choose_eni_config(name)
            self._add(name, PendingChange(view=True, reason="node"))
            self._moved(name, known, facts)

    def _moved(self, name: NodeName, before: NodeFacts | None, after: NodeFacts | None) -> None:
        """Other Node objects that name the instance, before or after, look who serves it."""
        old = before.instance_id if before is not None else None
        new = after.instance_id if after is not None else None
        if old is not None and old != new:
            self._names_of[old].discard(name)
            self._wake_sharers(name, old, "instance shared")
            if not self._names_of[old]:
                del self._names_of[old]
        if new is not None:
            self._names_of.setdefault(new, set()).add(name)
            self._wake_sharers(name, new, "instance shared")

    def _wake_sharers(self, name: NodeName, instance: InstanceId | None, reason: str) -> None:
        if instance is not None:
            for other in sorted(self._names_of.get(instance, set()) - {name}):
                self._add(other, PendingChange(reason=reason))

    def _put_cninode(self, name: NodeName, uid: str, raw: Raw | None) -> None:
        known = self._cninodes.get(name)
        if raw is None:
            if known is not None and known.uid == uid:
                del self._cninodes[name]
                self._choose_eni_config(name)
                self._add(name, PendingChange(view=True, reason="cninode gone"))
        elif (facts := decode.cninode_facts(raw)) is not None and facts != known:
            self._cninodes[name] = facts
            self._choose_eni_config(name)
            self._add(name, PendingChange(view=True, reason="cninode"))

    def _put_pod(self, uid: PodUid, raw: Raw | None) -> None:
        bound = None if raw is None else decode.bound_pod(raw, self._clock.now())
        match bound:
            case (node, PodRequest() as request):
                self._uncovered.put_pod(uid, None)
                self._put_request(node, request)
            case (node, BarePod() as bare):
                self._remove_request(uid)
                self._uncovered.put_pod(uid, (node, bare))
            case None:
                self._remove_request(uid)
                self._uncovered.put_pod(uid, None)

    def _remove_request(self, uid: PodUid) -> None:
        if (node := self._pods.remove(uid)) is not None:
            self._add_pod(node, uid, "pod gone")

    def _put_request(self, node: NodeName, request: PodRequest) -> None:
        uid = request.uid
        before = self._pods.node_of(uid)
        if self._pods.put(node, request):
            self._add_pod(node, uid, "pod")
            if before is not None and before != node:
                self._add_pod(before, uid, "pod gone")

    def _add_pod(self, name: NodeName, uid: PodUid, reason: str) -> None:
        self._add(name, PendingChange(pods={uid}, reason=reason))
        node = self._nodes.get(name)
        self._wake_sharers(name, node.instance_id if node is not None else None, reason)

    def _put_eni_config(self, name: str, raw: Raw | None) -> None:
        if self._eni_configs.put(name, None if raw is None else decode.eni_config_facts(raw)):
            self._add_paced(Kind.ENI_CONFIGS, name)

    def _refresh_settings(self) -> None:
        if self._settings.refresh():
            self._add_paced(Kind.CONFIG_MAP, "")

    # --- what is pending

    def _add(self, name: NodeName, pending: PendingChange) -> None:
        if self._leading:
            self._pending.add(name, pending)

    def _add_paced(self, kind: Kind, name: str) -> None:
        if self._leading:
            self._paced.add((kind, name), self._clock.monotonic())

    def _fall_due(self) -> None:
        """What is due of the changes that many nodes have in common is pending now."""
        for kind, name in self._paced.take(self._clock.monotonic()):
            if kind is Kind.CONFIG_MAP:
                self._pending.config = True
                continue
            policies = kind is Kind.POLICIES
            nodes = self._pods.nodes_waiting(name) if policies else self._eni_configs.nodes(name)
            reason = "policy" if policies else "eniconfig"
            for node in sorted(nodes):
                self._add(node, PendingChange(view=not policies, urgent=False, reason=reason))

    def _change(self, name: NodeName, pending: PendingChange) -> NodeChange:
        known = self._pods.of(name)
        pods = dict(known) if pending.whole else {uid: known[uid] for uid in sorted(pending.pods) if uid in known}
        waiting = any(waits(pod) for pod in known.values())
        return NodeChange(name=name, pending=pending, view=self.view(name), pods=pods, waiting=waiting)

    def _choose_eni_config(self, name: NodeName) -> None:
        """Which one the node names, by label, else by feature, now that Node or CNINode changed."""
        node, cninode = self._nodes.get(name), self._cninodes.get(name)
        spec = cninode.spec if cninode is not None else None
        featured = spec.eni_config_name if spec is not None else None
        self._eni_configs.choose(name, eni_config_name(node, spec) if node is not None else featured)
