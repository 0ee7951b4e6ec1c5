"""The Describe actions: ids, filters, pages, and a state that may lag behind the writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.ec2 import render
from sandbox.ec2.actions.properties import (
    ASSOCIATION_FILTERS,
    GROUP_FILTERS,
    INSTANCE_FILTERS,
    INTERFACE_FILTERS,
    PERMISSION_FILTERS,
    SUBNET_FILTERS,
    TYPE_FILTERS,
    VPC_FILTERS,
)
from sandbox.ec2.errors import Ec2Fault
from sandbox.ec2.filters import Property, meets, select
from sandbox.ec2.paging import MAX_PAGE, page
from sandbox.ec2.state import INDEXED_INTERFACE_FILTERS, Ec2State, Params, Result
from sandbox.ec2.table import Record, View

R = TypeVar("R", bound=Record)
_MAX_TYPES = 100


def _describe(
    view: View[R],
    params: Params,
    properties: Mapping[str, Property[R]],
    *,
    ids: str,
    unknown: Callable[[list[str]], Ec2Fault],
    indexed: frozenset[str] = frozenset(),
    cut_first: bool = False,
) -> tuple[list[R], str | None]:
    """The records asked for, and the token of the next page. `cut_first`: pages are cut before the filters."""
    wanted: Sequence[str] = params.get(ids) or ()
    if len(wanted) > MAX_PAGE:
        raise Ec2Fault("InvalidParameterValue", f"{ids} takes at most {MAX_PAGE} ids.")
    filters = params.get("Filters") or ()
    if not wanted and cut_first:
        records, token = page(view.all(), params, ids=())
        return list(filter(meets(filters, properties), records)), token
    if not wanted:
        return page(select(view, filters, properties, indexed), params, ids=())
    found = {identifier: view.get(identifier) for identifier in wanted}
    missing = [identifier for identifier, record in found.items() if record is None]
    if missing:
        raise unknown(missing)
    records = sorted((record for record in found.values() if record is not None), key=lambda record: record.serial)
    if filters:
        allowed = {record.id for record in select(view, filters, properties, indexed)}
        records = [record for record in records if record.id in allowed]
    return page(records, params, ids=wanted)


def _unknown(kind: str, code: str) -> Callable[[list[str]], Ec2Fault]:
    def fault(missing: list[str]) -> Ec2Fault:
        if len(missing) == 1:
            return Ec2Fault(code, f"The {kind} ID '{missing[0]}' does not exist")
        return Ec2Fault(code, f"The {kind} IDs '{', '.join(missing)}' do not exist")

    return fault


def _answer(name: str, items: list[dict[str, Any]], token: str | None) -> Result:
    return {name: items} if token is None else {name: items, "NextToken": token}


def _moment(state: Ec2State) -> float:
    return state.now - state.pick(state.behaviour.describe_lag)


def network_interfaces(state: Ec2State, params: Params) -> Result:
    """DescribeNetworkInterfaces."""
    records, token = _describe(
        state.interfaces.as_of(_moment(state)), params, INTERFACE_FILTERS, ids="NetworkInterfaceIds",
        unknown=_unknown("networkInterface", "InvalidNetworkInterfaceID.NotFound"), indexed=INDEXED_INTERFACE_FILTERS,
        cut_first=state.behaviour.pages_before_filters,
    )  # fmt: skip
    return _answer("NetworkInterfaces", [render.interface(state, record) for record in records], token)


def instances(state: Ec2State, params: Params) -> Result:
    """DescribeInstances: each in a reservation of its own, with its interfaces."""
    moment = _moment(state)
    _check_zones(state, params)
    records, token = _describe(
        state.instances.as_of(moment), params, INSTANCE_FILTERS, ids="InstanceIds",
        unknown=_unknown("instance", "InvalidInstanceID.NotFound"), cut_first=state.behaviour.pages_before_filters,
    )  # fmt: skip
    interfaces = state.interfaces.as_of(moment)
    reservations: list[dict[str, Any]] = []
    for record in records:
        attached = [
            one
            for one in interfaces.candidates([("attachment.instance-id", record.id)])
            if one.attachment is not None and one.attachment.instance_id == record.id
        ]
        reservations.append(
            {
                "ReservationId": f"r-{record.id.removeprefix('i-')}",
                "OwnerId": state.account,
                "Groups": [],
                "Instances": [render.instance(state, record, attached)],
            }
        )
    return _answer("Reservations", reservations, token)


def _check_zones(state: Ec2State, params: Params) -> None:
    """Raise Unavailable where a zone is disrupted and the call has an id of it, or none (SDK, "DescribeInstances")."""
    down = state.behaviour.zones_down
    ids = params.get("InstanceIds") or ()
    if down and (not ids or any(one.az in down for one in map(state.instances.get, ids) if one is not None)):
        raise Ec2Fault("Unavailable", "The service is unavailable. Please try again shortly.")


def subnets(state: Ec2State, params: Params) -> Result:
    """DescribeSubnets."""
    records, token = _describe(
        state.subnets.as_of(_moment(state)), params, SUBNET_FILTERS, ids="SubnetIds",
        unknown=_unknown("subnet", "InvalidSubnetID.NotFound"),
    )  # fmt: skip
    return _answer("Subnets", [render.subnet(state, record) for record in records], token)


def vpcs(state: Ec2State, params: Params) -> Result:
    """DescribeVpcs."""
    records, token = _describe(
        state.vpcs.as_of(_moment(state)), params, VPC_FILTERS, ids="VpcIds",
        unknown=_unknown("vpc", "InvalidVpcID.NotFound"),
    )  # fmt: skip
    return _answer("Vpcs", [render.vpc(state, record) for record in records], token)


def security_groups(state: Ec2State, params: Params) -> Result:
    """DescribeSecurityGroups."""
    records, token = _describe(
        state.groups.as_of(_moment(state)), params, GROUP_FILTERS, ids="GroupIds",
        unknown=_unknown("security group", "InvalidGroup.NotFound"),
    )  # fmt: skip
    return _answer("SecurityGroups", [render.security_group(state, record) for record in records], token)


def permissions(state: Ec2State, params: Params) -> Result:
    """DescribeNetworkInterfacePermissions."""
    records, token = _describe(
        state.permissions.as_of(_moment(state)), params, PERMISSION_FILTERS, ids="NetworkInterfacePermissionIds",
        unknown=_unknown("permission", "InvalidPermissionID.NotFound"),
    )  # fmt: skip
    return _answer("NetworkInterfacePermissions", [render.permission(record) for record in records], token)


def associations(state: Ec2State, params: Params) -> Result:
    """DescribeTrunkInterfaceAssociations."""
    records, token = _describe(
        state.associations.as_of(_moment(state)), params, ASSOCIATION_FILTERS, ids="AssociationIds",
        unknown=_unknown("association", "InvalidAssociationID.NotFound"),
    )  # fmt: skip
    return _answer("InterfaceAssociations", [render.association(record) for record in records], token)


def instance_types(state: Ec2State, params: Params) -> Result:
    """DescribeInstanceTypes: by name or by filter, or all, 100 to an answer."""
    wanted = params.get("InstanceTypes") or ()
    missing = sorted(set(wanted) - set(state.limits))
    if missing:
        raise Ec2Fault(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(missing)}]"
        )
    if len(wanted) > _MAX_TYPES:
        raise Ec2Fault("InvalidParameterValue", f"InstanceTypes takes at most {_MAX_TYPES} types.")
    met = meets(params.get("Filters") or (), TYPE_FILTERS)
    after = params.get("NextToken") or ""
    names = [name for name in sorted(wanted or state.limits) if name > after and met(state.limits[name])]
    size = min(params.get("MaxResults") or _MAX_TYPES, _MAX_TYPES)
    token = names[size - 1] if len(names) > size else None
    items = [render.instance_type(name, state.limits[name]) for name in names[:size]]
    return _answer("InstanceTypes", items, token)
