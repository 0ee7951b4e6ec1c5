"""The cut description of EC2: what it is made from, that it loses nothing that we read, and when it is not used."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.parsers import create_parser

import cli.doctor
from cli.doctor import ec2 as doctor
from common.ec2 import sdk_data
from common.ec2.api import Ec2
from common.ec2.gate import OpenGate
from common.ec2.sdk_data import API_VERSION, DATA, MODEL, OPERATIONS, generated, new_session
from common.model.ids import ClientToken, EniId, GroupId, InstanceId, SubnetId, VlanId
from sandbox.ec2.protocol import ec2_answer

WHOLE = Loader().load_service_model("ec2", MODEL)
CUT = json.loads((DATA / "ec2" / API_VERSION / f"{MODEL}.json").read_text())
REMADE = "make it anew: python -m common.ec2.sdk_data"


def test_the_files_are_what_the_installed_sdk_gives() -> None:
    assert {file: file.read_text() for file in generated()} == generated(), REMADE


def test_the_operations_are_those_that_we_call() -> None:
    files = Path(cli.doctor.__file__).parent.glob("*.py")
    source = "".join(file.read_text() for file in (Path(sdk_data.__file__).with_name("api.py"), *files))
    called = set(re.findall(r'"([A-Z][A-Za-z]+)"', source)) & WHOLE["operations"].keys()
    assert set(OPERATIONS) == called
    assert doctor.OPERATIONS.keys() <= called


def test_no_answer_has_a_date_to_parse() -> None:
    kinds = {shape["type"] for shape in CUT["shapes"].values()}
    assert "timestamp" not in kinds
    assert "structure" in kinds


def test_a_session_uses_the_cut_description() -> None:
    client = new_session().create_client("ec2", region_name="us-west-2")
    assert sorted(client.meta.service_model.operation_names) == sorted(OPERATIONS)


def test_a_newer_version_of_the_api_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "ec2" / "2099-01-01" / f"{MODEL}.json"
    newer.parent.mkdir(parents=True)
    newer.write_text(json.dumps({**CUT, "metadata": {**CUT["metadata"], "apiVersion": "2099-01-01"}}))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert new_session().get_service_model("ec2").api_version == "2099-01-01"


@pytest.mark.parametrize(
    ("service", "region", "host"),
    [
        ("ec2", "us-west-2", "ec2.us-west-2.amazonaws.com"),
        ("ec2", "cn-north-1", "ec2.cn-north-1.amazonaws.com.cn"),
        ("ec2", "us-gov-west-1", "ec2.us-gov-west-1.amazonaws.com"),
        ("ec2", "eu-xyz-9", "ec2.eu-xyz-9.amazonaws.com"),
        ("sts", "eu-central-1", "sts.eu-central-1.amazonaws.com"),
    ],
)
def test_endpoints_are_those_of_the_whole_data(service: Any, region: str, host: str) -> None:
    client = new_session().create_client(service, region_name=region)
    assert client.meta.endpoint_url == f"https://{host}"


VARIANTS: dict[str, dict[str, Any]] = {
    "nitro": {"NextToken": None, "Hypervisor": "nitro", "BareMetal": False, "State": "associated"},
    "bare metal, second card": {
        "NextToken": None, "Hypervisor": "xen", "BareMetal": True, "DefaultNetworkCardIndex": 1, "NetworkCardIndex": 1,
    },
    "one IPv6 address": {"NextToken": None, "Ipv6Addresses": None},
}  # fmt: skip
"""Members whose value decides how others are read; None: left out."""


def filled(shape: Shape, number: Callable[[], int], fixed: dict[str, Any], name: str = "") -> Any:
    """A value in which nothing else is missing, and no two parts are alike."""
    kind = shape.type_name
    if name in fixed and (fixed[name] is None or kind != "structure"):
        return fixed[name]
    if kind == "structure":
        members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]  # of structures
        return {key: value for key, part in members.items() if (value := filled(part, number, fixed, key)) is not None}
    match kind:
        case "list":
            return [filled(shape.member, number, fixed) for _ in range(2)]  # type: ignore[attr-defined]  # of lists
        case "boolean":
            return number() % 2 == 0
        case "integer" | "long":
            return number()
        case "double" | "float":
            return float(number())
        case "timestamp":
            return datetime(2026, 1, 1, tzinfo=UTC)
        case _:
            return f"{name}-{number()}"


def answering(model: dict[str, Any], fixed: dict[str, Any]) -> Ec2:
    """EC2 whose answers lack nothing, read with this description."""
    whole, read = ServiceModel(WHOLE, "ec2"), ServiceModel(model, "ec2")
    parser = create_parser("ec2")

    def invoke(action: str, _: dict[str, Any]) -> dict[str, Any]:
        output, as_read = whole.operation_model(action).output_shape, read.operation_model(action).output_shape
        assert output is not None
        assert as_read is not None
        numbers = count(1)
        body = ec2_answer(action, filled(output, lambda: next(numbers), fixed), "r").encode()
        parsed: dict[str, Any] = parser.parse({"status_code": 200, "headers": {}, "body": body}, as_read)
        return parsed

    return Ec2(invoke, OpenGate())


ENI, SUBNET = EniId("eni-1"), SubnetId("subnet-1")
READS: dict[str, Callable[[Ec2], object]] = {
    "instances": lambda ec2: ec2.describe_instances([InstanceId("i-1")]),
    "subnets": lambda ec2: ec2.describe_subnets([SUBNET]),
    "interfaces": lambda ec2: ec2.describe_interfaces(ids=[ENI]),
    "instance types": lambda ec2: ec2.describe_instance_types(["m5.large"]),
    "associations": lambda ec2: ec2.trunk_associations(),
    "an interface made": lambda ec2: ec2.create_network_interface(
        subnet=SUBNET, groups=[GroupId("sg-1")], description="", tags={}, token=ClientToken("t")
    ),
    "an attachment": lambda ec2: ec2.attach_network_interface(ENI, InstanceId("i-1"), 1),
    "an association": lambda ec2: ec2.associate_trunk_interface(
        branch=ENI, trunk=EniId("eni-2"), vlan=VlanId(1), token=ClientToken("t")
    ),
    "addresses": lambda ec2: ec2.assign_private_ip_addresses(ENI, 2),
    "prefixes": lambda ec2: ec2.assign_ipv4_prefixes(ENI, 2),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("what", READS)
def test_nothing_that_we_read_is_cut_off(what: str, variant: str) -> None:
    whole, cut = (READS[what](answering(model, VARIANTS[variant])) for model in (WHOLE, CUT))
    assert whole
    assert cut == whole
