"""Filters of Describe calls: names, wildcards and limits as EC2's (API reference, "Filter")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.table import Record, View

MAX_FILTER_VALUES = 200
T = TypeVar("T")
R = TypeVar("R", bound=Record)
Property = Callable[[T], Iterable[str]]
"""All values that a record has for a filter."""


def flag(value: bool) -> tuple[str]:
    """A boolean as filters spell it."""
    return ("true" if value else "false",)


def _wild(value: str) -> bool:
    return "*" in value or "?" in value or "\\" in value


def _pattern(value: str) -> re.Pattern[str]:
    """EC2's wildcards: `*` any characters, `?` one, a backslash before either means itself."""
    out: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            out.append(re.escape(next(characters, "\\")))
        else:
            out.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
    return re.compile("".join(out), re.DOTALL)


def _test(values: Sequence[str]) -> Callable[[Iterable[str]], bool]:
    exact = frozenset(value for value in values if not _wild(value))
    patterns = [_pattern(value) for value in values if _wild(value)]
    if not patterns:
        return lambda found: any(value in exact for value in found)
    return lambda found: any(value in exact or any(p.fullmatch(value) for p in patterns) for value in found)


def _tag_property(name: str) -> Property[Any] | None:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda record: (record.tags[key],) if key in record.tags else ()
    if name == "tag-key":
        return lambda record: record.tags
    if name == "tag-value":
        return lambda record: record.tags.values()
    return None


def _named(given: Mapping[str, Any]) -> tuple[str, list[str]]:
    return str(given.get("Name", "")), [str(value) for value in given.get("Values", ())]


def meets(filters: Sequence[Mapping[str, Any]], properties: Mapping[str, Property[T]]) -> Callable[[T], bool]:
    """Whether a record meets every filter.

    Raises InvalidParameterValue for an unknown filter and FilterLimitExceeded for too many values.
    """
    if sum(len(given.get("Values", ())) for given in filters) > MAX_FILTER_VALUES:
        raise Ec2Fault("FilterLimitExceeded", f"The maximum number of filter values is {MAX_FILTER_VALUES}.")
    tests: list[tuple[Property[T], Callable[[Iterable[str]], bool]]] = []
    for name, values in map(_named, filters):
        values_of = _tag_property(name) or properties.get(name)
        if values_of is None:
            raise Ec2Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not values:
            raise Ec2Fault("InvalidParameterValue", f"The filter '{name}' needs a value")
        tests.append((values_of, _test(values)))
    return lambda record: all(test(values_of(record)) for values_of, test in tests)


def select(
    view: View[R], filters: Sequence[Mapping[str, Any]], properties: Mapping[str, Property[R]], indexed: frozenset[str]
) -> list[R]:
    """The records that meet every filter, oldest first. Raises as `meets`.

    `indexed` names the filters that the table has an index for; `tag:` filters always have one.
    """
    met = meets(filters, properties)
    keys: list[tuple[str, str]] | None = None
    for name, values in map(_named, filters):
        # An instance is the narrowest index that there is; else the first usable filter.
        usable = (name in indexed or name.startswith("tag:")) and not any(map(_wild, values))
        if usable and (keys is None or name == "attachment.instance-id"):
            keys = [(name, value) for value in values]
    records = view.all() if keys is None else view.candidates(keys)
    return [record for record in records if met(record)]
