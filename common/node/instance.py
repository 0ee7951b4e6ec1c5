"""What is known of a node's instance: read in snapshots, and kept true. A stopped instance comes back with another
type, and anybody can change the groups of its primary interface."""

import msgspec

from common.model.actions import RequestSnapshot
from common.model.ec2 import InstanceSnapshot
from common.model.ids import InstanceId
from common.model.ledger import Backoff, InstanceFacts
from common.node.state import NodeState, Planning

SUBJECT = "snapshot"
SNAPSHOT_ASK_AGAIN_SECONDS = 10.0


def take_snapshot(state: Planning) -> InstanceSnapshot | None:
    """The snapshot that the ledger waits for, once it is there; asks for it until then."""
    wanted_after = state.ledger.snapshot_after
    if wanted_after is None:
        return None
    if wanted_after > state.now:
        state.look_at(wanted_after)
        return None
    snapshot = state.snapshot
    if snapshot is not None and snapshot.taken_at >= wanted_after:
        state.change(snapshot_after=None)
        return snapshot
    node = state.desired.view.node
    if node is not None and node.instance_id is not None and state.may(SUBJECT):
        state.start(RequestSnapshot(subject=SUBJECT, node=node.name, instance_id=node.instance_id))
    return None


def snapshot_requested(state: NodeState, earlier: Backoff) -> None:
    """Asking does not reset the failures: what the snapshot shows does."""
    state.set_backoff(
        SUBJECT, msgspec.structs.replace(earlier, not_before=state.now + SNAPSHOT_ASK_AGAIN_SECONDS, reserved=False)
    )


def facts_of(snapshot: InstanceSnapshot, instance_id: InstanceId) -> InstanceFacts | None:
    """None where EC2 does not show the instance whole."""
    instance = snapshot.instance
    primary = instance.primary if instance is not None else None
    if instance is None or primary is None or snapshot.subnet is None:
        return None
    return InstanceFacts(
        instance_id=instance_id,
        instance_type=instance.instance_type,
        vpc_id=instance.vpc_id,
        subnet=snapshot.subnet,
        primary_eni=primary.eni_id,
        groups=primary.groups,
        limits=snapshot.limits,
        read_at=snapshot.taken_at,
    )


def learn(state: Planning, snapshot: InstanceSnapshot) -> None:
    """Take over what the snapshot shows of the known instance now; nothing where it is not shown whole."""
    known = state.ledger.instance
    if known is None:
        return
    facts = facts_of(snapshot, known.instance_id)
    if facts is None:
        state.change(instance=msgspec.structs.replace(known, read_at=snapshot.taken_at))
        return
    if facts.instance_type == known.instance_type and facts.limits is None:
        facts = msgspec.structs.replace(facts, limits=known.limits)
    state.change(instance=facts)
    if (facts.instance_type, facts.limits) != (known.instance_type, known.limits):
        state.look_at(state.now)  # Its capacity is another.


def keep_fresh(state: Planning) -> None:
    """Read the instance again when what is known of it has become old. Where a trunk is in use its audits do that."""
    known = state.ledger.instance
    if known is None:
        return
    due = known.read_at + state.options.audit_longest
    if state.ledger.snapshot_after is None:
        if due > state.now:
            state.look_at(due)
            return
        state.change(snapshot_after=state.now)
    snapshot = take_snapshot(state)
    if snapshot is not None:
        learn(state, snapshot)
