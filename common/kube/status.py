"""What an answer of the API server means, as our errors. Codes and reasons decide, never message texts."""

from typing import Any

import msgspec

from common.kube.nesting import decode_json, decode_object
from common.kube.raw import AnyObject, Page, Status
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
        return decode_json(response.body, Status)
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


def page_in(response: Response) -> Page:
    """The page of a list that an answer carries. Raises OutsideError: Unsure where the answer is no list."""
    if response.status != 200:
        raise failure(response)
    try:
        page = decode_json(response.body, Page)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unsure("MalformedList", str(error)) from error
    if not page.metadata.resource_version:
        raise Unsure("MalformedList", "the answer is no list")
    return page


def answered(response: Response, name: str = "") -> Response:
    """The answer, if it is 2xx and carries a Kubernetes object (of that name, where one is given). Raises OutsideError:
    Unsure for a page of a proxy, from which nothing follows."""
    try:
        found = decode_json(succeeded(response).body, AnyObject).metadata.name
    except (msgspec.DecodeError, ValueError) as error:
        raise Unsure("MalformedAnswer", f"the answer is no Kubernetes object: {error}") from error
    if not found or (name and found != name):
        raise Unsure("MalformedAnswer", f"the answer is about {found!r}")
    return response


def object_in(response: Response, name: str) -> dict[str, Any]:
    """The object of this name that a 2xx answer carries, whole: to be written back. Raises OutsideError, Unsure as
    `answered`."""
    try:
        return decode_object(answered(response, name).body)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unsure("MalformedAnswer", f"{name}: {error}") from error
