"""EC2's rules for tags (EC2 user guide, "Tag your Amazon EC2 resources", restrictions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.records import Tags

MAX_TAGS = 50
MAX_KEY_LENGTH = 128
MAX_VALUE_LENGTH = 256


def checked(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Tags as a mapping. Raises InvalidParameterValue and TagLimitExceeded."""
    result: dict[str, str] = {}
    for tag in tags:
        key, value = str(tag.get("Key", "")), str(tag.get("Value", ""))
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise Ec2Fault("InvalidParameterValue", f"Tag key '{key}' must have 1 to {MAX_KEY_LENGTH} characters.")
        if len(value) > MAX_VALUE_LENGTH:
            raise Ec2Fault("InvalidParameterValue", f"Tag value exceeds the maximum length of {MAX_VALUE_LENGTH}.")
        if key.lower().startswith("aws:"):
            raise Ec2Fault("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if key in result:
            raise Ec2Fault("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        result[key] = value
    return merged({}, result)


def merged(present: Tags, new: Tags) -> dict[str, str]:
    """`present` with `new` laid over it. Raises TagLimitExceeded."""
    result = {**present, **new}
    if len(result) > MAX_TAGS:
        raise Ec2Fault("TagLimitExceeded", f"More than {MAX_TAGS} tags specified")
    return result


def without(present: Tags, unwanted: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`present` less the tags named; one named with a value goes only if the value is the same."""
    result = dict(present)
    for tag in unwanted:
        key = str(tag.get("Key", ""))
        if key in result and tag.get("Value") in (None, result[key]):
            del result[key]
    return result


def from_specifications(specifications: Iterable[Mapping[str, Any]], resource_type: str) -> dict[str, str]:
    """The tags of a TagSpecifications parameter. Raises InvalidParameterValue for another type of resource."""
    tags: list[Mapping[str, Any]] = []
    for specification in specifications:
        if specification.get("ResourceType") != resource_type:
            raise Ec2Fault(
                "InvalidParameterValue", f"'{specification.get('ResourceType')}' is not a valid taggable resource type."
            )
        tags.extend(specification.get("Tags", ()))
    return checked(tags)


def shown(tags: Tags) -> list[dict[str, str]]:
    """Tags as answers carry them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
