"""What the files of `Kube` share."""

from collections.abc import Iterator, Mapping
from typing import Any

from common.kube.paths import NoSuchName, path_of
from common.kube.raw import Page
from common.kube.status import UID_MISMATCH, answered, is_missing, page_in
from common.kube.transport import MERGE_PATCH, Request, Response, Transport
from common.model.errors import Conflict

PAGE_SIZE = 500
"""Objects of one page: some megabytes at most."""
CONFLICT_TRIES = 5
"""How often an object that changed under our hands is read again before the conflict is the caller's."""


class Calls:
    """Base of the calls by kind: a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _read(self, collection: str, *segments: str) -> bytes | None:
        """The object at `path_of(...)`, whose last segment is its name, as the server wrote it; None only where the
        server itself says that it does not exist, or nothing can have that name. Raises OutsideError: NotFound where
        the server does not serve the resource."""
        try:
            path = path_of(collection, *segments)
        except NoSuchName:
            return None
        response = self._transport.send(Request("GET", path))
        return None if is_missing(response, segments[-1]) else answered(response, segments[-1]).body

    def _patch(self, path: str, name: str, body: dict[str, Any]) -> Response:
        """Merge patch of the object of this name. Raises OutsideError."""
        return answered(self._transport.send(Request("PATCH", path, body=body, content_type=MERGE_PATCH)), name)


def check_uid(found: str, expected: str, name: str) -> None:
    """Raises Conflict where an object is another of the same name."""
    if found != expected:
        raise Conflict(UID_MISMATCH, f"{name} has uid {found}, not {expected}")


def pages(transport: Transport, path: str, query: Mapping[str, str] | None = None) -> Iterator[Page]:
    """A whole list, a page in memory at a time, as the API server itself has it (without a resource version: not its
    cache). Raises OutsideError."""
    wanted = {**(query or {}), "limit": str(PAGE_SIZE)}
    while True:
        page = page_in(transport.send(Request("GET", path, query=wanted)))
        yield page
        if not page.metadata.continue_:
            return
        wanted = {**wanted, "continue": page.metadata.continue_}
