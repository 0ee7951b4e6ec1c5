"""Decoding that keeps what is good of an object and reports the rest.

The fast path is msgspec's typed decoding. An object with one bad value (a label that is a number, a null where a list
belongs) goes through the slow path: field by field, entry by entry, what does not fit is left at its default.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from common.kube.nesting import pruned
from common.logging import get_logger

T = TypeVar("T")

Raw = bytes | msgspec.Raw | Mapping[str, Any] | msgspec.Struct
"""An object as the API server wrote it, encoded or decoded, or as a struct of common.kube.raw already."""

Report = Callable[[str], None]
"""Called with what was wrong with an object, in words for a log."""

_log = get_logger(__name__)
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def log_problem(problem: str) -> None:
    _log.warning("object of the API server is malformed", problem=problem)


def decode(raw: Raw, into: type[T], report: Report) -> T | None:
    """`raw` as the struct `into`. Never raises: a bad value is reported and left at its default. None where `raw` is
    no JSON object at all."""
    if isinstance(raw, into):
        return raw
    if isinstance(raw, msgspec.Struct):
        # What is known of a deleted object is its identity.
        return msgspec.convert(raw, into, from_attributes=True)
    try:
        if isinstance(raw, Mapping):
            return msgspec.convert(raw, into)
        decoder = _DECODERS.get(into)
        if decoder is None:
            decoder = _DECODERS[into] = msgspec.json.Decoder(into)
        try:
            decoded: T = decoder.decode(raw)
        except RecursionError:
            raw = pruned(bytes(raw))
            decoded = decoder.decode(raw)
        return decoded
    except (msgspec.DecodeError, ValueError) as error:
        report(str(error))
    try:
        plain = raw if isinstance(raw, Mapping) else msgspec.json.decode(raw)
        return msgspec.convert(_fitting(plain, inspect.type_info(into)), into)
    except (msgspec.DecodeError, ValueError, _Unfit):
        return None


class _Unfit(Exception):
    """A value that cannot be made to fit; whoever holds it leaves it out."""


def _fitting(value: Any, kind: inspect.Type) -> Any:
    """The part of `value` that fits `kind`. Raises _Unfit where nothing does."""
    match kind:
        case inspect.UnionType(types=types):
            return _fitting_any(value, types)
        case inspect.StructType(fields=fields) if isinstance(value, Mapping):
            entries = ((f.encode_name, f.type) for f in fields if f.encode_name in value)
            return dict(_kept((name, value[name], inner) for name, inner in entries))
        case inspect.DictType(value_type=inner) if isinstance(value, Mapping):
            return dict(_kept((key, entry, inner) for key, entry in value.items() if isinstance(key, str)))
        case inspect.VarTupleType(item_type=inner) if isinstance(value, list | tuple):
            return [entry for _, entry in _kept(("", entry, inner) for entry in value)]
        case inspect.NoneType() if value is None:
            return None
        case inspect.StrType() if isinstance(value, str):
            return value
        case inspect.BoolType() if isinstance(value, bool):
            return value
        case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
            return value
    raise _Unfit


def _fitting_any(value: Any, kinds: Iterable[inspect.Type]) -> Any:
    for kind in kinds:
        try:
            return _fitting(value, kind)
        except _Unfit:
            continue
    raise _Unfit


def _kept(entries: Iterable[tuple[str, Any, inspect.Type]]) -> Iterator[tuple[str, Any]]:
    for name, value, kind in entries:
        try:
            yield name, _fitting(value, kind)
        except _Unfit:
            continue
