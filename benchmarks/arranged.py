"""Interfaces that are there before the product looks: put into the sandbox's EC2 by the thousand, without calls."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.stand import instance_id
from common.model.names import (
    BRANCH_DESCRIPTION,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    POD_UID_TAG,
    TRUNK_DESCRIPTION,
    TRUNK_TAG,
    VLAN_TAG,
    cluster_tag,
)
from tests.integration.rig import CLUSTER, GROUP, SUBNET, Rig

BATCH = 1000
"""Actions a request: the sandbox answers nobody else meanwhile."""
TRUNK_DEVICE = 7
"""The highest index of a type with eight."""
OURS = {OWNER_TAG: OWNER_OURS, cluster_tag(CLUSTER): "owned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An associated branch interface."""

    node: str
    eni_id: str
    vlan: int
    association_id: str


def arrange(rig: Rig, actions: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Carry these out, in order; the ids of what each made."""
    made: list[dict[str, Any]] = []
    for start in range(0, len(actions), BATCH):
        wanted = [{"action": action, "params": params} for action, params in actions[start : start + BATCH]]
        made += rig.ec2("POST", "arrange", wanted)
    return made


def interfaces(rig: Rig, tagged: Sequence[Mapping[str, str]], description: str, **more: Any) -> list[str]:
    """New interfaces in the cluster's subnet, `available`, with these tags; their ids."""
    common = {"SubnetId": SUBNET, "Groups": [GROUP], "Description": description, **more}
    made = arrange(rig, [("CreateNetworkInterface", {**common, "TagSpecifications": _tags(tags)}) for tags in tagged])
    return [one["interface_id"] for one in made]


def trunks(rig: Rig, nodes: Sequence[str], device: int = TRUNK_DEVICE) -> dict[str, str]:
    """A trunk for each of these nodes' instances, attached as we attach it; its id by node."""
    wanted = [{**OURS, INSTANCE_TAG: instance_id(node)} for node in nodes]
    made = dict(zip(nodes, interfaces(rig, wanted, TRUNK_DESCRIPTION, InterfaceType="trunk"), strict=True))
    attach = [
        {"NetworkInterfaceId": trunk, "InstanceId": instance_id(node), "DeviceIndex": device}
        for node, trunk in made.items()
    ]
    attached = arrange(rig, [("AttachNetworkInterface", one) for one in attach])
    modify = [
        {
            "NetworkInterfaceId": trunk,
            "Attachment": {"AttachmentId": one["attachment_id"], "DeleteOnTermination": True},
        }
        for trunk, one in zip(made.values(), attached, strict=True)
    ]
    arrange(rig, [("ModifyNetworkInterfaceAttribute", one) for one in modify])
    return made


def branches(rig: Rig, by_node: Mapping[str, str], each: int) -> list[Branch]:
    """So many on each of these trunks, with VLAN ids from 1 on."""
    places = [(node, trunk, vlan) for node, trunk in by_node.items() for vlan in range(1, each + 1)]
    wanted = [
        {**OURS, INSTANCE_TAG: instance_id(node), TRUNK_TAG: trunk, VLAN_TAG: str(vlan)} for node, trunk, vlan in places
    ]
    made = interfaces(rig, wanted, BRANCH_DESCRIPTION)
    join = [
        {"TrunkInterfaceId": trunk, "BranchInterfaceId": eni, "VlanId": vlan}
        for (_, trunk, vlan), eni in zip(places, made, strict=True)
    ]
    joined = arrange(rig, [("AssociateTrunkInterface", one) for one in join])
    return [
        Branch(node=node, eni_id=eni, vlan=vlan, association_id=one["association_id"])
        for (node, _, vlan), eni, one in zip(places, made, joined, strict=True)
    ]


def annotations(rig: Rig, made: Sequence[Branch]) -> list[str]:
    """What a pod's annotation says of each."""
    shown = {one["id"]: one for one in rig.ec2("GET", "state")["interfaces"]}
    return [
        json.dumps(
            [
                {
                    "eniId": one.eni_id,
                    "ifAddress": shown[one.eni_id]["mac"],
                    "privateIp": shown[one.eni_id]["primary_ip"],
                    "ipv6Addr": "",
                    "vlanId": one.vlan,
                    "subnetCidr": "10.0.0.0/16",
                    "subnetV6Cidr": "",
                    "associationID": one.association_id,
                }
            ]
        )
        for one in made
    ]


def name_pods(rig: Rig, made: Sequence[Branch], uids: Sequence[str]) -> None:
    """Tag each with the pod that it is for."""
    tags = [
        {"Resources": [one.eni_id], "Tags": [{"Key": POD_UID_TAG, "Value": uid}]}
        for one, uid in zip(made, uids, strict=True)
    ]
    arrange(rig, [("CreateTags", one) for one in tags])


def _tags(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": "network-interface", "Tags": pairs}] if pairs else []
