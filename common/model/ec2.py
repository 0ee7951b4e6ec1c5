"""What EC2 says, in our own shapes."""

import msgspec

from common.model.ids import AttachmentId, EniId, GroupId, InstanceId, Ipv4, Prefix, SubnetId
from common.model.limits import InstanceLimits
from common.model.names import TRUNK_TAG, VLAN_TAG


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface as EC2 describes it."""

    eni_id: EniId
    subnet_id: SubnetId
    vpc_id: str = ""
    status: str = ""
    """`available`, `associated`, `attaching`, `in-use` or `detaching`."""
    type: str = "interface"
    """`interface`, `trunk`, `branch`, ..."""
    description: str = ""
    mac: str = ""
    primary_ip: Ipv4 = Ipv4("")
    secondary_ips: tuple[Ipv4, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    ipv6: str = ""
    groups: tuple[GroupId, ...] = ()
    tags: dict[str, str] = {}
    instance_id: InstanceId | None = None
    attachment_id: AttachmentId | None = None
    attachment_status: str | None = None
    """`attaching`, `attached`, `detaching`, `detached`; None without attachment."""
    device_index: int | None = None
    network_card: int = 0
    delete_on_termination: bool = False

    @property
    def vlan_tag(self) -> int | None:
        value = self.tags.get(VLAN_TAG, "")
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def trunk_tag(self) -> EniId | None:
        value = self.tags.get(TRUNK_TAG)
        return EniId(value) if value else None


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    subnet_id: SubnetId
    vpc_id: str
    cidr: str
    ipv6_cidr: str = ""
    """The first associated IPv6 block, "" where there is none."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An EC2 instance with the interfaces attached to it."""

    instance_id: InstanceId
    instance_type: str
    state: str
    """`pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`."""
    subnet_id: SubnetId = SubnetId("")
    vpc_id: str = ""
    interfaces: tuple[Interface, ...] = ()
    whole: bool = True
    """False: some of its interfaces were shown without their ids, as EC2 does of an instance that is being deleted."""

    @property
    def primary(self) -> Interface | None:
        return next((i for i in self.interfaces if i.device_index == 0 and i.network_card == 0), None)


class InstanceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that EC2 knows of one instance: read in batches, kept a short time for the node's own run."""

    taken_at: float
    """Epoch seconds at which reading *began*."""
    instance: Instance | None
    """None: EC2 knows no such instance, or it is terminated."""
    subnet: Subnet | None = None
    interfaces: tuple[Interface, ...] = ()
    """Every interface that carries the instance's tag or names its trunk as theirs, attached ones included."""
    limits: InstanceLimits | None = None
    """Limits of the instance's type, as far as EC2 gives them; only where ours (common.model.limits) do not have it."""
