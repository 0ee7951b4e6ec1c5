"""What the outside can see of a scene, in the shapes of the recorded cases."""

import json
from collections.abc import Iterable
from typing import Any

from common.kube.events import EventSink
from common.model.names import (
    POD_ENI,
    POD_UID_TAG,
    PRIVATE_IPV4,
    TRUNK_DESCRIPTION,
    TRUNK_TAG,
    VLAN_TAG,
)
from common.model.notice import NodeNotice, PodNotice
from tests.golden.facts import Events
from tests.golden.scene import Scene
from tests.simulation.outside import KubeInProcess

PROMPT = 2.0
"""Seconds: "ours within 2 s of the due time"."""
LOOKS = ("Describe",)


def called(scene: Scene, text: str) -> str:
    for identifier, name in scene.names.items():
        text = text.replace(identifier, name)
    return text


# --- nodes


def node_events(scene: Scene, node: str = "node") -> Events:
    return Events(
        f"{n.severity} {n.reason}" for n in scene.cluster.notices if isinstance(n, NodeNotice) and n.node == node
    )


def node(scene: Scene, name: str = "node") -> dict[str, Any]:
    answer = scene.cluster.kube.request("GET", f"/api/v1/nodes/{name}")
    status = answer.json().get("status", {})
    resource = PRIVATE_IPV4 if PRIVATE_IPV4 in status.get("capacity", {}) else POD_ENI
    return {
        "CNINode": cninode(scene, name),
        "allocatable": status.get("allocatable", {}).get(resource),
        "capacity": status.get("capacity", {}).get(resource),
        "events": node_events(scene, name),
    }


def cninode(scene: Scene, name: str) -> dict[str, Any] | None:
    found = scene.cluster.cninode(name)
    if not found:
        return None
    uid = scene.cluster.kube.request("GET", f"/api/v1/nodes/{name}").json()["metadata"]["uid"]
    metadata, spec = found["metadata"], found["spec"]
    return {
        "features": sorted([f["name"], called(scene, f.get("value", ""))] for f in spec.get("features") or ()),
        "finalizers": metadata.get("finalizers", []),
        "labels": metadata.get("labels", {}),
        "owners": [
            {
                "apiVersion": owner["apiVersion"],
                "blockOwnerDeletion": owner.get("blockOwnerDeletion"),
                "controller": owner.get("controller"),
                "kind": owner["kind"],
                "name": f"<{owner['name']}>",
                "uid right": owner["uid"] == uid,
            }
            for owner in metadata.get("ownerReferences", ())
        ],
        "tags": {key: called(scene, value) for key, value in spec.get("tags", {}).items()},
    }


def trunks(scene: Scene, node: str = "node") -> list[dict[str, Any]]:
    return [
        i
        for i in scene.cluster.ours(TRUNK_DESCRIPTION)
        if i.get("Attachment", {}).get("InstanceId") == scene.instances[node]
    ]


def trunk(scene: Scene, node: str = "node") -> dict[str, Any] | None:
    found = trunks(scene, node)
    if not found:
        return None
    shown, attachment = found[0], found[0]["Attachment"]
    return {
        "addresses": len(shown["PrivateIpAddresses"]),
        "card": attachment["NetworkCardIndex"],
        "delete on termination": attachment["DeleteOnTermination"],
        "description": shown["Description"],
        "groups": [called(scene, g["GroupId"]) for g in shown["Groups"]],
        "index": attachment["DeviceIndex"],
        "steps": [step for step in steps(scene, shown["NetworkInterfaceId"]) if step != "attached"],
        "subnet": called(scene, shown["SubnetId"]),
        "tags": tags(scene, shown),
        "trunks": len(found),
    }


# --- pods


def pod_events(scene: Scene, uid: str) -> Events:
    return Events(
        f"{n.severity} {n.reason}" for n in scene.cluster.notices if isinstance(n, PodNotice) and n.uid == uid
    )


def pod(scene: Scene, name: str) -> dict[str, Any]:
    uid = scene.uids[name]
    text = scene.annotation(name)
    seen: dict[str, Any] = {"annotated": text is not None, "events": pod_events(scene, uid)}
    if text is not None:
        entries = json.loads(text)
        seen |= {
            "annotation kept": scene.first_seen.get(uid, (text, 0.0))[0] == text,
            "distinct VLANs": len({entry["vlanId"] for entry in entries}),
            "distinct interfaces": len({entry["eniId"] for entry in entries}),
            "interfaces": [branch(scene, entry, uid) for entry in entries],
        }
    return seen


def branch(scene: Scene, entry: dict[str, Any], uid: str) -> dict[str, Any]:
    shown = next((i for i in scene.cluster.interfaces() if i["NetworkInterfaceId"] == entry["eniId"]), None)
    if shown is None:
        return {"in EC2": False}
    association = next(a for a in scene.cluster.ec2.associations() if a.branch_id == entry["eniId"])
    carrier = next(i for i in scene.cluster.interfaces() if i["NetworkInterfaceId"] == association.trunk_id)
    subnet = next(s for s, _ in scene.cluster.ec2.subnets() if s.id == shown["SubnetId"])
    have = {tag["Key"]: tag["Value"] for tag in shown["TagSet"]}
    assert have[POD_UID_TAG] == uid
    truth = {
        "associationID": association.id,
        "eniId": shown["NetworkInterfaceId"],
        "ifAddress": shown["MacAddress"],
        "ipv6Addr": next((a["Ipv6Address"] for a in shown["Ipv6Addresses"]), ""),
        "privateIp": shown["PrivateIpAddress"],
        "subnetCidr": subnet.cidr,
        "subnetV6Cidr": subnet.ipv6_cidr or "",
        "vlanId": association.vlan_id,
    }
    return {
        "description": shown["Description"],
        "differs from EC2": [key for key, value in truth.items() if entry.get(key) != value],
        "fields": {key: type(value).__name__ for key, value in sorted(entry.items())},
        "groups": [called(scene, group) for group in groups(shown)],
        "on a trunk of": called(scene, carrier["Attachment"]["InstanceId"]),
        "steps": steps(scene, entry["eniId"]),
        "subnet": called(scene, shown["SubnetId"]),
        "tags": tags(scene, shown),
        "trunk tag right": have[TRUNK_TAG] == association.trunk_id,
        "vlan in 1..120": 1 <= association.vlan_id <= 120,
        "vlan tag right": have[VLAN_TAG] == str(association.vlan_id),
    }


