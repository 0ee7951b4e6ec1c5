"""The outside worlds, as the steps use them."""

from dataclasses import dataclass, replace
from typing import Self

from common.clock import Clock
from common.ec2.api import Ec2
from common.ec2.gate import Gate
from common.kube.api import Kube
from common.store.publisher import Publisher
from common.store.store import Store
from workers.lookups import LookupCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Shared by all runs of a process; thread-safe as its parts are."""

    ec2: Ec2
    kube: Kube
    store: Store
    publisher: Publisher
    lookups: LookupCache
    clock: Clock
    cluster: str
    account: str

    def through(self, gate: Gate) -> Self:
        """The same, with EC2 behind this gate."""
        return replace(self, ec2=self.ec2.with_gate(gate))
