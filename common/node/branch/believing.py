"""Whether a record of branches may be believed after Redis was started again.

An interface that is made for one pod is that pod's for ever, and an old record of it is never wrong about its owner.
Where interfaces are given on it can be: since the copy that Redis came back with, another pod may have got one. So
such a record is not worked with. What the node has is found in EC2, and whose it is in annotations and by the API
server, as after a loss of Redis.
"""

import msgspec

from common.model.desired import Desired
from common.model.ids import InstanceId
from common.model.ledger import Ledger, Trunk
from common.node.branch.idle import target_of
from common.node.state import Planning
from common.rules.managed import WINDOWS

COMPARED_SECONDS = 1.0
"""Between looks whether the watcher has compared what Redis came back with."""


def asks_epoch(ledger: Ledger, desired: Desired) -> bool:
    """Whether it matters which run of Redis the record is of: interfaces are given on, or were. A Windows node has
    addresses, whose record has a mark of its own."""
    node = desired.view.node
    if node is not None and node.os == WINDOWS:
        return False
    return bool(ledger.epoch) or target_of(node, desired.config) > 0


def outdated(state: Planning) -> bool:
    """The record may be older than what was done with the node's interfaces."""
    return asks_epoch(state.ledger, state.desired) and state.ledger.epoch != state.desired.epoch


def believed(state: Planning) -> bool:
    """Whether the record may be worked with now; one that is outdated is forgotten on the way there."""
    epoch = state.desired.epoch
    if not outdated(state):
        return True
    if epoch is None:
        state.look_at(state.now + COMPARED_SECONDS)
        return False
    if state.busy:
        return False  # Its end is planned for.
    state.ledger = _anew(state.ledger, epoch, state.now)
    return True


def _anew(ledger: Ledger, epoch: str, now: float) -> Ledger:
    """As after a loss of Redis, but for what is known of instances before this one. A generation of its own, so that no
    outcome of the old record is taken for the new one's."""
    instance: InstanceId | None = ledger.instance.instance_id if ledger.instance is not None else None
    if instance is None:
        return msgspec.structs.replace(ledger, epoch=epoch)
    return msgspec.structs.replace(
        ledger,
        epoch=epoch,
        instance=None,
        trunk=Trunk(generation=ledger.trunk.generation + 1),
        branches={key: branch for key, branch in ledger.branches.items() if branch.instance_id != instance},
        claims={},
        backoffs={},
        snapshot_after=now,
        audit_at=0.0,
        audit_interval=0.0,
        suspects=(),
    )
