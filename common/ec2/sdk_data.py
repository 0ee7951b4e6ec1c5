"""The SDK's description of EC2, cut to what we send and read.

The whole one takes a process 30 MiB, and has the SDK parse dates and lists that nobody reads. The cut one in `data` is
made from the installed SDK by `python -m common.ec2.sdk_data`, and a test compares the two. Where the SDK brings a
newer version of EC2's API, its own description is used.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import Loader, create_loader
from botocore.session import Session

from common.settings import DEFAULT_EC2_RATES

DATA = Path(__file__).parent / "data"
API_VERSION = "2016-11-15"
MODEL = "service-2"
ENDPOINTS = "endpoints"
SERVICES = ("ec2", "sts")

OPERATIONS = tuple(sorted((*DEFAULT_EC2_RATES, "DescribeSecurityGroups")))
"""The controller's, each with its limit in the settings, and the one that only `vpc-rc doctor` calls."""
READ: dict[str, tuple[str, ...]] = {
    "Reservation": ("Instances",),
    "Instance": ("InstanceId", "InstanceType", "NetworkInterfaces", "State", "SubnetId", "Tags", "VpcId"),
    "InstanceNetworkInterface": (
        "Attachment",
        "Description",
        "Groups",
        "InterfaceType",
        "Ipv4Prefixes",
        "Ipv6Addresses",
        "MacAddress",
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "PrivateIpAddresses",
        "Status",
        "SubnetId",
        "VpcId",
    ),
    "InstanceNetworkInterfaceAttachment": (
        "AttachmentId",
        "DeleteOnTermination",
        "DeviceIndex",
        "NetworkCardIndex",
        "Status",
    ),
    "InstancePrivateIpAddress": ("Primary", "PrivateIpAddress"),
    "InstanceTypeInfo": ("BareMetal", "Hypervisor", "InstanceType", "NetworkInfo"),
    "NetworkInfo": (
        "DefaultNetworkCardIndex",
        "Ipv4AddressesPerInterface",
        "MaximumNetworkCards",
        "MaximumNetworkInterfaces",
        "NetworkCards",
    ),
    "NetworkCardInfo": ("MaximumNetworkInterfaces", "NetworkCardIndex"),
    "NetworkInterface": (
        "Attachment",
        "Description",
        "Groups",
        "InterfaceType",
        "Ipv4Prefixes",
        "Ipv6Address",
        "Ipv6Addresses",
        "MacAddress",
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "PrivateIpAddresses",
        "Status",
        "SubnetId",
        "TagSet",
        "VpcId",
    ),
    "NetworkInterfaceAttachment": (
        "AttachmentId",
        "DeleteOnTermination",
        "DeviceIndex",
        "InstanceId",
        "NetworkCardIndex",
        "Status",
    ),
    "NetworkInterfacePrivateIpAddress": ("Primary", "PrivateIpAddress"),
    "SecurityGroup": ("GroupId", "VpcId"),
    "Subnet": ("AvailableIpAddressCount", "CidrBlock", "Ipv6CidrBlockAssociationSet", "SubnetId", "VpcId"),
}
"""What `common.ec2` and `vpc-rc doctor` read in the larger shapes of answers; smaller shapes are kept whole."""
FOR_PEOPLE = frozenset({"documentation", "documentationUrl", "enum", "errors", "examples"})
"""The SDK does nothing with them."""


def new_session() -> Session:
    """A session of the SDK that finds the cut description first."""
    session = Session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(more: str | None) -> Loader:
    """The one loader of all sessions of this process, so that each file is read once."""
    found = create_loader(more)
    found.search_paths.insert(0, str(DATA))
    return found


def cut_model(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The description with our operations, their parameters whole and of their answers what we read."""
    operations = {name: _plain(whole["operations"][name]) for name in OPERATIONS}
    shapes: dict[str, Any] = {}
    waiting = [op[side]["shape"] for op in operations.values() for side in ("input", "output") if side in op]
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = _cut_shape(name, whole["shapes"])
            waiting += _named(shapes[name])
    return {
        "version": whole["version"],
        "metadata": dict(whole["metadata"]),
        "operations": operations,
        "shapes": dict(sorted(shapes.items())),
    }


def cut_endpoints(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoints of the services that we call, in all partitions."""
    partitions = [
        {**one, "services": {name: one["services"][name] for name in SERVICES if name in one["services"]}}
        for one in whole["partitions"]
    ]
    return {**whole, "partitions": partitions}


def _cut_shape(name: str, shapes: Mapping[str, Any]) -> dict[str, Any]:
    shape = {key: value for key, value in shapes[name].items() if key not in FOR_PEOPLE}
    if "members" in shape:
        kept = sorted(READ[name]) if name in READ else shape["members"]
        shape["members"] = {member: _plain(shape["members"][member]) for member in kept}
    return {key: _plain(value) for key, value in shape.items()}


def _named(shape: Mapping[str, Any]) -> Iterator[str]:
    """The shapes that a shape is made of."""
    for part in (
        *shape.get("members", {}).values(),
        *(shape[key] for key in ("member", "key", "value") if key in shape),
    ):
        yield part["shape"]


def _plain(part: Any) -> Any:
    return {key: value for key, value in part.items() if key not in FOR_PEOPLE} if isinstance(part, Mapping) else part


def generated() -> dict[Path, str]:
    """The files and what is in them, from the installed SDK's own data."""
    own = Loader()
    contents = {
        DATA / "ec2" / API_VERSION / f"{MODEL}.json": cut_model(own.load_service_model("ec2", MODEL, API_VERSION)),
        DATA / f"{ENDPOINTS}.json": cut_endpoints(own.load_data(ENDPOINTS)),
    }
    return {file: json.dumps(content, indent=1) + "\n" for file, content in contents.items()}


if __name__ == "__main__":
    for file, text in generated().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
