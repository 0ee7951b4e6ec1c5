"""Steps about CNINodes and departed nodes."""

from common.metrics import NODE_CLEANUP_FAILURES
from common.model.actions import (
    CleanDeparted,
    ConfirmNodeGone,
    CreateCniNode,
    DeleteCniNode,
    DropFinalizer,
    RepairCniNode,
)
from common.model.errors import Conflict, OutsideError
from workers.maintenance.inquiry import Inquiry
from workers.maintenance.sweep import clean_instance
from workers.steps.ports import Ports
from workers.steps.table import step


@step(CreateCniNode)
def create_cninode(action: CreateCniNode, ports: Ports) -> None:
    try:
        ports.kube.create_cninode(action.node, action.node_uid, action.os_label, action.spec)
    except Conflict:
        return  # There is one: the watch will show it, and what it lacks is put right then.


@step(RepairCniNode)
def repair_cninode(action: RepairCniNode, ports: Ports) -> None:
    ports.kube.repair_cninode(
        action.node,
        action.facts,
        tags=action.tags,
        os_label=action.os_label,
        owner=(action.node, action.node_uid),
        finalizer=True,
    )


@step(DropFinalizer)
def drop_finalizer(action: DropFinalizer, ports: Ports) -> None:
    ports.kube.drop_finalizer(action.node, action.uid)


@step(CleanDeparted)
def clean_departed(action: CleanDeparted, ports: Ports) -> None:
    """Nothing, where the node has come back or its CNINode is another controller's by now. The finalizer goes only
    after nothing is left, or where the instance lives on under another name."""
    node = ports.kube.get_node(action.node)
    if node is not None and node.instance_id == action.instance_id:
        return
    cninode = ports.kube.get_cninode(action.node)
    if cninode is not None and cninode.spec.of_another:
        return
    inquiry = Inquiry(ports.store, ports.ec2, ports.kube, ports.clock)
    if action.instance_id is not None and not inquiry.lives_on(action.instance_id, action.node):
        try:
            clean_instance(
                ports.ec2,
                inquiry,
                action.instance_id,
                ports.cluster,
                node=action.node,
                gone_since=action.gone_since,
                rest=action.rest,
            )
        except OutsideError:
            NODE_CLEANUP_FAILURES.inc()
            raise
    ports.kube.drop_finalizer(action.node, action.cninode_uid)


@step(DeleteCniNode)
def delete_cninode(action: DeleteCniNode, ports: Ports) -> None:
    cninode = ports.kube.get_cninode(action.node)
    if cninode is not None and not cninode.spec.of_another and ports.kube.get_node(action.node) is None:
        ports.kube.delete_cninode(action.node, cninode.uid)


@step(ConfirmNodeGone)
def confirm_node_gone(action: ConfirmNodeGone, ports: Ports) -> bool:
    return ports.kube.get_node(action.node) is None
