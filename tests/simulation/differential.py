"""What a history leaves behind is what a fresh cluster comes to where the same is desired from the beginning.

After Acto's differential oracle (Gu et al., SOSP 2023): no rule about the end state has to be thought of.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.model.names import POD_ENI, PRIVATE_IPV4, TRUNK_DESCRIPTION
from sandbox.kube.naming import seconds_of
from tests.kit.clock import VirtualClock
from tests.simulation import worlds
from tests.simulation.cluster import POLICIES, Cluster

SETTINGS_OBJECTS = (POLICIES, "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs")

State = dict[str, Any]
"""By what it is of, as people would say it; without ids, addresses and times."""


def differences(cluster: Cluster) -> list[str]:
    """What differs in a cluster at rest, a line for each."""
    with _clock() as clock:
        wanted = end_state(fresh_one_like(cluster, clock))
    found = end_state(cluster)
    for what in _chosen_before(cluster):
        for state in (found, wanted):
            state[what] = [(keys, content and _without_groups(content)) for keys, content in state.get(what, ())]
    return [
        f"{what}: {found.get(what)} where a fresh cluster has {wanted.get(what)}"
        for what in sorted({*found, *wanted} - {*_spoiled(cluster), *_shared(cluster), *_scattered(cluster)})
        if found.get(what) != wanted.get(what)
    ]


@contextmanager
def _clock() -> Iterator[VirtualClock]:
    """Another one, by which Redis goes meanwhile."""
    clock, before = VirtualClock(), time.time
    time.time = clock.redis_now
    try:
        yield clock
    finally:
        time.time = before


def fresh_one_like(cluster: Cluster, clock: VirtualClock) -> Cluster:
    """At rest, too."""
    fresh = Cluster(seed=cluster.seed, clock=clock)
    fresh.configure(cluster.configured())
    for path in SETTINGS_OBJECTS:
        for one in cluster.kube.request("GET", path).json()["items"]:
            fresh._post(path, {**one, "metadata": {"name": one["metadata"]["name"]}})
    made: dict[str, str] = {}
    for node in _nodes(cluster):
        name, instance = node["metadata"]["name"], _instance_of(node)
        windows, known = cluster.is_windows(name), cluster.ec2.instance(instance)
        assert known is not None, f"{name} has no instance"
        if instance in made:
            fresh.put_node(name, made[instance], windows=windows, labels=cluster.labels[name])
        else:
            made[instance] = fresh.add_node(name, known.instance_type, windows=windows, labels=cluster.labels[name])
    for pod in cluster.live():
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
        amounts = pod["spec"]["containers"][0]["resources"]["requests"]
        labels = pod["metadata"].get("labels") or {}
        for resource, amount in amounts.items():
            fresh.add_pod(name, node, int(amount), windows=resource == PRIVATE_IPV4, **labels)
    worlds.within(fresh, lambda: not worlds.waiting(fresh), "all pods of the fresh cluster are served")
    fresh.longest_pause = worlds.QUIET_SECONDS
    worlds.steady(fresh)
    return fresh


def end_state(cluster: Cluster) -> State:
    found: State = {}
    shown = {one["NetworkInterfaceId"]: one for one in cluster.interfaces()}
    nodes = _nodes(cluster)
    for node in nodes:
        name, capacity = node["metadata"]["name"], node.get("status", {}).get("capacity") or {}
        for resource in (POD_ENI, PRIVATE_IPV4):
            found[f"{resource} of {name}"] = capacity.get(resource)
        cninode = cluster.cninode(name)
        spec = json.loads(json.dumps(cninode.get("spec")).replace(_instance_of(node), "its instance"))
        found[f"CNINode {name}"] = (spec, cninode.get("metadata", {}).get("finalizers"))
        if cluster.is_windows(name):
            found[f"addresses and prefixes of {name}"] = cluster.held(name)
    for instance in {_instance_of(node) for node in nodes}:
        names = sorted(node["metadata"]["name"] for node in nodes if _instance_of(node) == instance)
        found[f"trunks of {' and '.join(names)}"] = [
            _content(one)
            for one in shown.values()
            if one["Description"] == TRUNK_DESCRIPTION and one.get("Attachment", {}).get("InstanceId") == instance
        ]
    for pod in cluster.live():
        entries = cluster.annotation(pod) or []
        name = pod["metadata"]["name"]
        found[f"interfaces of {name}"] = [
            (sorted(entry), _content(shown[entry["eniId"]]) if entry["eniId"] in shown else None) for entry in entries
        ]
        found[f"address of {name}"] = cluster.annotation(pod, PRIVATE_IPV4) is not None
    return found


def _content(interface: dict[str, Any]) -> State:
    return {
        "subnet": interface["SubnetId"],
        "groups": sorted(group["GroupId"] for group in interface["Groups"]),
        "tags": sorted(tag["Key"] for tag in interface["TagSet"]),
        "type": interface["InterfaceType"],
        "status": interface["Status"],
    }


def _chosen_before(cluster: Cluster) -> list[str]:
    """Of pods that came before policies or ENIConfigs were last changed: they keep the groups that they had then."""
    changed = cluster.groups_changed_at
    return [
        f"interfaces of {pod['metadata']['name']}"
        for pod in cluster.live()
        if changed is not None and seconds_of(pod["metadata"]["creationTimestamp"]) <= changed
    ]


def _scattered(cluster: Cluster) -> list[str]:
    """Pods keep addresses of the mode that was before, and of prefixes that fewer of them would fill."""
    nodes = [node["metadata"]["name"] for node in _nodes(cluster)] if cluster.prefixes_were_on else []
    return [f"addresses and prefixes of {name}" for name in nodes]


def _without_groups(content: State) -> State:
    return {key: value for key, value in content.items() if key != "groups"}


def _spoiled(cluster: Cluster) -> list[str]:
    """Pods whose annotation somebody else wrote: it is never overwritten."""
    spoiled = [
        pod["metadata"]["name"]
        for pod in cluster.live()
        if cluster.judge.forged & {*(pod["metadata"].get("annotations") or {}).values()}
    ]
    return [f"{what} of {name}" for name in spoiled for what in ("interfaces", "address")]


def _shared(cluster: Cluster) -> list[str]:
    """Of Node objects with one instance: which of them have advertised depends on the order in which they came. Pods of
    each are served."""
    instances = {node["metadata"]["name"]: _instance_of(node) for node in _nodes(cluster)}
    number = Counter(instances.values())
    names = [name for name, instance in instances.items() if number[instance] > 1]
    return [f"{resource} of {name}" for name in names for resource in (POD_ENI, PRIVATE_IPV4)]


def _nodes(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.kube.request("GET", "/api/v1/nodes").json()["items"]
    return found


def _instance_of(node: dict[str, Any]) -> str:
    return str(node["spec"]["providerID"]).rpartition("/")[2]
