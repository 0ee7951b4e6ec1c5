"""The world that a run starts with, as data: subnets, groups and nodes."""

from __future__ import annotations

from pathlib import Path

import msgspec


class SubnetSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet; without an id it gets one."""

    cidr: str
    id: str | None = None
    az: str = "us-west-2a"
    ipv6_cidr: str | None = None
    assign_ipv6: bool = False


class GroupSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A security group; without an id it gets one."""

    name: str
    id: str | None = None


class NodeSeed(msgspec.Struct, frozen=True, kw_only=True):
    """An instance. Without a subnet it goes into the first; without groups it has the VPC's default group."""

    instance_id: str | None = None
    instance_type: str = "m5.large"
    subnet: str | None = None
    groups: tuple[str, ...] = ()
    private_ip: str | None = None
    platform: str | None = None
    tags: dict[str, str] = {}


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """One VPC and what is in it. Applied to a world that has a VPC already, it adds to that."""

    vpc_cidr: str = "10.0.0.0/16"
    vpc_id: str | None = None
    subnets: tuple[SubnetSeed, ...] = ()
    groups: tuple[GroupSeed, ...] = ()
    nodes: tuple[NodeSeed, ...] = ()


def read_seed(path: Path) -> Seed:
    """A seed from a JSON file. Raises msgspec.DecodeError or ValidationError, which say what is wrong where."""
    return msgspec.json.decode(path.read_bytes(), type=Seed)
