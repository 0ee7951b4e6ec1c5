"""What the model knows: one immutable record a resource. A change is a new record in the table.

`serial` numbers resources in the order of their creation; answers are ordered and paged by it. Times are seconds of
the world's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A VPC with the group that interfaces get when none is named."""

    id: str
    serial: int
    cidr: str
    default_group: str
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet; its address book is kept beside it, in the state."""

    id: str
    serial: int
    vpc_id: str
    cidr: str
    az: str
    ipv6_cidr: str | None = None
    assign_ipv6: bool = False
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group; its rules are of no interest here."""

    id: str
    serial: int
    vpc_id: str
    name: str
    created: float
    description: str = ""
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance; its interfaces are those whose attachment names it."""

    id: str
    serial: int
    instance_type: str
    subnet_id: str
    vpc_id: str
    az: str
    groups: tuple[str, ...]
    private_ip: str
    launch_time: float
    state: str = "running"
    platform: str | None = None
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """How an interface hangs on an instance; `status` is attaching, attached or detaching."""

    id: str
    instance_id: str
    device_index: int
    card_index: int
    attach_time: float
    status: str
    delete_on_termination: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface. `interface_type` is what it was made as; while associated it is shown as a branch."""

    id: str
    serial: int
    subnet_id: str
    vpc_id: str
    az: str
    interface_type: str
    description: str
    groups: tuple[str, ...]
    mac: str
    primary_ip: str
    requester: str
    created: float
    secondary_ips: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    source_dest_check: bool = True
    attachment: Attachment | None = None
    association_id: str | None = None
    tags: Tags = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`in-use` while attached or associated, else `available`."""
        return "available" if self.attachment is None and self.association_id is None else "in-use"

    @property
    def shown_type(self) -> str:
        """The InterfaceType of an answer."""
        return self.interface_type if self.association_id is None else "branch"

    @property
    def address_slots(self) -> int:
        """What counts against the type's addresses per interface: a prefix takes one slot."""
        return 1 + len(self.secondary_ips) + len(self.prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """A branch interface on a trunk under a VLAN id."""

    id: str
    serial: int
    trunk_id: str
    branch_id: str
    vlan_id: int
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Leave for an account to attach an interface."""

    id: str
    serial: int
    interface_id: str
    account: str
    permission: str
    tags: Tags = field(default_factory=dict)
