"""The SDK's clients against a small HTTP server: identities, headers, retries, broken answers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from common.ec2.api import Ec2
from common.ec2.client import account_id, build_invoke, region_of
from common.ec2.gate import OpenGate
from common.metrics import EC2_CALLS
from common.model.errors import Denied, NotFound, Throttled, Unsure
from common.model.ids import ClientToken, EniId, VlanId
from common.settings import Settings, SettingsError
from tests.unit.node.builders import leave

ROLE = "arn:aws:iam::210987654321:role/vpc-rc"
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ROLEKEY{n}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""
EC2 = """<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>
<networkInterfaceSet/><interfaceAssociation><associationId>a</associationId></interfaceAssociation></{action}Response>"""
PAGE = b"<html>Welcome!</html>"
ERROR = "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors></Response>"


class Server:
    """Answers EC2 and STS; remembers (action, headers) and fails as arranged."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.expires = "2099-01-01T00:00:00Z"
        self.fault: tuple[int, str] | None = None
        self.cut = False
        self.trickle = False
        self.hanging = ""
        self.trickle_headers = False
        self.go_on = threading.Event()
        self.stopped = threading.Event()
        self.connections: set[object] = set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                action = form["Action"][0]
                owner.connections.add(self.client_address)
                owner.seen.append((action, {key.lower(): value for key, value in self.headers.items()}))
                if action == owner.hanging:
                    owner.go_on.wait(60)
                if owner.trickle_headers:
                    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + 200 * b"x":
                        if owner.stopped.wait(0.05):
                            return
                        self.wfile.write(bytes([byte]))
                status, body = owner.answer(action)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if owner.trickle:
                    for byte in body:
                        if owner.stopped.wait(0.02):
                            return
                        self.wfile.write(bytes([byte]))
                self.wfile.write(body[: len(body) // 2] if owner.cut else b"" if owner.trickle else body)
                self.close_connection = owner.cut

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, action: str) -> tuple[int, bytes]:
        if action == "AssumeRole":
            n = sum(1 for seen, _ in self.seen if seen == "AssumeRole")
            return 200, ASSUMED.format(n=n, expires=self.expires).encode()
        if action == "AssumeRoleWithWebIdentity":
            return 200, IDENTITY_OF_WEB.encode()
        if action == "GetCallerIdentity":
            return 200, IDENTITY.encode()
        if self.fault:
            return self.fault[0], ERROR.format(code=self.fault[1]).encode()
        return 200, EC2.format(action=action).encode()

    def actions(self) -> list[str]:
        return [action for action, _ in self.seen]

    def key_of(self, action: str) -> str:
        """The access key that signed the last such call."""
        header = next(headers["authorization"] for seen, headers in reversed(self.seen) if seen == action)
        return header.split("Credential=")[1].split("/")[0]

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWNKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    running = Server()
    yield running
    running.close()


def settings(server: Server, **more: object) -> Settings:
    fields = {"aws_region": "eu-west-1", "ec2_endpoint": server.url, "sts_endpoint": server.url, "cluster_name": "blue"}
    return Settings.model_validate({**fields, **more})


def ec2(server: Server, **more: object) -> Ec2:
    return Ec2(build_invoke(settings(server, **more)), OpenGate())


def associate(one: Ec2) -> None:
    one.associate_trunk_interface(branch=EniId("b"), trunk=EniId("t"), vlan=VlanId(1), token=ClientToken("x"))


def test_with_a_role_only_associations_go_with_the_own_identity(server: Server) -> None:
    one = ec2(server, role_arn=ROLE)
    one.describe_interfaces(ids=[EniId("eni-1")])
    one.delete_network_interface(leave(EniId("eni-1")))
    associate(one)
    assert server.key_of("DescribeNetworkInterfaces") == server.key_of("DeleteNetworkInterface") == "ROLEKEY1"
    assert server.key_of("AssociateTrunkInterface") == server.key_of("AssumeRole") == "OWNKEY"
    assert server.actions().count("AssumeRole") == 1


def test_the_role_is_assumed_for_the_cluster_and_the_signature_says_so(server: Server) -> None:
    ec2(server, role_arn=ROLE).delete_network_interface(leave(EniId("eni-1")))
    headers = next(headers for action, headers in server.seen if action == "AssumeRole")
    assert headers["x-amz-source-arn"] == "arn:aws:eks:eu-west-1:210987654321:cluster/blue"
    assert headers["x-amz-source-account"] == "210987654321"
    assert "x-amz-source-account;x-amz-source-arn" in headers["authorization"]
    assert "/eu-west-1/sts/" in headers["authorization"]


def test_credentials_that_run_out_are_fetched_again(server: Server) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    server.expires = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    one = ec2(server, role_arn=ROLE)
    one.delete_network_interface(leave(EniId("eni-1")))
    first = server.key_of("DeleteNetworkInterface")
    one.delete_network_interface(leave(EniId("eni-1")))
    assert server.key_of("DeleteNetworkInterface") > first


def test_credentials_that_come_expired_are_denied(server: Server) -> None:
    server.expires = "2020-01-01T00:00:00Z"
    with pytest.raises(Denied) as denied:
        ec2(server, role_arn=ROLE).delete_network_interface(leave(EniId("eni-1")))
    assert "clock" in denied.value.message


def test_without_a_role_everything_goes_with_the_own_identity(server: Server) -> None:
    one = ec2(server)
    one.delete_network_interface(leave(EniId("eni-1")))
    associate(one)
    assert server.key_of("DeleteNetworkInterface") == server.key_of("AssociateTrunkInterface") == "OWNKEY"
    assert "AssumeRole" not in server.actions()


def test_the_sdk_repeats_nothing_by_itself(server: Server) -> None:
    server.fault = (503, "RequestLimitExceeded")
    before = EC2_CALLS.labels("DeleteNetworkInterface", "RequestLimitExceeded")._value.get()
    with pytest.raises(Throttled):
        ec2(server).delete_network_interface(leave(EniId("eni-1")))
    assert server.actions() == ["DeleteNetworkInterface"]
    assert EC2_CALLS.labels("DeleteNetworkInterface", "RequestLimitExceeded")._value.get() == before + 1


def test_an_answer_cut_short_is_unsure_and_not_an_empty_list(server: Server) -> None:
    server.cut = True
    with pytest.raises(Unsure):
        ec2(server).describe_interfaces(ids=[EniId("eni-1")])


def test_an_answer_that_comes_too_slowly_is_unsure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.ec2.client.WHOLE_SECONDS", 0.3)
    one = ec2(server)
    server.trickle = True
    with pytest.raises(Unsure) as slow:
        one.describe_interfaces(ids=[EniId("eni-1")])
    assert slow.value.code == "ReadTimeoutError"


IDENTITY_OF_WEB = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>WEBKEY</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
def web_identity(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """IRSA: the SDK itself asks STS for the own credentials."""
    token = tmp_path / "token"
    token.write_text("a.web.token")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    monkeypatch.setattr("common.ec2.client.WHOLE_SECONDS", 1.0)
    yield
    server.go_on.set()


def test_the_sdks_own_calls_of_sts_have_our_limits_and_threads_share_them(server: Server, web_identity: None) -> None:
    one = ec2(server)
    server.hanging = "AssumeRoleWithWebIdentity"
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(one.delete_network_interface, leave(EniId(f"eni-{n}"))) for n in range(8)]
    assert time.monotonic() - began < 2.5, "not one after the other"
    assert {type(call.exception()) for call in calls} == {Unsure}
    assert server.actions() == ["AssumeRoleWithWebIdentity"], "one asks for all, once"
    server.hanging = ""
    one.delete_network_interface(leave(EniId("eni-1")))
    assert server.key_of("DeleteNetworkInterface") == "WEBKEY"


def test_headers_that_trickle_have_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.ec2.client.WHOLE_SECONDS", 0.5)
    one = ec2(server)
    server.trickle_headers = True
    began = time.monotonic()
    with pytest.raises(Unsure):
        one.delete_network_interface(leave(EniId("eni-1")))
    assert time.monotonic() - began < 2


def test_an_instance_metadata_service_that_is_away_is_no_wrong_setting(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(Unsure) as away:
        region_of(settings(server, aws_region=""))
    assert "VPC_RC_AWS_REGION" in away.value.message


def test_connections_are_used_again(server: Server) -> None:
    one = ec2(server)
    for _ in range(5):
        one.describe_interfaces(ids=[EniId("eni-1")])
    server.fault = (400, "InvalidNetworkInterfaceID.NotFound")
    for _ in range(3):
        with pytest.raises(NotFound):
            one.delete_network_interface(leave(EniId("eni-1")))
    assert len(server.connections) == 1


def test_a_server_that_is_not_there_is_unsure(server: Server) -> None:
    with pytest.raises(Unsure):
        ec2(server, ec2_endpoint="http://127.0.0.1:9").describe_interfaces(ids=[EniId("eni-1")])


def test_no_credentials_are_denied(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for role in ("", ROLE):
        with pytest.raises(Denied) as denied:
            ec2(server, role_arn=role).describe_interfaces(ids=[EniId("eni-1")])
        assert denied.value.code == "NoCredentialsError"


def test_the_account_is_the_own_identitys(server: Server) -> None:
    assert account_id(settings(server, role_arn=ROLE)) == "123456789012"
    assert server.key_of("GetCallerIdentity") == "OWNKEY"
    assert account_id(settings(server, account_id="111111111111")) == "111111111111"


def test_an_unknown_region_is_a_setting_that_is_missing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(SettingsError) as error:
        region_of(settings(server, aws_region=""))
    assert error.value.problems[0].startswith("VPC_RC_AWS_REGION")


def test_a_page_of_a_proxy_in_place_of_sts_is_to_be_tried_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without keys of its own the SDK asks STS for them, too."""
    monkeypatch.setattr(server, "answer", lambda _: (200, PAGE))
    with pytest.raises(Unsure):
        account_id(settings(server))
    token = tmp_path / "token"
    token.write_text("a.web.token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    with pytest.raises(Unsure):
        account_id(settings(server))


class Metadata(BaseHTTPRequestHandler):
    """Instance metadata that insists on session tokens."""

    def do_PUT(self) -> None:
        self._say("token")

    def do_GET(self) -> None:
        known = self.headers.get("X-aws-ec2-metadata-token") == "token" and "availability-zone" in self.path
        self._say("ap-south-1b" if known else "", 200 if known else 401)

    def _say(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


class Portal(Metadata):
    """A page of a proxy in place of instance metadata, with a line's end or without."""

    page = PAGE.decode()

    def do_PUT(self) -> None:
        self._say(self.page)

    def do_GET(self) -> None:
        self._say(self.page)


class LongPortal(Portal):
    page = f"{PAGE.decode()}\r\n"


@pytest.mark.parametrize("portal", [Portal, LongPortal])
def test_a_page_of_a_proxy_in_place_of_instance_metadata_is_to_be_tried_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, portal: type[Portal]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), portal)
    threading.Thread(target=metadata.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{metadata.server_address[1]}/")
    try:
        with pytest.raises(Unsure):
            region_of(settings(server, aws_region=""))
    finally:
        metadata.shutdown()
        metadata.server_close()


def test_the_region_comes_from_instance_metadata_at_its_endpoint(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=metadata.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{metadata.server_address[1]}/")
    try:
        assert region_of(settings(server, aws_region="")) == "ap-south-1"
    finally:
        metadata.shutdown()
        metadata.server_close()
