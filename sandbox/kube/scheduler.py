"""A toy scheduler: places pods by node selector and by what nodes have left to give."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from sandbox.kube.resources import Object
from sandbox.kube.world import KubeWorld, User

SCHEDULER = User(name="system:kube-scheduler", groups=("system:authenticated",))
_SUFFIXES: dict[str, int | Decimal] = {
    "": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20,
    "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
ENOUGH = 10
"""Fitting nodes among which the roomiest is chosen."""
BATCH = 200
"""Pods placed in one step, so that requests get their turn."""
Amounts = dict[str, Decimal]


def quantity(text: str | int | float) -> Decimal:
    """A resource quantity as a number: `500m` is 0.5, `2Gi` is 2147483648."""
    whole = str(text)
    digits = whole.rstrip("".join({c for s in _SUFFIXES for c in s}))
    return Decimal(digits) * Decimal(_SUFFIXES[whole[len(digits) :]])


def requests_of(pod: Object) -> Amounts:
    """What a pod takes of a node: the sum over its containers, and a place for itself."""
    total: Amounts = defaultdict(Decimal)
    for container in pod["spec"]["containers"]:
        for name, amount in (container.get("resources", {}).get("requests") or {}).items():
            total[name] += quantity(amount)
    total["pods"] = Decimal(1)
    return total


class Scheduler:
    """Binds pods without a node. Remembers what it saw; `see_*` take events of watches."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self._nodes: dict[str, Object] = {}
        self._free: dict[str, Amounts] = {}
        self._placed: dict[str, tuple[str, Amounts]] = {}
        self._waiting: dict[str, Object] = {}
        self._retry = False
        self._start = 0

    @property
    def pending(self) -> bool:
        """Whether another step may place more pods."""
        return self._retry

    def see_node(self, kind: str, node: Object) -> None:
        name = node["metadata"]["name"]
        if kind == "DELETED":
            self._nodes.pop(name, None)
            self._free.pop(name, None)
            return
        known = self._nodes.get(name)
        self._nodes[name] = node
        allocatable = node.get("status", {}).get("allocatable") or {}
        if known is None or known.get("status", {}).get("allocatable") != allocatable:
            self._free[name] = defaultdict(Decimal, {k: quantity(v) for k, v in allocatable.items()})
            for uid, (place, amounts) in self._placed.items():
                if place == name and uid:
                    self._take(name, amounts, 1)
        self._retry = True

    def see_pod(self, kind: str, pod: Object) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        ended = kind == "DELETED" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if ended:
            self._waiting.pop(uid, None)
            if uid in self._placed:
                place, amounts = self._placed.pop(uid)
                self._take(place, amounts, -1)
                self._retry = True
        elif node:
            self._waiting.pop(uid, None)
            self._place(uid, node, requests_of(pod))
        elif not pod["metadata"].get("deletionTimestamp"):
            self._waiting[uid] = pod
            self._retry = True

    def step(self) -> None:
        """Places every waiting pod that fits somewhere: the oldest first, on the node with the most room."""
        if not self._retry:
            return
        self._retry = False
        full: set[tuple[tuple[tuple[str, Decimal], ...], str]] = set()
        placed = 0
        for uid, pod in list(self._waiting.items()):
            if placed == BATCH:
                self._retry = True
                break
            wanted = requests_of(pod)
            chosen = pod["spec"].get("nodeSelector") or {}
            shape = (tuple(sorted(wanted.items())), repr(sorted(chosen.items())))
            if shape in full:
                continue
            fitting = self._candidates(wanted, chosen)
            if not fitting:
                full.add(shape)
                continue
            node = max(fitting, key=lambda n: (self._room(n, wanted), n))
            if self._bind(pod, node):
                placed += 1
                del self._waiting[uid]
                self._place(uid, node, wanted)

    def _candidates(self, wanted: Amounts, chosen: Object) -> list[str]:
        """Some nodes that fit, looked for from where the last search ended, as kube-scheduler does in big clusters."""
        names, found = list(self._nodes), list[str]()
        for i in range(len(names)):
            name = names[(self._start + i) % len(names)]
            if self._fits(name, wanted, chosen):
                found.append(name)
                if len(found) == ENOUGH:
                    self._start = (self._start + i + 1) % len(names)
                    break
        return found

    def _fits(self, name: str, wanted: Amounts, chosen: Object) -> bool:
        node, free = self._nodes[name], self._free[name]
        labels = node["metadata"].get("labels") or {}
        return (
            not node["spec"].get("unschedulable")
            and not node["metadata"].get("deletionTimestamp")
            and all(labels.get(k) == v for k, v in chosen.items())
            and all(free.get(k, 0) >= v for k, v in wanted.items())
        )

    def _room(self, name: str, wanted: Amounts) -> Decimal:
        return min(self._free[name][k] / v for k, v in wanted.items() if v)

    def _bind(self, pod: Object, node: str) -> bool:
        metadata = pod["metadata"]
        binding = {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }  # fmt: skip
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        return self._world.request("POST", path, body=binding, user=SCHEDULER).status == 201

    def _place(self, uid: str, node: str, amounts: Amounts) -> None:
        if uid not in self._placed:
            self._placed[uid] = (node, amounts)
            self._take(node, amounts, 1)

    def _take(self, node: str, amounts: Amounts, sign: int) -> None:
        free = self._free.get(node)
        if free is not None:
            for name, amount in amounts.items():
                free[name] -= sign * amount
