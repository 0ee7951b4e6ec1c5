"""The pure planner: from the desired state, what was done and what is under way to what to start now, and when to look
again; and from an outcome to the next ledger. It only dispatches: each subject owns its steps and their outcomes.

Chapters run in order; each settles what it can and leaves the rest to the next look."""

from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

from common.model import actions as act
from common.model.actions import Action
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.errors import OutsideError
from common.model.ledger import Backoff, Ledger
from common.model.names import PRIVATE_IPV4
from common.model.node import NodeFacts
from common.model.notice import EventReason, Notice
from common.model.outcome import Done, Failed, Outcome, Waits
from common.node import branch, capacity, cninode, confirming, departure, instance, trunk, windows
from common.node.adoption import know_instance
from common.node.audit import audit
from common.node.branch import keep_branches
from common.node.branch.associations import find_associations
from common.node.branch.believing import believed
from common.node.branch.releasing import emit_cooldown
from common.node.cninode import keep_cninode
from common.node.departure import depart
from common.node.instance import keep_fresh
from common.node.lag import weighed
from common.node.made_for import moved_on
from common.node.retry import after_failure
from common.node.sharing import offered, settle
from common.node.state import NodeState, Options, Planning
from common.node.trunk import keep_trunk
from common.node.trunk.place import branch_limit
from common.node.trunk.using import had_trunk
from common.node.waiting import emit_waiting
from common.node.windows.pods import keep_windows, windows_limits
from common.rules.managed import Management, management, spec_of


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
    burst_left: float = 1.0,
    held: frozenset[str] = frozenset(),
    unavailable: frozenset[str] = frozenset(),
) -> Plan:
    """`busy` are the subjects of actions under way, `held` those of actions that cannot begin now; `snapshot` is the
    latest known of the node's instance; `burst_left` is the share that is left, 0 to 1, of what EC2 allows of the calls
    that are made ahead of pods; `unavailable` are the scopes that fail for all and are not this node's to ask about."""
    state = Planning(
        ledger=ledger,
        desired=desired,
        snapshot=snapshot,
        now=now,
        jitter=jitter,
        busy=busy,
        options=options,
        burst_left=burst_left,
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
    state.forget_ended_subjects()
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
    stands = management(node, spec, state.desired.config)
    if stands is Management.IGNORED:
        if state.ledger.cninode_spec is not None:
            state.change(cninode_spec=None)  # What it was is not made again: it is another controller's.
        return
    keep_cninode(state, node)
    if stands in (Management.LINUX, Management.WINDOWS):
        state.emit_node_once(
            f"version/{node.uid}",
            EventReason.CONTROLLER_VERSION_NOTICE,
            f"The node is managed by VPC resource controller version {state.options.version}",
        )
    if believed(state):
        _see_to(state, node, stands)


def _see_to(state: Planning, node: NodeFacts, stands: Management) -> None:
    """To the node's trunk and branches, or its addresses."""
    if node.instance_id is not None and not settle(state, node.instance_id):
        if not offered(state.ledger, node.instance_id):
            keep_branches(state, node, serving=False)  # Branches of an earlier instance.
        return
    match stands:
        case Management.LINUX:
            emit_cooldown(state)
            known = know_instance(state, node)
            ready = known and keep_trunk(state, node)
            keep_branches(state, node, serving=ready)
            if ready:
                audit(state)
                find_associations(state)
            else:
                if known and branch_limit(state) == 0:
                    keep_fresh(state)
                emit_waiting(state)
        case Management.WINDOWS:
            if know_instance(state, node):
                keep_windows(state, node)
                keep_fresh(state)
            if state.ledger.instance is None or windows_limits(state, state.ledger.instance) is None:
                emit_waiting(state)
            if state.ledger.branches:  # From a Linux node of this name.
                keep_branches(state, node, serving=False)
        case _:
            if state.ledger.instance is None and had_trunk(node):
                know_instance(state, node)
            keep_branches(state, node, serving=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    ledger: Ledger
    notices: tuple[Notice, ...] = ()
    moved_on: bool = False
    """The action was about something else than the ledger is by now: its outcome was dropped."""


def apply(ledger: Ledger, action: Action, outcome: Outcome, *, now: float, jitter: float) -> Applied:
    """The ledger after `action` ended so; as it was, where it is about something else by now."""
    if moved_on(ledger, action):
        return Applied(ledger=ledger, moved_on=True)
    state = NodeState(ledger=ledger, now=now, jitter=jitter)
    earlier = state.backoff(action.subject)
    match outcome:
        case Waits(until=until):
            state.set_backoff(
                action.subject, msgspec.structs.replace(earlier, not_before=until, reserved=True, scope="")
            )
            _not_begun(state, action)
        case Failed(error=error, scope=scope):
            error = weighed(ledger, action, error, now)
            state.set_backoff(action.subject, after_failure(earlier, error, now, jitter, scope))
            _failed(state, action, error)
        case Done(value=value):
            state.set_backoff(action.subject, None)
            _done(state, action, value, earlier)
        case _:
            assert_never(outcome)
    return Applied(ledger=state.ledger, notices=tuple(state.notices))


def turned_away(ledger: Ledger, action: Action, *, now: float) -> Ledger:
    """The ledger without the intent of an action that was not begun, for want of a thread. Its turn stays its own."""
    state = NodeState(ledger=ledger, now=now, jitter=0.0)
    _not_begun(state, action)
    if action.reserved:
        state.set_backoff(action.subject, msgspec.structs.replace(state.backoff(action.subject), reserved=True))
    return state.ledger


def _done(state: NodeState, action: Action, value: Any, earlier: Backoff) -> None:
    """`earlier`: the failures of the subject before, which a success ends except where its subject says otherwise."""
    match action:
        case act.RequestSnapshot():
            instance.snapshot_requested(state, earlier)
        case act.ConfirmNodeGone():
            departure.confirmed(state, action, value)
        case act.Advertise():
            capacity.advertised(state)
        case act.ResolvePod():
            branch.claims.resolved(state, action, value, earlier)
        case act.Review():
            branch.reviewing.reviewed(state, action, value)
            windows.owning.reviewed(state, value)
        case act.FindAssociations():
            branch.associations.found(state, action, value)
        case act.Annotate(annotation=annotation) if annotation == PRIVATE_IPV4:
            windows.owning.annotated(state, action, value)
        case act.Annotate():
            branch.annotation.annotated(state, action, value)
        case act.ConfirmGone() if value:
            branch.ending.pod_ended(state, action.pod_uid)
            windows.owning.pod_ended(state, action.pod_uid)
        case act.ConfirmGone():
            confirming.still_there(state, action)
        case _ if isinstance(action, act.CniNodeAction):
            cninode.done(state, action, earlier)
        case _ if isinstance(action, act.TrunkAction):
            trunk.done(state, action, value)
        case _ if isinstance(action, act.BranchAction):
            branch.done(state, action, value)
        case _ if isinstance(action, act.PoolAction):
            windows.done(state, action, value)
        case _:
            assert_never(action)


def _failed(state: NodeState, action: Action, error: OutsideError) -> None:
    match action:
        case (
            act.RequestSnapshot()
            | act.ConfirmNodeGone()
            | act.Advertise()
            | act.Review()
            | act.FindAssociations()
            | act.ConfirmGone()
        ):
            pass  # Asked again, or written again, when its backoff allows it.
        case act.ResolvePod():
            branch.claims.failed(state, action, error)
        case act.Annotate(annotation=annotation) if annotation == PRIVATE_IPV4:
            windows.owning.not_annotated(state, action, error)
        case act.Annotate():
            branch.annotation.failed(state, action, error)
        case _ if isinstance(action, act.CniNodeAction):
            cninode.failed(state, action, error)
        case _ if isinstance(action, act.TrunkAction):
            trunk.failed(state, action, error)
        case _ if isinstance(action, act.BranchAction):
            branch.failed(state, action, error)
        case _ if isinstance(action, act.PoolAction):
            windows.failed(state, action, error)
        case _:
            assert_never(action)


def _not_begun(state: NodeState, action: Action) -> None:
    """The call was not made, or was turned away for its rate."""
    match action:
        case act.CreateTrunk():
            trunk.making.not_begun(state, action)
        case _ if isinstance(action, act.Making):
            branch.making.not_begun(state, action)
        case _ if isinstance(action, act.PoolAction):
            windows.not_begun(state, action)
        case _:
            pass
