"""Reads of whole collections, for the checks: of the API server, and of EC2 by filter."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from common.ec2.api import FILTER_VALUES
from common.ec2.errors import translate
from common.ec2.shapes import chunks
from common.kube.calls import pages
from common.kube.transport import Transport

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]


def listed(transport: Transport, path: str) -> Iterator[Any]:
    """Every object of a collection, a page in memory at a time. Raises OutsideError."""
    for page in pages(transport, path):
        for item in page.items or ():
            yield msgspec.json.decode(item)


def described(invoke: Invoke, operation: str, key: str, name: str, values: Iterable[str]) -> Iterator[Any]:
    """What EC2 has under `key` where the filter `name` has one of the values; unknown ids are absent. Raises
    OutsideError."""
    for some in chunks(sorted(set(values)), FILTER_VALUES):
        params: dict[str, Any] = {"Filters": [{"Name": name, "Values": list(some)}], "MaxResults": 1000}
        while True:
            answer = asked(invoke, operation, params)
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                break
            params = {**params, "NextToken": answer["NextToken"]}


def asked(invoke: Invoke, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """EC2's answer. Raises OutsideError."""
    try:
        return invoke(operation, params)
    except Exception as error:
        ours = translate(operation, error)
        if ours is None:
            raise
        raise ours from error


def name_of(item: Any) -> str:
    """namespace/name, or the name of what has no namespace."""
    metadata = item.get("metadata") or {}
    return "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
