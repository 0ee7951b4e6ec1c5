"""What EC2 and the pods' annotations say of each other: the promises that hold after any trouble."""

import json
from collections import Counter
from typing import Any

from common.model.names import BRANCH_DESCRIPTION, POD_ENI, POD_UID_TAG, TRUNK_DESCRIPTION
from tests.integration.rig import Rig

FINISHED = ("Succeeded", "Failed")


def annotation(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The interfaces that a pod names; none where it names none that can be read."""
    text = pod["metadata"].get("annotations", {}).get(POD_ENI, "[]")
    try:
        found = json.loads(text)
    except ValueError:
        return []
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and "associationID" in entry]


def asked(pod: dict[str, Any]) -> int:
    containers = pod["spec"]["containers"]
    return sum(int(c["resources"].get("limits", {}).get(POD_ENI, 0)) for c in containers)


def shared(rig: Rig) -> list[str]:
    """What is given twice, or does not fit what EC2 has: never, not even in the middle of trouble."""
    pods = [p for p in rig.pods() if p["status"].get("phase") not in FINISHED]
    state = rig.ec2("GET", "state")
    associations = {a["branch_id"]: a for a in state["associations"]}
    interfaces = {i["id"]: i for i in state["interfaces"]}
    instances = {
        n["metadata"]["name"]: n["spec"].get("providerID", "").rpartition("/")[2]
        for n in rig.kube("GET", "/api/v1/nodes")["items"]
    }
    problems = []
    named = [(pod, entry) for pod in pods for entry in annotation(pod)]
    for eni, count in Counter(entry["eniId"] for _, entry in named).items():
        if count > 1:
            problems.append(f"{eni} is given to {count} pods")
    for (node, vlan), count in Counter((pod["spec"]["nodeName"], entry["vlanId"]) for pod, entry in named).items():
        if count > 1:
            problems.append(f"VLAN {vlan} of {node} is given to {count} pods")
    for pod, entry in named:
        name, eni = pod["metadata"]["name"], entry["eniId"]
        association = associations.get(eni)
        if association is None:
            problems.append(f"{name}: {eni} is not associated")
            continue
        trunk = interfaces[association["trunk_id"]]["attachment"] or {}
        if association["vlan_id"] != entry["vlanId"] or association["id"] != entry["associationID"]:
            problems.append(f"{name}: {entry} is {association}")
        if pod["spec"]["nodeName"] in instances and trunk.get("instance_id") != instances[pod["spec"]["nodeName"]]:
            problems.append(f"{name}: {eni} is on another node's trunk")
        if interfaces[eni]["tags"].get(POD_UID_TAG) != pod["metadata"]["uid"]:
            problems.append(f"{name}: {eni} was made for another pod")
        if interfaces[eni]["primary_ip"] != entry["privateIp"] or interfaces[eni]["mac"] != entry["ifAddress"]:
            problems.append(f"{name}: {entry} is not {interfaces[eni]}")
    return problems


def unserved(rig: Rig) -> list[str]:
    """Pods without all the interfaces that they ask for."""
    live = [p for p in rig.pods() if p["status"].get("phase") not in FINISHED]
    return [p["metadata"]["name"] for p in live if len(annotation(p)) != asked(p)]


def leaked(rig: Rig) -> list[str]:
    """Interfaces of ours beyond one trunk an instance and the branches that live pods name."""
    wanted = {e["eniId"] for p in rig.pods() if p["status"].get("phase") not in FINISHED for e in annotation(p)}
    interfaces = rig.ec2("GET", "state")["interfaces"]
    extra = [
        f"branch {i['id']}" for i in interfaces if i["description"] == BRANCH_DESCRIPTION and i["id"] not in wanted
    ]
    trunks = [i for i in interfaces if i["description"] == TRUNK_DESCRIPTION]
    on_instances = Counter(t["attachment"]["instance_id"] for t in trunks if t["attachment"])
    extra += [f"trunk {t['id']}" for t in trunks if not t["attachment"]]
    extra += [f"{count} trunks of {instance}" for instance, count in on_instances.items() if count > 1]
    return extra


def branches(rig: Rig) -> set[str]:
    return {i["id"] for i in rig.interfaces(BRANCH_DESCRIPTION)}


def repeated_events(rig: Rig) -> list[str]:
    """Events that say the same of the same object and were not counted into one."""
    said = Counter(
        (e["involvedObject"]["kind"], e["involvedObject"]["name"], e["involvedObject"].get("uid"),
         e["source"].get("host"), e["reason"], e["message"])
        for e in rig.events()
    )  # fmt: skip
    return [f"{what}: {count} times" for what, count in said.items() if count > 1]
