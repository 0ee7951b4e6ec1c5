"""Bodies of requests: decoding, patch functions by content type, delete options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import yaml

from sandbox.kube import patches, protobuf
from sandbox.kube.resources import Object
from sandbox.kube.status import ApiError, bad_request

PATCH_TYPES = (patches.JSON_PATCH, patches.MERGE_PATCH, patches.STRATEGIC_PATCH, patches.APPLY_PATCH)
Body = bytes | Object | list[Any] | None
"""As it came over HTTP, or an object as simulations give it."""


def patch_function(content_type: str) -> Callable[[Object, Any], Object]:
    def by_operations(obj: Object, patch: Any) -> Object:
        if not isinstance(patch, list):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
            )
        patched: Object = patches.json_patch(obj, patch)
        return patched

    def merging(obj: Object, patch: Any) -> Object:
        if not isinstance(patch, dict):
            raise bad_request("error decoding patch: json: cannot unmarshal array into Go value of type map")
        merge = patches.strategic_merge if content_type == patches.STRATEGIC_PATCH else patches.merge_patch
        patched: Object = merge(obj, patch)
        return patched

    return by_operations if content_type == patches.JSON_PATCH else merging


def delete_options(query: Mapping[str, str], body: Body, content_type: str) -> Object:
    options = decoded(body, content_type) if body else {}
    if query.get("gracePeriodSeconds"):
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    if query.get("propagationPolicy"):
        options["propagationPolicy"] = query["propagationPolicy"]
    return options


def encoded(body: Body, content_type: str) -> bytes:
    """The body as JSON. Raises 400 for what is none, 415 for other types."""
    if content_type == protobuf.CONTENT_TYPE and isinstance(body, bytes):
        return msgspec.json.encode(protobuf.decode_object(body))
    if content_type not in ("application/json", "application/yaml", "", *PATCH_TYPES):
        message = "the body of the request was in an unknown format - accepted media types include: application/json"
        raise ApiError(415, "UnsupportedMediaType", message)
    if not isinstance(body, bytes):
        return msgspec.json.encode(body or {})
    try:
        msgspec.json.decode(body)
        return body
    except msgspec.DecodeError as error:
        if content_type.endswith("yaml"):
            try:
                return msgspec.json.encode(yaml.safe_load(body))
            except yaml.YAMLError as wrong:
                raise bad_request(f"error decoding YAML: {wrong}") from wrong
        words = "error decoding patch" if "patch" in content_type else "the object provided is unrecognized"
        raise bad_request(f"{words}: {error}") from error
    except RecursionError as error:
        # The real one takes 10,000 levels, where a schema does.
        raise bad_request("the object provided is nested too deeply for this API server") from error


def decoded(body: Body, content_type: str) -> Object:
    found = msgspec.json.decode(encoded(body, content_type))
    if not isinstance(found, dict):
        raise bad_request("the object provided is unrecognized: not a JSON object")
    return found
