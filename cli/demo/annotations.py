"""Whether what pods were given is right: their annotations against each other and against EC2. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from common.model.ids import FIRST_VLAN, LAST_VLAN

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
"""Of each object of the annotation `vpc.amazonaws.com/pod-eni`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A pod with its annotation."""

    pod: str
    uid: str
    instance_id: str
    """Of its node."""
    annotation: str


class World:
    """EC2 as the sandbox shows it, by id."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.interfaces: dict[str, dict[str, Any]] = {one["id"]: one for one in state["interfaces"]}
        self.associations: dict[str, dict[str, Any]] = {one["branch_id"]: one for one in state["associations"]}
        self.subnets: dict[str, dict[str, Any]] = {one["id"]: one for one in state["subnets"]}

    def trunks(self) -> list[dict[str, Any]]:
        return [one for one in self.interfaces.values() if one["interface_type"] == "trunk"]

    def branches(self) -> list[dict[str, Any]]:
        """Everything that is neither a trunk nor attached: associated, being made or left over."""
        return [
            one for one in self.interfaces.values() if one["interface_type"] != "trunk" and one["attachment"] is None
        ]


def problems(pods: Iterable[Given], world: World, groups: Iterable[str]) -> list[str]:
    """What is wrong, a sentence each. `groups`: the security groups that every branch must have."""
    found: list[str] = []
    owners: dict[str, str] = {}
    vlans: dict[tuple[str, int], str] = {}
    wanted = sorted(groups)
    for given in pods:
        entries = _entries(given, found)
        for entry in entries:
            if (eni := entry["eniId"]) in owners:
                found.append(f"{given.pod} and {owners[eni]} were both given {eni}")
            owners[eni] = given.pod
            found += [f"{given.pod}: {problem}" for problem in _against_ec2(given, entry, world, wanted)]
            association = world.associations.get(eni)
            if association:
                place = (association["trunk_id"], entry["vlanId"])
                if place in vlans:
                    found.append(f"{given.pod} and {vlans[place]} share VLAN {place[1]} of {place[0]}")
                vlans[place] = given.pod
    return found


def _entries(given: Given, found: list[str]) -> list[dict[str, Any]]:
    """The annotation's objects, if it has the form that the VPC CNI reads."""
    try:
        entries = msgspec.json.decode(given.annotation, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        found.append(f"{given.pod}: its annotation is no JSON list of objects: {error}")
        return []
    if len(entries) != 1:
        found.append(f"{given.pod}: {len(entries)} interfaces for one asked for")
    for entry in entries:
        if entry.keys() != FIELDS.keys():
            found.append(f"{given.pod}: fields {', '.join(sorted(entry.keys() ^ FIELDS.keys()))} differ")
            return []
        if wrong := [name for name, kind in FIELDS.items() if type(entry[name]) is not kind]:
            found.append(f"{given.pod}: {', '.join(wrong)} of the wrong type")
            return []
    return entries


def _against_ec2(given: Given, entry: dict[str, Any], world: World, groups: list[str]) -> Iterable[str]:
    if not FIRST_VLAN <= entry["vlanId"] <= LAST_VLAN:
        yield f"VLAN {entry['vlanId']} is not in {FIRST_VLAN}..{LAST_VLAN}"
    interface = world.interfaces.get(entry["eniId"])
    association = world.associations.get(entry["eniId"])
    if interface is None or association is None:
        yield f"EC2 has no associated interface {entry['eniId']}"
        return
    trunk = world.interfaces.get(association["trunk_id"], {})
    if (trunk.get("attachment") or {}).get("instance_id") != given.instance_id:
        yield f"the trunk of {entry['eniId']} is not on its node's instance {given.instance_id}"
    expected = {
        "ifAddress": interface["mac"],
        "privateIp": interface["primary_ip"],
        "ipv6Addr": next(iter(interface["ipv6"]), ""),
        "vlanId": association["vlan_id"],
        "subnetCidr": world.subnets[interface["subnet_id"]]["cidr"],
        "subnetV6Cidr": world.subnets[interface["subnet_id"]]["ipv6_cidr"] or "",
        "associationID": association["id"],
    }
    for name, value in expected.items():
        if entry[name] != value:
            yield f"{name} is {entry[name]!r}, in EC2 {value!r}"
    if sorted(interface["groups"]) != groups:
        yield f"{entry['eniId']} has the groups {', '.join(interface['groups'])}"


def leftovers(pods: Iterable[Given], world: World, instances: int) -> list[str]:
    """What EC2 holds beyond, or lacks of, one trunk a node and the branches of these live pods."""
    found = []
    trunks = world.trunks()
    if len(trunks) != instances:
        found.append(f"EC2 has {len(trunks)} trunks for {instances} nodes")
    found += [f"trunk {one['id']} is {one['status']}" for one in trunks if one["status"] != "in-use"]
    live = {entry["eniId"]: given.pod for given in pods for entry in _entries(given, found)}
    held = {one["id"] for one in world.branches()}
    found += [f"{eni} belongs to no live pod" for eni in sorted(held - live.keys())]
    found += [f"{eni} of {pod} is gone" for eni, pod in sorted(live.items()) if eni not in held]
    return found
