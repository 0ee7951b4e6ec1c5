"""Nodes of the sandbox on both sides: instances in EC2, and Node and CNINode objects of the same machines."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import msgspec

from sandbox.calls import call
from sandbox.ec2.seed import GroupSeed, NodeSeed, Seed, SubnetSeed

REGION = "us-west-2"
VPC = "vpc-0123456789abcdef0"
VPC_CIDR = "10.0.0.0/16"
SUBNETS = {
    f"{REGION}a": ("subnet-0aaaaaaaaaaaaaaa1", "10.0.0.0/18"),
    f"{REGION}b": ("subnet-0aaaaaaaaaaaaaaa2", "10.0.64.0/18"),
    f"{REGION}c": ("subnet-0aaaaaaaaaaaaaaa3", "10.0.128.0/18"),
}
"""16,382 addresses each: none runs out."""
NODE_GROUP = "sg-0bbbbbbbbbbbbbbb1"
POD_GROUPS = ("sg-0bbbbbbbbbbbbbbb2", "sg-0bbbbbbbbbbbbbbb3")


def empty_seed() -> Seed:
    """One VPC with a subnet in each of three zones, a group for nodes and two for pods."""
    return Seed(
        vpc_cidr=VPC_CIDR,
        vpc_id=VPC,
        subnets=tuple(SubnetSeed(id=name, cidr=cidr, az=az) for az, (name, cidr) in SUBNETS.items()),
        groups=(
            GroupSeed(name="nodes", id=NODE_GROUP),
            *(GroupSeed(name=f"pods-{n}", id=group) for n, group in enumerate(POD_GROUPS, 1)),
        ),
    )


def node_seeds(number: int, instance_type: str) -> tuple[NodeSeed, ...]:
    """Linux instances, spread over the subnets of `empty_seed`."""
    places = [name for name, _ in SUBNETS.values()]
    return tuple(
        NodeSeed(instance_type=instance_type, subnet=places[n % len(places)], groups=(NODE_GROUP,))
        for n in range(number)
    )


def plant(ec2_url: str, seed: Seed) -> list[str]:
    """Add to EC2 what the seed names; the ids of its instances. Raises calls.Refused."""
    answer = call("POST", f"{ec2_url}/_sandbox/seed", msgspec.to_builtins(seed))
    return [str(one) for one in answer["instance_ids"]]


def join(ec2_url: str, kube_url: str, instance_ids: list[str]) -> list[str]:
    """Make a Node for each of these instances, and a CNINode as the VPC CNI has it that uses security groups for pods.
    Returns the nodes' names."""
    wanted, names = set(instance_ids), []
    for instance in call("GET", f"{ec2_url}/_sandbox/state")["instances"]:
        if instance["id"] in wanted:
            for path, manifest in manifests(instance):
                call("POST", f"{kube_url}{path}", manifest)
            names.append(node_name(instance))
    return names


def node_name(instance: dict[str, Any]) -> str:
    """As EKS calls its nodes: by their private address."""
    return f"ip-{instance['private_ip'].replace('.', '-')}.{REGION}.compute.internal"


def manifests(instance: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of each object of a node. `instance` as the EC2 sandbox's state shows it."""
    name, system = node_name(instance), "windows" if instance.get("platform") else "linux"
    address = str(ipaddress.ip_address(instance["private_ip"]))
    capacity = {"cpu": "16", "memory": "64Gi", "pods": "250"}
    yield (
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "kubernetes.io/os": system,
                    "kubernetes.io/arch": "amd64",
                    "kubernetes.io/hostname": name,
                    "node.kubernetes.io/instance-type": instance["instance_type"],
                    "topology.kubernetes.io/zone": instance["az"],
                },
            },
            "spec": {"providerID": f"aws:///{instance['az']}/{instance['id']}"},
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "addresses": [{"type": "InternalIP", "address": address}],
            },
        },
    )
    if system == "linux":
        yield (
            "/apis/vpcresources.k8s.aws/v1alpha1/cninodes",
            {
                "apiVersion": "vpcresources.k8s.aws/v1alpha1",
                "kind": "CNINode",
                "metadata": {"name": name},
                "spec": {"features": [{"name": "SecurityGroupsForPods", "value": ""}]},
            },
        )
