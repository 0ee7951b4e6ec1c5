"""How a call to the model can fail: an EC2 error answer, or a connection that breaks."""

from __future__ import annotations

from http import HTTPStatus

#: Codes whose HTTP status is not 400 (EC2 API reference, "Error codes for the Amazon EC2 API").
_STATUS_BY_CODE = {
    "AuthFailure": HTTPStatus.UNAUTHORIZED,
    "DryRunOperation": HTTPStatus.PRECONDITION_FAILED,
    "InternalError": HTTPStatus.INTERNAL_SERVER_ERROR,
    "InternalFailure": HTTPStatus.INTERNAL_SERVER_ERROR,
    "MissingAuthenticationToken": HTTPStatus.FORBIDDEN,
    "RequestLimitExceeded": HTTPStatus.SERVICE_UNAVAILABLE,
    "ServiceUnavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "Unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "UnauthorizedOperation": HTTPStatus.FORBIDDEN,
}


class Ec2Fault(Exception):
    """An error answer of EC2: its code, its words and the HTTP status that carries it."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = int(_STATUS_BY_CODE.get(code, HTTPStatus.BAD_REQUEST)) if status is None else status


class Ec2ConnectionReset(ConnectionResetError):
    """The connection broke without an answer; whether the call took effect the caller cannot know."""

    code = "ConnectionReset"


def not_found(kind: str, identifier: str, code: str) -> Ec2Fault:
    """The fault for an id that names nothing."""
    return Ec2Fault(code, f"The {kind} ID '{identifier}' does not exist")
