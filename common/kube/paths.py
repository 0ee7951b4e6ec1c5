"""Paths of objects in the API server: the one place where names become parts of a path."""

import re

from common.model.errors import NotFound

_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
"""DNS subdomain of RFC 1123: what the API server takes as the name of everything that we read and write. Needs no
quoting in a path."""


class NoSuchName(NotFound):
    """Nothing can have this name."""

    def __init__(self, name: str) -> None:
        super().__init__("NoSuchName", f"{name[:80]!r} is no name of an object")


def is_object_name(name: str) -> bool:
    return _OBJECT_NAME.fullmatch(name) is not None


def path_of(root: str, *segments: str) -> str:
    """`root` is a constant of ours, segments can be anybody's. Raises NoSuchName."""
    for segment in segments:
        if not is_object_name(segment):
            raise NoSuchName(segment)
    return "/".join((root, *segments))
