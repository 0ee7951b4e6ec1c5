"""Label and field selectors, parsed as apimachinery does, compiled to functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.kube.resources import Object
from sandbox.kube.status import bad_request

Matches = Callable[[Mapping[str, str]], bool]
_TOKEN = re.compile(r"\s*(?:(?P<op>!=|==|=|!|\(|\)|,|<|>)|(?P<word>[^\s=!(),<>]+))")


def everything(_: Mapping[str, str]) -> bool:
    return True


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise bad_request(f"unable to parse requirement: {text[at:]!r}")
        found.append(match.group("op") or match.group("word"))
        at = match.end()
    return found


def label_selector(text: str) -> Matches:
    """`a=b,c!=d,e in (f,g),!h,i` as a function of labels. Raises 400 for what does not parse."""
    tokens, at, terms = _tokens(text), 0, list[Matches]()

    def take(what: str | None = None) -> str:
        nonlocal at
        token = tokens[at] if at < len(tokens) else ""
        if what is not None and token != what:
            raise bad_request(f"unable to parse requirement: found '{token}', expected: '{what}'")
        at += 1
        return token

    while at < len(tokens):
        if tokens[at] == "!":
            take()
            terms.append(_requirement(take(), "DoesNotExist", frozenset()))
        else:
            key = take()
            operator = take() if at < len(tokens) and tokens[at] != "," else "exists"
            match operator:
                case "exists":
                    terms.append(_requirement(key, "Exists", frozenset()))
                case "=" | "==" | "!=":
                    value = "" if at >= len(tokens) or tokens[at] == "," else take()
                    terms.append(_requirement(key, "NotIn" if operator == "!=" else "In", frozenset({value})))
                case "in" | "notin":
                    take("(")
                    values = set()
                    while at < len(tokens) and tokens[at] != ")":
                        values.add("" if tokens[at] == "," else take())
                        if at < len(tokens) and tokens[at] == ",":
                            take()
                    take(")")
                    terms.append(_requirement(key, "In" if operator == "in" else "NotIn", frozenset(values)))
                case _:
                    raise bad_request(
                        f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
                    )
        if at < len(tokens):
            take(",")
    return _all(terms)


def structured_selector(selector: Object | None) -> Matches:
    """A LabelSelector object (matchLabels, matchExpressions); none and empty match everything."""
    selector = selector or {}
    terms = [_requirement(k, "In", frozenset({v})) for k, v in (selector.get("matchLabels") or {}).items()]
    expressions = selector.get("matchExpressions") or ()
    terms += [_requirement(e["key"], e["operator"], frozenset(e.get("values") or ())) for e in expressions]
    return _all(terms)


def _requirement(key: str, operator: str, values: frozenset[str]) -> Matches:
    match operator:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: key not in labels or labels[key] not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case _:
            raise bad_request(f'"{operator}" is not a valid label selector operator')


def _all(terms: list[Matches]) -> Matches:
    if not terms:
        return everything
    return terms[0] if len(terms) == 1 else lambda labels: all(term(labels) for term in terms)


def field_terms(text: str, supported: tuple[str, ...]) -> list[tuple[str, bool, str]]:
    """Terms of (field, equal, value). Raises 400 for fields that the resource cannot select by."""
    found = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*([^=!\s]+?)\s*(==|=|!=)\s*(.*?)\s*", part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = match.groups()
        field = {"source": "source.component"}.get(field, field)
        if field not in ("metadata.name", "metadata.namespace") and field not in supported:
            raise bad_request(f"field label not supported: {field}")
        found.append((field, operator != "!=", value))
    return found


def field_selector(terms: list[tuple[str, bool, str]]) -> Matches:
    if not terms:
        return everything
    return lambda fields: all((fields.get(field, "") == value) is equal for field, equal, value in terms)


def field_value(obj: Object, path: str) -> str:
    """The text that a field selector compares: absent is empty, booleans are true and false."""
    at: Any = obj
    for step in path.split("."):
        at = at.get(step) if isinstance(at, dict) else None
    if isinstance(at, bool) or (at is None and path in ("spec.hostNetwork", "spec.unschedulable")):
        return "true" if at else "false"
    return "" if at is None else str(at)
