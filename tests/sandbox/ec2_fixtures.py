"""A world with one subnet and one node, and a real SDK client in front of its HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.ec2 import Ec2Behaviour, Ec2World
from sandbox.ec2.server import serving_in_thread
from tests.kit.clock import VirtualClock

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

ACCOUNT = "123456789012"
UNKNOWN_ENI = "eni-00000000000000000"


@dataclass
class Ec2:
    """A small world: a /24 subnet, five groups beside the default one, an m5.large instance."""

    world: Ec2World
    clock: VirtualClock
    vpc: str
    subnet: str
    groups: list[str]
    instance: str
    _client: Any = field(default=None)

    @property
    def client(self) -> EC2Client:
        client: EC2Client = self._client
        return client

    def create(self, **params: Any) -> str:
        """An interface made out of the way of limits and journal; its id."""
        made = self.world.arrange("CreateNetworkInterface", {"SubnetId": self.subnet, **params})
        identifier: str = made["NetworkInterface"]["NetworkInterfaceId"]
        return identifier

    def permitted(self, **params: Any) -> str:
        """An interface that the account may attach."""
        identifier = self.create(**params)
        self.world.arrange(
            "CreateNetworkInterfacePermission",
            {"NetworkInterfaceId": identifier, "AwsAccountId": ACCOUNT, "Permission": "INSTANCE-ATTACH"},
        )
        return identifier

    def attach(self, interface: str, *, index: int = 1, instance: str | None = None) -> str:
        """Attach at once; the attachment's id."""
        params = {"NetworkInterfaceId": interface, "InstanceId": instance or self.instance, "DeviceIndex": index}
        attachment: str = self.world.arrange("AttachNetworkInterface", params)["AttachmentId"]
        return attachment

    def trunk(self, *, instance: str | None = None) -> str:
        """An attached trunk."""
        identifier = self.permitted(InterfaceType="trunk")
        self.attach(identifier, index=2, instance=instance)
        return identifier

    def branch(self, trunk: str, vlan: int) -> tuple[str, str]:
        """A branch on the trunk and its association's id."""
        identifier = self.permitted()
        answer = self.world.arrange(
            "AssociateTrunkInterface",
            {"BranchInterfaceId": identifier, "TrunkInterfaceId": trunk, "VlanId": vlan},
        )
        return identifier, answer["InterfaceAssociation"]["AssociationId"]

    def shown(self, interface: str) -> dict[str, Any]:
        """What DescribeNetworkInterfaces says about an interface."""
        answer = self.client.describe_network_interfaces(NetworkInterfaceIds=[interface])
        return dict(answer["NetworkInterfaces"][0])

    def exists(self, interface: str) -> bool:
        return any(one.id == interface for one in self.world.interfaces())


def small_world(behaviour: Ec2Behaviour | None = None, *, cidr: str = "10.0.0.0/24", ipv6: bool = False) -> Ec2:
    """The world of `Ec2` without a server."""
    clock = VirtualClock()
    world = Ec2World(clock=clock.now, settings=behaviour or Ec2Behaviour.instant())
    vpc = world.add_vpc()
    subnet = world.add_subnet(vpc_id=vpc, cidr=cidr, ipv6_cidr="2001:db8:0:1::/64" if ipv6 else None, assign_ipv6=ipv6)
    groups = [world.add_security_group(vpc_id=vpc, name=f"group-{n}") for n in range(6)]
    instance = world.add_instance(subnet_id=subnet, groups=groups[:1])
    return Ec2(world=world, clock=clock, vpc=vpc, subnet=subnet, groups=groups, instance=instance)


def client_at(address: str, *, key: str = "AKIAOWN") -> EC2Client:
    """A real EC2 client that neither retries nor checks parameters: that is left to the server."""
    return boto3.client(
        "ec2",
        endpoint_url=address,
        region_name="us-west-2",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def sts_at(address: str) -> STSClient:
    """A real STS client."""
    return boto3.client(
        "sts",
        endpoint_url=address,
        region_name="us-west-2",
        aws_access_key_id="AKIAOWN",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


@contextmanager
def served(ec2: Ec2) -> Iterator[str]:
    """Serve the world and give it its client; the address."""
    with serving_in_thread(ec2.world) as address:
        ec2._client = client_at(address)
        try:
            yield address
        finally:
            ec2.client.close()


@contextmanager
def refused(code: str, status: int = 400) -> Iterator[None]:
    """Expect EC2's error of this code with this HTTP status."""
    try:
        yield
    except ClientError as error:
        answer = error.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
        return
    raise AssertionError(f"not refused with {code}")
