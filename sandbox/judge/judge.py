"""The rules: nothing living loses what it has, nothing is shared, everything rests, nothing is left to nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from common.model.names import (
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    POD_ENI,
    POD_UID_TAG,
    PRIVATE_IPV4,
    TRUNK_TAG,
    VLAN_TAG,
    cluster_tag,
)
from sandbox.ec2.journal import Step
from sandbox.ec2.records import Interface
from sandbox.ec2.world import Ec2World
from sandbox.judge.holdings import Held, Holdings, Pod
from sandbox.judge.timeline import Timeline
from sandbox.kube.history import Change
from sandbox.kube.resources import Resource
from sandbox.kube.world import KubeWorld

FINISHED = ("Succeeded", "Failed")
ADDRESS_REST_SECONDS = 30.0
"""How long a Windows address rests between two pods."""
RELEASE_SECONDS = 60.0
"""After the deletion of a Node object what it had is released."""
RUNNING = "running"
_TAKEN = frozenset({"disassociated", "implicitly disassociated", "lost its trunk", "deleted"})
_TAGS = (OWNER_TAG, INSTANCE_TAG, TRUNK_TAG, VLAN_TAG)
_ROUNDING_SECONDS = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that was broken: when, by what, and the objects that it is about."""

    time: float
    text: str
    about: tuple[str, ...]


