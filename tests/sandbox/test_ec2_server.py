"""What the server offers beside EC2: STS and identities, instance metadata, the control endpoint, the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from botocore.utils import IMDSRegionProvider, InstanceMetadataFetcher

from sandbox.ec2 import Denial, Ec2Behaviour
from tests.sandbox.ec2_fixtures import ACCOUNT, Ec2, client_at, refused, served, small_world, sts_at

ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/vpc-role"


@pytest.fixture
def ec2() -> Ec2:
    return small_world()


@pytest.fixture
def address(ec2: Ec2) -> Iterator[str]:
    with served(ec2) as url:
        yield url


def _http(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _json(method: str, url: str, body: Any = None) -> Any:
    status, text = _http(method, url, body)
    assert status == 200, text
    return json.loads(text)


def test_an_assumed_role_is_another_identity(ec2: Ec2, address: str) -> None:
    ec2.world.behave(Ec2Behaviour.instant(denials=(Denial(action="trunk", identity="own"),)))
    sts = sts_at(address)

    def stamp(request: Any, **_: Any) -> None:
        request.headers["x-amz-source-arn"] = "arn:aws:eks:us-west-2:1:cluster/c"

    sts.meta.events.register("before-sign.sts.AssumeRole", stamp)
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="session")
    role = boto3.client(
        "ec2",
        endpoint_url=address,
        region_name="us-west-2",
        aws_access_key_id=answer["Credentials"]["AccessKeyId"],
        aws_secret_access_key=answer["Credentials"]["SecretAccessKey"],
        aws_session_token=answer["Credentials"]["SessionToken"],
    )
    with refused("UnauthorizedOperation", 403):
        ec2.client.create_network_interface(SubnetId=ec2.subnet, InterfaceType="trunk")
    made = role.create_network_interface(SubnetId=ec2.subnet, InterfaceType="trunk")["NetworkInterface"]
    assert made["RequesterId"] == "vpc-role"
    assert [call.identity for call in ec2.world.journal.of("CreateNetworkInterface")] == ["own", "vpc-role"]
    (assumed,) = ec2.world.journal.of("AssumeRole")
    assert assumed.headers == {"x-amz-source-arn": "arn:aws:eks:us-west-2:1:cluster/c"}


def test_credentials_expire(ec2: Ec2, address: str) -> None:
    answer = sts_at(address).assume_role(RoleArn=ROLE, RoleSessionName="session", DurationSeconds=900)
    role = client_at(address, key=answer["Credentials"]["AccessKeyId"])
    role.describe_vpcs()
    ec2.clock.sleep(900)
    with refused("RequestExpired"):
        role.describe_vpcs()


def test_a_web_identity_gets_its_role_and_its_token_is_not_kept(ec2: Ec2, address: str) -> None:
    answer = sts_at(address).assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="session", WebIdentityToken="very-secret"
    )
    client_at(address, key=answer["Credentials"]["AccessKeyId"]).describe_vpcs()
    assert ec2.world.journal.of("DescribeVpcs")[0].identity == "vpc-role"
    assert "very-secret" not in repr(ec2.world.journal.calls)


def test_the_caller_learns_who_it_is(address: str) -> None:
    answer = sts_at(address).get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == (ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/own/i-0")


def test_sts_errors_have_the_query_protocols_shape(address: str) -> None:
    with refused("ValidationError"):
        sts_at(address).assume_role(RoleArn="arn:aws:iam::1:user/not-a-role", RoleSessionName="session")


def test_an_unsigned_call_is_refused(address: str) -> None:
    status, text = _http("POST", address, "Action=DescribeVpcs&Version=2016-11-15")
    assert (status, "MissingAuthenticationToken" in text) == (403, True)


@pytest.mark.parametrize(
    "form",
    ["Filter=x", "Filter.a.Name=x", "Filter.1.Name.2=x", "MaxResults=many", "Colour=red"],
    ids=["a list as a value", "an item without number", "a value as a list", "no number", "an unknown parameter"],
)
def test_a_request_that_ec2_would_not_understand_is_a_client_error(address: str, form: str) -> None:
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-west-2/ec2/aws4_request"}
    status, text = _http("POST", address, f"Action=DescribeNetworkInterfaces&Version=2016-11-15&{form}", signed)
    assert (status, "<Errors><Error><Code>" in text) == (400, True)


def test_metadata_needs_a_session_token(address: str) -> None:
    ttl = "X-aws-ec2-metadata-token-ttl-seconds"
    assert _http("GET", f"{address}/latest/meta-data/placement/region")[0] == 401
    assert _http("PUT", f"{address}/latest/api/token")[0] == 400
    status, token = _http("PUT", f"{address}/latest/api/token", headers={ttl: "60"})
    assert status == 200
    session = {"X-aws-ec2-metadata-token": token}
    assert _http("GET", f"{address}/latest/meta-data/nothing", headers=session)[0] == 404


def test_metadata_tells_region_vpc_and_instance(ec2: Ec2, address: str) -> None:
    _, token = _http("PUT", f"{address}/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})

    def get(path: str) -> str:
        status, text = _http("GET", f"{address}/latest/{path}", headers={"X-aws-ec2-metadata-token": token})
        assert status == 200
        return text

    mac = get("meta-data/mac")
    assert get(f"meta-data/network/interfaces/macs/{mac}/vpc-id") == ec2.vpc
    document = json.loads(get("dynamic/instance-identity/document"))
    assert (document["accountId"], document["region"], document["instanceId"]) == (ACCOUNT, "us-west-2", ec2.instance)


def test_the_sdk_finds_credentials_and_region_in_the_metadata(ec2: Ec2, address: str) -> None:
    found = InstanceMetadataFetcher(base_url=f"{address}/").retrieve_iam_role_credentials()
    client_at(address, key=found["access_key"]).describe_vpcs()
    assert ec2.world.journal.of("DescribeVpcs")[0].identity == "own"
    session = botocore.session.get_session()
    session.set_config_variable("ec2_metadata_service_endpoint", f"{address}/")
    assert IMDSRegionProvider(session).provide() == "us-west-2"


def test_the_control_endpoint_shows_the_world(ec2: Ec2, address: str) -> None:
    trunk = ec2.trunk()
    branch, _ = ec2.branch(trunk, 3)
    ec2.client.describe_vpcs()
    state = _json("GET", f"{address}/_sandbox/state")
    assert {one["id"]: (one["shown_type"], one["status"]) for one in state["interfaces"]}[branch] == (
        "branch",
        "in-use",
    )
    assert [one["vlan_id"] for one in state["associations"]] == [3]
    assert state["subnets"][0]["free"] == 256 - 5 - 3
    assert [call["action"] for call in _json("GET", f"{address}/_sandbox/journal?action=DescribeVpcs")] == [
        "DescribeVpcs"
    ]
    assert _json("GET", f"{address}/_sandbox/summary")["actions"] == {"DescribeVpcs": {"calls": 1, "ok": 1}}
    steps = [one["step"] for one in _json("GET", f"{address}/_sandbox/history")[branch]]
    assert steps == ["created", "permitted", "associated"]
    _json("DELETE", f"{address}/_sandbox/journal")
    assert _json("GET", f"{address}/_sandbox/journal") == []


def test_the_control_endpoint_changes_behaviour_and_faults(ec2: Ec2, address: str) -> None:
    patch = {"throttling": True, "buckets": {"describe-unfiltered": {"size": 1, "refill": 0}}}
    _json("PUT", f"{address}/_sandbox/behaviour", patch)
    ec2.client.describe_vpcs()
    with refused("RequestLimitExceeded", 503):
        ec2.client.describe_vpcs()
    _json("POST", f"{address}/_sandbox/faults", [{"action": "CreateTags", "code": "Unavailable"}])
    with refused("Unavailable", 503):
        ec2.client.create_tags(Resources=[ec2.instance], Tags=[{"Key": "a", "Value": "b"}])
    _json("DELETE", f"{address}/_sandbox/faults")
    ec2.client.create_tags(Resources=[ec2.instance], Tags=[{"Key": "a", "Value": "b"}])
    assert _http("PUT", f"{address}/_sandbox/behaviour", {"throtling": True})[0] == 400
    assert _http("POST", f"{address}/_sandbox/faults", [{"when": "later"}])[0] == 400


def test_the_control_endpoint_seeds_and_terminates(ec2: Ec2, address: str) -> None:
    seed = {
        "subnets": [{"id": "subnet-0a", "cidr": "10.0.16.0/20"}],
        "groups": [{"id": "sg-0a", "name": "nodes"}],
        "nodes": [{"instance_type": "c5.large", "subnet": "subnet-0a", "groups": ["sg-0a"]}, {}],
    }
    first, _ = _json("POST", f"{address}/_sandbox/seed", seed)["instance_ids"]
    (reservation,) = ec2.client.describe_instances(InstanceIds=[first])["Reservations"]
    assert reservation["Instances"][0]["SubnetId"] == "subnet-0a"
    _json("POST", f"{address}/_sandbox/terminate", {"instance_ids": [first]})
    (reservation,) = ec2.client.describe_instances(InstanceIds=[first])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "terminated"
    assert ec2.world.journal.of("TerminateInstances") == []
    assert _http("POST", f"{address}/_sandbox/seed", {"nodes": [{"instance_type": "m5.gigantic"}]})[0] == 400


def test_the_server_waits_for_a_latency_without_holding_up_others() -> None:
    ec2 = small_world(Ec2Behaviour.instant(latencies={"DescribeVpcs": (30.0, 30.0)}))
    with served(ec2) as url:
        impatient = boto3.client(
            "ec2",
            endpoint_url=url,
            region_name="us-west-2",
            aws_access_key_id="AKIAOWN",
            aws_secret_access_key="secret",
            config=Config(read_timeout=0.3, retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ReadTimeoutError):
            impatient.describe_vpcs()
        assert len(ec2.world.journal.of("DescribeVpcs")) == 1
        ec2.client.describe_subnets()


def test_the_process_says_when_it_is_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"subnets": [{"cidr": "10.0.0.0/20"}], "nodes": [{}, {}]}))
    command = [sys.executable, "-m", "sandbox.ec2", "--port", "0", "--seed", str(seed), "--instant"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, address = process.stdout.readline().split()
            assert word == "ready"
            assert len(client_at(address).describe_instances()["Reservations"]) == 2
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
