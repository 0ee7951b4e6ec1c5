"""Label selectors, as the API server's own (k8s.io/apimachinery `LabelSelectorAsSelector`)."""

import re
from collections.abc import Mapping

from common.model.errors import ControllerError
from common.model.policy import LabelSelector, Requirement

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_DOMAIN_LIMIT = 253


class InvalidSelector(ControllerError):
    """The selector is none that Kubernetes accepts. A CRD's schema lets such ones pass, so they do come."""


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected. An empty selector matches everything; NotIn and DoesNotExist
    match an object without the key. Raises InvalidSelector, whatever the labels are."""
    validate(selector)
    return selected(selector, labels)


def selected(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """As `matches`, for a selector that was found valid before."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _satisfied(requirement, labels) for requirement in selector.match_expressions
    )


def validate(selector: LabelSelector) -> None:
    """Raises InvalidSelector with a sentence about the first fault found."""
    for key, value in selector.match_labels.items():
        _check_key(key)
        _check_value(value)
    for requirement in selector.match_expressions:
        _check_key(requirement.key)
        match requirement.operator:
            case "In" | "NotIn":
                if not requirement.values:
                    raise InvalidSelector(f"{requirement.operator} of key {requirement.key!r} has no values")
            case "Exists" | "DoesNotExist":
                if requirement.values:
                    raise InvalidSelector(f"{requirement.operator} of key {requirement.key!r} has values")
            case _:
                raise InvalidSelector(f"{requirement.operator!r} is no operator")
        for value in requirement.values:
            _check_value(value)


def _satisfied(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _check_key(key: str) -> None:
    domain, slash, name = key.rpartition("/")
    if slash and (len(domain) > _DOMAIN_LIMIT or not _DOMAIN.fullmatch(domain)):
        raise InvalidSelector(f"{key!r} is no label key")
    if not _NAME.fullmatch(name):
        raise InvalidSelector(f"{key!r} is no label key")


def _check_value(value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise InvalidSelector(f"{value!r} is no label value")
