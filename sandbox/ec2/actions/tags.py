"""CreateTags and DeleteTags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.ec2 import tagging
from sandbox.ec2.errors import Ec2Fault, not_found
from sandbox.ec2.records import Tags
from sandbox.ec2.state import Ec2State, Params, Result, required

_UNKNOWN = {
    "eni-": ("networkInterface", "InvalidNetworkInterfaceID.NotFound"),
    "i-": ("instance", "InvalidInstanceID.NotFound"),
    "subnet-": ("subnet", "InvalidSubnetID.NotFound"),
    "sg-": ("security group", "InvalidGroup.NotFound"),
    "vpc-": ("vpc", "InvalidVpcID.NotFound"),
}


def create(state: Ec2State, params: Params) -> Result:
    """CreateTags: on all the resources, or on none."""
    tags = tagging.checked(required(params, "Tags"))
    _retag(state, required(params, "Resources"), lambda present: tagging.merged(present, tags))
    return {}


def delete(state: Ec2State, params: Params) -> Result:
    """DeleteTags: all tags of the resources where none is named."""
    unwanted: list[Mapping[str, Any]] | None = params.get("Tags") or None
    _retag(
        state,
        required(params, "Resources"),
        lambda present: {} if unwanted is None else tagging.without(present, unwanted),
    )
    return {}


def _retag(state: Ec2State, resources: list[str], change: Callable[[Tags], Tags]) -> None:
    puts: list[Callable[[], None]] = [_put(state, identifier, change) for identifier in resources]
    for put in puts:
        put()


def _put(state: Ec2State, identifier: str, change: Callable[[Tags], Tags]) -> Callable[[], None]:
    for table in (state.interfaces, state.instances, state.subnets, state.groups, state.vpcs):
        record: Any = table.get(identifier)
        if record is not None:
            untyped: Any = table
            changed = replace(record, tags=change(record.tags))
            return lambda: untyped.put(changed, state.now)
    for prefix, (kind, code) in _UNKNOWN.items():
        if identifier.startswith(prefix):
            raise not_found(kind, identifier, code)
    raise Ec2Fault("InvalidID", f"The ID '{identifier}' is not valid")
