"""Whether the API server serves a resource: by its own word, since a proxy answers 404, too."""

from typing import Any

import msgspec

from common.kube.nesting import decode_json
from common.kube.status import failure, said_by
from common.kube.transport import Request, Response, Transport
from common.model.errors import Unsure

_GROUPS = "/apis"


def is_served(transport: Transport, path: str, refusal: Response) -> bool:
    """Whether the resource of a collection's `path` (`/apis/<group>/<version>/<resource>`) is served, where a list was
    answered with status 404 (`refusal`). kube-apiserver says so by a Status where the group exists; where it does not,
    by a line of text that other servers use as well: then its discovery decides. Raises OutsideError where that does
    not tell."""
    said = said_by(refusal)
    if said.kind == "Status" and said.reason == "NotFound":
        return False
    _, _, group, version, resource = path.split("/", 4)
    groups = _read(transport, _GROUPS, "APIGroupList").get("groups") or ()
    versions = next((g.get("versions") or () for g in groups if g.get("name") == group), ())
    if version not in {v.get("version") for v in versions}:
        return False
    resources = _read(transport, f"{_GROUPS}/{group}/{version}", "APIResourceList").get("resources") or ()
    return any(r.get("name") == resource for r in resources)


def _read(transport: Transport, path: str, kind: str) -> dict[str, Any]:
    response = transport.send(Request("GET", path))
    if response.status != 200:
        raise failure(response)
    try:
        found = decode_json(response.body, dict[str, Any])
    except (msgspec.DecodeError, ValueError) as error:
        raise Unsure("MalformedAnswer", f"{path}: {error}") from error
    if found.get("kind") != kind:
        raise Unsure("MalformedAnswer", f"{path}: no {kind}")
    return found
