"""Every EC2 operation that the controller uses, as a method of the same name."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from common.ec2 import shapes
from common.ec2.errors import DUPLICATE_PERMISSION, INVALID_PARAMETER, NO_FREE_PREFIX, translate
from common.ec2.gate import Gate
from common.metrics import SUBNET_FREE
from common.model.ec2 import Instance, Interface, Subnet
from common.model.errors import Invalid, LimitExceeded, NotFound, SubnetExhausted, Throttled, Unsure
from common.model.ids import (
    AssociationId,
    AttachmentId,
    ClientToken,
    EniId,
    GroupId,
    InstanceId,
    Ipv4,
    Prefix,
    SubnetId,
    VlanId,
)
from common.model.limits import InstanceLimits
from common.model.warrant import Warrant

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Makes one EC2 call: the operation's name and boto3's parameters in, boto3's answer out; raises botocore's errors."""

FILTER_VALUES = 200
"""EC2 takes at most this many values in all filters of a call together."""
PAGE = 1000
"""The largest page that Describe operations give."""
ID_PARAMETERS = {
    "instance-id": "InstanceIds",
    "network-interface-id": "NetworkInterfaceIds",
    "subnet-id": "SubnetIds",
}
"""Filters that have a parameter of their own; EC2 takes no page size beside those."""
DEFAULT_GROUPS = 5
"""Security groups of an interface, unless the account's quota was raised; it cannot be lowered."""
ASSOCIATIONS_PAGE = 255
"""The largest page of DescribeTrunkInterfaceAssociations."""


