"""Chapter: learn the instance, and take over what EC2 already has for it. All from one snapshot, nothing is called."""

import msgspec

from common.model.ec2 import InstanceSnapshot
from common.model.ledger import Backoff, Trunk, TrunkState
from common.model.node import NodeFacts
from common.model.notice import EventReason
from common.node.branch.adopting import adopt_branches
from common.node.instance import SUBJECT, facts_of, take_snapshot
from common.node.retry import grown
from common.node.state import Planning
from common.node.trunk.finding import found_trunk
from common.node.windows.contents import LOOK_AGAIN_SECONDS, adopted_pool
from common.rules.managed import WINDOWS

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 300.0
"""Between looks for an instance that EC2 does not know: the first interval and the longest."""


def know_instance(state: Planning, node: NodeFacts) -> bool:
    """Whether the ledger is about the node's present instance; on the way there, adoption."""
    assert node.instance_id is not None
    if not state.desired.complete:
        return False  # A living pod's annotation may not be known yet: its interface would be taken for a leaked one.
    ledger = state.ledger
    if ledger.instance is not None and ledger.instance.instance_id == node.instance_id:
        if node.os != WINDOWS and ledger.trunk.state is TrunkState.ABSENT and ledger.snapshot_after is not None:
            snapshot = take_snapshot(state)
            if snapshot is not None:
                _adopt(state, node, snapshot)
        return True
    if ledger.instance is not None:
        # Another instance under the same name: what the old one had is released, each entry with its own trunk.
        backoffs = {k: p for k, p in ledger.backoffs.items() if k.startswith(("branch/", "pod/"))}
        # Subnet and groups were found with the old instance.
        claims = {uid: msgspec.structs.replace(claim, resolved_at=0.0) for uid, claim in ledger.claims.items()}
        # A generation of its own, so that no outcome of the old trunk is taken for the new one's.
        trunk = Trunk(generation=ledger.trunk.generation + 1)
        state.change(
            instance=None,
            trunk=trunk,
            pool=None,
            snapshot_after=state.now,
            backoffs=backoffs,
            claims=claims,
            emitted={},
        )
    if state.ledger.snapshot_after is None or (ledger.sought is not None and ledger.sought != node):
        # Not looked for yet, or in vain for the node as it was.
        backoffs = {k: p for k, p in state.ledger.backoffs.items() if k != SUBJECT}
        state.change(snapshot_after=state.now, sought=None, backoffs=backoffs)
    snapshot = take_snapshot(state)
    if snapshot is None:
        return False
    return _adopt(state, node, snapshot)


def _adopt(state: Planning, node: NodeFacts, snapshot: InstanceSnapshot) -> bool:
    assert node.instance_id is not None
    instance_id = node.instance_id
    facts = facts_of(snapshot, instance_id)
    instance, primary = snapshot.instance, snapshot.instance.primary if snapshot.instance is not None else None
    if facts is None or instance is None or primary is None:
        attempts = state.backoff(SUBJECT).attempts
        again = state.now + grown(FIRST_SECONDS, LONGEST_SECONDS, attempts)
        state.change(
            snapshot_after=again,
            backoffs={
                **state.ledger.backoffs,
                SUBJECT: Backoff(not_before=again, attempts=attempts + 1, code="NoInstance"),
            },
            sought=node,
        )
        state.look_at(again)
        state.emit_node_once(
            "instance",
            EventReason.INSTANCE_NOT_FOUND,
            f"EC2 knows no running instance {instance_id} of this node",
        )
        return False
    # What was asked for is here: the next snapshot may be asked for as soon as it is wanted.
    backoffs = {k: p for k, p in state.ledger.backoffs.items() if k != SUBJECT}
    state.change(instance=facts, sought=None, backoffs=backoffs)
    if node.os == WINDOWS:
        # Looked at again before anything found has rested: EC2's answer can be older than our last call.
        pool = adopted_pool(primary, state.desired.pods, state.now)
        state.change(pool=pool, audit_at=state.now + LOOK_AGAIN_SECONDS if pool.addresses else 0.0, audit_interval=0.0)
        return True
    if state.ledger.trunk.state is TrunkState.ABSENT:
        limits = state.options.limits.get(instance.instance_type)
        trunk = found_trunk(instance, snapshot.interfaces, limits, state.ledger.trunk)
        if trunk.state is TrunkState.CREATED:
            trunk = msgspec.structs.replace(trunk, made_at=state.now)
        state.change(trunk=trunk)
        if trunk.eni_id is not None:
            state.ledger = adopt_branches(
                state.ledger,
                instance_id,
                trunk.eni_id,
                facts.subnet,
                snapshot.interfaces,
                state.desired.pods,
                state.now,
            )
    return True
