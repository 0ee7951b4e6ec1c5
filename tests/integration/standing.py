"""What EC2 and the pods' annotations say of each other: the promises that hold after any trouble."""

import json
from collections import Counter
from typing import Any

from common.model.names import BRANCH_DESCRIPTION, POD_ENI
from sandbox.judge.present import Ec2State, Given, annotated_pods, asked, leftovers, lives, problems
from tests.integration.rig import Rig


def annotation(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The interfaces that a pod names; none where it names none that can be read."""
    text = pod["metadata"].get("annotations", {}).get(POD_ENI, "[]")
    try:
        found = json.loads(text)
    except ValueError:
        return []
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and "associationID" in entry]


def shared(rig: Rig) -> list[str]:
    """What is given twice, or does not fit what EC2 has: never, not even in the middle of trouble."""
    return problems(_given(rig), _ec2(rig))


def unserved(rig: Rig) -> list[str]:
    """Pods without all the interfaces that they ask for."""
    return [p["metadata"]["name"] for p in rig.pods() if lives(p) and len(annotation(p)) != asked(p)]


def leaked(rig: Rig) -> list[str]:
    """Interfaces of ours beyond one trunk an instance and the branches that live pods name."""
    return leftovers(_given(rig), _ec2(rig))


def _given(rig: Rig) -> list[Given]:
    return annotated_pods(rig.pods(), rig.kube("GET", "/api/v1/nodes")["items"])


def _ec2(rig: Rig) -> Ec2State:
    return Ec2State(rig.ec2("GET", "state"))


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
