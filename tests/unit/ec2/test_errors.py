"""Codes choose the class; the texts of messages never do."""

import http.client

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from common.ec2.errors import classify, translate
from common.model.errors import (
    Denied,
    InUse,
    Invalid,
    LimitExceeded,
    NotFound,
    OutsideError,
    SubnetExhausted,
    Throttled,
    TokenMismatch,
    Unsure,
    WrongClock,
)


def answer(code: str, status: int = 400, message: str = "RequestLimitExceeded NotFound InUse") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "CreateNetworkInterface",
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestLimitExceeded", Throttled),
        ("Throttling", Throttled),
        ("ThrottlingException", Throttled),
        ("RequestThrottled", Throttled),
        ("EC2ThrottledException", Throttled),
        ("InsufficientFreeAddressesInSubnet", SubnetExhausted),
        ("InsufficientCidrBlocks", SubnetExhausted),
        ("PrivateIpAddressLimitExceeded", LimitExceeded),
        ("NetworkInterfaceLimitExceeded", LimitExceeded),
        ("AttachmentLimitExceeded", LimitExceeded),
        ("SecurityGroupsPerInterfaceLimitExceeded", LimitExceeded),
        ("InvalidSecurityGroupID.NotFound", NotFound),
        ("InvalidGroup.NotFound", NotFound),
        ("InvalidSubnetID.NotFound", NotFound),
        ("InvalidInstanceID.NotFound", NotFound),
        ("InvalidNetworkInterfaceID.NotFound", NotFound),
        ("InvalidAssociationID.NotFound", NotFound),
        ("InvalidAttachmentID.NotFound", NotFound),
        ("InvalidPermission.NotFound", NotFound),
        ("InvalidNetworkInterface.InUse", InUse),
        ("DependencyViolation", InUse),
        ("UnauthorizedOperation", Denied),
        ("OperationNotPermitted", Denied),
        ("AuthFailure", Denied),
        ("ExpiredToken", Denied),
        ("RequestExpired", Denied),
        ("AccessDenied", Denied),
        ("Client.UnauthorizedOperation", Denied),
        ("IdempotentParameterMismatch", TokenMismatch),
        ("InternalError", Unsure),
        ("Unavailable", Unsure),
        ("ServiceUnavailable", Unsure),
        ("InvalidParameterValue", Invalid),
        ("InvalidPermission.Duplicate", Invalid),
        ("SomethingNew", Invalid),
        ("InvalidInstanceID", Invalid),
        ("InvalidSecurity.RequestHasExpired", WrongClock),
    ],
)
def test_each_code_has_its_class(code: str, kind: type[OutsideError]) -> None:
    error = translate("CreateNetworkInterface", answer(code))
    assert type(error) is kind
    assert error.code == code.removeprefix("Client.")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, Throttled),
        ("SomethingNew", 500, Unsure),
        ("503", 503, Unsure),
        ("", 200, Unsure),
        ("SomethingNew", 403, Denied),
        ("UnauthorizedOperation", 503, Denied),
        ("SomethingNew", 429, Throttled),
    ],
    ids=[
        "throttled with a server's status",
        "an unknown code of a server's failure",
        "a gateway without a code",
        "no code at all",
        "an unknown refusal",
        "the code before the status",
        "asked to slow down by status",
    ],
)
def test_the_status_decides_only_where_the_code_says_nothing(code: str, status: int, kind: type[OutsideError]) -> None:
    assert classify("DescribeInstances", code, status) is kind


def test_a_taken_device_index_is_in_use_although_ec2_calls_it_a_parameter() -> None:
    assert classify("AttachNetworkInterface", "InvalidParameterValue", 400) is InUse
    assert classify("DeleteNetworkInterface", "InvalidParameterValue", 400) is InUse
    assert classify("AssociateTrunkInterface", "InvalidParameterValue", 400) is Invalid


@pytest.mark.parametrize(
    "error",
    [
        ConnectionClosedError(endpoint_url="http://ec2"),
        ReadTimeoutError(endpoint_url="http://ec2"),
        ConnectTimeoutError(endpoint_url="http://ec2"),
        EndpointConnectionError(endpoint_url="http://ec2"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ResponseParserError("no element found"),
        ProtocolError("Connection broken"),
        http.client.IncompleteRead(b"<a"),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
        BotoCoreError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_connection_or_answer_leaves_the_effect_unknown(error: Exception) -> None:
    assert type(translate("CreateNetworkInterface", error)) is Unsure


def test_missing_credentials_are_said_plainly() -> None:
    error = translate("DescribeInstances", NoCredentialsError())
    assert type(error) is Denied
    assert error.code == "NoCredentialsError"
    assert "IRSA" in error.message
    failed = CredentialRetrievalError(provider="x", error_msg="y")
    assert type(translate("DescribeInstances", failed)) is Denied


def test_a_request_from_another_time_is_said_to_be_the_clocks_fault() -> None:
    error = translate("CreateTags", answer("InvalidSecurity.RequestHasExpired", message="Request has expired."))
    assert error is not None
    assert error.message == "Request has expired. (this machine's clock differs from EC2's by minutes: set it right)"


def test_parameters_that_the_sdk_refuses_can_never_succeed() -> None:
    assert type(translate("CreateTags", ParamValidationError(report="bad"))) is Invalid


def test_a_bug_of_our_own_is_not_taken_for_an_outside_error() -> None:
    assert translate("CreateTags", KeyError("x")) is None
    assert translate("CreateTags", TypeError("x")) is None
