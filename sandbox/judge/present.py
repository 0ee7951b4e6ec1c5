"""Whether what pods have been given is right at this moment: annotations against each other and against EC2. Pure.

For whoever sees EC2 and Kubernetes only from outside, by the sandbox's `state` and by the API server's objects.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from common.model.ids import FIRST_VLAN, LAST_VLAN
from common.model.names import INSTANCE_TAG, OWNER_OURS, OWNER_TAG, POD_ENI, POD_UID_TAG

FIELDS = {
    "eniId": str,
    "ifAddress": str,
    "privateIp": str,
    "ipv6Addr": str,
    "vlanId": int,
    "subnetCidr": str,
    "subnetV6Cidr": str,
    "associationID": str,
}
"""Fields of each object of the annotation `vpc.amazonaws.com/pod-eni`."""
FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A living pod with its annotation."""

    pod: str
    uid: str
    instance_id: str
    """Its node's. Empty: the Node object is gone."""
    annotation: str
    asked: int = 1
    """How many interfaces it asks for."""


def annotated_pods(pods: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]) -> list[Given]:
    """Those Pod objects that live and are annotated."""
    instances = {node["metadata"]["name"]: node["spec"].get("providerID", "").rpartition("/")[2] for node in nodes}
    return [
        Given(
            pod=f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",
            uid=pod["metadata"]["uid"],
            instance_id=instances.get(pod["spec"].get("nodeName", ""), ""),
            annotation=pod["metadata"]["annotations"][POD_ENI],
            asked=asked(pod),
        )
        for pod in pods
        if lives(pod) and POD_ENI in pod["metadata"].get("annotations", {})
    ]


def lives(pod: Mapping[str, Any]) -> bool:
    """It has not finished."""
    return pod.get("status", {}).get("phase") not in FINISHED


def asked(pod: Mapping[str, Any]) -> int:
    """How many interfaces its containers ask for."""
    resources = [container.get("resources", {}) for container in pod["spec"]["containers"]]
    return sum(int(each.get("limits", {}).get(POD_ENI, 0)) for each in resources)


class Ec2State:
    """EC2 as the sandbox shows it, by id. `instances`: of our interfaces, only those that were made for these."""

    def __init__(self, state: Mapping[str, Any], instances: Collection[str] | None = None) -> None:
        self.interfaces: dict[str, dict[str, Any]] = {one["id"]: one for one in state["interfaces"]}
        self.associations: dict[str, dict[str, Any]] = {one["branch_id"]: one for one in state["associations"]}
        self.subnets: dict[str, dict[str, Any]] = {one["id"]: one for one in state["subnets"]}
        self.instances = instances

    def _ours(self) -> Iterable[dict[str, Any]]:
        return (
            one
            for one in self.interfaces.values()
            if one["tags"].get(OWNER_TAG) == OWNER_OURS
            and (self.instances is None or one["tags"].get(INSTANCE_TAG) in self.instances)
        )

    def trunks(self) -> list[dict[str, Any]]:
        return [one for one in self._ours() if one["interface_type"] == "trunk"]

    def branches(self) -> list[dict[str, Any]]:
        """Associated, being made or left over."""
        return [one for one in self._ours() if one["interface_type"] != "trunk"]


def problems(pods: Iterable[Given], ec2: Ec2State, groups: Iterable[str] | None = None) -> list[str]:
    """What is wrong, a sentence each: never, not even in the middle of trouble. `groups`: the security groups that
    every branch must have."""
    found: list[str] = []
    owners: dict[str, str] = {}
    vlans: dict[tuple[str, int], str] = {}
    wanted = None if groups is None else sorted(groups)
    for one in pods:
        entries = _entries(one, found)
        if len(entries) != one.asked:
            found.append(f"{one.pod}: {len(entries)} interfaces for {one.asked} asked for")
        for entry in entries:
            if (eni := entry["eniId"]) in owners:
                found.append(f"{one.pod} and {owners[eni]} were both given {eni}")
            owners[eni] = one.pod
            found += [f"{one.pod}: {problem}" for problem in _against_ec2(one, entry, ec2, wanted)]
            association = ec2.associations.get(eni)
            if association:
                place = (association["trunk_id"], entry["vlanId"])
                if place in vlans:
                    found.append(f"{one.pod} and {vlans[place]} share VLAN {place[1]} of {place[0]}")
                vlans[place] = one.pod
    return found