class Ec2:
    """EC2 in our types. Every method raises the classes of `common.model.errors` and, where the gate says so before a
    call was made, `Deferred`. Stateless: threads may share one, if its gate allows that."""

    def __init__(self, invoke: Invoke, gate: Gate, *, vpc: str = "") -> None:
        """`vpc`: where all interfaces are that are looked for by filter; "": anywhere in the account."""
        self._invoke = invoke
        self._gate = gate
        self._vpc = vpc

    def with_gate(self, gate: Gate) -> "Ec2":
        """The same EC2 behind another gate."""
        return Ec2(self._invoke, gate, vpc=self._vpc)

    # --- looking

    def describe_instances(self, ids: Iterable[InstanceId]) -> dict[InstanceId, Instance]:
        """Those that EC2 knows, terminated ones included; unknown ids are absent."""
        operation = "DescribeInstances"
        raws = self._describe(operation, "Reservations", "instance-id", ids)
        with _whole(operation):
            found = [shapes.instance(raw) for reservation in raws for raw in reservation["Instances"]]
        return {one.instance_id: one for one in found}

    def describe_subnets(self, ids: Iterable[SubnetId]) -> dict[SubnetId, Subnet]:
        """Those that EC2 knows; unknown ids are absent."""
        operation = "DescribeSubnets"
        raws = self._describe(operation, "Subnets", "subnet-id", ids)
        with _whole(operation):
            raws = list(raws)
            found = [shapes.subnet(raw) for raw in raws]
        for raw in raws:
            if (free := raw.get("AvailableIpAddressCount")) is not None:
                SUBNET_FREE.labels(raw["SubnetId"]).set(free)
        return {one.subnet_id: one for one in found}

    def describe_interfaces(
        self, *, ids: Iterable[EniId] = (), filters: Mapping[str, Sequence[str]] | None = None
    ) -> list[Interface]:
        """Interfaces of these ids that satisfy every filter (a filter by any of its values). Without ids: all of our
        VPC that satisfy the filters. Unknown ids are absent. One filter may have any number of values, if there are
        no ids."""
        wanted = dict(filters or {})
        name, values = "network-interface-id", list(ids)
        if not values:
            name = max(wanted, key=lambda key: len(wanted[key]), default="")
            values = [EniId(value) for value in wanted.pop(name, ())]
            if not values:
                return []
            if self._vpc:
                wanted.setdefault("vpc-id", [self._vpc])
        operation = "DescribeNetworkInterfaces"
        raws = self._describe(operation, "NetworkInterfaces", name, values, wanted)
        with _whole(operation):
            found = [shapes.interface(raw) for raw in raws]
        return list({one.eni_id: one for one in found}.values())

    def describe_instance_types(self, types: Iterable[str]) -> dict[str, InstanceLimits]:
        """Those that EC2 has in this region, without their branch interfaces, which it does not tell."""
        operation = "DescribeInstanceTypes"
        found = []
        for some in shapes.chunks(types, FILTER_VALUES):
            # Without MaxResults: of types EC2 allows a hundred to a page, of all else a thousand.
            raws = self._pages(operation, "InstanceTypes", {"Filters": shapes.filters({"instance-type": some})})
            with _whole(operation):
                found += [shapes.instance_limits(raw) for raw in raws]
        return {one.instance_type: one for one in found}

    def trunk_associations(self) -> list[tuple[EniId, EniId, VlanId, AssociationId]]:
        """(branch, trunk, VLAN, association) of the account. Denied to assumed roles."""
        operation = "DescribeTrunkInterfaceAssociations"
        raws = self._pages(operation, "InterfaceAssociations", {"MaxResults": ASSOCIATIONS_PAGE})
        with _whole(operation):
            return [
                (
                    EniId(raw["BranchInterfaceId"]),
                    EniId(raw["TrunkInterfaceId"]),
                    VlanId(raw["VlanId"]),
                    AssociationId(raw["AssociationId"]),
                )
                for raw in raws
            ]

    # --- interfaces

    def create_network_interface(
        self,
        *,
        subnet: SubnetId,
        groups: Sequence[GroupId],
        description: str,
        tags: Mapping[str, str],
        token: ClientToken,
        trunk: bool = False,
    ) -> Interface:
        """Make an interface, or give the one that the same token made before. A branch is made as an ordinary
        interface: associating it makes it a branch."""
        operation = "CreateNetworkInterface"
        params: dict[str, Any] = {
            "SubnetId": subnet,
            "Description": description,
            "ClientToken": token,
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": shapes.tags(tags)}],
        }
        if groups:
            params["Groups"] = list(groups)
        if trunk:
            params["InterfaceType"] = "trunk"
        try:
            answer = self._call(operation, params)
        except Invalid as error:
            if error.code == INVALID_PARAMETER and len(groups) > DEFAULT_GROUPS:
                raise LimitExceeded(error.code, f"{error.message} ({len(groups)} security groups)") from error
            raise
        with _whole(operation):
            made = shapes.interface(answer["NetworkInterface"])
        if not (made.mac and (made.primary_ip or made.ipv6)):
            raise Unsure("IncompleteAnswer", f"{operation} of {made.eni_id}: without address")
        return made

    def create_network_interface_permission(self, eni: EniId, account: str) -> None:
        """Allow the account to attach the interface. That it may already is success."""
        params = {"NetworkInterfaceId": eni, "AwsAccountId": account, "Permission": "INSTANCE-ATTACH"}
        try:
            self._call("CreateNetworkInterfacePermission", params)
        except Invalid as error:
            if error.code != DUPLICATE_PERMISSION:
                raise

    def attach_network_interface(self, eni: EniId, instance: InstanceId, device_index: int) -> AttachmentId:
        """Attach to the default network card. InUse: the index is taken or the interface attached elsewhere. No
        client token: look before repeating. The card is named because EC2 else counts an index as taken that is
        taken on another card."""
        params = {
            "NetworkInterfaceId": eni,
            "InstanceId": instance,
            "DeviceIndex": device_index,
            "NetworkCardIndex": 0,
        }
        operation = "AttachNetworkInterface"
        answer = self._call(operation, params)
        with _whole(operation):
            return AttachmentId(answer["AttachmentId"])

    def detach_network_interface(self, attachment: AttachmentId, *, force: bool = False) -> None:
        params: dict[str, Any] = {"AttachmentId": attachment}
        if force:
            params["Force"] = True
        self._call("DetachNetworkInterface", params)

    def modify_delete_on_termination(self, eni: EniId, attachment: AttachmentId) -> None:
        """Let the interface go with its instance."""
        setting = {"AttachmentId": attachment, "DeleteOnTermination": True}
        self._call("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": eni, "Attachment": setting})

    def modify_groups(self, eni: EniId, groups: Sequence[GroupId]) -> None:
        """Replace the interface's security groups."""
        self._call("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": eni, "Groups": list(groups)})

    def create_tags(self, eni: EniId, tags: Mapping[str, str]) -> None:
        """Set these tags of an interface; its others stay."""
        self._call("CreateTags", {"Resources": [eni], "Tags": shapes.tags(tags)})

    def delete_network_interface(self, warrant: Warrant) -> None:
        self._call("DeleteNetworkInterface", {"NetworkInterfaceId": warrant.eni_id})

    # --- trunking

    def associate_trunk_interface(
        self, *, branch: EniId, trunk: EniId, vlan: VlanId, token: ClientToken
    ) -> AssociationId:
        """Put the branch onto the trunk, or give the association that the same token made before."""
        operation = "AssociateTrunkInterface"
        params = {"BranchInterfaceId": branch, "TrunkInterfaceId": trunk, "VlanId": vlan, "ClientToken": token}
        answer = self._call(operation, params)
        with _whole(operation):
            return AssociationId(answer["InterfaceAssociation"]["AssociationId"])

    def disassociate_trunk_interface(self, warrant: Warrant, association: AssociationId, token: ClientToken) -> None:
        """End an association of the warrant's interface: that it is one of it is for the caller to know."""
        self._call("DisassociateTrunkInterface", {"AssociationId": association, "ClientToken": token})

    # --- addresses

    def assign_private_ip_addresses(self, eni: EniId, count: int) -> tuple[Ipv4, ...]:
        """Give the interface so many more secondary addresses. No client token: look before repeating."""
        operation = "AssignPrivateIpAddresses"
        answer = self._call(operation, {"NetworkInterfaceId": eni, "SecondaryPrivateIpAddressCount": count})
        with _whole(operation):
            return tuple(Ipv4(one["PrivateIpAddress"]) for one in answer["AssignedPrivateIpAddresses"])

    def assign_ipv4_prefixes(self, eni: EniId, count: int) -> tuple[Prefix, ...]:
        """Give the interface so many more /28 prefixes. No client token: look before repeating. For a full subnet
        EC2 has no code of its own here; the other parameter is an id that it gave us."""
        operation = "AssignPrivateIpAddresses"
        try:
            answer = self._call(operation, {"NetworkInterfaceId": eni, "Ipv4PrefixCount": count})
        except Invalid as error:
            if error.code == INVALID_PARAMETER:
                raise SubnetExhausted(NO_FREE_PREFIX, str(error)) from error
            raise
        with _whole(operation):
            return tuple(Prefix(one["Ipv4Prefix"]) for one in answer["AssignedIpv4Prefixes"])

    def unassign_private_ip_addresses(self, warrant: Warrant) -> None:
        params = {"NetworkInterfaceId": warrant.eni_id, "PrivateIpAddresses": list(warrant.addresses)}
        self._call("UnassignPrivateIpAddresses", params)

    def unassign_ipv4_prefixes(self, warrant: Warrant) -> None:
        params = {"NetworkInterfaceId": warrant.eni_id, "Ipv4Prefixes": list(warrant.prefixes)}
        self._call("UnassignPrivateIpAddresses", params)

    # --- how calls are made

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        self._gate.enter(operation)
        try:
            return self._invoke(operation, params)
        except Exception as error:
            ours = translate(operation, error)
            if ours is None:
                raise
            ours.operation = operation
            if isinstance(ours, Throttled):
                self._gate.throttled(operation)
            raise ours from error

    def _describe(
        self,
        operation: str,
        key: str,
        name: str,
        values: Iterable[str],
        more: Mapping[str, Sequence[str]] | None = None,
    ) -> list[dict[str, Any]]:
        """What is found for the values, as many at a time as a call may have. Ids are asked for as such; where one of
        them is unknown EC2 refuses the whole call, and the rest is found by filter."""
        found = []
        room = FILTER_VALUES - sum(len(one) for one in (more or {}).values())
        for some in shapes.chunks(values, room):
            others = {"Filters": shapes.filters(more)} if more else {}
            if name in ID_PARAMETERS:
                try:
                    found += self._pages(operation, key, {ID_PARAMETERS[name]: list(some), **others})
                    continue
                except NotFound:
                    if len(some) == 1:
                        continue
                except Invalid:
                    pass
            wanted = shapes.filters({name: some, **(more or {})})
            found += self._pages(operation, key, {"Filters": wanted, "MaxResults": PAGE})
        return found

    def _pages(self, operation: str, key: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        """All pages, or an error: a part of a list is never taken for the whole. EC2 can cut pages before it filters:
        one that is short, or empty, is followed by others as long as it has a token."""
        found: list[dict[str, Any]] = []
        answer = self._call(operation, params)
        while True:
            # An empty list is there, as a rule; what is not EC2's answer at all has no request id either.
            if key not in answer and not answer.get("ResponseMetadata", {}).get("RequestId"):
                raise Unsure("IncompleteAnswer", f"{operation}: no {key}")
            found += answer.get(key, ())
            token = answer.get("NextToken")
            if not token:
                return found
            answer = self._call(operation, {**params, "NextToken": token})


@contextmanager
def _whole(operation: str) -> Iterator[None]:
    """Unsure where an answer lacks what EC2 always sends: it was cut short."""
    try:
        yield
    except KeyError as error:
        raise Unsure("IncompleteAnswer", f"{operation}: no {error}") from error
