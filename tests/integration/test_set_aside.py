"""One object of each kind that a real watcher cannot take in: it is reported, and all others are served."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.ports import free_port
from tests.integration.refusing import REFUSED
from tests.integration.rig import Rig, running

GROUP = {"groupIds": ["sg-0000000000000001"]}
OBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nodes": ("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "spec": {}}),
    "pods": (
        "/api/v1/namespaces/default/pods",
        {"kind": "Pod", "apiVersion": "v1", "spec": {"nodeName": "good", "containers": [{"name": "c", "image": "i"}]}},
    ),
    "cninodes": (
        "/apis/vpcresources.k8s.aws/v1alpha1/cninodes",
        {"kind": "CNINode", "apiVersion": "vpcresources.k8s.aws/v1alpha1", "spec": {}},
    ),
    "eniconfigs": (
        "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs",
        {"kind": "ENIConfig", "apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "spec": {"subnet": "subnet-1"}},
    ),
    "policies": (
        "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies",
        {
            "kind": "SecurityGroupPolicy",
            "apiVersion": "vpcresources.k8s.aws/v1beta1",
            "spec": {"serviceAccountSelector": {"matchLabels": {"a": "b"}}, "securityGroups": GROUP},
        },
    ),
    "serviceaccounts": (
        "/api/v1/namespaces/default/serviceaccounts",
        {"kind": "ServiceAccount", "apiVersion": "v1"},
    ),
}
"""The ConfigMap and the legacy Deployment have names of their own: no other object of their kind is watched."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, watchers=0) as (found, _):
        yield found


def make(rig: Rig, kind: str, name: str) -> None:
    path, body = OBJECTS[kind]
    rig.kube("POST", path, {**body, "metadata": {"name": name}})


@pytest.mark.slow
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "watched"])
def test_an_object_that_a_watcher_cannot_take_in_is_reported_and_all_others_are_served(rig: Rig, listed: bool) -> None:
    make(rig, "policies", "by-account")  # With it service accounts are followed as well.
    if listed:
        for kind in OBJECTS:
            make(rig, kind, REFUSED)
    port = str(free_port())
    script = str(Path(__file__).with_name("refusing.py"))
    watcher = rig.run("watcher", sys.executable, script, "watcher", VPC_RC_METRICS_PORT=port)
    rig.add_node("good")
    rig.wait("it leads, and the node is served", lambda: rig.capacity("good") is not None)
    if not listed:
        for kind in OBJECTS:
            make(rig, kind, REFUSED)

    def counted(kind: str) -> float:
        return rig.metric(watcher, "vpc_rc_objects_set_aside_total", kind=kind)

    def not_counted() -> list[str]:
        return [kind for kind in OBJECTS if not counted(kind)]

    rig.wait_for_none("kinds of which none was counted", not_counted, 20)
    entries = [json.loads(line) for line in watcher.log.read_text().splitlines() if line.startswith("{")]
    aside = [entry for entry in entries if entry["event"] == "object_set_aside"]
    assert {entry["kind"] for entry in aside} == OBJECTS.keys()
    assert {(entry["name"], entry["level"]) for entry in aside} == {(REFUSED, "error")}
    assert all("RecursionError: too deep" in entry["exception"] for entry in aside)

    def unsaid() -> list[str]:
        said = {e["involvedObject"]["kind"] for e in rig.events(REFUSED, "ObjectNotUnderstood")}
        return sorted({body["kind"] for _, body in OBJECTS.values()} - said)

    rig.wait_for_none("kinds without an event", unsaid, 20)
    rig.add_pod("served", "good")
    rig.wait_for_none("other pods", lambda: [name for name in rig.unserved() if name == "served"], 20)
    assert rig.metric(watcher, "vpc_rc_leader") == 1
    assert watcher.running
