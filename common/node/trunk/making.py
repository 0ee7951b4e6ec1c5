"""A trunk from nothing to `ready`: create, permit, attach, finish, wait until it is seen attached. A step that failed
undoes those before it, unless the error says nothing about the step itself."""

from typing import Any, assert_never

from common.model import actions as act
from common.model.errors import Denied, NotFound, OutsideError, TokenMismatch, Unavailable, WrongClock
from common.model.ids import GroupId, SubnetId
from common.model.ledger import Backoff, InstanceFacts, TrunkState
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.node.tokens import trunk_token
from common.node.trunk.index import index_found, no_index
from common.node.trunk.place import place
from common.node.trunk.subject import SUBJECT, UNDONE
from common.node.trunk.undoing import begin_undo, carries, look_anew
from common.rules.managed import interface_tags
from common.rules.scopes import scopes_of

TRUNK_POLL_SECONDS = 0.4
FIRST_TRUNK_POLL_SECONDS = 0.2
LOOKS_BEFORE_GONE = 4
"""EC2's Describe calls lag behind its writes by seconds: a trunk just attached is not gone because some looks, over
14 s, do not show it."""
TRUNKING_NOT_ALLOWED = (
    "AWS allows trunk interfaces only to accounts on a list (the managed control plane of EKS is); see the README"
)
MISSING_POLICY = "Please verify the cluster IAM role has AmazonEKSVPCResourceController policy"


def create(state: Planning, node: NodeFacts, instance: InstanceFacts) -> None:
    trunk = state.ledger.trunk
    if trunk.state is TrunkState.CREATING and trunk.subnet_id is not None:
        where: tuple[SubnetId, tuple[GroupId, ...]] | None = (trunk.subnet_id, trunk.groups)
    else:
        where = place(state, node)
    if where is None or state.ledger.snapshot_after is not None:
        return
    if trunk.device_index is None:
        no_index(state)
        return
    index_found(state)
    subnet, groups = where
    extra, bad = interface_tags(state.ledger.cninode_spec)
    action = act.CreateTrunk(
        subject=SUBJECT,
        instance_id=instance.instance_id,
        subnet_id=subnet,
        groups=groups,
        token=trunk_token(state.options.cluster, instance.instance_id, trunk.generation),
        extra_tags=extra,
        again=trunk.state is TrunkState.CREATING,
    )
    if not state.may(SUBJECT, scopes_of(action)):
        return
    if bad:
        state.emit_node_once(
            "tags", EventReason.INVALID_TAG, "Tags of the CNINode left out: " + "; ".join(bad), Severity.WARNING
        )
    state.set_trunk(state=TrunkState.CREATING, subnet_id=subnet, groups=groups)
    state.start(action)


def go_on(state: Planning, instance: InstanceFacts) -> None:
    trunk = state.ledger.trunk
    assert trunk.eni_id is not None
    match trunk.state:
        case TrunkState.CREATED:
            state.start(act.PermitInterface(subject=SUBJECT, eni_id=trunk.eni_id))
        case TrunkState.PERMITTED | TrunkState.ATTACHING if trunk.attachment_id is None:
            if trunk.device_index is None:
                state.set_trunk(state=TrunkState.UNDOING)
                no_index(state)
                return
            again = trunk.state is TrunkState.ATTACHING
            state.set_trunk(state=TrunkState.ATTACHING)
            state.start(
                act.AttachTrunk(
                    subject=SUBJECT,
                    eni_id=trunk.eni_id,
                    instance_id=instance.instance_id,
                    device_index=trunk.device_index,
                    again=again,
                )
            )
        case TrunkState.ATTACHING if trunk.attachment_id is not None:
            state.start(act.FinishTrunk(subject=SUBJECT, eni_id=trunk.eni_id, attachment_id=trunk.attachment_id))
        case TrunkState.ATTACHED:
            state.start(act.AwaitTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id))
        case _:
            pass


def done(
    state: NodeState,
    action: act.CreateTrunk | act.PermitInterface | act.AttachTrunk | act.FinishTrunk | act.AwaitTrunk,
    value: Any,
) -> None:
    match action:
        case act.CreateTrunk():
            state.set_trunk(state=TrunkState.CREATED, eni_id=value.eni_id, made_at=state.now)
        case act.PermitInterface():
            state.set_trunk(state=TrunkState.PERMITTED)
        case act.AttachTrunk():
            state.set_trunk(state=TrunkState.ATTACHING, attachment_id=value)
        case act.FinishTrunk():
            state.set_trunk(state=TrunkState.ATTACHED)
            state.set_backoff(SUBJECT, Backoff(not_before=state.now + FIRST_TRUNK_POLL_SECONDS))
        case act.AwaitTrunk() if value:
            state.set_trunk(state=TrunkState.READY)
            state.change(audit_at=0.0)
            state.set_backoff(UNDONE, None)
        case act.AwaitTrunk():
            state.set_backoff(SUBJECT, Backoff(not_before=state.now + TRUNK_POLL_SECONDS))
        case _:
            assert_never(action)


def not_begun(state: NodeState, action: act.CreateTrunk) -> None:
    """Where it was the first call, nothing can have come of it."""
    if not action.again:
        state.set_trunk(state=TrunkState.ABSENT)


def failed(
    state: NodeState,
    action: act.CreateTrunk | act.PermitInterface | act.AttachTrunk | act.FinishTrunk,
    error: OutsideError,
) -> None:
    if isinstance(error, Unavailable) and isinstance(action, act.CreateTrunk):
        not_begun(state, action)
    if isinstance(error, PASSING):
        return
    if isinstance(action, act.CreateTrunk):
        _not_created(state, error)
    elif isinstance(action, act.FinishTrunk) and carries(state):
        # Found in use: pods live by it. Better a trunk that outlives its instance than pods without network.
        if isinstance(error, NotFound):
            look_anew(state, state.now)
        else:
            state.set_trunk(state=TrunkState.ATTACHED)
            state.set_backoff(SUBJECT, None)
    else:
        begin_undo(state, error)
    state.emit_node(EventReason.TRUNK_ENI_CREATION_FAILED, _why(error), Severity.WARNING)
    state.emit_node(EventReason.NODE_TRUNK_FAILED_INIT, "The node failed initializing trunk interface")


def _not_created(state: NodeState, error: OutsideError) -> None:
    """By the next try subnet, groups and device indexes may be others."""
    backoff = state.backoff(SUBJECT)
    if isinstance(error, TokenMismatch):
        state.set_trunk(state=TrunkState.ABSENT, generation=state.ledger.trunk.generation + 1)
    else:
        state.set_trunk(state=TrunkState.ABSENT, device_index=None)
    state.change(snapshot_after=state.now if backoff.scope else backoff.not_before)


def not_seen(state: NodeState, error: OutsideError) -> None:
    """The look whether it is attached failed."""
    if not isinstance(error, NotFound) or state.backoff(SUBJECT).attempts < LOOKS_BEFORE_GONE:
        return
    if carries(state):
        look_anew(state, state.now)
    else:
        state.set_trunk(state=TrunkState.UNDOING)


def _why(error: OutsideError) -> str:
    message = f"Failed to create trunk interface: Error Code: {error.code}"
    if isinstance(error, Denied) and not isinstance(error, WrongClock):
        hint = MISSING_POLICY if error.code != "OperationNotPermitted" else TRUNKING_NOT_ALLOWED
        message += f": {hint}"
        if error.code != "OperationNotPermitted":
            message += f". {TRUNKING_NOT_ALLOWED}"
    elif error.message:
        message += f": {error.message}"
    return message
