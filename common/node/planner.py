"""The pure planner: from what is wished, what was done and what is under way to what to start now, and when to look
again. Chapters run in order; each settles what it can and leaves the rest to the next look."""

from dataclasses import dataclass

import msgspec

from common.model.actions import Action
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.ledger import Ledger, TrunkState
from common.model.names import POD_ENI
from common.model.node import NodeFacts
from common.model.notice import Notice, Severity
from common.model.pod import is_live
from common.node.adoption import know_instance
from common.node.audit import audit
from common.node.branch import keep_branches
from common.node.branch.releasing import cooldown
from common.node.cninode import keep_cninode
from common.node.departure import depart
from common.node.freshness import keep_fresh
from common.node.retry import UNDONE
from common.node.sharing import offered, settle
from common.node.state import Options, Planning
from common.node.trunk import SUBJECT as TRUNK
from common.node.trunk import branch_limit, keep_trunk
from common.node.windows.pods import keep_windows, windows_limits
from common.rules import subjects
from common.rules.managed import LINUX, Standing, spec_of, standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    ledger: Ledger | None
    """With the intents of `actions` recorded: to be saved before they start. None: nothing is left to keep."""
    actions: tuple[Action, ...]
    notices: tuple[Notice, ...]
    look_again: float
    """Epoch seconds; infinity: only a change is a reason to look."""


def plan(
    ledger: Ledger,
    desired: Desired,
    *,
    snapshot: InstanceSnapshot | None,
    now: float,
    jitter: float,
    busy: frozenset[str],
    options: Options,
    spare: float = 1.0,
    held: frozenset[str] = frozenset(),
    unavailable: frozenset[str] = frozenset(),
) -> Plan:
    """`busy` are the subjects of actions under way, `held` those of actions that cannot begin now; `snapshot` is the
    latest known of the node's instance; `spare` is the share of what EC2 allows of address calls that is left, 0 to
    1; `unavailable` are the scopes that fail for all and are not this node's to ask about."""
    state = Planning(
        ledger=ledger,
        desired=desired,
        snapshot=snapshot,
        now=now,
        jitter=jitter,
        busy=busy,
        options=options,
        spare=spare,
        held=held,
        unavailable=unavailable,
    )
    node = desired.view.node
    if node is None and desired.view.cninode is None and ledger == Ledger(node=ledger.node):
        state.done_with = True  # A node that nobody knows: a message may name anything.
    elif node is None:
        depart(state)
    elif not options.disabled:
        _attend(state, node)
    _forget(state)
    return Plan(
        ledger=None if state.done_with else state.ledger,
        actions=tuple(state.actions),
        notices=tuple(state.notices),
        look_again=state.look_again,
    )


def _attend(state: Planning, node: NodeFacts) -> None:
    if state.ledger.gone_since is not None:
        state.change(gone_since=None, gone_asked_at=0.0)
    spec = spec_of(state.desired.view, state.ledger.cninode_spec)
    stands = standing(node, spec, state.desired.config)
    if stands is Standing.IGNORED:
        if state.ledger.cninode_spec is not None:
            state.change(cninode_spec=None)  # What it was is not made again: it is another controller's.
        return
    keep_cninode(state, node)
    if stands in (Standing.LINUX, Standing.WINDOWS):
        state.tell_node_once(
            f"version/{node.uid}",
            "ControllerVersionNotice",
            f"The node is managed by VPC resource controller version {state.options.version}",
        )
    if node.instance_id is not None and not settle(state, node.instance_id):
        if not offered(state.ledger, node.instance_id):
            keep_branches(state, node, serving=False)  # Of an instance before.
        return
    match stands:
        case Standing.LINUX:
            _tell_cooldown(state)
            known = know_instance(state, node)
            ready = known and keep_trunk(state, node)
            keep_branches(state, node, serving=ready)
            if ready:
                audit(state)
            else:
                if known and branch_limit(state) == 0:
                    keep_fresh(state)
                _tell_waiting(state)
        case Standing.WINDOWS:
            if know_instance(state, node):
                keep_windows(state, node)
                keep_fresh(state)
            if state.ledger.instance is None or windows_limits(state, state.ledger.instance) is None:
                _tell_waiting(state)
            if state.ledger.branches:  # Of a Linux node of this name.
                keep_branches(state, node, serving=False)
        case _:
            if state.ledger.instance is None and _was_ours(node):
                know_instance(state, node)
            keep_branches(state, node, serving=False)


def _was_ours(node: NodeFacts) -> bool:
    """Its capacity says that it had a trunk: without a record, what EC2 has of it is to be found out."""
    return node.os == LINUX and node.instance_id is not None and POD_ENI in node.capacity


def _tell_cooldown(state: Planning) -> None:
    seconds = cooldown(state)
    if state.desired.config is None or state.ledger.cooldown_seen == seconds:
        return
    if state.ledger.cooldown_seen is not None:
        minutes, rest = divmod(int(seconds), 60)
        text = f"{minutes}m{rest}s" if minutes else f"{rest}s"
        state.tell_node("BranchENICoolDownPeriodUpdated", f"Branch ENI cool down period has been updated to {text}")
    state.change(cooldown_seen=seconds)


def _tell_waiting(state: Planning) -> None:
    """Pods on a node that cannot serve them are told why, where there is more to say than `soon`."""
    why = _why_not(state)
    for pod in state.desired.pods.values() if why else ():
        unserved = (pod.branches and pod.eni_annotation is None) or (pod.addresses and pod.ip_annotation is None)
        if unserved and is_live(pod):
            state.tell_pod_once(pod, "WaitingForNode", f"The pod waits for its node: {why}", Severity.WARNING)


def _why_not(state: Planning) -> str:
    instance, told = state.ledger.instance, state.ledger.told
    if instance is None:
        return told.get("instance", "")
    if instance.instance_type not in state.options.limits:
        return f"its instance type {instance.instance_type} is not known"
    if branch_limit(state) == 0:
        return f"its instance type {instance.instance_type} has no trunk interface"
    failing = (state.ledger.paces.get(subject) for subject in (TRUNK, UNDONE))
    code = next((pace.code for pace in failing if pace is not None and pace.code), "")
    if code:
        return f"its trunk interface could not be made yet: {code}"
    if state.ledger.trunk.state is TrunkState.ABSENT and "index" in told:
        return "its instance has no free device index for a trunk interface"
    return told.get("eniconfig", "")


def _forget(state: Planning) -> None:
    """Paces and told things of what is no more."""
    ledger, pods = state.ledger, state.desired.pods
    branches = {str(key) for key in ledger.branches}
    in_use = {b.pod_uid for b in ledger.branches.values()}
    if ledger.pool is not None:
        in_use |= {a.pod_uid for a in ledger.pool.addresses.values()}

    def current(subject: str) -> bool:
        kind, rest = subjects.parts(subject)
        match kind:
            case subjects.BRANCH:
                return rest in branches
            case _ if kind in subjects.OF_PODS:
                return rest in pods or rest in in_use
            case _:
                return True

    paces = {k: v for k, v in ledger.paces.items() if current(k)}
    told = {k: v for k, v in ledger.told.items() if current(k)}
    if len(paces) != len(ledger.paces) or len(told) != len(ledger.told):
        state.ledger = msgspec.structs.replace(ledger, paces=paces, told=told)
