"""JSON that is nested too deeply to decode.

The API server accepts 10,000 levels in fields that a schema preserves; msgspec raises RecursionError from about 1,000.
Everything that we read lies within the first dozen levels.
"""

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

DEEPEST = 100
"""Levels that are kept: far more than any field that we read, far fewer than what msgspec can do."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)


def decode_json(raw: bytes | msgspec.Raw, into: type[T]) -> T:
    """`raw` as `into`. What is nested deeper than `DEEPEST` counts as null where the document is too deep as a whole.
    Raises msgspec.DecodeError or ValueError for what is no such value."""
    try:
        return msgspec.json.decode(raw, type=into)
    except RecursionError:
        return msgspec.json.decode(pruned(bytes(raw)), type=into)


def decode_object(raw: bytes) -> dict[str, Any]:
    """`raw` as an untyped object, whole: for objects that are written back. Raises msgspec.DecodeError or ValueError
    for anything else, and for an object that is nested too deeply."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def pruned(document: bytes, deepest: int = DEEPEST) -> bytes:
    """The document with null in place of every array and object below `deepest` levels. Reads without recursion."""
    kept: list[bytes] = []
    depth, begin = 0, 0
    for token in _TOKEN.finditer(document):
        match document[token.start() : token.start() + 1]:
            case b"{" | b"[":
                depth += 1
                if depth == deepest + 1:
                    kept += [document[begin : token.start()], b"null"]
            case b"}" | b"]":
                if depth == deepest + 1:
                    begin = token.end()
                depth -= 1
    kept.append(document[begin:])
    return b"".join(kept)
