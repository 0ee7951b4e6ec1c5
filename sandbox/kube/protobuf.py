"""Objects in Kubernetes' protobuf encoding, for `kubectl create namespace` and its like: only what those commands send.

The field numbers are those of the generated.proto files of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from sandbox.kube.resources import Object
from sandbox.kube.status import ApiError

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
Message = dict[int, tuple[str, Any]]
"""By field number: name, and type: `text`, `int`, `texts`, `map`, `data` (bytes by name), a message or [message]."""

_META: Message = {
    1: ("name", "text"), 2: ("generateName", "text"), 3: ("namespace", "text"), 11: ("labels", "map"),
    12: ("annotations", "map"),
}  # fmt: skip
_CONTAINER: Message = {1: ("name", "text"), 2: ("image", "text"), 3: ("command", "texts"), 4: ("args", "texts")}
_TEMPLATE: Message = {1: ("metadata", _META), 2: ("spec", {2: ("containers", [_CONTAINER])})}
_DEPLOYMENT_SPEC: Message = {
    1: ("replicas", "int"), 2: ("selector", {1: ("matchLabels", "map")}), 3: ("template", _TEMPLATE)
}  # fmt: skip
_KINDS: dict[str, Message] = {
    "Namespace": {1: ("metadata", _META)},
    "ServiceAccount": {1: ("metadata", _META)},
    "ConfigMap": {1: ("metadata", _META), 2: ("data", "map"), 3: ("binaryData", "data")},
    "Secret": {1: ("metadata", _META), 2: ("data", "data"), 3: ("type", "text"), 4: ("stringData", "map")},
    "Deployment": {1: ("metadata", _META), 2: ("spec", _DEPLOYMENT_SPEC)},
    "DeleteOptions": {1: ("gracePeriodSeconds", "int"), 4: ("propagationPolicy", "text")},
}


def decode_object(body: bytes) -> Object:
    """The object. Raises 415 for kinds that are not known here, 400 for what is no such encoding."""
    if not body.startswith(_MAGIC):
        raise ApiError(400, "BadRequest", "the provided data is no Kubernetes protobuf")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        head = _message(envelope[1], {1: ("apiVersion", "text"), 2: ("kind", "text")})
        kind = _KINDS.get(head.get("kind", ""))
        if kind is None:
            message = f"protobuf of kind {head.get('kind')} is unknown to the sandbox; send application/json"
            raise ApiError(415, "UnsupportedMediaType", message)
        return head | _message(envelope.get(2, b""), kind)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ApiError(400, "BadRequest", f"the provided data is no Kubernetes protobuf: {error}") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 2:
                length, at = _varint(data, at)
                yield tag >> 3, data[at : at + length]
                at += length
            case wire:
                raise KeyError(f"wire type {wire}")


def _message(data: bytes, message: Message) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        if number not in message:
            continue
        name, form = message[number]
        match form:
            case "text":
                if value:
                    found[name] = value.decode()
            case "int":
                found[name] = value
            case "texts":
                found.setdefault(name, []).append(value.decode())
            case "map" | "data":
                entry = dict(_fields(value))
                key, content = entry.get(1, b"").decode(), entry.get(2, b"")
                found.setdefault(name, {})[key] = content.decode() if form == "map" else _base64(content)
            case [inner]:
                found.setdefault(name, []).append(_message(value, inner))
            case _:
                found[name] = _message(value, form)
    return found


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
