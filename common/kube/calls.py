"""What the files of `Kube` share."""

from typing import Any

from common.kube.paths import NoSuchName, path_of
from common.kube.status import UID_MISMATCH, answered, is_missing
from common.kube.transport import MERGE_PATCH, Response, Transport
from common.model.errors import Conflict

CONFLICT_TRIES = 5
"""How often an object that changed under our hands is read again before the conflict is the caller's."""


class Calls:
    """Base of the calls by kind: a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _read(self, root: str, *segments: str) -> bytes | None:
        """The object at `path_of(...)`, whose last segment is its name, as the server wrote it; None only where the
        server itself says that it does not exist, or nothing can have that name. Raises OutsideError: NotFound where
        the server does not serve the resource."""
        try:
            path = path_of(root, *segments)
        except NoSuchName:
            return None
        response = self._transport.request("GET", path)
        return None if is_missing(response, segments[-1]) else answered(response, segments[-1]).body

    def _patch(self, path: str, name: str, body: dict[str, Any]) -> Response:
        """Merge patch of the object of this name. Raises OutsideError."""
        return answered(self._transport.request("PATCH", path, body=body, content_type=MERGE_PATCH), name)


def check_uid(found: str, expected: str, name: str) -> None:
    """Raises Conflict where an object is another of the same name."""
    if found != expected:
        raise Conflict(UID_MISMATCH, f"{name} has uid {found}, not {expected}")
