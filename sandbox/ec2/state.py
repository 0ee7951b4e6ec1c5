"""The tables of the model and the moments at which something in them falls due. Guarded by the world's lock."""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from sandbox.ec2.addresses import AddressBook
from sandbox.ec2.behaviour import Ec2Behaviour, Range
from sandbox.ec2.errors import Ec2Fault, not_found
from sandbox.ec2.identifiers import Identifiers
from sandbox.ec2.journal import Journal
from sandbox.ec2.limits import InstanceLimits
from sandbox.ec2.records import Association, Instance, Interface, Permission, SecurityGroup, Subnet, Vpc
from sandbox.ec2.table import IndexKey, Record, Table

R = TypeVar("R", bound=Record)
Params = dict[str, Any]
Result = dict[str, Any]
_WELL_FORMED = re.compile(r"[a-z-]+-[0-9a-f]{8}(?:[0-9a-f]{9})?")
#: Filters that interfaces are indexed by, beside their tags.
INDEXED_INTERFACE_FILTERS = frozenset({"attachment.instance-id"})


def _interface_index(interface: Interface) -> Iterator[IndexKey]:
    if interface.attachment is not None:
        yield "attachment.instance-id", interface.attachment.instance_id
        yield "attachment", interface.attachment.id
    for key, value in interface.tags.items():
        yield f"tag:{key}", value


def _tag_index(record: Record) -> Iterator[IndexKey]:
    for key, value in record.tags.items():
        yield f"tag:{key}", value


def _association_index(association: Association) -> Iterator[IndexKey]:
    yield "trunk", association.trunk_id
    yield "branch", association.branch_id


class Ec2State:
    """Everything that the actions read and write. `now` is the moment of the call being carried out."""

    def __init__(
        self,
        *,
        region: str,
        account: str,
        seed: int,
        limits: Mapping[str, InstanceLimits],
        behaviour: Ec2Behaviour,
        now: float,
    ) -> None:
        self.region = region
        self.account = account
        self.limits = limits
        self.behaviour = behaviour
        self.now = now
        self.identity = "own"
        self.rng = random.Random(seed)
        self.ids = Identifiers(seed)
        self.journal = Journal()
        self.vpcs: Table[Vpc] = Table(_tag_index)
        self.subnets: Table[Subnet] = Table(_tag_index)
        self.groups: Table[SecurityGroup] = Table(_tag_index)
        self.instances: Table[Instance] = Table(_tag_index)
        self.interfaces: Table[Interface] = Table(_interface_index)
        self.associations: Table[Association] = Table(_association_index)
        self.permissions: Table[Permission] = Table(lambda permission: [("interface", permission.interface_id)])
        self.books: dict[str, AddressBook] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    # -- time -----------------------------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Let everything happen that was due up to `now`, each at its own moment."""
        while self._due and self._due[0][0] <= now:
            self.now, _, happen = heapq.heappop(self._due)
            happen()
        self.now = now

    def after(self, delay: Range, happen: Callable[[], None]) -> None:
        """Let something happen after a delay out of the range; at once if that is zero."""
        seconds = self.pick(delay)
        if seconds <= 0:
            happen()
        else:
            heapq.heappush(self._due, (self.now + seconds, self.ids.serial(), happen))

    def next_due(self) -> float | None:
        """When the next thing falls due, in seconds of the world's clock."""
        return self._due[0][0] if self._due else None

    def pick(self, span: Range) -> float:
        """A duration out of the range."""
        shortest, longest = span
        return shortest if shortest == longest else self.rng.uniform(shortest, longest)

    # -- look-ups that end in EC2's own errors ----------------------------------------------------------------------

    def interface(self, identifier: str) -> Interface:
        """Raises InvalidNetworkInterfaceID.NotFound or InvalidNetworkInterfaceId.Malformed."""
        found = _known(
            self.interfaces, identifier, "networkInterface", "eni", "InvalidNetworkInterfaceID.NotFound",
            "InvalidNetworkInterfaceId.Malformed",
        )  # fmt: skip
        if self.not_yet_known(found.created):
            raise not_found("networkInterface", identifier, "InvalidNetworkInterfaceID.NotFound")
        return found

    def group(self, identifier: str) -> SecurityGroup:
        """Raises InvalidSecurityGroupID.NotFound."""
        found = self.groups.get(identifier)
        if found is None or self.not_yet_known(found.created):
            raise not_found("securityGroup", identifier, "InvalidSecurityGroupID.NotFound")
        return found

    def not_yet_known(self, created: float) -> bool:
        """Whether a call does not find what was made then: writes lag behind each other."""
        return self.now - created < self.pick(self.behaviour.write_lag)

    def subnet(self, identifier: str) -> Subnet:
        """Raises InvalidSubnetID.NotFound."""
        found = self.subnets.get(identifier)
        if found is None:
            raise not_found("subnet", identifier, "InvalidSubnetID.NotFound")
        return found

    def instance(self, identifier: str) -> Instance:
        """Raises InvalidInstanceID.NotFound or InvalidInstanceID.Malformed."""
        return _known(
            self.instances, identifier, "instance", "i", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"
        )

    def limits_of(self, instance: Instance) -> InstanceLimits:
        """The limits of the instance's type, which was known when the instance was made."""
        return self.limits[instance.instance_type]

    def interfaces_of(self, instance_id: str) -> list[Interface]:
        """The interfaces on an instance, oldest first."""
        return self.interfaces.indexed(("attachment.instance-id", instance_id))


def _known(table: Table[R], identifier: str, kind: str, prefix: str, unknown: str, malformed: str) -> R:
    found = table.get(identifier)
    if found is not None:
        return found
    if not identifier.startswith(f"{prefix}-") or not _WELL_FORMED.fullmatch(identifier):
        raise Ec2Fault(malformed, f'Invalid id: "{identifier}"')
    raise not_found(kind, identifier, unknown)


def required(params: Params, name: str) -> Any:
    """A parameter that must be there. Raises MissingParameter."""
    value = params.get(name)
    if value is None or value == "":
        raise Ec2Fault("MissingParameter", f"The request must contain the parameter {name}")
    return value
