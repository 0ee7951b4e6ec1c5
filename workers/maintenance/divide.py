"""What to do with a batch of instances that EC2 does not answer: read it in parts, down to single ones.

While an availability zone is disrupted DescribeInstances fails for every call that names an instance of it; so where
the zones of the nodes are known the parts are zones, and else halves.
"""

from collections.abc import Callable, Sequence

from common.ec2.gate import Deferred
from common.model.errors import Denied, OutsideError, Throttled
from common.model.ids import InstanceId, NodeName

Request = tuple[InstanceId, NodeName]
Zones = Callable[[Sequence[Request]], dict[NodeName, str]]

ENDS = (Throttled, Denied, Deferred)
"""Errors that smaller batches would get just the same."""


class Division:
    """Reads one batch. `attempt` reads so many requests at once, all or nothing, and raises OutsideError or Deferred.
    `zones_of` tells the availability zone of nodes, as far as it is known; it is asked only after a failure."""

    def __init__(self, attempt: Callable[[Sequence[Request]], None], zones_of: Zones) -> None:
        self._attempt = attempt
        self._zones_of = zones_of
        self._read: set[InstanceId] = set()
        self._failed_alone: set[InstanceId] = set()
        self.error: OutsideError | Deferred | None = None
        """The last one; one of ENDS is the last call's."""

    def read(self, batch: Sequence[Request]) -> None:
        """As much of the batch as EC2 answers."""
        if self._tried(batch):
            return
        zones = self._zones_of(batch)
        by_zone: dict[str, list[Request]] = {}
        for request in batch:
            by_zone.setdefault(zones.get(request[1], ""), []).append(request)
        for part in by_zone.values():
            if len(by_zone) == 1 or not self._tried(part):
                self._halve(part)

    def unread(self, batch: Sequence[Request]) -> list[Request]:
        """What of the batch was not read. Those that failed alone are last: next time others are tried first."""
        left = [request for request in batch if request[0] not in self._read]
        return sorted(left, key=lambda request: request[0] in self._failed_alone)

    def _halve(self, part: Sequence[Request]) -> None:
        """Divide a part that failed as a whole. Two alone show whether anything of it is answered at all: in an outage
        it costs no more calls than these."""
        if len(part) == 1:
            return
        middle = len(part) // 2
        probes = (part[0], part[middle])
        answered = [self._tried([probe]) for probe in probes]
        if not any(answered):
            return
        for half in (part[1:middle], part[middle + 1 :]):
            if half and not self._tried(half):
                self._halve(half)

    def _tried(self, part: Sequence[Request]) -> bool:
        if isinstance(self.error, ENDS):
            return False
        try:
            self._attempt(part)
        except (OutsideError, Deferred) as error:
            self.error = error
            if len(part) == 1:
                self._failed_alone.add(part[0][0])
            return False
        self._read |= {instance_id for instance_id, _ in part}
        return True
