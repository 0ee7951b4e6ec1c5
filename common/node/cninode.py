"""Chapter: every node has a CNINode, whole and owned; it leaves only after its instance was cleaned up."""

import msgspec

from common.model.actions import (
    CleanDeparted,
    CniNodeAction,
    CreateCniNode,
    DeleteCniNode,
    DropFinalizer,
    RepairCniNode,
)
from common.model.errors import Conflict, OutsideError
from common.model.ids import instance_id_of
from common.model.ledger import Backoff
from common.model.names import INSTANCE_TAG
from common.model.node import CniNodeSpec, NodeFacts
from common.model.notice import CniNodeNotice, EventReason, Severity
from common.node.retry import PASSING, grown
from common.node.sharing import holder
from common.node.state import WATCH_SECONDS, NodeState, Planning
from common.rules.managed import wanted_tags

SUBJECT = "cninode"
LONGEST_REPAIR_SECONDS = 300.0


def keep_cninode(state: Planning, node: NodeFacts) -> None:
    """The node lives: remember its CNINode, make it where there is none, put right what is missing."""
    facts = state.desired.view.cninode
    tags = wanted_tags(node, state.options.cluster)
    if facts is None:
        if state.desired.complete and state.may(SUBJECT):
            remembered = state.ledger.cninode_spec or CniNodeSpec()
            spec = msgspec.structs.replace(remembered, tags={**remembered.tags, **tags})
            state.start(
                CreateCniNode(
                    subject=SUBJECT,
                    node=node.name,
                    node_uid=node.uid,
                    os_label=node.os_label,
                    spec=spec,
                )
            )
        return
    if state.ledger.cninode_spec != facts.spec:
        state.change(cninode_spec=facts.spec)
    if facts.deleting:
        if facts.finalizer and state.may(SUBJECT):
            state.start(DropFinalizer(subject=SUBJECT, node=node.name, uid=facts.uid))
        return
    whole = (
        all(facts.spec.tags.get(key) == value for key, value in tags.items())
        and (not node.os_label or facts.os_label == node.os_label)
        and facts.finalizer
        and facts.owner_uid == node.uid
    )
    if whole:
        state.forget_attempts(SUBJECT)
    elif state.may(SUBJECT):
        state.start(
            RepairCniNode(
                subject=SUBJECT,
                node=node.name,
                facts=facts,
                tags=tags,
                os_label=node.os_label,
                node_uid=node.uid,
            )
        )


def let_cninode_go(state: Planning) -> None:
    """The node is gone: clean its instance up, then take the finalizer away."""
    facts = state.desired.view.cninode
    if facts is None or not state.desired.complete:
        return
    if facts.deleting:
        if facts.finalizer and state.may(SUBJECT):
            instance = instance_id_of(facts.spec.tags.get(INSTANCE_TAG, ""))
            if instance is not None and holder(state, instance) is not None:
                instance = None  # It lives on under another name.
            if instance is not None and not _long_gone(state):
                return
            state.start(
                CleanDeparted(
                    subject=SUBJECT,
                    node=state.ledger.node,
                    cninode_uid=facts.uid,
                    instance_id=instance,
                    gone_since=state.ledger.gone_since or 0.0,
                    rest=state.options.release_delay,
                )
            )
        return
    # The garbage collector deletes what a node owned; one that nobody owned, or that it missed, is ours to delete.
    if _long_gone(state) and state.may(SUBJECT):
        state.start(DeleteCniNode(subject=SUBJECT, node=state.ledger.node))


def _long_gone(state: Planning) -> bool:
    """Its absence was confirmed, and again when the grace was over: a node that comes back meanwhile keeps all."""
    gone_since = state.ledger.gone_since
    if gone_since is None:
        return False
    due = gone_since + state.options.release_delay
    if due > state.now:
        state.look_at(due)
    return due <= state.ledger.gone_asked_at


def done(state: NodeState, action: CniNodeAction, earlier: Backoff) -> None:
    """A CNINode that is not whole after its repair, whatever the reason, is not worth a call per second."""
    if isinstance(action, RepairCniNode):
        wait = grown(WATCH_SECONDS, LONGEST_REPAIR_SECONDS, earlier.attempts)
        state.set_backoff(SUBJECT, Backoff(not_before=state.now + wait, attempts=earlier.attempts + 1))
    else:
        state.wait_for_watch(SUBJECT)


def failed(state: NodeState, action: CniNodeAction, error: OutsideError) -> None:
    if isinstance(error, PASSING):
        return
    if isinstance(action, CreateCniNode) and not isinstance(error, Conflict):
        state.emit_node(
            EventReason.CNI_NODE_CREATION_FAILED, f"The CNINode could not be created: {error}", Severity.WARNING
        )
    elif isinstance(action, CleanDeparted):
        state.notices.append(
            CniNodeNotice(
                name=action.node,
                uid=action.cninode_uid,
                reason=EventReason.CNI_NODE_DELETION_FAILED,
                message=f"Leaked interfaces of the instance could not be deleted yet: {error}",
                severity=Severity.WARNING,
            )
        )
