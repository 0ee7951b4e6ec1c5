"""Interfaces that nobody remembers, in every way in which they come about, among others that must stay."""

import time
from collections.abc import Mapping

from benchmarks import arranged
from benchmarks.arranged import OURS
from benchmarks.figures import Figures
from benchmarks.stand import LINUX, Stand, instance_id, named, spread_over, standing
from common.model.names import (
    BRANCH_DESCRIPTION,
    CNINODE_CLUSTER_TAG,
    CNINODE_FINALIZER,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    OWNER_VPC_CNI,
    cluster_tag,
)
from tests.integration.rig import CLUSTER

EACH = 50
NODES, BRANCHES = 5, 10
TYPE, CAPACITY, DEVICE = "m5.xlarge", 18, 3
SECONDS = 300.0
SWEEP = {"VPC_RC_SWEEP_SECONDS": "10", "VPC_RC_NODE_RELEASE_SECONDS": "5"}
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"


def leaks(figures: Figures) -> None:
    """Everything leaks while nothing of ours runs, and Redis is lost, so that only looking at EC2 finds it."""
    with standing(figures, settings=SWEEP) as stand:
        healthy = _in_use(stand)
        stand.stop_product()
        leaked = _leak(stand)
        healthy |= _foreign(stand)
        figures.add(leaked=sum(map(len, leaked.values())), healthy=len(healthy))
        stand.redis.kill()
        stand.redis.start()
        stand.rest()
        began = time.monotonic()
        stand.start_product()
        gone: dict[str, float] = {}

        def swept() -> bool:
            time.sleep(0.5)
            there = _there(stand)
            for way, interfaces in leaked.items():
                if way not in gone and not interfaces & there:
                    gone[way] = time.monotonic() - began
            return len(gone) == len(leaked)

        try:
            stand.rig.wait("all leaks gone", swept, SECONDS)
        except AssertionError:
            there = _there(stand)
            figures.wrong += [
                f"{way}: {len(interfaces & there)} of {len(interfaces)} still there after {SECONDS:.0f} s"
                for way, interfaces in leaked.items()
                if interfaces & there
            ]
        figures.add(**{f"{way}_gone_s": seconds for way, seconds in gone.items()})
        # Two more passes: what is healthy stays.
        time.sleep(2.5 * float(SWEEP["VPC_RC_SWEEP_SECONDS"]))
        if lost := healthy - _there(stand):
            figures.wrong.append(f"{len(lost)} healthy interfaces deleted: {sorted(lost)[:5]}")
        stand.calls(figures)
        stand.check(figures)


def _there(stand: Stand) -> set[str]:
    return {one["id"] for one in stand.rig.ec2("GET", "state")["interfaces"]}


def _in_use(stand: Stand) -> set[str]:
    """Interfaces of this cluster's living pods."""
    names = named("h", NODES)
    stand.add_instances(names, TYPE)
    stand.add_nodes(names, LINUX)
    stand.wait_capacity(CAPACITY, NODES, 60)
    asked = stand.add_pods(spread_over(EACH, names, "h"))
    assert not stand.watch.wait(asked, 120), "the healthy pods are not served"
    return {a["branch_id"] for a in stand.rig.ec2("GET", "state")["associations"]}


def _foreign(stand: Stand) -> set[str]:
    """`available`, as leaks are, but not ours to delete: of another cluster's controller and VPC CNI, and people's."""
    other = {OWNER_TAG: OWNER_OURS, cluster_tag("other"): "owned", INSTANCE_TAG: instance_id("other0000")}
    cni = {OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: "other"}
    own = {"Name": "by hand", cluster_tag(CLUSTER): "shared"}
    return {
        *arranged.interfaces(stand.rig, [other] * EACH, BRANCH_DESCRIPTION),
        *arranged.interfaces(stand.rig, [cni] * EACH, "aws-K8S-i-0"),
        *arranged.interfaces(stand.rig, [own] * (EACH // 2), "by hand"),
        *arranged.interfaces(stand.rig, [{}] * (EACH // 2), BRANCH_DESCRIPTION),
    }


def _leak(stand: Stand) -> dict[str, set[str]]:
    """Fifty in each way."""
    tags = {**OURS, INSTANCE_TAG: instance_id("h0000")}
    cni = {OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: instance_id("h0000")}
    return {
        "crash_after_create": set(arranged.interfaces(stand.rig, [tags] * EACH, BRANCH_DESCRIPTION)),
        "trunk_deleted": _trunk_deleted(stand),
        "node_terminated": _terminated(stand, "t", cninode=True),
        "cninode_removed_by_hand": _terminated(stand, "c", cninode=False),
        "vpc_cni_detached": set(arranged.interfaces(stand.rig, [cni] * EACH, "aws-K8S-i-1")),
    }


def _trunk_deleted(stand: Stand) -> set[str]:
    """The nodes live on; somebody detached and deleted their trunks."""
    names, trunks, branches = _branches(stand, "d")
    stand.add_nodes(names, LINUX)
    shown = {one["id"]: one for one in stand.rig.ec2("GET", "state")["interfaces"]}
    detach = [{"AttachmentId": shown[trunk]["attachment"]["id"], "Force": True} for trunk in trunks.values()]
    arranged.arrange(stand.rig, [("DetachNetworkInterface", one) for one in detach])
    gone = [{"NetworkInterfaceId": trunk} for trunk in trunks.values()]
    arranged.arrange(stand.rig, [("DeleteNetworkInterface", one) for one in gone])
    return branches


def _terminated(stand: Stand, prefix: str, *, cninode: bool) -> set[str]:
    """Node and instance went together. Its CNINode waits for us with its finalizer, or somebody took that away."""
    names, _, branches = _branches(stand, prefix)
    stand.add_nodes(names, LINUX)
    for name in names:
        _cninode(stand, name, finalizer=cninode)
    stand.rig.ec2("POST", "terminate", {"instance_ids": [instance_id(name) for name in names]})
    for name in names:
        stand.rig.kube("DELETE", f"/api/v1/nodes/{name}")
        stand.rig.kube("DELETE", f"{CNINODES}/{name}")
    return branches


def _branches(stand: Stand, prefix: str) -> tuple[list[str], Mapping[str, str], set[str]]:
    names = named(prefix, NODES)
    stand.add_instances(names, TYPE)
    trunks = arranged.trunks(stand.rig, names, DEVICE)
    made = arranged.branches(stand.rig, trunks, BRANCHES)
    return names, trunks, {one.eni_id for one in made}


def _cninode(stand: Stand, name: str, *, finalizer: bool) -> None:
    uid = stand.rig.kube("GET", f"/api/v1/nodes/{name}")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid, "controller": True}
    tags = {CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: instance_id(name)}
    metadata = {"name": name, "labels": {"kubernetes.io/os": "linux"}, "ownerReferences": [owner]}
    body = {
        "apiVersion": "vpcresources.k8s.aws/v1alpha1",
        "kind": "CNINode",
        "metadata": {**metadata, **({"finalizers": [CNINODE_FINALIZER]} if finalizer else {})},
        "spec": {"tags": tags},
    }
    stand.create(CNINODES, body)


BENCHMARKS = {"leaks": leaks}
