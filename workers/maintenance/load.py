"""Reading instances from EC2 in batches: nodes ask one by one, EC2 is asked for many at once."""

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Protocol

from common.clock import Clock
from common.ec2.api import Ec2
from common.ec2.gate import Deferred
from common.ec2.snapshots import load_snapshots
from common.logging import get_logger
from common.model.errors import OutsideError
from common.model.ids import NodeName
from common.store import Store
from workers.maintenance.divide import ENDS, Division, Request

BATCH = 200
"""Instances read at once: as many as a filter of EC2 takes, so larger batches would save no calls; and the first nodes
go on while the others are being read (an interface costs some 0.4 ms to parse, a thousand nodes take seconds)."""
GATHER_SECONDS = 0.25
"""Requests that still come in so often are waited for: nodes ask at the pace at which runs get to them, and a read at
the first request would be a read of one node."""
LONGEST_GATHER_SECONDS = 3.0
"""What the first of many nodes waits at most."""
PAUSE_SECONDS = 2.0
"""After failures: EC2 is asked again, by the next task, no sooner."""
LONGEST_PAUSE_SECONDS = 10.0
"""Less than the store takes a task for lost after."""
APART_SECONDS = 0.001
"""Between requests that are asked again, which keeps their order."""
SNAPSHOT_SECONDS = 120.0
"""Lifetime of what was read: the node's own run follows within seconds; the queue may be long."""

_log = get_logger(__name__)


class NodePublisher(Protocol):
    def reconcile(self, node: NodeName, reason: str) -> None: ...
    def load_instances(self) -> None: ...


def load_instances(
    store: Store,
    ec2: Ec2,
    publisher: NodePublisher,
    clock: Clock,
    known_types: Container[str],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Read every instance that is asked for and wake its node; the number read. What cannot be read is asked for again
    and, after a pause, by a task of its own: no node is lost. A worker killed here loses the requests in hand; nodes
    repeat theirs. Of types that are not among `known_types` the limits are read, too. Once the process is `stopping`
    the rest is left to another's task, however long EC2 takes to answer. Raises StoreUnavailable."""

    def attempt(requests: Sequence[Request]) -> None:
        if stopping():
            raise Deferred(clock.now())
        snapshots = load_snapshots(ec2, (instance_id for instance_id, _ in requests), known_types, clock.now())
        store.snapshots.write(snapshots, SNAPSHOT_SECONDS)
        for node in store.wakeups.mark_dirty([node for _, node in requests], clock.now()):
            publisher.reconcile(node, "instance read")

    read, unread, error = 0, list[Request](), None
    while requests := _gathered(store, clock, BATCH):
        division = Division(attempt, partial(_zones, store))
        division.read(requests)
        left = division.unread(requests)
        read, unread, error = read + len(requests) - len(left), unread + left, division.error or error
        if len(left) == len(requests) or isinstance(error, ENDS):
            break  # The others would fare no better now.
    if unread and error is not None:
        _ask_again(store, publisher, clock, unread, error)
    return read


def _ask_again(
    store: Store,
    publisher: NodePublisher,
    clock: Clock,
    unread: Sequence[Request],
    error: OutsideError | Deferred,
) -> None:
    """Behind the others and in this order: what cannot be read holds up nobody."""
    _log.warning("instances not read", instances=len(unread), error=str(error))
    failed_at = clock.now()
    for number, (instance_id, node) in enumerate(unread):
        store.snapshots.request(instance_id, node, failed_at + number * APART_SECONDS)
    clock.sleep(_pause(error, clock))
    # Always: requests made meanwhile count on this task to come back for them.
    publisher.load_instances()


def _zones(store: Store, requests: Sequence[Request]) -> dict[NodeName, str]:
    desired = store.desired.read_many([node for _, node in requests])
    return {name: one.view.node.zone for name, one in desired.items() if one.view.node is not None}


def _gathered(store: Store, clock: Clock, limit: int) -> list[Request]:
    """The oldest requests, once hardly any more come in. They are left in the queue meanwhile, where they keep further
    messages, and so smaller batches, from being published."""
    waited, asked = 0.0, store.snapshots.requests()
    while 0 < asked < limit and waited < LONGEST_GATHER_SECONDS:
        clock.sleep(GATHER_SECONDS)
        waited += GATHER_SECONDS
        before, asked = asked, store.snapshots.requests()
        if asked <= before:
            break
    return store.snapshots.take_requests(limit)


def _pause(error: OutsideError | Deferred, clock: Clock) -> float:
    until = error.until - clock.now() if isinstance(error, Deferred) else 0.0
    return min(max(PAUSE_SECONDS, until), LONGEST_PAUSE_SECONDS)
