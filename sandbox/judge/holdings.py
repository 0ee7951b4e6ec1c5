"""Which pod holds which interface or address, and since when a pod is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One thing that a pod was given: a branch interface, or an address of a Windows node."""

    thing: str
    """Interface id, or address."""
    place: str
    """`<trunk>/<VLAN>` of a branch; the interface that an address is on."""
    instance: str
    """The instance of the trunk, or of that interface."""


@dataclass(slots=True, kw_only=True)
class Pod:
    """A pod as the API server has shown it."""

    uid: str
    name: str
    node: str = ""
    ended: float | None = None
    """When it was deleted or finished."""
    accepted: dict[str, str] = field(default_factory=dict)
    """The controller's annotations, by key."""
    shown: dict[str, str | None] = field(default_factory=dict)
    """Whoever's annotation it has now, by key."""
    held: dict[str, Held] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """What it had and has no more, rightly or not: said once."""


class Holdings:
    """Pods, Node objects, and who was the last to get each thing. Times in seconds since the epoch."""

    def __init__(self, node_grace: float) -> None:
        """`node_grace`: how long after the deletion of its Node object a pod still counts as running."""
        self.pods: dict[str, Pod] = {}
        self.last: dict[str, str] = {}
        """uid of the pod that got a thing last."""
        self.last_on: dict[str, str] = {}
        """The same by place of a branch."""
        self.instances: dict[str, str] = {}
        """Instances of the Node objects that are there, by name."""
        self._known: dict[str, str] = {}
        """The same, with Node objects that were deleted."""
        self._nodes_gone: dict[tuple[str, str], float] = {}
        self._grace = node_grace

    def node_is(self, name: str, instance: str | None, now: float) -> None:
        """The Node object names this instance; None: it was deleted."""
        before = self.instances.pop(name, None)
        if before is not None and before != instance:
            self._nodes_gone[name, before] = now
        if instance is not None:
            self.instances[name] = self._known[name] = instance
            self._nodes_gone.pop((name, instance), None)

    def instance_of(self, node: str) -> str:
        """As its Node object says, or said."""
        return self._known.get(node, "")

    def give(self, pod: Pod, held: Held) -> None:
        pod.held[held.thing] = held
        pod.lost.discard(held.thing)
        self.last[held.thing] = pod.uid
        self.last_on[held.place] = pod.uid

    def last_holder(self, thing: str) -> tuple[Pod, Held] | None:
        """Who got it last, and has not lost it yet."""
        pod = self.pods.get(self.last.get(thing, ""))
        return None if pod is None or thing in pod.lost else (pod, pod.held[thing])

    def over_since(self, pod: Pod, held: Held) -> float | None:
        """When it ended, or its Node object went, whichever came first. None: neither."""
        moments = [m for m in (pod.ended, self._nodes_gone.get((pod.node, held.instance))) if m is not None]
        return min(moments, default=None)

    def lives(self, pod: Pod, held: Held, now: float) -> bool:
        """Whether what it has is its own. A pod is over some time after its Node object went, whoever deletes it."""
        if pod.ended is not None:
            return False
        gone = self._nodes_gone.get((pod.node, held.instance))
        return gone is None or now - gone < self._grace

    def living(self) -> Iterator[Pod]:
        return (pod for pod in self.pods.values() if pod.ended is None)

    def addresses_in(self, parts: str) -> list[str]:
        """Those given to pods that are among these addresses and prefixes (joined by spaces)."""
        named = parts.split()
        nets = [ip_network(one) for one in named if "/" in one]
        plain = {one for one in named if "/" not in one}
        return [
            thing
            for thing in self.last
            if thing in plain or (nets and thing[0].isdigit() and any(ip_address(thing) in net for net in nets))
        ]
