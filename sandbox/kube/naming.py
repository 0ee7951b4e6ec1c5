"""Names, uids and object metadata: what the API server makes up and what it refuses."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from random import Random

from sandbox.kube.resources import Object, Resource
from sandbox.kube.schema import Cause
from sandbox.kube.status import bad_request, invalid

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated names: no vowels, nothing that looks like another (apimachinery's rand.String)."""
MAP_FIELDS = ("labels", "annotations")


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


class Names:
    """The source of uids and generated names."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def suffix(self) -> str:
        return "".join(self._random.choices(_ALPHABET, k=5))


def check_metadata(obj: Object) -> Object:
    """The object's metadata, cleaned of nulls. Raises 400 where labels or annotations are not texts."""
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    for field in MAP_FIELDS:
        entries = metadata.get(field)
        if entries is None:
            metadata.pop(field, None)
            continue
        for key, value in list(entries.items()):
            if value is None:
                entries[key] = ""
            elif not isinstance(value, str):
                raise bad_request(
                    f"json: cannot unmarshal {type(value).__name__} into Go struct field "
                    f"ObjectMeta.metadata.{field} of type string"
                )
        if not entries:
            del metadata[field]
    for field in ("finalizers", "ownerReferences", "managedFields"):
        if not metadata.get(field):
            metadata.pop(field, None)
    return metadata


def check_name(resource: Resource, metadata: Object) -> None:
    """Raises 422 for a missing or malformed name."""
    name = metadata.get("name") or ""
    causes: list[Cause] = []
    if not name:
        causes = [("FieldValueRequired", "metadata.name", "Required value: name or generateName is required")]
    elif len(name) > 253 or not _NAME.fullmatch(name):
        words = (
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character"
        )
        causes = [("FieldValueInvalid", "metadata.name", words)]
    causes += check_references(metadata)
    if causes:
        raise invalid(resource, name, causes)


def check_references(metadata: Object) -> list[Cause]:
    """Violations of owner references and finalizers."""
    found: list[Cause] = []
    for owner in metadata.get("ownerReferences") or ():
        found += [
            ("FieldValueInvalid", f"metadata.ownerReferences.{field}", 'Invalid value: "": must not be empty')
            for field in ("apiVersion", "kind", "name", "uid")
            if not owner.get(field)
        ]
    controllers = [o for o in metadata.get("ownerReferences") or () if o.get("controller")]
    if len(controllers) > 1:
        words = "Invalid value: Only one reference can have Controller set to true"
        found.append(("FieldValueInvalid", "metadata.ownerReferences", words))
    return found + _check_finalizers(metadata)


def _check_finalizers(metadata: Object) -> list[Cause]:
    standard = {"foregroundDeletion", "orphan", "kubernetes"}
    return [
        ("FieldValueInvalid", f"metadata.finalizers[{i}]",
         f'Invalid value: "{f}": name is neither a standard finalizer name nor is it fully qualified')
        for i, f in enumerate(metadata.get("finalizers") or ())
        if f not in standard and "/" not in f
    ]  # fmt: skip
