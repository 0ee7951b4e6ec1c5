"""Structural schemas of custom resources: checking and pruning, for the keywords that our CRDs use."""

from __future__ import annotations

import re
from typing import Any

from sandbox.kube.resources import Object

Cause = tuple[str, str, str]
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)
}  # fmt: skip
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def check(value: Any, schema: Object, at: str = "") -> list[Cause]:
    """Violations as (reason, field, words), worded as apiextensions-apiserver does. Metadata is checked elsewhere."""
    if value is None and schema.get("nullable"):
        return []
    expected = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        ok = isinstance(value, (int, str)) and not isinstance(value, bool)
    else:
        ok = expected is None or (
            isinstance(value, _TYPES[expected]) and (expected == "boolean" or not isinstance(value, bool))
        )
    if not ok:
        seen = _NAMES.get(type(value), "null")
        return [
            ("FieldValueTypeInvalid", at, f'Invalid value: "{seen}": {at} in body must be of type {expected}: "{seen}"')
        ]
    found: list[Cause] = []
    if "enum" in schema and value not in schema["enum"]:
        options = ", ".join(f'"{o}"' for o in schema["enum"])
        found.append(("FieldValueNotSupported", at, f'Unsupported value: "{value}": supported values: {options}'))
    if isinstance(value, dict):
        found += _check_object(value, schema, at)
    elif isinstance(value, list):
        found += _check_array(value, schema, at)
    elif isinstance(value, str):
        found += _check_text(value, schema, at)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found += _check_number(value, schema, at)
    return found


def _check_array(value: list[Any], schema: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    if len(value) < schema.get("minItems", 0):
        words = f"Invalid value: {len(value)}: {at} in body should have at least {schema['minItems']} items"
        found.append(("FieldValueInvalid", at, words))
    if len(value) > schema.get("maxItems", len(value)):
        words = f"Too many: {len(value)}: must have at most {schema['maxItems']} items"
        found.append(("FieldValueTooMany", at, words))
    for i, entry in enumerate(value):
        found += check(entry, schema.get("items", {}), f"{at}[{i}]")
    return found


def _check_text(value: str, schema: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    if len(value) < schema.get("minLength", 0):
        words = f'Invalid value: "{value}": {at} in body should be at least {schema["minLength"]} chars long'
        found.append(("FieldValueInvalid", at, words))
    if "pattern" in schema and not re.search(schema["pattern"], value):
        words = f"Invalid value: \"{value}\": {at} in body should match '{schema['pattern']}'"
        found.append(("FieldValueInvalid", at, words))
    return found


def _check_number(value: float, schema: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    if value < schema.get("minimum", value):
        words = f"Invalid value: {value}: {at} in body should be greater than or equal to {schema['minimum']}"
        found.append(("FieldValueInvalid", at, words))
    if value > schema.get("maximum", value):
        words = f"Invalid value: {value}: {at} in body should be less than or equal to {schema['maximum']}"
        found.append(("FieldValueInvalid", at, words))
    return found


def _check_object(value: Object, schema: Object, at: str) -> list[Cause]:
    found: list[Cause] = [
        ("FieldValueRequired", _join(at, name), "Required value")
        for name in schema.get("required", ())
        if name not in value
    ]
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    for name, inner in value.items():
        if not at and name in ("metadata", "kind", "apiVersion"):
            continue
        if name in properties:
            found += check(inner, properties[name], _join(at, name))
        elif isinstance(extra, dict):
            found += check(inner, extra, _join(at, name))
    return found


def check_changes(old: Any, new: Any, schema: Object, at: str = "") -> list[Cause]:
    """Violations of the one transition rule that our CRDs use on fields, `self == oldSelf`. It says nothing of fields
    that are set or taken away. No other rule of CEL is known here."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = schema.get("properties", {})
        return [
            cause
            for name in inner
            if name in old and name in new
            for cause in check_changes(old[name], new[name], inner[name], _join(at, name))
        ]
    rules = schema.get("x-kubernetes-validations", ())
    refused = [rule for rule in rules if rule["rule"] == "self == oldSelf" and old != new]
    kind = schema.get("type")
    return [("FieldValueInvalid", at, f'Invalid value: "{kind}": {rule.get("message", "failed")}') for rule in refused]


def prune(value: Any, schema: Object, at: str = "") -> list[str]:
    """Removes what the schema does not name, in place, and returns the paths; nulls of unnullable fields go, too."""
    dropped: list[str] = []
    if isinstance(value, list):
        for i, entry in enumerate(value):
            dropped += prune(entry, schema.get("items", {}), f"{at}[{i}]")
    if not isinstance(value, dict):
        return dropped
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    keep = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or extra is True
    for name in list(value):
        if not at and name in ("metadata", "kind", "apiVersion"):
            continue
        inner = properties.get(name, extra if isinstance(extra, dict) else None)
        if inner is not None:
            dropped += prune(value[name], inner, _join(at, name))
        elif not keep:
            del value[name]
            dropped.append(_join(at, name))
    return dropped


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