class Judge:
    """Follows both worlds from the moment it is made; every change is judged when it happens.

    What EC2 or people do by themselves (identity `arranged`, instances that are terminated) is nobody's fault.
    `cooldown`: seconds, the shortest in force. `forged`: annotations that the controller did not write, by text.
    """

    def __init__(self, ec2: Ec2World, kube: KubeWorld, *, cluster: str, cooldown: float = 60.0) -> None:
        self._ec2, self._kube = ec2, kube
        self.cooldown = cooldown
        self.cluster = cluster
        self.forged: set[str] = set()
        self.violations: list[Violation] = []
        self.timeline = Timeline()
        self.holdings = Holdings(RELEASE_SECONDS)
        self._capacity: dict[str, str | None] = {}
        ec2.journal.on_step(self._step)
        kube.store.on_write(self._written)

    @property
    def problems(self) -> list[str]:
        return [one.text for one in self.violations]

    def story(self, violation: Violation, since: float = 0.0) -> str:
        """The timeline of what a violation is about, up to it."""
        return "\n".join(self.timeline.story(violation.about, since, violation.time))

    def _broken(self, text: str, *about: str) -> None:
        now = self._ec2.now()
        self.violations.append(Violation(time=now, text=text, about=about))
        self.timeline.note(now, f"!! {text}", *about)

    # --- EC2

    def _step(self, interface: str, step: Step) -> None:
        """A step of an interface's life."""
        who = self._ec2.identity
        self.timeline.note(step.time, f"EC2: {interface} {step.step} {step.detail}".rstrip(), interface)
        if step.step in _TAKEN:
            self._taken(interface, step.step, who)
        elif step.step == "associated":
            self._place_rested(interface, step.detail)
        elif step.step == "detaching":
            for pod in list(self.holdings.living()):
                for held in [h for h in pod.held.values() if h.place.startswith(f"{interface}/")]:
                    self._taken(held.thing, "on a trunk that is detached", who)
        elif step.step in ("unassigned", "reassigned away"):
            for address in self.holdings.addresses_in(step.detail):
                holder = self.holdings.last_holder(address)
                if holder is not None and holder[1].place == interface:
                    self._taken(address, step.step, who)

    def _taken(self, thing: str, how: str, who: str) -> None:
        found = self.holdings.last_holder(thing)
        if found is None:
            return
        pod, held = found
        now = self._ec2.now()
        pod.lost.add(thing)
        if who == "arranged" or not self._runs(held.instance):
            return
        if self.holdings.lives(pod, held, now):
            self._broken(f"{thing} of the living pod {pod.name} ({pod.uid}) was {how}", thing, pod.uid)
        else:
            self._rested(pod, held, f"was {how}")

    def _rested(self, pod: Pod, held: Held, what: str) -> None:
        since = self.holdings.over_since(pod, held)
        rest = ADDRESS_REST_SECONDS if held.thing[0].isdigit() else self.cooldown
        rested = self._ec2.now() - since if since is not None else 0.0
        if rested < rest - _ROUNDING_SECONDS:
            self._broken(
                f"{held.thing} of the ended pod {pod.name} ({pod.uid}) {what} after a rest of {rested:.1f} s",
                held.thing, pod.uid,
            )  # fmt: skip

    def _place_rested(self, interface: str, place: str) -> None:
        """A VLAN id of a trunk goes from one pod's interface to another's."""
        pod = self.holdings.pods.get(self.holdings.last_on.get(place, ""))
        if pod is None:
            return
        held = next((h for h in pod.held.values() if h.place == place), None)
        if held is not None and held.thing != interface and pod.ended is not None and self._runs(held.instance):
            self._rested(pod, held, f"lost its VLAN {place} to {interface}")

    def _runs(self, instance: str) -> bool:
        found = self._ec2.instance(instance)
        return found is not None and found.state == RUNNING

    # --- Kubernetes

    def _written(self, resource: Resource, change: Change) -> None:
        if resource.plural == "pods":
            self._pod(change.after.object(), gone=change.deleted)
        elif resource.plural == "nodes":
            self._node(change.after.object(), gone=change.deleted)

    def _node(self, node: dict[str, Any], *, gone: bool) -> None:
        now, name = self._ec2.now(), node["metadata"]["name"]
        instance = node.get("spec", {}).get("providerID", "").rsplit("/", 1)[-1]
        before = self.holdings.instances.get(name)
        self.holdings.node_is(name, None if gone else instance, now)
        if gone or before != instance:
            self.timeline.note(now, f"Node {name} of {instance} is {'gone' if gone else 'there'}", name, instance)
        capacity = None if gone else node.get("status", {}).get("capacity", {}).get(POD_ENI)
        if capacity != self._capacity.get(name) and capacity not in (None, "0"):
            self._advertised(name, instance, capacity)
        self._capacity[name] = capacity

    def _advertised(self, name: str, instance: str, capacity: str) -> None:
        """Capacity for branches is said once the trunk is there; a trunk in service goes with its instance."""
        self.timeline.note(self._ec2.now(), f"Node {name} has capacity {capacity}", name, instance)
        trunk = next((i for i in self._ec2.interfaces_of(instance) if i.interface_type == "trunk"), None)
        if not self._runs(instance):
            return
        if trunk is None or trunk.attachment is None or trunk.attachment.status != "attached":
            self._broken(f"Node {name} was given capacity without an attached trunk", name, instance)
        elif not trunk.attachment.delete_on_termination:
            self._broken(f"the trunk {trunk.id} of {name} would outlive its instance", name, instance, trunk.id)

    def _pod(self, obj: dict[str, Any], *, gone: bool) -> None:
        now, metadata = self._ec2.now(), obj["metadata"]
        uid = metadata["uid"]
        pod = self.holdings.pods.get(uid)
        if pod is None:
            pod = self.holdings.pods[uid] = Pod(uid=uid, name=metadata["name"])
            self.timeline.note(now, f"Pod {pod.name} ({uid}) is made", uid)
        pod.node = obj.get("spec", {}).get("nodeName") or pod.node
        if pod.ended is not None:
            return
        if gone or obj.get("status", {}).get("phase") in FINISHED:
            pod.ended = now
            self.timeline.note(now, f"Pod {pod.name} ({uid}) {'is deleted' if gone else 'has finished'}", uid)
            return
        for key in (POD_ENI, PRIVATE_IPV4):
            text = (metadata.get("annotations") or {}).get(key)
            before = pod.shown.get(key)
            pod.shown[key] = text
            if text is None or text in (before, pod.accepted.get(key)):
                continue
            forged = text in self.forged
            self.timeline.note(now, f"Pod {pod.name} is annotated{' by somebody else' if forged else ''}: {text}", uid)
            if forged:
                continue
            if before is not None or (key in pod.accepted and pod.held):
                self._broken(f"an annotation of pod {pod.name} ({uid}) was overwritten", uid)
            pod.accepted[key] = text
            self._given(pod, key, text)

    def _given(self, pod: Pod, key: str, text: str) -> None:
        if key == PRIVATE_IPV4:
            self._given_address(pod, text.partition("/")[0])
            return
        try:
            entries = [entry for entry in json.loads(text) if "eniId" in entry]
        except (ValueError, TypeError):
            self._broken(f"the annotation of pod {pod.name} ({pod.uid}) cannot be read: {text!r}", pod.uid)
            return
        for entry in entries:
            self._given_branch(pod, entry)

    def _given_branch(self, pod: Pod, entry: dict[str, Any]) -> None:
        eni = entry["eniId"]
        self._not_shared(pod, eni)
        interface, association = self._ec2.interface(eni), self._ec2.association_of(eni)
        trunk = self._ec2.interface(association.trunk_id) if association is not None else None
        node_instance = self.holdings.instance_of(pod.node)
        if not self._runs(node_instance):
            return
        if interface is None or association is None or trunk is None or trunk.attachment is None:
            self._broken(f"pod {pod.name} ({pod.uid}) was given {eni}, which is on no trunk", eni, pod.uid)
            return
        instance = trunk.attachment.instance_id
        named = (entry["vlanId"], entry["privateIp"], entry["associationID"], node_instance)
        has = (association.vlan_id, interface.primary_ip, association.id, instance)
        if named != has:
            self._broken(f"pod {pod.name} ({pod.uid}) was given {named} for {eni}, EC2 has {has}", eni, pod.uid)
        self._tagged(interface, instance, trunk.id, association.vlan_id)
        self._made_for(pod, interface)
        place = f"{trunk.id}/{association.vlan_id}"
        self.holdings.give(pod, Held(thing=eni, place=place, instance=instance))

    def _tagged(self, interface: Interface, instance: str, trunk: str, vlan: int) -> None:
        wanted = dict(zip(_TAGS, (OWNER_OURS, instance, trunk, str(vlan)), strict=True))
        wanted[cluster_tag(self.cluster)] = "owned"
        if wrong := {key: value for key, value in wanted.items() if interface.tags.get(key) != value}:
            self._broken(f"{interface.id} lacks the tags {wrong}", interface.id)

    def _made_for(self, pod: Pod, interface: Interface) -> None:
        """What was made for another pod is given on only when that one has been over for the cool-down."""
        other = self.holdings.pods.get(interface.tags.get(POD_UID_TAG, ""))
        if other is None or other is pod:
            return
        if other.ended is None or self._ec2.now() - other.ended < self.cooldown - _ROUNDING_SECONDS:
            self._broken(
                f"{interface.id}, made for {other.name} ({other.uid}), went to {pod.uid}", interface.id, pod.uid
            )

    def _given_address(self, pod: Pod, address: str) -> None:
        self._not_shared(pod, address)
        instance = self.holdings.instance_of(pod.node)
        if not self._runs(instance):
            return
        place = next((i for i in self._ec2.interfaces_of(instance) if _has(i, address)), None)
        if place is None:
            self._broken(f"pod {pod.name} ({pod.uid}) was given {address}, which its node has not", address, pod.uid)
            return
        self.holdings.give(pod, Held(thing=address, place=place.id, instance=instance))

    def _not_shared(self, pod: Pod, thing: str) -> None:
        found = self.holdings.last_holder(thing)
        if found is None or found[0].uid == pod.uid:
            return
        other, held = found
        if self.holdings.lives(other, held, self._ec2.now()):
            self._broken(f"{thing} belongs to {other.name} ({other.uid}) and {pod.name} ({pod.uid})", thing, pod.uid)
        elif self._runs(held.instance):
            self._rested(other, held, f"was given to {pod.name} ({pod.uid})")

    # --- the end

    def leftovers(self) -> list[str]:
        """Interfaces of ours that nobody owns: neither the trunk of a Node's running instance nor a living pod's."""
        living = {thing for pod in self.holdings.living() for thing in pod.held if thing not in pod.lost}
        instances = {i for i in self.holdings.instances.values() if self._runs(i)}
        return [
            f"{one.id} ({one.description}, {one.status}) belongs to nobody"
            for one in self._ec2.interfaces()
            if one.tags.get(OWNER_TAG) == OWNER_OURS and one.id not in living
            and not (one.attachment is not None and one.attachment.instance_id in instances)
        ]  # fmt: skip

    def lost(self) -> list[str]:
        """Living pods that are not served any more, whoever is to blame."""
        return [f"{pod.name}: {thing}" for pod in self.holdings.living() for thing in pod.lost]


def _has(interface: Interface, address: str) -> bool:
    """`address`: whatever somebody wrote."""
    if address in interface.secondary_ips:
        return True
    try:
        return any(ip_address(address) in ip_network(prefix) for prefix in interface.prefixes)
    except ValueError:
        return False