def _entries(one: Given, found: list[str]) -> list[dict[str, Any]]:
    """The annotation's objects, if it has the form that the VPC CNI reads."""
    try:
        entries = msgspec.json.decode(one.annotation, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        found.append(f"{one.pod}: its annotation is no JSON list of objects: {error}")
        return []
    for entry in entries:
        if entry.keys() != FIELDS.keys():
            found.append(f"{one.pod}: fields {', '.join(sorted(entry.keys() ^ FIELDS.keys()))} differ")
            return []
        if wrong := [name for name, kind in FIELDS.items() if type(entry[name]) is not kind]:
            found.append(f"{one.pod}: {', '.join(wrong)} of the wrong type")
            return []
    return entries


def _against_ec2(one: Given, entry: dict[str, Any], ec2: Ec2State, groups: list[str] | None) -> Iterable[str]:
    if not FIRST_VLAN <= entry["vlanId"] <= LAST_VLAN:
        yield f"VLAN {entry['vlanId']} is not in {FIRST_VLAN}..{LAST_VLAN}"
    interface = ec2.interfaces.get(entry["eniId"])
    association = ec2.associations.get(entry["eniId"])
    if interface is None or association is None:
        yield f"EC2 has no associated interface {entry['eniId']}"
        return
    trunk = ec2.interfaces.get(association["trunk_id"], {})
    if one.instance_id and (trunk.get("attachment") or {}).get("instance_id") != one.instance_id:
        yield f"the trunk of {entry['eniId']} is not on its node's instance {one.instance_id}"
    if interface["tags"].get(POD_UID_TAG) not in (one.uid, ""):  # Given on: it names no pod.
        yield f"{entry['eniId']} was made for another pod"
    expected = {
        "ifAddress": interface["mac"],
        "privateIp": interface["primary_ip"],
        "ipv6Addr": next(iter(interface["ipv6"]), ""),
        "vlanId": association["vlan_id"],
        "subnetCidr": ec2.subnets[interface["subnet_id"]]["cidr"],
        "subnetV6Cidr": ec2.subnets[interface["subnet_id"]]["ipv6_cidr"] or "",
        "associationID": association["id"],
    }
    for name, value in expected.items():
        if entry[name] != value:
            yield f"{name} is {entry[name]!r}, in EC2 {value!r}"
    if groups is not None and sorted(interface["groups"]) != groups:
        yield f"{entry['eniId']} has the groups {', '.join(interface['groups'])}"


def leftovers(pods: Iterable[Given], ec2: Ec2State, nodes: int | None = None) -> list[str]:
    """What EC2 holds beyond, or lacks of, one trunk an instance and the branches of these pods, once everything has
    come to rest. `nodes`: there is a trunk for each of so many."""
    found: list[str] = []
    trunks = ec2.trunks()
    if nodes is not None and len(trunks) != nodes:
        found.append(f"EC2 has {len(trunks)} trunks for {nodes} nodes")
    found += [f"trunk {one['id']} is {one['status']}" for one in trunks if one["status"] != "in-use"]
    by_instance = Counter(one["attachment"]["instance_id"] for one in trunks if one["attachment"])
    found += [f"{instance} has {count} trunks" for instance, count in by_instance.items() if count > 1]
    live = {entry["eniId"]: one.pod for one in pods for entry in _entries(one, found)}
    held = {one["id"] for one in ec2.branches()}
    found += [f"{eni} belongs to no live pod" for eni in sorted(held - live.keys())]
    found += [f"{eni} of {pod} is gone" for eni, pod in sorted(live.items()) if eni not in held]
    return found
