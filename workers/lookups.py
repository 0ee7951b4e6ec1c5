"""Answers of the API server and EC2 that several pods share: policies, service accounts' labels, subnets, associations
of branches."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from common.clock import Clock
from common.ec2.api import Ec2
from common.kube.api import Kube
from common.model.ec2 import Subnet
from common.model.errors import NotFound, OutsideError, Throttled, Unsure
from common.model.ids import AssociationId, EniId, SubnetId
from common.model.policy import Policy
from workers.attachments import Attachments

FRESH_SECONDS = 5.0
"""An answer serves a burst of pods. A pod that waited longer, such as for a policy to be put right, gets a new one."""
ASSOCIATIONS_SECONDS = 60.0
"""A list of the account's associations serves all releases of so long a time: an association keeps its id."""
KEPT = 2000
"""Answers kept at a time; all are forgotten when there are more."""


@dataclass(slots=True)
class _Answer:
    asking: threading.Lock = field(default_factory=threading.Lock)
    read_at: float = float("-inf")
    value: Any = None


class LookupCache:
    """Each answer is at most as old as the pod that it is for, and never older than FRESH_SECONDS: a pod never gets
    groups that were changed before it was seen, and a burst of pods costs a few reads. Thread-safe."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._answers: dict[tuple[str, ...], _Answer] = {}
        self._subnets: dict[SubnetId, Subnet] = {}
        self._asking_subnets = threading.Lock()
        self._associations: dict[EniId, AssociationId] | None = None
        self._associations_read_at = float("-inf")
        self._asking_associations = threading.Lock()
        self._guard = threading.Lock()
        self.attachments = Attachments(clock)

    def policies(self, namespace: str, *, since: float) -> tuple[Policy, ...]:
        """Read at `since` (epoch seconds) or later. None where the CRD does not exist. Raises OutsideError."""

        def read() -> tuple[Policy, ...]:
            try:
                return self._kube.list_policies(namespace)
            except NotFound:
                return ()

        found: tuple[Policy, ...] = self._ask(("policies", namespace), since, read)
        return found

    def account_labels(self, namespace: str, name: str, *, since: float) -> dict[str, str] | None:
        """None: there is no such service account. Raises OutsideError."""
        found: dict[str, str] | None = self._ask(
            ("account", namespace, name), since, lambda: self._kube.service_account_labels(namespace, name)
        )
        return found

    def subnet(self, ec2: Ec2, subnet: SubnetId) -> Subnet | None:
        """A subnet's CIDR blocks hardly ever change: read once. None: EC2 has no such subnet. Raises OutsideError."""
        known = self._subnets.get(subnet)
        if known is not None:
            return known
        with self._asking_subnets:  # One thread asks; those that waited find the answer.
            known = self._subnets.get(subnet) or ec2.describe_subnets([subnet]).get(subnet)
            if known is not None:
                self._subnets[subnet] = known
        return known

    def association(self, ec2: Ec2, branch: EniId) -> AssociationId | None:
        """None: it is not there, or the list is denied. Raises Throttled and Unsure."""
        return self.associations(ec2, (branch,)).get(branch)

    def associations(self, ec2: Ec2, branches: Collection[EniId]) -> dict[EniId, AssociationId]:
        """EC2 filters associations neither by trunk nor by branch: one list of all serves everybody who needs one.
        Without those that are not there; empty where the list is denied, as to assumed roles. Raises Throttled and
        Unsure."""
        with self._asking_associations:  # One thread asks; those that waited find the answer.
            known, age = self._associations, self._clock.now() - self._associations_read_at
            lacks = known is not None and any(branch not in known for branch in branches)
            if age > ASSOCIATIONS_SECONDS or (age > FRESH_SECONDS and lacks):
                began = self._clock.now()
                known = self._associations = _listed(ec2)
                self._associations_read_at = began
            return {branch: known[branch] for branch in branches if branch in known} if known is not None else {}

    def _ask(self, key: tuple[str, ...], since: float, read: Callable[[], Any]) -> Any:
        with self._guard:
            if len(self._answers) > KEPT:
                self._answers.clear()
            answer = self._answers.setdefault(key, _Answer())
        with answer.asking:
            if answer.read_at < max(since, self._clock.now() - FRESH_SECONDS):
                began = self._clock.now()
                answer.value = read()
                answer.read_at = began
            return answer.value


def _listed(ec2: Ec2) -> dict[EniId, AssociationId] | None:
    """None: it is denied."""
    try:
        return {branch: association for branch, _, _, association in ec2.trunk_associations()}
    except (Throttled, Unsure):
        raise
    except OutsideError:
        return None
