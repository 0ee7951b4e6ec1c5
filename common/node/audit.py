"""Chapter: our record beside EC2's, again and again: after a minute, then at growing intervals."""

from common.model.ec2 import InstanceSnapshot
from common.model.ids import EniId
from common.model.ledger import BranchState, Trunk, TrunkState
from common.model.notice import EventReason, PodNotice, Severity
from common.model.pod import is_live
from common.node.branch.adopting import adopt_branches, is_branch
from common.node.branch.claims import undo_claim
from common.node.branch.idle import forget_groups
from common.node.branch.life import BEING_MADE
from common.node.instance import learn, take_snapshot
from common.node.state import Planning
from common.rules import subjects
from common.rules.leaks import being_made

SETTLED_SECONDS = 60.0
"""EC2's Describe calls lag behind its writes by seconds: what is younger than this is not missed."""
SECOND_LOOK_SECONDS = 10.0


def audit(state: Planning) -> None:
    """The trunk is ready: ask for a snapshot when it is time, and compare when it has come."""
    ledger = state.ledger
    if ledger.audit_at == 0.0:
        _next(state, state.options.audit_first)
        return
    if ledger.snapshot_after is None:
        if ledger.audit_at > state.now:
            state.look_at(ledger.audit_at)
            return
        state.change(snapshot_after=state.now)
    snapshot = take_snapshot(state)
    if snapshot is not None:
        _compare(state, snapshot)


def _next(state: Planning, interval: float) -> None:
    """Jittered, so that the nodes of a cluster do not all ask at once."""
    at = state.now + interval * (0.75 + 0.5 * state.jitter)
    state.change(audit_at=at, audit_interval=interval)
    state.look_at(at)


def _next_longer(state: Planning) -> None:
    longest, first = state.options.audit_longest, state.options.audit_first
    _next(state, min(longest, max(state.ledger.audit_interval, first) * 2))


def _compare(state: Planning, snapshot: InstanceSnapshot) -> None:
    learn(state, snapshot)
    forget_groups(state, snapshot.interfaces)
    ledger, trunk = state.ledger, state.ledger.trunk
    assert trunk.eni_id is not None
    assert ledger.instance is not None
    if snapshot.instance is None:
        # Terminated, or not shown: the Node object tells, not an absence.
        _next_longer(state)
        return
    shown = {i.eni_id: i for i in (*snapshot.interfaces, *snapshot.instance.interfaces)}
    known = {b.eni_id for b in ledger.branches.values()}
    strays = {
        eni for eni, i in shown.items() if eni not in known and is_branch(i, trunk.eni_id) and not being_made(ledger, i)
    }
    missing = _missing(state, set(shown))
    if trunk.eni_id not in {i.eni_id for i in snapshot.instance.interfaces}:
        missing.add(trunk.eni_id)  # Deleted, or detached.
    suspects = strays | missing
    again = suspects & set(ledger.suspects)
    if again:
        seen_twice = [shown[eni] for eni in sorted(again & strays)]
        state.ledger = adopt_branches(
            ledger,
            ledger.instance.instance_id,
            trunk.eni_id,
            ledger.instance.subnet,
            seen_twice,
            state.desired.pods,
            state.now,
        )
        for eni in sorted(again & missing):
            _lost(state, eni)
    state.change(suspects=tuple(sorted(suspects - again)))
    if suspects - again:
        state.change(audit_at=state.now + SECOND_LOOK_SECONDS, audit_interval=state.options.audit_first)
        state.look_at(state.ledger.audit_at)
    elif again:
        _next(state, state.options.audit_first)
    else:
        _next_longer(state)


def _missing(state: Planning, shown: set[EniId]) -> set[EniId]:
    """Branches that the ledger has and EC2 does not show, old enough to be shown."""
    trunk = state.ledger.trunk
    return {
        b.eni_id
        for b in state.ledger.branches.values()
        if b.eni_id is not None
        and b.trunk_id == trunk.eni_id  # Those of an instance that was replaced are shown with that one.
        and b.eni_id not in shown
        and b.since < state.now - SETTLED_SECONDS
        and subjects.branch(b.key) not in state.busy
    }


def _lost(state: Planning, eni: EniId) -> None:
    """Somebody deleted it behind our back."""
    ledger, trunk = state.ledger, state.ledger.trunk
    if eni == trunk.eni_id:
        state.emit_node(
            EventReason.TRUNK_INTERFACE_MISSING,
            f"The trunk interface {eni} is not on its instance any more; it is attached again, or another one is made",
            Severity.WARNING,
        )
        state.change(
            trunk=Trunk(state=TrunkState.ABSENT, generation=trunk.generation + 1),
            snapshot_after=state.now,
        )
        return
    branch = next(b for b in ledger.branches.values() if b.eni_id == eni)
    pod = state.desired.pods.get(branch.pod_uid)
    if pod is not None and is_live(pod) and branch.state is BranchState.ASSIGNED:
        if state.first_time(f"lost/{eni}", "lost"):
            state.notices.append(
                PodNotice(
                    namespace=pod.namespace,
                    name=pod.name,
                    uid=pod.uid,
                    reason=EventReason.BRANCH_INTERFACE_MISSING,
                    message=f"The pod's branch interface {eni} is gone from EC2: it has no network until it is "
                    "replaced; delete the pod",
                    severity=Severity.WARNING,
                )
            )
        return
    state.change(branches={k: b for k, b in ledger.branches.items() if b.eni_id != eni})
    if branch.pod_uid and not branch.unwanted and branch.state in BEING_MADE:
        state.ledger = undo_claim(state.ledger, branch.pod_uid)
