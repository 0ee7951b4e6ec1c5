"""EC2's error codes and the SDK's exceptions, sorted by what has to be decided about them.

Codes are those of the EC2 API Reference ("Error codes for the Amazon EC2 API"), of the SDKs' retry rules and of STS.
Never the text of a message: EC2 words the same error in several ways.
"""

import http.client
from collections.abc import Mapping
from typing import Any

import urllib3.exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

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

THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "EC2ThrottledException",
        "SlowDown",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
    }
)
UNSURE = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "Unavailable",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        # A list has to be read again from its beginning.
        "InvalidPaginationToken",
        "InvalidNextToken",
    }
)
DENIED = frozenset(
    {
        "UnauthorizedOperation",
        "UnauthorizedAction",
        "OperationNotPermitted",
        "AuthFailure",
        "AccessDenied",
        "AccessDeniedException",
        "Blocked",
        "OptInRequired",
        "PendingVerification",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidIdentityToken",
        "IncompleteSignature",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
    }
)
WRONG_CLOCK = frozenset({"InvalidSecurity.RequestHasExpired"})
WRONG_CLOCK_HINT = "this machine's clock differs from EC2's by minutes: set it right"
NO_FREE_PREFIX = "InsufficientCidrBlocks"
SUBNET_EXHAUSTED = frozenset({"InsufficientFreeAddressesInSubnet", NO_FREE_PREFIX})
IN_USE = frozenset(
    {
        "InvalidNetworkInterface.InUse",
        "InvalidInterface.InUse",
        "DependencyViolation",
        "ResourceInUse",
        # A state of the instance or interface, for now: it may be starting, stopping or detaching.
        "IncorrectState",
        "IncorrectInstanceState",
    }
)
NOT_FOUND_SUFFIX = ".NotFound"
NOT_FOUND = frozenset({"InvalidAttachmentID"})
INVALID_PARAMETER = "InvalidParameterValue"
"""EC2's code for whatever has none of its own: what it means depends on the call."""
LIMIT_SUFFIX = "LimitExceeded"
DUPLICATE_PERMISSION = "InvalidPermission.Duplicate"

TAKEN_BY_OPERATION = frozenset(
    {
        ("AttachNetworkInterface", INVALID_PARAMETER),
        ("DeleteNetworkInterface", INVALID_PARAMETER),
    }
)
"""EC2 has no code of its own for a device index that is taken, and none in places for deleting an interface in use. All
other parameters of these two calls are ids that EC2 gave us."""

NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)


def classify(operation: str, code: str, status: int = 0) -> type[OutsideError]:
    """The class of an error that EC2 or STS answered with `code` and HTTP `status` to `operation`. The code decides
    first: EC2 throttles with 503 as well as 400."""
    if code in THROTTLED or status == 429:
        return Throttled
    if code in WRONG_CLOCK:
        return WrongClock
    if code in DENIED:
        return Denied
    if code in SUBNET_EXHAUSTED:
        return SubnetExhausted
    if code in IN_USE or (operation, code) in TAKEN_BY_OPERATION:
        return InUse
    if code in NOT_FOUND or code.endswith(NOT_FOUND_SUFFIX):
        return NotFound
    if code == "IdempotentParameterMismatch":
        return TokenMismatch
    if code.endswith(LIMIT_SUFFIX):
        return LimitExceeded
    if code in UNSURE or status >= 500 or not code:
        return Unsure
    return Denied if status in (401, 403) else Invalid


def answer_in(error: Exception) -> Mapping[str, Any]:
    """EC2's own answer that the SDK's exception carries, headers included; empty where nobody answered."""
    return error.response if isinstance(error, ClientError) else {}


def translate(operation: str, error: Exception) -> OutsideError | None:
    """The SDK's exception as ours; None where it is not one of the SDK's or the network's (a bug of our own)."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", "")).removeprefix("Client.").removeprefix("Server.")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = classify(operation, code, int(status))
        said = str(answer.get("Message", ""))
        return kind(code or f"HTTP{status}", f"{said} ({WRONG_CLOCK_HINT})" if kind is WrongClock else said)
    if isinstance(error, NO_CREDENTIALS):
        return Denied(
            type(error).__name__,
            f"no usable AWS credentials: {error}. Give the pods an instance profile, IRSA, EKS Pod Identity or keys",
        )
    if isinstance(error, (ParamValidationError, NoRegionError)):
        return Invalid(type(error).__name__, str(error))
    network = (HTTPClientError, ResponseParserError, BotoCoreError, urllib3.exceptions.HTTPError)
    if isinstance(error, (*network, http.client.HTTPException, OSError)):
        return Unsure(type(error).__name__, str(error))
    return None
