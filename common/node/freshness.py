"""What is known of a node's instance is kept true: a stopped instance comes back with another type, and anybody can
change the groups of its primary interface."""

import msgspec

from common.model.ec2 import InstanceSnapshot
from common.node.adoption import facts_of, take_snapshot
from common.node.state import Planning


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
