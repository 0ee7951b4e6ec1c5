"""What must hold between all pods and EC2 when everything has come to rest."""

import time
from typing import Any

from common.model.names import OWNER_OURS, OWNER_TAG
from tests.e2e.product import Product
from tests.e2e.scene import given

INSTANCE_TAG = "node.k8s.amazonaws.com/instance_id"


def come_to_rest(product: Product, seconds: float, instances: set[str] | None = None) -> None:
    """Wait until nothing is wrong; says what is when the time is up."""
    deadline = time.monotonic() + seconds
    while found := wrong(product, instances):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def wrong(product: Product, instances: set[str] | None = None) -> list[str]:
    """What is not so, a sentence each. `instances`: only what belongs to these."""
    # Kubernetes first: what is made meanwhile is too much in EC2 and is looked at again.
    live = [
        pod
        for pod in product.plane.api("GET", "/api/v1/pods").body["items"]
        if pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]
    nodes = product.plane.api("GET", "/api/v1/nodes").body["items"]
    state = product.rig.ec2("GET", "state")
    ours = [
        one
        for one in state["interfaces"]
        if one["tags"].get(OWNER_TAG) == OWNER_OURS
        and (instances is None or one["tags"].get(INSTANCE_TAG) in instances)
    ]
    found: list[str] = []
    owners: dict[str, str] = {}
    node_instances = {node["metadata"]["name"]: node["spec"]["providerID"].rsplit("/", 1)[1] for node in nodes}
    for pod in live:
        if instances is not None and node_instances.get(pod["spec"].get("nodeName")) not in instances:
            continue
        name = pod["metadata"]["name"]
        for entry in given(pod):
            if other := owners.get(entry["eniId"]):
                found.append(f"{name} and {other} were given {entry['eniId']}")
            owners[entry["eniId"]] = name
            found += _wrong_interface(name, entry, state)
    found += [f"{eni} belongs to nobody" for eni in {one["id"] for one in ours if not _is_trunk(one)} - set(owners)]
    trunks = [one["tags"][INSTANCE_TAG] for one in ours if _is_trunk(one)]
    found += [f"{one} has several trunks" for one in set(trunks) if trunks.count(one) > 1]
    vlans = [(one["trunk_id"], one["vlan_id"]) for one in state["associations"]]
    found += [f"VLAN {vlan} of {trunk} is shared" for trunk, vlan in set(vlans) if vlans.count((trunk, vlan)) > 1]
    return found


def _wrong_interface(pod: str, entry: dict[str, Any], state: dict[str, Any]) -> list[str]:
    interfaces = {one["id"]: one for one in state["interfaces"]}
    associations = {one["branch_id"]: one for one in state["associations"]}
    interface, association = interfaces.get(entry["eniId"]), associations.get(entry["eniId"])
    if interface is None or association is None:
        return [f"the interface {entry['eniId']} of {pod} is not on a trunk"]
    if association["vlan_id"] != entry["vlanId"] or interface["primary_ip"] != entry["privateIp"]:
        return [f"{pod} was told {entry}, and EC2 has {interface} {association}"]
    return []


def _is_trunk(interface: dict[str, Any]) -> bool:
    return bool(interface["interface_type"] == "trunk")
