"""Chapter: node names that share an instance. A kubelet can come back under another name while its old Node object
stays.

One name's ledger serves the instance, for the pods of all of them; the others' are handed over to it, entry by entry
with the intents in them, as a run takes over from a worker that was killed. Nothing is done with what is being handed
over, so that at no time two ledgers give or take on one trunk or one pool of addresses.
"""

import msgspec

from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ids import InstanceId, NodeName
from common.model.ledger import Ledger, Trunk, TrunkState
from common.model.node import NodeView
from common.model.notice import EventReason
from common.node.state import Planning
from common.rules.managed import Management, management, spec_of

LOOK_AGAIN_SECONDS = 1.0
"""A handing-over takes a run of each side; the other's is waited for so long before the next look."""


def holder(state: Planning, instance_id: InstanceId) -> NodeName | None:
    """The node name whose ledger serves the instance. Among the Node objects that name it: one that is managed before
    one that is not, then the youngest, for it is the one that the kubelet made last; then the last by name. None: no
    Node object names it."""
    views = {state.ledger.node: (state.desired.view, state.ledger)}
    views |= {s.name: (s.view, s.ledger or Ledger(node=s.name)) for s in state.desired.sharers}
    named = [
        (_served(view, ledger, state.desired.config), view.node.created_at, name)
        for name, (view, ledger) in views.items()
        if names(view, instance_id) and view.node is not None
    ]
    return max(named)[2] if named else None


def names(view: NodeView, instance_id: InstanceId) -> bool:
    """Whether its Node object names the instance, and is not left alone (EKS auto mode)."""
    return view.node is not None and view.node.instance_id == instance_id and not view.node.auto


def _served(view: NodeView, ledger: Ledger, config: ClusterConfig | None) -> bool:
    assert view.node is not None
    return management(view.node, spec_of(view, ledger.cninode_spec), config) in (Management.LINUX, Management.WINDOWS)


def pods_of_instance(desired: Desired, instance_id: InstanceId) -> Desired:
    """With the pods of every node name of the instance: their annotations name its interfaces and addresses."""
    others = {
        uid: pod
        for sharer in desired.sharers
        if names(sharer.view, instance_id) or _about(sharer.ledger, instance_id)
        for uid, pod in sharer.pods.items()
    }
    return msgspec.structs.replace(desired, pods={**others, **desired.pods}) if others else desired


def settle(state: Planning, instance_id: InstanceId) -> bool:
    """Whether this ledger serves the instance, or sees it to its end, and has all that others had of it; on the way
    there, the handing over."""
    if not state.desired.complete:
        return not state.ledger.yielded
    serves = holder(state, instance_id)
    if serves is not None and serves != state.ledger.node:
        _hand_over(state, instance_id, serves)
        return False
    if state.ledger.yielded:
        state.change(yielded=False)
    state.desired = pods_of_instance(state.desired, instance_id)
    return serves is None or _take_over(state, instance_id)


def offered(ledger: Ledger | None, instance_id: InstanceId) -> bool:
    """Whether it holds anything of the instance."""
    if ledger is None:
        return False
    if any(b.instance_id == instance_id for b in ledger.branches.values()):
        return True
    return _about(ledger, instance_id) and (ledger.trunk.state is not TrunkState.ABSENT or ledger.pool is not None)


def _about(ledger: Ledger | None, instance_id: InstanceId) -> bool:
    return ledger is not None and ledger.instance is not None and ledger.instance.instance_id == instance_id


def _hand_over(state: Planning, instance_id: InstanceId, serves: NodeName) -> None:
    ledger = state.ledger
    if state.busy:
        return  # What is under way ends first, and its outcome is handed over with the rest.
    if not ledger.yielded:
        state.change(yielded=True)
        state.emit_node_once(
            "shared",
            EventReason.INSTANCE_SHARED,
            f"The instance {instance_id} of this node is served under the name {serves}",
        )
    if not offered(ledger, instance_id):
        _forget(state, instance_id)
        return
    taker = next((s.ledger for s in state.desired.sharers if s.name == serves), None)
    if taker is not None and ledger.node in taker.took:
        _forget(state, instance_id)
    else:
        state.look_at(state.now + LOOK_AGAIN_SECONDS)


def _forget(state: Planning, instance_id: InstanceId) -> None:
    """What another ledger has, or nobody."""
    ledger = state.ledger
    branches = {k: b for k, b in ledger.branches.items() if b.instance_id != instance_id}
    if branches != ledger.branches:
        state.change(branches=branches)
    if _about(ledger, instance_id):
        state.change(instance=None, trunk=Trunk(), pool=None, claims={}, backoffs={}, snapshot_after=None, suspects=())


def _take_over(state: Planning, instance_id: InstanceId) -> bool:
    """Take what others yielded; False while one that has something has not yielded yet."""
    whole = True
    took = set(state.ledger.took)
    for sharer in state.desired.sharers:
        if not offered(sharer.ledger, instance_id):
            took.discard(sharer.name)
        elif sharer.name not in took:
            assert sharer.ledger is not None
            if sharer.ledger.yielded and _of_one_run(state.ledger, sharer.ledger):
                state.ledger = _joined(state.ledger, sharer.ledger, instance_id)
                took.add(sharer.name)
            elif sharer.view.node is None or names(sharer.view, instance_id):
                whole = False
                state.look_at(state.now + LOOK_AGAIN_SECONDS)
    took &= {sharer.name for sharer in state.desired.sharers}
    if took != set(state.ledger.took):
        state.change(took=tuple(sorted(took)))
    if took:
        state.look_at(state.now + LOOK_AGAIN_SECONDS)
    return whole


def _of_one_run(mine: Ledger, other: Ledger) -> bool:
    """Neither is known to be older than the run of Redis that the other is of."""
    return "" in (mine.epoch, other.epoch) or mine.epoch == other.epoch


def _joined(mine: Ledger, other: Ledger, instance_id: InstanceId) -> Ledger:
    """With the other's entries of the instance. Where both have a trunk ours stays: each branch knows its own. Calls
    about addresses whose outcome is not known are looked at before anything else."""
    known = {b.eni_id for b in mine.branches.values() if b.eni_id is not None}
    branches = {
        key: b
        for key, b in other.branches.items()
        if b.instance_id == instance_id and (b.eni_id is None or b.eni_id not in known)
    }
    mine = msgspec.structs.replace(mine, branches={**branches, **mine.branches}, claims={**other.claims, **mine.claims})
    if not _about(other, instance_id):
        return mine
    if not _about(mine, instance_id):
        mine = msgspec.structs.replace(mine, instance=other.instance, trunk=Trunk(), pool=None, snapshot_after=None)
    if mine.trunk.state is TrunkState.ABSENT:
        mine = msgspec.structs.replace(mine, trunk=other.trunk, audit_at=0.0, suspects=())
    if mine.pool is None and other.pool is not None:
        mine = msgspec.structs.replace(mine, pool=msgspec.structs.replace(other.pool, suspect=True), audit_at=0.0)
    return mine