def groups(interface: dict[str, Any]) -> list[str]:
    return [group["GroupId"] for group in interface["Groups"]]


def pod_groups(scene: Scene, name: str) -> list[str]:
    """Names of the groups of a pod's interface, sorted."""
    (entry,) = json.loads(scene.annotation(name) or "[]")
    shown = next(i for i in scene.cluster.interfaces() if i["NetworkInterfaceId"] == entry["eniId"])
    return sorted(called(scene, group) for group in groups(shown))


def tags(scene: Scene, interface: dict[str, Any]) -> dict[str, str]:
    """Those that every interface of ours has; a branch's own are looked at one by one."""
    own = (VLAN_TAG, TRUNK_TAG, POD_UID_TAG)
    have = {tag["Key"]: tag["Value"] for tag in interface["TagSet"] if tag["Key"] not in own}
    return {called(scene, key): called(scene, value) for key, value in have.items()}


def steps(scene: Scene, eni: str) -> list[str]:
    """An interface's life, with what its pod saw of it between."""
    life = [(step.time, step.step) for step in scene.cluster.ec2.journal.steps_of(eni)]
    for uid, (text, at) in scene.first_seen.items():
        if eni in text:
            life.append((at, "annotated"))
            if uid in scene.ended:
                life.append((scene.ended[uid], "pod ended"))
    return [step for _, step in sorted(life, key=lambda entry: entry[0])]


def released(scene: Scene, *uids: str, cooldown: float = 60.0, from_end: float | None = None) -> dict[str, Any]:
    """Wait until the interfaces of these ended pods are gone: whether they rested long enough, and no longer."""
    enis = [e["eniId"] for uid in uids for e in json.loads(scene.first_seen[uid][0])]
    scene.until("released", lambda: not still_there(scene, enis), cooldown + 40.0)
    rests = []
    for uid in uids:
        for entry in json.loads(scene.first_seen[uid][0]):
            life = scene.cluster.ec2.journal.steps_of(entry["eniId"])
            off = next(s.time for s in life if s.step.startswith("disassociated"))
            rests.append(off - (from_end if from_end is not None else scene.ended[uid]))
    return {
        "not before the cool-down": min(rests) >= cooldown,
        "soon after the cool-down": max(rests) <= cooldown + PROMPT,
        "released": [steps(scene, eni) for eni in enis],
        "rested": rests,
    }


def still_there(scene: Scene, enis: Iterable[str]) -> bool:
    shown = {i["NetworkInterfaceId"] for i in scene.cluster.interfaces()}
    return any(eni in shown for eni in enis)


def enis(scene: Scene, uid: str) -> list[str]:
    return [entry["eniId"] for entry in json.loads(scene.first_seen[uid][0])]


def left(scene: Scene) -> list[str]:
    """Interfaces of ours that are there, with their state."""
    found = scene.cluster.interfaces()
    return sorted(f"{i['Description']}: {i['Status']}" for i in found if i["Description"].startswith("aws-k8s-"))


def undone(scene: Scene) -> list[list[str]]:
    """The lives, each kind once, of branches that were made and taken back."""
    there = {i["NetworkInterfaceId"] for i in scene.cluster.interfaces()}
    kinds = {tuple(steps(scene, eni)) for eni in scene.cluster.ec2.journal.history() if eni not in there}
    return sorted(list(kind) for kind in kinds)


class Calls:
    """EC2 calls from here on that change something, in order."""

    def __init__(self, scene: Scene) -> None:
        self._journal = scene.cluster.ec2.journal
        self._before = len(self._journal.calls)

    def __call__(self) -> list[str]:
        return [c.action for c in list(self._journal.calls)[self._before :] if not c.action.startswith(LOOKS)]

    def params(self, action: str) -> list[dict[str, Any]]:
        return [dict(c.params) for c in list(self._journal.calls)[self._before :] if c.action == action]


def event_objects(scene: Scene, pods: dict[str, str]) -> list[str]:
    """What was said, written as Kubernetes events: what they hang on, and whose they are."""
    cluster = scene.cluster
    sink = EventSink(KubeInProcess(cluster.kube, cluster.clock), clock=cluster.clock, host="here")
    for notice in cluster.notices:
        sink.emit(notice)
    sink.drain()
    lines = []
    for event in cluster.kube.request("GET", "/api/v1/events").json()["items"]:
        about, home, source = event["involvedObject"], event["metadata"]["namespace"], event["source"]["component"]
        if about["kind"] == "Node":
            what = f"uid is {'the name' if about['uid'] == about['name'] else 'another'}, namespace {home}"
        else:
            what = f"uid {about['uid'] == pods[about['name']]}, namespace {home == about['namespace']}"
        lines.append(f"{about['kind']} {event['reason']}: {what}, from {source}")
    return sorted(lines)
