"""Finds pods that run without the groups that policies give them (`common.rules.unprotected`), in little memory.

Kept are pods that ask for nothing of ours, of namespaces that have policies; of others only for a while, since a pod
may be seen before the policy that was there first. Pods of one workload share their labels. Service accounts are
followed only while a policy selects by their labels (`needs_accounts`), and only those with labels are kept.

A pod is checked when it changed, and all of a namespace when its policies did; each leader reports each once.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from itertools import islice

import msgspec

from common.clock import Clock
from common.model.ids import NodeName, PodUid
from common.model.names import FARGATE_PROFILE, POD_ENI
from common.model.node import NodeFacts
from common.model.notice import EventReason, PodNotice, Severity
from common.model.pod import BarePod
from common.model.policy import Policy
from common.rules.security_groups import PolicySet
from common.rules.unprotected import claims_fargate, concerns, reads_accounts, uncovered_by

REASON = EventReason.SECURITY_GROUPS_NOT_APPLIED
FRESH_SECONDS = 60.0
"""How long a pod may be known before a policy that is older than it: longer than a broken watch takes to return."""


class _Shape(msgspec.Struct, frozen=True):
    """What pods of one workload have in common."""

    namespace: str
    account: str
    labels: tuple[tuple[str, str], ...]


class _Pod(msgspec.Struct, frozen=True, gc=False):
    node: NodeName
    name: str
    created_at: float


class UncoveredPods:
    """Not thread-safe: used under the cache's lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shapes: dict[PodUid, _Shape] = {}
        self._pods: dict[_Shape, dict[PodUid, _Pod]] = {}
        self._shapes_in: dict[str, set[_Shape]] = {}
        self._fresh: OrderedDict[PodUid, float] = OrderedDict()
        """Since when (monotonic seconds) pods are known in namespaces without policies; the oldest first, which a plain
        dict would have to search for behind all that were removed."""
        self._by_namespace: dict[str, dict[str, Policy | None]] = {}
        """Policies by name, None for one that cannot be read."""
        self._sets: dict[str, PolicySet] = {}
        """Made when first asked for."""
        self._readers = 0
        self._accounts: dict[tuple[str, str], Mapping[str, str]] = {}
        self._policies_known = self._accounts_known = False
        self._unjudged: dict[PodUid, None] = {}
        self._found: dict[PodUid, str] = {}
        """Namespaces of uncovered pods."""
        self._told: set[PodUid] = set()

    # --- what is there

    def put_pod(self, uid: PodUid, found: tuple[NodeName, BarePod] | None) -> None:
        """None: it is gone, not bound, or asks for something of ours."""
        if found is None:
            self._drop(uid)
            self._told.discard(uid)
            return
        node, bare = found
        shape = _Shape(bare.namespace, bare.service_account, tuple(sorted(bare.labels.items())))
        pod = _Pod(node, bare.name, bare.created_at)
        known = self._shapes.get(uid)
        if known == shape and self._pods[shape][uid] == pod:
            return
        self._drop(uid)
        if bare.namespace not in self._by_namespace:
            if self._policies_known and self._settled(pod):
                return
            self._fresh[uid] = self._clock.monotonic()
        pods = self._pods.get(shape)
        if pods is None:
            pods = self._pods[shape] = {}
            self._shapes_in.setdefault(shape.namespace, set()).add(shape)
        else:
            # The one that the others have, for less memory.
            shape = self._shapes[next(iter(pods))]
        self._shapes[uid] = shape
        pods[uid] = pod
        self._unjudged[uid] = None

    def put_policy(self, namespace: str, name: str, policy: Policy | None, *, gone: bool = False) -> bool:
        """None: it cannot be read. Whether pods to come may be treated otherwise than before."""
        policies = self._by_namespace.setdefault(namespace, {})
        same = not gone and name in policies and _rule(policies[name]) == _rule(policy)
        before = policies.pop(name, None)
        if not gone:
            policies[name] = policy
        self._readers += _reads(None if gone else policy) - _reads(before)
        self._sets.pop(namespace, None)
        if policies:
            self._unjudged.update(dict.fromkeys(self._in(namespace)))
        else:
            # Any policy that comes now is younger than these pods.
            del self._by_namespace[namespace]
            for uid in self._in(namespace):
                self._drop(uid)
        return not same

    def put_account(self, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        if labels:
            self._accounts[namespace, name] = labels
        else:
            self._accounts.pop((namespace, name), None)
        for shape in self._shapes_in.get(namespace, ()):
            if shape.account == name:
                self._unjudged.update(dict.fromkeys(self._pods[shape]))

    def policies_known(self) -> None:
        """All policies were listed."""
        self._policies_known = True
        for uid, shape in list(self._shapes.items()):
            if shape.namespace not in self._by_namespace and self._settled(self._pods[shape][uid]):
                self._drop(uid)

    def accounts_known(self) -> None:
        self._accounts_known = True

    # --- to look at

    @property
    def needs_accounts(self) -> bool:
        return self._readers > 0

    @property
    def policies(self) -> int:
        return sum(map(len, self._by_namespace.values()))

    def counts(self) -> dict[str, int]:
        """Uncovered pods by namespace."""
        return Counter(self._found.values())

    def __len__(self) -> int:
        """Pods kept."""
        return len(self._shapes)

    def look(self, nodes: Mapping[NodeName, NodeFacts], limit: int) -> list[PodNotice]:
        """Judge so many pods at most. What to say of those found for the first time."""
        if not self._policies_known or (self.needs_accounts and not self._accounts_known):
            return []
        self._forget_settled(limit)
        notices = []
        for uid in list(islice(self._unjudged, limit)):
            del self._unjudged[uid]
            shape = self._shapes[uid]
            pod = self._pods[shape][uid]
            node = nodes.get(pod.node)
            if node is None:
                # The event about its node is not emitted yet.
                self._unjudged[uid] = None
                continue
            names = self._judge(shape, pod) if concerns(node, dict(shape.labels)) else ()
            self._found.pop(uid, None)
            if names:
                self._found[uid] = shape.namespace
                if uid not in self._told:
                    self._told.add(uid)
                    notices.append(_notice(uid, shape, pod, names))
        return notices

    def _judge(self, shape: _Shape, pod: _Pod) -> tuple[str, ...]:
        policies = self._by_namespace.get(shape.namespace)
        if policies is None:
            return ()
        ready = self._sets.get(shape.namespace)
        if ready is None:
            ready = self._sets[shape.namespace] = PolicySet(p for p in policies.values() if p is not None)
        account = self._accounts.get((shape.namespace, shape.account), {})
        return uncovered_by(ready, dict(shape.labels), account, pod.created_at)

    # --- forgetting

    def _settled(self, pod: _Pod) -> bool:
        """So old that any policy older than it would be known."""
        return pod.created_at < self._clock.now() - FRESH_SECONDS

    def _forget_settled(self, limit: int) -> None:
        until = self._clock.monotonic() - FRESH_SECONDS
        for _ in range(limit):
            uid, since = next(iter(self._fresh.items()), (None, until))
            if uid is None or since > until:
                return
            del self._fresh[uid]
            if self._shapes[uid].namespace not in self._by_namespace:
                self._drop(uid)

    def _drop(self, uid: PodUid) -> None:
        shape = self._shapes.pop(uid, None)
        if shape is None:
            return
        pods = self._pods[shape]
        del pods[uid]
        if not pods:
            del self._pods[shape]
            shapes = self._shapes_in[shape.namespace]
            shapes.discard(shape)
            if not shapes:
                del self._shapes_in[shape.namespace]
        self._fresh.pop(uid, None)
        self._unjudged.pop(uid, None)
        self._found.pop(uid, None)

    def _in(self, namespace: str) -> list[PodUid]:
        return [uid for shape in self._shapes_in.get(namespace, ()) for uid in self._pods[shape]]


def _rule(policy: Policy | None) -> Policy | None:
    """The policy, whenever it was last written."""
    return None if policy is None else msgspec.structs.replace(policy, changed_at=0.0)


def _reads(policy: Policy | None) -> bool:
    return policy is not None and reads_accounts(policy)


def _notice(uid: PodUid, shape: _Shape, pod: _Pod, names: tuple[str, ...]) -> PodNotice:
    why = "the webhook was away, or labels were changed since"
    if claims_fargate(dict(shape.labels)):
        why = f"it has the label {FARGATE_PROFILE}, but its node is no Fargate node"
    message = (
        f"matched by SecurityGroupPolicy {', '.join(names)}, but admitted without {POD_ENI} ({why}): "
        "the pod runs with its node's security groups until it is made anew"
    )
    return PodNotice(
        namespace=shape.namespace, name=pod.name, uid=uid, reason=REASON, message=message, severity=Severity.WARNING
    )
