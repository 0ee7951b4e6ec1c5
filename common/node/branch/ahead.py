"""Idle branch interfaces that are made before a pod asks for one, where EC2 has calls to spare."""

from collections import Counter

from common.model.config import ClusterConfig
from common.model.errors import OutsideError
from common.model.ids import PodUid
from common.model.ledger import Branch, BranchState, Ledger, TrunkState
from common.model.node import NodeFacts
from common.node.branch.idle import counts_as_idle, is_ahead, place_of_pods, put, target, target_of
from common.node.branch.releasing import cooldown
from common.node.branch.serving import free_vlans, room
from common.node.retry import after_failure
from common.node.state import NodeState, Planning
from common.node.tokens import branch_token, key_ahead
from common.rules import subjects

SUBJECT = "ahead"
OPERATIONS = ("CreateNetworkInterface", "CreateNetworkInterfacePermission", "AssociateTrunkInterface")
SPARE_SHARE = 0.5
"""One is made only while so much is left of what EC2 allows of each of these at once: the rest is for pods."""
SOON_SECONDS = 10.0
"""One that has rested by then is awaited: none is made in its place."""
AGAIN_SECONDS = 10.0
"""Between two looks whether EC2 has calls to spare."""


def wanted(ledger: Ledger, node: NodeFacts | None, config: ClusterConfig | None) -> bool:
    """Whether the node may make one, so that it matters what EC2 allows."""
    idle = sum(1 for branch in ledger.branches.values() if branch.state is BranchState.IDLE)
    return ledger.trunk.state is TrunkState.READY and idle < target_of(node, config)


def make_ahead(state: Planning) -> None:
    """What was made is idle; below the target the next is planned, one at a time, with the groups that most pods of
    the node have."""
    for branch in list(state.ledger.branches.values()):
        if branch.state is BranchState.ASSOCIATED and is_ahead(branch):
            put(state, branch)
    branches = state.ledger.branches.values()
    idle = sum(1 for b in branches if counts_as_idle(state, b) or _rests_soon(state, b))
    if idle >= (target(state) or 0) or any(map(is_ahead, branches)):
        return
    where, instance, trunk = place_of_pods(state), state.ledger.instance, state.ledger.trunk
    if state.lacking or where is None or instance is None or trunk.eni_id is None or room(state) <= 0:
        return
    vlan = next(iter(free_vlans(state, 1)), None)
    if vlan is None or not state.may(SUBJECT):
        return
    if state.burst_left < SPARE_SHARE:
        state.look_at(state.now + AGAIN_SECONDS * (0.75 + 0.5 * state.jitter))
        return
    subnet_id, groups = where
    used = Counter(c.groups for c in state.ledger.claims.values() if c.groups and c.subnet_id == subnet_id)
    key = key_ahead(instance.instance_id, vlan, state.now)
    planned = Branch(
        key=key,
        state=BranchState.PLANNED,
        instance_id=instance.instance_id,
        trunk_id=trunk.eni_id,
        pod_uid=PodUid(""),
        vlan=vlan,
        subnet_id=subnet_id,
        groups=min(used, key=lambda one: (-used[one], one), default=groups),
        token=branch_token(state.options.cluster, key),
        since=state.now,
        untagged=True,
    )
    state.change(branches={**state.ledger.branches, key: planned})


def _rests_soon(state: Planning, branch: Branch) -> bool:
    """It has rested in a moment, and is kept then."""
    resting = branch.state is BranchState.COOLING and not branch.unwanted and not branch.releasing
    return resting and branch.since + cooldown(state) <= state.now + SOON_SECONDS


def refused(state: NodeState, branch: Branch, error: OutsideError) -> None:
    """Nobody waits for it: it goes, and the next is made later."""
    subject = subjects.branch(branch.key)
    scope = state.backoff(subject).scope
    state.set_backoff(subject, None)
    state.set_backoff(SUBJECT, after_failure(state.backoff(SUBJECT), error, state.now, state.jitter, scope))
    state.set_branch(branch.key, unwanted=True)
