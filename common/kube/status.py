"""What an answer of the API server means, as our errors. Codes and reasons decide, never message texts."""

import msgspec

from common.kube.raw import Status
from common.kube.transport import Response
from common.model.errors import Conflict, Denied, Invalid, NotFound, OutsideError, Throttled, Unsure

UID_MISMATCH = "UidMismatch"
"""Code of the Conflict that says: this is another object of the same name."""

_BY_STATUS: dict[int, type[OutsideError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Unsure,
    409: Conflict,
    429: Throttled,
}


def failure(response: Response) -> OutsideError:
    """The error of an answer that is not 2xx."""
    said = said_by(response)
    code = said.reason or f"HTTP{response.status}"
    causes = (said.details and said.details.causes) or ()
    if response.status == 422 and any(cause.field == "metadata.uid" for cause in causes):
        # A patch that carries a uid meets another object of the same name: the uid "is immutable".
        return Conflict(UID_MISMATCH, said.message)
    if response.status >= 500:
        return Unsure(code, said.message)
    return _BY_STATUS.get(response.status, Invalid)(code, said.message)


def said_by(response: Response) -> Status:
    """The Status object in an answer; an empty one where a proxy or something else answered."""
    try:
        return msgspec.json.decode(response.body, type=Status)
    except (msgspec.DecodeError, ValueError):
        return Status(message=response.body[:200].decode(errors="replace"))


def is_missing(response: Response, name: str) -> bool:
    """Whether the API server itself says that the object of this name does not exist. A 404 of a proxy, or of a
    server that does not serve the resource (yet), says nothing about the object."""
    if response.status != 404:
        return False
    said = said_by(response)
    if said.kind != "Status" or said.reason != "NotFound" or said.details is None:
        return False
    return said.details.name == name


def succeeded(response: Response) -> Response:
    """The answer, if it is 2xx. Raises OutsideError."""
    if not 200 <= response.status < 300:
        raise failure(response)
    return response
